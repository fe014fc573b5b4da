/* SPDX-License-Identifier: Apache-2.0 */
/* Declarations shared by pair.c (the parent) and side.c (the processes of a case). Not for cases. */
#ifndef WEFT_CONFORMANCE_SIDE_H
#define WEFT_CONFORMANCE_SIDE_H

#include <stdatomic.h>

#include "pair.h"

enum side_verdict { SIDE_RUNNING, SIDE_PASSED, SIDE_FAILED, SIDE_SKIPPED };

/* In memory shared by the parent and all processes of a case. Zero at the start. */
struct side_status {
	_Atomic int verdict; /* enum side_verdict; the first decision stays */
	_Atomic int doomed;  /* another process of the case kills this one on purpose */
	char where[256];
	char text[1024]; /* reason of the failure or skip */
};

/* Runs the case in this process and ends it. `all` has one status per process. */
void side_main(struct side *s, const struct suite_case *c, struct side_status *all) __attribute__((noreturn));

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pairs whose two processes belong to different ranks of a job, maybe on different hosts. Each rank runs this program, does
 * the same in the same order, and starts its own process of each pair:
 *
 *	rank 0's program ──── oob ──── rank 1's program
 *	      │                              │
 *	process of rank 0 ── plugin ── process of rank 1
 *
 * The programs relay what the two processes exchange during set-up, and both learn both answers, so both take the same
 * decisions without asking each other. With more ranks than two, all take part in each step, those without a pair, too.
 */
#ifndef WEFT_NET_PERF_FAR_H
#define WEFT_NET_PERF_FAR_H

#include <stdbool.h>
#include <stddef.h>

#include "place.h"

struct pair;

struct far {
	struct place place;
	struct oob *oob;
	bool tolerant; /* the failure of a pair does not end the job */
	bool told;     /* that this rank has failed, or why the job has */
};

/*
 * Finds this process's rank in its environment. 1: found, *f is filled in except for oob. 0: no launcher has started it, or
 * it is the only rank. -1: failure, after a message.
 */
int far_find(struct far *f);

/* Meets the other ranks. 0, or -1 after a message. */
int far_meet(struct far *f, int timeout_s);

/*
 * Waits for the answer of the pair's process at this rank and for that of its other one, relaying meanwhile. `p` may be NULL:
 * a rank without a pair. out[0] and out[1] get the answers of `bytes` bytes, by the process's number in the pair.
 * 0: success. 1: tolerant, and this pair has failed; or without a pair. -1: failure, after a message.
 */
int far_hear(struct far *f, struct pair *p, void *const out[2], size_t bytes);

/* Tells the other ranks that this one has failed, or the user which other one has. Only the first call has an effect. */
void far_fail(struct far *f, const char *reason);

/* Leaves; after far_fail or when all ranks have done their work. */
void far_close(struct far *f);

#endif

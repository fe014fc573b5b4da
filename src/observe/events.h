/* SPDX-License-Identifier: Apache-2.0 */
/* The flight recorders of all records of a snapshot, merged by time. */
#ifndef WEFT_OBSERVE_EVENTS_H
#define WEFT_OBSERVE_EVENTS_H

#include <stdio.h>

#include <jansson.h>

#include "observe/snapshot.h"

/* One line for each event. 0 or -ENOMEM. */
int events_print(const struct snapshot *s, FILE *out);

/* The same as a trace that Perfetto and chrome://tracing show. NULL: out of memory. The caller owns it. */
json_t *events_trace(const struct snapshot *s);

#endif

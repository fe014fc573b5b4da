/* SPDX-License-Identifier: Apache-2.0 */
/* Warms up, times, verifies and reports each type, operation and size. */
#ifndef WEFT_ALL_REDUCE_MEASURE_H
#define WEFT_ALL_REDUCE_MEASURE_H

#include "team.h"
#include "report.h"
#include "result.h"
#include "roof.h"
#include "engine.h"
#include "settings.h"

struct measure;

/*
 * Allocates the buffers; every rank calls it. s->max_bytes (and min_bytes if necessary) are lowered, equally on all ranks,
 * until the buffers of `local_ranks` ranks fit into the memory of this host and its control groups. *out_lowered reports
 * whether a size was lowered. 0 or an enum engine_failure.
 */
int measure_open(struct settings *s, const struct team *team, struct engine *engine, int local_ranks,
		 struct measure **out_measure, bool *out_lowered);

/* The description of a failure in measure.c, else "". Accepts NULL. */
const char *measure_error(const struct measure *m);

void measure_close(struct measure *m);

/*
 * Runs the whole scan, all cycles; every rank calls it. Rank 0 prints the rows and adds them to `report` (may be NULL), with
 * `roof` beside them (NULL: without).
 * 0 or an enum engine_failure. *out_totals is valid after a failure, too. It is the same on all ranks except for the
 * bandwidths, which are valid on rank 0 only.
 */
int measure_run(struct measure *m, const struct roof *roof, struct report *report, struct totals *out_totals);

#endif

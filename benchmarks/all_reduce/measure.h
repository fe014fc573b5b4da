/* SPDX-License-Identifier: Apache-2.0 */
/* What is done for each type, operation and size: warm up, time, verify, report. */
#ifndef WEFT_ALL_REDUCE_MEASURE_H
#define WEFT_ALL_REDUCE_MEASURE_H

#include "json.h"
#include "oob.h"
#include "result.h"
#include "engine.h"
#include "settings.h"

struct measure;

/*
 * Allocates the buffers: s->max_bytes (and if need be min_bytes) are lowered, on all ranks alike,
 * to what fits into memory next to `local_ranks` of the same kind; *out_lowered says whether they
 * were. Every rank calls it. 0 or an enum engine_failure.
 */
int measure_open(struct settings *s, struct oob *oob, struct engine *engine, int local_ranks,
		 struct measure **out_measure, bool *out_lowered);

void measure_close(struct measure *m);

/*
 * The whole scan, all cycles; every rank calls it. Rank 0 prints rows, and adds them to `json` (or
 * NULL). 0 or an enum engine_failure. *out_totals is good in every case, and the same on all ranks
 * but for the bandwidths, which only rank 0 needs.
 */
int measure_run(struct measure *m, struct json_report *json, struct totals *out_totals);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Shows results: a table on stdout while it runs (lines that begin with # are not rows), and JSON
 * at the end. A ratio is side A divided by the other side.
 */
#ifndef WEFT_NET_PERF_REPORT_H
#define WEFT_NET_PERF_REPORT_H

#include "curve.h"
#include "sweep.h"
#include "workload.h"

struct report;

/* Prints what was measured on what. NULL after a message. */
struct report *report_open(const struct cli *c, const struct pair *sides, int nsides);

/* Prints and keeps the row of a point; m[side]. */
void report_point(struct report *r, const struct point *p, const struct measured *m);

/* Prints and keeps a row of the connection measurement; see curve_show. */
void report_curve(struct report *r, unsigned pairs, const struct curve_step *steps);

/* Prints and keeps the results of a workload, one per side. */
void report_workload(struct report *r, const struct workload_result *results);

/* The last lines, and the JSON file if one was asked for. 0, or -1 after a message. */
int report_finish(struct report *r, uint64_t wrong);

void report_close(struct report *r);

#endif

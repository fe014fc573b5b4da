/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reports the results: a table on stdout during the run (lines that begin with # are not rows), and JSON at the end. A ratio
 * is the value of side A divided by that of the other side.
 */
#ifndef WEFT_NET_PERF_REPORT_H
#define WEFT_NET_PERF_REPORT_H

#include "curve.h"
#include "sweep.h"
#include "workload.h"

struct report;

/* Prints the description of the measurement. NULL after a message. */
struct report *report_open(const struct cli *c, const struct pair *sides, int nsides);

/* Prints and stores the row of a point; m[side]. */
void report_point(struct report *r, const struct point *p, const struct measured *m);

/* Prints and stores a row of the connection measurement; see curve_show. */
void report_curve(struct report *r, unsigned pairs, const struct curve_step *steps);

/* Prints and stores the results of a workload, one per side. */
void report_workload(struct report *r, const struct workload_result *results);

/* Prints the last lines and writes the JSON file if requested. 0, or -1 after a message. */
int report_finish(struct report *r, uint64_t wrong);

void report_close(struct report *r);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* A view in Prometheus' text format. */
#ifndef WEFT_OBSERVE_METRICS_H
#define WEFT_OBSERVE_METRICS_H

#include <stdio.h>

#include "observe/retired.h"
#include "observe/view.h"

struct metrics_want {
	const struct view *view;
	const struct retired_list *retired;
	size_t peers;	/* of each process: only so many, the gravest */
	double seconds; /* that reading the records took */
};

/* 0 or -ENOMEM. */
int metrics_write(const struct metrics_want *want, FILE *out);

#endif

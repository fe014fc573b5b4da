/* SPDX-License-Identifier: Apache-2.0 */
/* Measures a mix of messages over many comms (mix.h), on all sides in turn. */
#ifndef WEFT_NET_PERF_WORKLOAD_H
#define WEFT_NET_PERF_WORKLOAD_H

#include "cli.h"
#include "pair.h"

/* Results of one side: medians over the repetitions, of both processes together; times are those of the slower one. */
struct workload_result {
	double messages_per_s, gb_per_s; /* 10^9 bytes */
	double p50_us, p99_us;		 /* small messages only */
};

/* Returns 0 with out[side] and the number of wrong messages, or -1 after a message. */
int workload(const struct cli *c, struct pair *sides, int nsides, struct workload_result *out, uint64_t *out_wrong);

#endif

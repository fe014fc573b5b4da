/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A mix of messages like that of an application, over many comms at once and in both directions: bursts with pauses between
 * them, sizes from 64 B to 8 MiB, most of them small, and receivers that are sometimes late, so that small messages arrive
 * unexpected. A seed determines the mix, so both processes and all sides do the same. Unlike the plain patterns, it shows
 * the latency of a small message under this load.
 */
#ifndef WEFT_NET_PERF_MIX_H
#define WEFT_NET_PERF_MIX_H

#include "net_links.h"

#define MIX_ARENA_BYTES (8ul << 20) /* memory of each comm and direction */
#define MIX_SMALL_BYTES 8192	    /* largest size of a small message */

struct mix_run {
	uint64_t seed;
	unsigned messages; /* number per comm and direction */
};

struct mix_result {
	double seconds;
	uint64_t messages, bytes, wrong; /* of received messages */
	double p50_us, p99_us; /* small messages: from the start of the burst to the completion at the receiver */
};

/* Executes `r` on all open links; the other process does the same. 0, or -1 after a message. */
int mix_run(struct links *l, const struct mix_run *r, struct mix_result *out);

#endif

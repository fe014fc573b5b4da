/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A mix of messages like an application's, over many comms at once and both ways: bursts with pauses between
 * them, sizes from 64 B to 8 MiB, most of them small, and receivers that are sometimes late, so that small
 * messages come unexpected. Everything comes from a seed, so both processes and both sides do the same. What
 * the plain patterns can't show is how long a small message takes amid all this.
 */
#ifndef WEFT_NET_PERF_MIX_H
#define WEFT_NET_PERF_MIX_H

#include "net_links.h"

#define MIX_ARENA_BYTES (8ul << 20) /* of each comm and direction */
#define MIX_SMALL_BYTES 8192	    /* messages up to here are small */

struct mix_run {
	uint64_t seed;
	unsigned messages; /* of each comm, each way */
};

struct mix_result {
	double seconds;
	uint64_t messages, bytes, wrong; /* received */
	double p50_us, p99_us; /* small ones: from the start of their burst until the receiver knows */
};

/* Executes `r` on all open links, together with the other process, which does the same. 0, or -1 after a message. */
int mix_run(struct links *l, const struct mix_run *r, struct mix_result *out);

#endif

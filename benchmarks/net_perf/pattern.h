/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The patterns that are measured, on any engine:
 *
 *   latency    rank 0 sends, rank 1 sends back: half of one round, per round. Receives are posted
 * one ahead, and posting them again and finishing the send count as NCCL would have to do both.
 *   bandwidth  rank 0 keeps `depth` messages outstanding, rank 1 `depth` receives; the time ends
 * when an acknowledgement of the last one is back. rate       the same, meant for small messages.
 *   bidir      both at once, both ways.
 */
#ifndef WEFT_NET_PERF_PATTERN_H
#define WEFT_NET_PERF_PATTERN_H

#include "effort.h"
#include "side.h"

struct run {
	enum pattern pattern;
	enum payload_check check;
	unsigned depth;
	size_t bytes;
	uint64_t warm, timed; /* messages; rounds of the latency pattern */
};

struct run_result {
	double seconds;       /* of the timed messages, on rank 0 */
	double median_us;     /* latency: of half a round */
	double p99_us;        /* latency */
	struct effort effort; /* of this process for the timed messages */
	uint64_t wrong;       /* received messages with wrong content or size, warm ones included */
};

/* "latency" and so on. */
const char *pattern_name(enum pattern p);

/* The depth that is used for `depth` wanted: memory is bounded for very large messages. */
unsigned pattern_depth(enum pattern p, size_t bytes, unsigned depth);

/* Bytes that a sender's or receiver's slots need for such a run. */
size_t pattern_area(size_t bytes, unsigned depth);

/* Executes `r` together with the other process, which does the same. 0, or -1 after a message. */
int pattern_run(struct side *s, const struct run *r, struct run_result *out);

#endif

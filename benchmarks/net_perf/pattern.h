/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The measured patterns, for any engine:
 *
 *   latency    Rank 0 sends, rank 1 sends back; the result is half of a round trip. Receives are posted one ahead. The
 *              time includes posting the next receive and completing the send, because NCCL has to do both.
 *   bandwidth  Rank 0 keeps `depth` messages in flight, rank 1 keeps `depth` receives posted. The time ends when an
 *              acknowledgement of the last message is back.
 *   rate       The same, for small messages.
 *   bidir      Bandwidth in both directions at once.
 *   birate     Rate in both directions at once.
 *
 * With several comms, all of them do this at once.
 */
#ifndef WEFT_NET_PERF_PATTERN_H
#define WEFT_NET_PERF_PATTERN_H

#include <stdatomic.h>

#include "effort.h"
#include "side.h"

struct run {
	enum pattern pattern;
	enum payload_check check;
	unsigned depth;
	size_t bytes;
	uint64_t warm, timed; /* number of messages of each comm, or of rounds in the latency pattern */
	int from;	      /* the rank that sends, where only one does; it takes the time */
};

struct run_result {
	double seconds;	      /* time of the timed messages, from the first comm's start to the last one's end */
	double median_us;     /* latency: median of half a round trip */
	double p99_us;	      /* latency: 99th percentile of the same */
	struct effort effort; /* costs of the timed messages in this process */
	uint64_t wrong;	      /* received messages with wrong content or size, including warm ones */
};

/* The comms of one thread in a run. */
struct share {
	const struct run *run;
	struct side *sides;
	unsigned count;
	double *round_s;      /* latency, rank 0: room for `timed` values of each comm */
	atomic_uint *gate;    /* number of threads that are ready for the timed messages */
	unsigned threads;     /* number of threads that pass the gate */
	double start, end;    /* result: of the timed messages */
	struct effort effort; /* result */
};

/* The pattern's name, such as "latency". */
const char *pattern_name(enum pattern p);

/* The actual depth for a requested `depth`; it is lower for very large messages on many comms, which bounds the memory. */
unsigned pattern_depth(enum pattern p, size_t bytes, unsigned depth, unsigned comms);

/* Number of bytes for the slots of a sender or a receiver in such a run. */
size_t pattern_area(size_t bytes, unsigned depth);

/* Memory for the rounds of all comms, which the caller frees. NULL after a message. */
double *pattern_rounds(const struct run *r, unsigned comms);

/*
 * Executes a thread's share of a run; the threads of the other process do the same with the same shares. 0, or -1 after a
 * message.
 */
int pattern_share(struct share *h);

/* The result of all shares of a run; round_s (or NULL) has the values of all comms, and is sorted. */
void pattern_sum(const struct share *shares, unsigned n, double *round_s, struct run_result *out);

/* Executes `r` on one comm in this thread. 0, or -1 after a message. */
int pattern_run(struct side *s, const struct run *r, struct run_result *out);

/* Does the pattern move messages in both directions? */
bool pattern_is_mutual(enum pattern p);

/* Is this rank the one whose round trips are measured? */
bool pattern_times_rounds(const struct run *r, int rank);

#endif

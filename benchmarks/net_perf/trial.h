/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Measures pairs of ranks of a job (far.h), several at once: verifies a few messages, then repeats for a given time. Every rank
 * does the same in the same order; one without a partner takes part without a pair. The failure of a pair does not end the
 * job.
 */
#ifndef WEFT_NET_PERF_TRIAL_H
#define WEFT_NET_PERF_TRIAL_H

#include "far.h"
#include "pair.h"

#define TRIAL_LATENCY_BYTES   8
#define TRIAL_REPETITIONS_MAX 1000
#define ROOF_FINE	      0.9 /* so much of raw libfabric is fine */

struct trial {
	struct far *far; /* tolerant */
	int partner;	 /* -1: this rank rests */
	int64_t time_ms, repetitions;
	unsigned depth;	  /* messages in flight of each comm */
	struct pair pair; /* keep it at its address */
	bool alive;	  /* the pair works so far */
	uint64_t wrong;	  /* messages of this rank that reached its partner with wrong bytes */
};

/*
 * Fills in what follows from the ranks. The caller then sets the plugin (or raw_ops), comms, threads, memory and the limit
 * of time in t->pair.config.
 */
void trial_prepare(struct trial *t, int64_t threads);

/* The rest return 0, or -1 if a rank is lost. `alive` tells about the pair. */
int trial_start(struct trial *t);

/*
 * The median of the repetitions of a run, of which the caller sets pattern, bytes and `from`: half a round trip in
 * microseconds, or 10^9 bytes per second in one direction. Of raw libfabric's operations the better one counts. 0 without a
 * pair.
 */
int trial_probe(struct trial *t, struct run r, double *out_value);

int trial_end(struct trial *t);

#endif

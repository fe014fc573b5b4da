/* SPDX-License-Identifier: Apache-2.0 */
/* The programs' command line: nccl-tests' options, strictly read, and a few of our own. */
#ifndef WEFT_ALL_REDUCE_SETTINGS_H
#define WEFT_ALL_REDUCE_SETTINGS_H

#include "collective.h"
#include "types.h"

#include <stdbool.h>
#include <stdint.h>

struct settings {
	enum collective what;
	int64_t min_bytes, max_bytes, step_bytes, step_factor;
	int64_t iters, agg_iters, warmup_iters, run_cycles; /* run_cycles 0: for ever */
	int64_t check;       /* verification rounds per row and placement */
	int64_t check_timed; /* also verify the last timed operation, out of place */
	int64_t average;     /* how ranks' times are combined: 0 rank 0, 1 mean, 2 min, 3 max */
	int64_t timeout_s;   /* 0: none */
	int64_t timestamps, unalign;
	int64_t root; /* -1: every rank in turn, or there is none */
	int64_t per_iter, per_iter_skip;
	bool nccl;     /* engine nccl; else net */
	int64_t ranks; /* 0: not given */
	int64_t gpus;  /* ranks in place of each */
	int64_t channels, chunk_bytes;
	int64_t device;     /* -1: not given */
	const char *json;   /* or NULL */
	const char *plugin; /* or NULL: Weft */
	int64_t abi;        /* of the plugin's interface; 0: its newest */
	double min_bw;      /* GB/s that must be reached; 0: any */
	enum elem_type types[TYPE_COUNT];
	int ntypes;
	bool all_types;
	enum redop ops[OP_COUNT];
	int nops;
	bool all_ops;
};

/*
 * Reads the command line of the program that measures `what`, and NCCL_TESTS_*. 0; 1: the help was printed,
 * exit 0; -1: one message is on stderr, exit 2.
 */
int settings_parse(enum collective what, int argc, char **argv, struct settings *out);

/* The scan: the size behind `bytes`; above max_bytes it ends. */
int64_t settings_next_size(const struct settings *s, int64_t bytes);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* The command line of the programs: nccl-tests' options, parsed strictly, and additional ones. */
#ifndef WEFT_ALL_REDUCE_SETTINGS_H
#define WEFT_ALL_REDUCE_SETTINGS_H

#include "collective.h"
#include "split.h"
#include "traffic.h"
#include "types.h"

#include <stdbool.h>
#include <stdint.h>

struct settings {
	enum collective what;
	int64_t min_bytes, max_bytes, step_bytes, step_factor;
	int64_t iters, agg_iters, warmup_iters, run_cycles; /* run_cycles 0: no end */
	int64_t check;					    /* number of verification rounds per row and placement */
	int64_t check_timed;				    /* also verify the last timed operation (out of place) */
	int64_t average;	/* combination of the ranks' times: 0 rank 0, 1 mean, 2 min, 3 max */
	int64_t timeout_s;	/* 0: none */
	int64_t meet_timeout_s; /* limit until all ranks have started and met */
	int64_t timestamps, unalign;
	bool observe, roof;
	int64_t root; /* -1: every rank in turn, or the collective has no root */
	int64_t per_iter, per_iter_skip;
	bool nccl;	       /* engine nccl; false: engine net */
	int64_t ranks;	       /* 0: not given */
	int64_t threads, gpus; /* threads times gpus ranks are started in place of each rank */
	int64_t channels, chunk_bytes;
	int64_t device;	  /* -1: not given */
	const char *json; /* paths of the reports, or NULL */
	const char *csv, *plot;
	const char *plugin; /* path; NULL: Weft */
	int64_t abi;	    /* version of the plugin's interface; 0: the newest */
	char ignored[1024]; /* lines "# ignored: ..." about options that mean nothing without a GPU, or "" */
	double min_bw;	    /* required average bandwidth, GB/s; 0: none */
	enum elem_type types[TYPE_COUNT];
	int ntypes;
	bool all_types;
	enum redop ops[OP_COUNT];
	int nops;
	bool all_ops;
	struct split split;
	struct traffic traffic; /* only for ALL_TO_ALL_V */
};

/*
 * Reads the command line of the program that measures `what`, and the variables NCCL_TESTS_*. 0: success. 1: the help was
 * printed, exit 0. -1: failure, after one message on stderr, exit 2.
 */
int settings_parse(enum collective what, int argc, char **argv, struct settings *out);

/* Checks what depends on the number of ranks. 0, or -1 after one message on stderr. */
int settings_check_ranks(const struct settings *s, int all_ranks);

/* The next size of the scan after `bytes`. The scan ends at sizes above max_bytes. */
int64_t settings_next_size(const struct settings *s, int64_t bytes);

#endif

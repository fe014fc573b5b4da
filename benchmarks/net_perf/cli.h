/* SPDX-License-Identifier: Apache-2.0 */
/* Parses and checks the command line of weft_net_perf. */
#ifndef WEFT_NET_PERF_CLI_H
#define WEFT_NET_PERF_CLI_H

#include <stdbool.h>
#include <stdint.h>

#include "pattern.h"
#include "raw.h"

struct cli {
	int64_t min_bytes, max_bytes, step_factor;
	int64_t iterations; /* per repetition; 0: the number that fits into time_ms */
	int64_t warm;	    /* number of warm-up iterations; -1: chosen by pattern and size */
	int64_t comms;	    /* in each direction */
	int64_t threads;    /* of each process, over which the comms are spread */
	int64_t depth;	    /* 0: 8 for bandwidth and bidir, 32 for rate */
	int64_t repetitions;
	bool fresh;	 /* each repetition has new processes */
	int64_t time_ms; /* time per point and side, for all repetitions together */
	int64_t check;	 /* 0 or 1 */
	int64_t device;
	int64_t abi;	  /* version of the plugins' interface; 0: the newest of each plugin */
	int64_t pairs;	  /* 0: a sweep; else the largest number of connections to measure */
	int64_t workload; /* 0: none; else the number of comms in each direction for a mix of messages */
	int64_t seed;
	int64_t timeout_s, meet_timeout_s;
	bool patterns[PATTERNS];
	bool raw, instructions;
	unsigned raw_op; /* a bit of enum raw_op; 0: both */
	const char *plugin, *versus;
	const char *env_a, *env_b;
	const char *provider;
	const char *json;
	int cores[2];	   /* by rank; -1: any core */
	int cores_allowed; /* number of cores that this process may use */
	bool yield;	   /* both processes share a core: give it away while waiting */
};

/*
 * Returns 0 to continue; 1 after --help (exit 0); -1 after one message on stderr (exit 2). The texts point into argv.
 */
int cli_parse(struct cli *c, int argc, char **argv);

/* Parses "latency,rate" or "all" into one flag per pattern. 0 or -EINVAL. */
int cli_patterns(const char *text, bool out[PATTERNS]);

/* Parses "auto", "off" or two core numbers "C0,C1". 0, or -EINVAL if the text is malformed or a core is not allowed. */
int cli_cores(const char *text, int out[2]);

/* Does the text have the form "NAME=VALUE NAME=VALUE"? */
bool cli_env_valid(const char *text);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* The command line of weft_net_perf, read and checked. */
#ifndef WEFT_NET_PERF_CLI_H
#define WEFT_NET_PERF_CLI_H

#include <stdbool.h>
#include <stdint.h>

#include "pattern.h"
#include "raw.h"

struct cli {
	int64_t min_bytes, max_bytes, step_factor;
	int64_t iterations; /* 0: as many as fit into time_ms */
	int64_t warm;       /* -1: chosen by pattern and size */
	int64_t depth;      /* 0: 8 for bandwidth and bidir, 32 for rate */
	int64_t repetitions;
	bool fresh; /* ... each with new processes */
	int64_t time_ms; /* per point and side, over all repetitions */
	int64_t check;   /* 0 or 1 */
	int64_t device;
	int64_t abi; /* of the plugins' interface; 0: the newest of each */
	int64_t pairs; /* 0: a sweep; else connections are measured, up to so many */
	int64_t workload; /* 0: none; else a mix of messages over so many comms each way */
	int64_t seed;
	int64_t timeout_s;
	bool patterns[PATTERNS];
	bool raw, instructions;
	unsigned raw_op; /* a bit of enum raw_op, or 0: both */
	const char *plugin, *versus;
	const char *env_a, *env_b;
	const char *provider;
	const char *json;
	int cores[2];      /* by rank, -1: any */
	int cores_allowed; /* how many this process may use */
	bool yield;        /* fewer than two */
};

/*
 * Returns 0 to go on; 1 after --help (exit 0); -1 after one message on stderr (exit 2).
 * The texts point into argv.
 */
int cli_parse(struct cli *c, int argc, char **argv);

/* "latency,rate" or "all" into one flag per pattern. 0 or -EINVAL. */
int cli_patterns(const char *text, bool out[PATTERNS]);

/* "auto", "off" or two core numbers "C0,C1". 0, or -EINVAL when malformed or not allowed here. */
int cli_cores(const char *text, int out[2]);

/* Is it "NAME=VALUE NAME=VALUE"? */
bool cli_env_valid(const char *text);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the coordinator (pair.h) and its workers (worker.h) say to each other: one message per
 * packet on a local socket, the same program on both ends. A worker that fails says why on stderr
 * and ends.
 */
#ifndef WEFT_NET_PERF_PROTOCOL_H
#define WEFT_NET_PERF_PROTOCOL_H

#include <limits.h>

#include "mix.h"
#include "net_links.h"
#include "pattern.h"
#include "raw.h"

/* The first message to a worker. */
struct setup {
	char who[32];          /* for messages: "plugin A, rank 1" */
	char plugin[PATH_MAX]; /* "": raw */
	int rank, dev;
	int abi;  /* 0: the newest */
	int core; /* to run on, or -1 */
	bool yield;
	bool instructions;
	unsigned raw_ops;
	unsigned links; /* most that will be asked for; 0: a sweep */
	size_t tx_bytes, rx_bytes;
};

/* Its answer, when it is connected to the other process of its pair. */
struct hello {
	char name[64], device[64]; /* plugin */
	int abi;
	struct raw_facts raw;
	bool counts_instructions;
	struct links_result idle; /* links: before the first one */
};

enum order_kind { ORDER_RUN, ORDER_LINKS, ORDER_CLOSE_LINKS, ORDER_MIX, ORDER_END };

struct order {
	enum order_kind kind;
	struct run run;
	enum raw_op op;
	unsigned links;
	struct mix_run mix;
};

struct answer {
	struct run_result run;
	struct mix_result mix;
	struct links_result links;
};

#endif

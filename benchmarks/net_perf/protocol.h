/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The messages between the coordinator (pair.h) and its workers (worker.h): one message per packet on a local socket, with
 * the same program at both ends. A worker that fails reports the cause on stderr and exits.
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
	char who[96];	       /* for messages: "plugin A, rank 1" */
	char plugin[PATH_MAX]; /* path; "": raw libfabric */
	int rank, dev;
	int abi;  /* version of the plugin's interface; 0: the newest */
	int core; /* core to run on; -1: any */
	bool yield;
	bool instructions;
	unsigned raw_ops;
	char nics[512]; /* raw: NICs, separated by commas, which the comms take in turn; "": by WEFT_NICS */
	unsigned links; /* largest number of links in any order; 0: a sweep */
	unsigned comms; /* of a sweep, in each direction */
	unsigned threads;
	size_t tx_bytes, rx_bytes; /* of each comm */
};

/* The worker's answer, once it is connected to the other process of its pair. */
struct hello {
	char name[64], device[64]; /* names reported by the plugin */
	int abi;
	struct raw_facts raw;
	bool counts_instructions;
	struct links_result idle; /* with links: state before the first one */
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

/* SPDX-License-Identifier: Apache-2.0 */
/* The engine that moves flows through a plugin, with the calls and in the order that NCCL uses. */
#ifndef WEFT_NET_PERF_NET_ENGINE_H
#define WEFT_NET_PERF_NET_ENGINE_H

#include "plugin.h"
#include "side.h"

/* A connection in both directions: NCCL's comms are one-way. */
struct net_link {
	void *send, *recv;
};

struct net {
	struct bench_plugin plugin;
	int dev;
	struct net_link link;
	void *send_mr, *recv_mr; /* the side's memory, on each comm */
	void *tx_req[FLOW_SLOTS], *rx_req[FLOW_SLOTS];
};

/* Every function returns 0, or -1 after one message on stderr. */

/*
 * Loads the plugin, at version `abi` of its interface (0: its newest), and makes it the engine of
 * `s`. out_name and out_device (64 bytes each) are what it calls itself and the device. Environment
 * variables the plugin shall see must be set before.
 */
int net_load(struct side *s, struct net *n, const char *path, int abi, int dev, char *out_name,
	     char *out_device);

/* Connects to the other process, which does the same, and registers the side's memory. */
int net_open(struct side *s, struct net *n);
void net_close(struct net *n);

/*
 * Opens `count` (at most NET_ROUND) links to the other process, which does the same: listens, swaps
 * the handles, then polls all connects and accepts until all are through, as NCCL does.
 */
#define NET_ROUND 128
int net_connect(const struct side *s, const struct net *n, struct net_link *links, unsigned count);

/* Closes both comms; what is not open is left out. */
void net_disconnect(const struct net *n, struct net_link *link);

/* 0 for success, else -1 after a message that names the call. */
int net_check(weft_nccl_result r, const char *call);

#endif

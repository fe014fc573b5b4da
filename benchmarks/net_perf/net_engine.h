/* SPDX-License-Identifier: Apache-2.0 */
/* The engine that moves flows through a plugin, with NCCL's calls in NCCL's order. */
#ifndef WEFT_NET_PERF_NET_ENGINE_H
#define WEFT_NET_PERF_NET_ENGINE_H

#include "plugin.h"
#include "side.h"

/* A connection in both directions: two comms, since NCCL's comms have one direction. */
struct net_link {
	void *send, *recv;
};

struct net {
	struct bench_plugin plugin;
	int dev;
	struct net_link link;
	void *send_mr, *recv_mr; /* registrations of the side's memory for each comm */
	void *tx_req[FLOW_SLOTS], *rx_req[FLOW_SLOTS];
};

/* Every function returns 0, or -1 after one message on stderr. */

/*
 * Loads the plugin at version `abi` of the interface (0: the newest), and makes it the engine of `s`. out_name and
 * out_device (64 bytes each) get the names of the plugin and of the device. Set the environment variables for the plugin
 * before the call.
 */
int net_load(struct side *s, struct net *n, const char *path, int abi, int dev, char *out_name, char *out_device);

/*
 * Connects `count` (at most NET_ROUND) sides to the other process, each over a link of its own, and registers their memory;
 * the other process does the same. All nets have the same plugin; net_share hands it on.
 */
int net_open(struct side *sides, struct net *nets, unsigned count);
void net_share(const struct net *from, struct side *s, struct net *n);

/* Closes what net_open has opened. The plugin stays: bench_plugin_close. */
void net_close(struct net *n);

/*
 * Opens `count` (at most NET_ROUND) links to the other process, which does the same: listens, exchanges the handles, then
 * polls all connects and accepts until all are complete, like NCCL.
 */
#define NET_ROUND 128
int net_connect(const struct side *s, const struct net *n, struct net_link *links, unsigned count);

/* Closes those of the two comms that are open. */
void net_disconnect(const struct net *n, struct net_link *link);

/* Returns 0 for success, else -1 after a message that names the call. */
int net_check(weft_nccl_result r, const char *call);

#endif

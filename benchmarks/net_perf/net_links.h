/* SPDX-License-Identifier: Apache-2.0 */
/* The cost of many connections: set-up time and resident memory. For plugins only; raw libfabric has no connections. */
#ifndef WEFT_NET_PERF_NET_LINKS_H
#define WEFT_NET_PERF_NET_LINKS_H

#include "net_engine.h"

struct links_result {
	double seconds;		 /* from the first listen to the last connect and accept of this call */
	uint64_t resident_bytes; /* resident memory of the whole process after this call */
	uint64_t wrong;		 /* number of messages with wrong content */
};

struct links;

/* Allocates room for `most` links and touches all memory of this program. NULL after a message. */
struct links *links_open(struct side *s, struct net *n, unsigned most);

/*
 * Opens links until `count` are open; the other process does the same. Each link gets a registration per comm and carries
 * one verified message in each direction, which includes the costs of first use.
 */
int links_grow(struct links *l, unsigned count, struct links_result *out);

/* Closes all links; resident_bytes is the memory that remains. */
int links_shrink(struct links *l, struct links_result *out);

/* One of the open links, with the arguments of its calls. */
struct links_one {
	const struct weft_nccl_net_v8 *net;
	void *send, *recv, *send_mr, *recv_mr;
};

struct links_one links_at(const struct links *l, unsigned i);
unsigned links_count(const struct links *l);
struct side *links_side(const struct links *l);

/* Frees the struct but leaves the links open. Accepts NULL. */
void links_close(struct links *l);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* What many connections cost: time to set up, resident memory. Plugins only: libfabric has none. */
#ifndef WEFT_NET_PERF_NET_LINKS_H
#define WEFT_NET_PERF_NET_LINKS_H

#include "net_engine.h"

struct links_result {
	double seconds; /* from the first listen to the last connect and accept of this call */
	uint64_t resident_bytes; /* of the whole process, after this call */
	uint64_t wrong;          /* messages with wrong content */
};

struct links;

/* Room for `most` links, with all of our own memory already touched. NULL after a message. */
struct links *links_open(struct side *s, struct net *n, unsigned most);

/*
 * Opens links until there are `count`, together with the other process. Each gets a registration
 * per comm and carries one verified message each way, so that what is set up on first use is
 * counted too.
 */
int links_grow(struct links *l, unsigned count, struct links_result *out);

/* Closes them all; resident_bytes is what remains. */
int links_shrink(struct links *l, struct links_result *out);

/* One of the open links, with what its calls need. */
struct links_one {
	const struct weft_nccl_net_v8 *net;
	void *send, *recv, *send_mr, *recv_mr;
};

struct links_one links_at(const struct links *l, unsigned i);
unsigned links_count(const struct links *l);
struct side *links_side(const struct links *l);

/* Frees; does not close links. Accepts NULL. */
void links_close(struct links *l);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The engines that move flows straight through libfabric: what is left when there is no plugin.
 *
 * The library is opened at run time, so that this program does not decide which libfabric a plugin
 * gets: a plugin may need a newer one, and two of them cannot share a process.
 */
#ifndef WEFT_NET_PERF_RAW_H
#define WEFT_NET_PERF_RAW_H

#include "side.h"

/* How messages travel. Bits. */
enum raw_op {
	RAW_TAGGED = 1,    /* tagged send and receive; the tag is the message's number */
	RAW_WRITEDATA = 2, /* RMA write with immediate data into the receiver's ring */
};

struct raw_facts {
	char provider[64], domain[64];
	char library[256]; /* path */
	char version[16];
};

struct raw;

/*
 * Opens provider and endpoint for the operations in `ops` and connects to the other process, which
 * does the same. The provider is what WEFT_PROVIDER names, where "tcp" is libfabric's native tcp by
 * whatever name the release gives it; unset or "auto" is the best one present: efa, verbs, tcp.
 * WEFT_NICS selects the interface as it does for Weft. 0, or -1 after one message on stderr.
 */
int raw_open(struct side *s, unsigned ops, struct raw **out, struct raw_facts *out_facts);

/* Makes `op`, one of those that were given to raw_open, the engine of the side. */
void raw_use(struct side *s, struct raw *r, enum raw_op op);

void raw_close(struct raw *r);

#endif

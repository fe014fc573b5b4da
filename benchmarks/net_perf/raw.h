/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The engines that move flows through libfabric without a plugin; they show the costs of the plugin.
 *
 * The library is opened at run time, so this program does not determine the libfabric of a plugin. A plugin may need a newer
 * one, and two of them cannot share a process.
 */
#ifndef WEFT_NET_PERF_RAW_H
#define WEFT_NET_PERF_RAW_H

#include "side.h"

/* The operations that move messages. Bits. */
enum raw_op {
	RAW_TAGGED = 1,	   /* tagged send and receive; the tag is the message's number */
	RAW_WRITEDATA = 2, /* RMA write with immediate data into the receiver's ring */
};

struct raw_facts {
	char provider[64], domain[64];
	char library[256]; /* path */
	char version[16];
};

struct raw;

/*
 * Opens a provider and an endpoint for the operations in `ops` and connects to the other process, which does the same.
 * WEFT_PROVIDER names the provider; "tcp" is libfabric's native tcp provider, whatever its name in this release. Unset or
 * "auto" selects the best one present: efa, verbs, tcp. `nic` is the name of the interface; if it is "", WEFT_NICS selects
 * one, as for Weft. 0, or -1 after one message on stderr.
 */
int raw_open(struct side *s, unsigned ops, const char *nic, struct raw **out, struct raw_facts *out_facts);

/* Makes `op`, one of the operations given to raw_open, the engine of the side. */
void raw_use(struct side *s, struct raw *r, enum raw_op op);

void raw_close(struct raw *r);

#endif

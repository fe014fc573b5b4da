/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The two ends of connections of a plugin with itself, each moving up to ENDS_DEPTH messages at once. What
 * fails ends the program with a message. An end belongs to one thread.
 */
#ifndef WEFT_SELF_ENDS_H
#define WEFT_SELF_ENDS_H

#include <stdbool.h>
#include <stdint.h>

#include "plugin.h"

#define ENDS_DEPTH 8

/* What every end does. */
struct load {
	const struct weft_nccl_net_v8 *net;
	int64_t device;
	int64_t bytes;	  /* of a message */
	int64_t messages; /* of a connection */
};

struct end {
	const struct load *load;
	bool sends;
	void *listener; /* until it has accepted */
	void *comm, *mr;
	unsigned char *mem;
	void *reqs[ENDS_DEPTH];
	int64_t posted, done;
};

_Noreturn void ends_quit(const char *what);

/* The receiving end; `handle` is for the other. */
void end_listen(struct end *e, const struct load *l, unsigned char handle[WEFT_NCCL_HANDLE_BYTES]);

/* True once it is connected; to be called until then, by both ends at the same time. */
bool end_accept(struct end *e);
bool end_connect(struct end *e, const struct load *l, unsigned char handle[WEFT_NCCL_HANDLE_BYTES]);

/* Starts the next message: false when there is no room, none left, or the plugin wants to be asked again. */
bool end_post(struct end *e);

/* Asks for the oldest message: true when it is complete. */
bool end_test(struct end *e);

bool end_finished(const struct end *e);

/* Both ends at the same time, or one after the other. */
void end_close(struct end *e);

#endif

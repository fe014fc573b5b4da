/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The two ends of connections of a plugin with itself. Each end has up to ENDS_DEPTH messages in flight. A failure ends the
 * program with a message. An end belongs to one thread.
 */
#ifndef WEFT_SELF_ENDS_H
#define WEFT_SELF_ENDS_H

#include <stdbool.h>
#include <stdint.h>

#include "plugin.h"

#define ENDS_DEPTH 8

/* The work of all ends. */
struct load {
	const struct weft_nccl_net_v8 *net;
	int64_t device;
	int64_t bytes;	  /* size of a message */
	int64_t messages; /* number per connection */
};

struct end {
	const struct load *load;
	bool sends;
	void *listener; /* open until the end has accepted */
	void *comm, *mr;
	unsigned char *mem;
	void *reqs[ENDS_DEPTH];
	int64_t posted, done;
};

_Noreturn void ends_quit(const char *what);

/* Opens the receiving end; `handle` is for the sending end. */
void end_listen(struct end *e, const struct load *l, unsigned char handle[WEFT_NCCL_HANDLE_BYTES]);

/* Call them for both ends, alternately or at the same time, until each returns true: connected. */
bool end_accept(struct end *e);
bool end_connect(struct end *e, const struct load *l, unsigned char handle[WEFT_NCCL_HANDLE_BYTES]);

/* Starts the next message. False: the depth is used up, no message is left, or the plugin needs another call. */
bool end_post(struct end *e);

/* Tests the oldest message. True: it is complete. */
bool end_test(struct end *e);

bool end_finished(const struct end *e);

/* Closes an end. Both ends may be closed at the same time, or one after the other. */
void end_close(struct end *e);

#endif

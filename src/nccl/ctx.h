/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What belongs to one communicator of NCCL's: the listeners that nobody has closed yet. NCCL closes none of
 * them when a communicator's set-up fails. Channels are not listed: NCCL closes those that it was given.
 *
 * Threads: any.
 */
#ifndef WEFT_NCCL_CTX_H
#define WEFT_NCCL_CTX_H

#include <stdint.h>

#include "base/list.h"
#include "conn/conn.h"

struct net_ctx;

/* A listen comm. */
struct net_listen {
	struct conn_listen *listen;
	struct list link; /* in its context's list, or in none */
};

/* NULL without memory. */
struct net_ctx *net_ctx_open(uint64_t comm_id);

/* Closes what is still listened on. Accepts NULL. */
void net_ctx_close(struct net_ctx *ctx);

/* Takes over `listen`, also on failure (-ENOMEM). ctx may be NULL. */
int net_listen_open(struct net_ctx *ctx, struct conn_listen *listen, struct net_listen **out);
void net_listen_close(struct net_listen *l); /* accepts NULL */

#endif

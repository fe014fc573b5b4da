/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The context of an NCCL communicator holds its open listeners. NCCL does not close them if the set-up of the
 * communicator fails. Connects in progress are listed in cm (cm_connect_own). Comms are not listed, because NCCL closes every comm that it was given.
 *
 * Any thread may call these functions.
 */
#ifndef WEFT_NCCL_CTX_H
#define WEFT_NCCL_CTX_H

#include <stdint.h>

#include "base/list.h"
#include "cm/cm.h"

struct net_ctx;

/* A listen comm. */
struct net_listen {
	struct cm_listen *listen;
	struct list link; /* in the list of its context, or unlinked */
};

/* Returns NULL without memory. */
struct net_ctx *net_ctx_open(uint64_t comm_id);

/* Closes the remaining listeners and frees the context. Accepts NULL, and a context that is closed already. */
void net_ctx_close(struct net_ctx *ctx);

/* Takes over `listen`, also on failure (-ENOMEM). ctx may be NULL, or closed: then nobody closes the listener. */
int net_listen_open(struct net_ctx *ctx, struct cm_listen *listen, struct net_listen **out);
void net_listen_close(struct net_listen *l); /* accepts NULL */

/* For a forked child. */
void net_ctx_in_child(void);

#endif

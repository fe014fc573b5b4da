/* SPDX-License-Identifier: Apache-2.0 */
/* What connect and accept share. Not for other rooms. */
#ifndef WEFT_CONN_INTERNAL_H
#define WEFT_CONN_INTERNAL_H

#include "base/list.h"
#include "conn/conn.h"

/* A connect request that waits to be accepted. */
struct conn_request {
	struct list link; /* in listen->requests */
	struct wire_connect msg;
};

struct conn_accepting; /* accept.c */

struct conn_listen {
	struct xfer_port *port;
	uint32_t id;
	struct list requests;
	struct conn_accepting *accepting; /* the one under way, or NULL */
	int64_t waiting_since_us;	  /* first fruitless accept, or 0 */
	unsigned idle_polls;
};

/* What every port of ours does with connect messages (listen.c). */
extern const struct xfer_conn_ops conn_ops;

/* accept.c: gives up the accept under way. With the port's lock held. */
void accepting_abandon(struct conn_listen *listen);

/* connect.c: a response for `waiter` has arrived. */
void connecting_response(void *waiter, const struct wire_connect *msg);

/* Looks at the clock only every so many polls. */
#define CONN_IDLE_LOOK 64

#endif

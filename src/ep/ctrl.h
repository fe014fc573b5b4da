/* SPDX-License-Identifier: Apache-2.0 */
/* Control messages of an endpoint. All functions need its lock. */
#ifndef WEFT_EP_CTRL_H
#define WEFT_EP_CTRL_H

#include "ep/peer.h"

/* The result of a control message. */
struct ctrl_end {
	uint32_t comm_id;
	void *arg;		     /* of ctrl_send_data */
	const struct wire_ctrl *msg; /* valid during the call */
	int err;		     /* 0: sent; else a negative errno */
	const char *text;	     /* the provider's description of the error */
};

/* Called once, during a poll or during the send itself. */
typedef void (*ctrl_sent)(struct xfer_ep *ep, const struct ctrl_end *end);

void ctrl_init(struct xfer_ep *ep);
int ctrl_open(struct xfer_ep *ep);
/* Call it after the endpoint is shut. Accepts the state that a failed ctrl_open leaves. */
void ctrl_close(struct xfer_ep *ep);

/*
 * Sends a copy of msg (its type gives the size) to the peer, now or when the provider accepts it. `sent` (may be NULL)
 * gets the result. Returns 0, -ENOMEM, or the error of a failed registration of memory.
 */
int ctrl_send(struct xfer_ep *ep, struct xfer_peer *peer, const struct wire_ctrl *msg, uint32_t comm_id,
	      ctrl_sent sent);

/* The same for an eager message with a copy of its data, over this path to the peer; `sent` gets `arg`. */
int ctrl_send_data(struct xfer_peer *peer, const struct path *path, const struct wire_ctrl *msg, const void *data,
		   uint32_t comm_id, ctrl_sent sent, void *arg);

/*
 * Sends an eager message of `bytes` with its data at once over this path, from a copy that the provider makes. 0, or a
 * negative errno: nothing was sent. Only if ctrl_can_inject: no message waits, and the size is right.
 */
#define CTRL_INJECT_MAX 512 /* bytes of data at most, which the caller keeps on its stack */
static inline bool ctrl_can_inject(const struct xfer_ep *ep, size_t bytes)
{
	return bytes <= ep->inject_bytes && list_empty(&ep->tx_waiting);
}
static inline int ctrl_inject(const struct path *path, const struct wire_ctrl *msg, size_t len)
{
	return fab_inject(path->rail->fab, msg, sizeof(*msg) + len, len, path->fab_addr);
}

/* Retries what waits. */
void ctrl_progress(struct xfer_ep *ep);
/* Does the provider hold a control message of this comm? */
bool ctrl_in_flight(const struct xfer_ep *ep, uint32_t comm_id);

#endif

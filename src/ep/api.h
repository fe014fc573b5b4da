/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Endpoints as cm sees them (included by xfer/xfer.h). An endpoint holds a device's libfabric endpoints, one per rail,
 * for the thread that made the connections.
 */
#ifndef WEFT_EP_API_H
#define WEFT_EP_API_H

#include <stdint.h>

#include "dev/dev.h"
#include "peer/lifeline.h"
#include "wire/ctrl.h"

struct xfer_ep;

/* Drops one reference; the last one closes the endpoint. Accepts NULL. */
void xfer_ep_put(struct xfer_ep *ep);

/* The lock serialises all calls on an endpoint; cm holds it around its steps. */
void xfer_ep_lock(struct xfer_ep *ep);
void xfer_ep_unlock(struct xfer_ep *ep);

/* The following need the lock. */

/* Polls libfabric once. Returns 0, or the error that broke the whole endpoint. */
int xfer_ep_poll(struct xfer_ep *ep);

/* Two ranks compare this number to check that they use the same provider and protocol. */
uint16_t xfer_fingerprint(const struct dev *dev);

/* The endpoint's address and identity, for peers. */
void xfer_ep_who(const struct xfer_ep *ep, struct wire_who *out);
const struct lifeline_addr *xfer_ep_lifeline(const struct xfer_ep *ep);

/*
 * A receiver of connect messages, embedded in an object of cm, which is found by the address of this part. The callback
 * runs under the endpoint's lock; msg is valid during the call.
 */
struct xfer_listener {
	void (*request)(struct xfer_listener *l, const struct wire_connect *msg);
};
struct xfer_connector {
	void (*response)(struct xfer_connector *c, const struct wire_connect *msg);
};

/*
 * Assigns the listener an id for connect requests, until xfer_ep_unlisten. The caller keeps ownership of the
 * listener. An id is no secret, and a stranger may guess it (base/idmap.h: slot and generation). What the listener accepts
 * is decided by the 64 random bits of its handle, which every request must repeat (cm/listen.c), and whose refusal is that
 * of an unknown id.
 */
int xfer_ep_listen(struct xfer_ep *ep, struct xfer_listener *l, uint32_t *out_id);
void xfer_ep_unlisten(struct xfer_ep *ep, uint32_t id);

#endif

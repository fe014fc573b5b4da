/* SPDX-License-Identifier: Apache-2.0 */
/* WIRE_WINDOW clear-to-sends in registered memory (cts_ring.c). */
#ifndef WEFT_EP_CTS_RING_H
#define WEFT_EP_CTS_RING_H

#include "dev/mr.h"
#include "ep/ep.h"
#include "wire/cts.h"

struct cts_ring {
	struct list link; /* in ep->rings_free */
	struct wire_cts *entries;
	struct dev_mr *mr; /* registration of the slab */
	uint64_t addr;	   /* address for remote writes */
};

/* Returns a ring whose address no peer knows yet. 0 or a negative errno. */
int cts_ring_get(struct xfer_ep *ep, struct cts_ring **out);
void cts_ring_put(struct xfer_ep *ep, struct cts_ring *ring); /* accepts NULL */
void cts_rings_close(struct xfer_ep *ep);

#endif

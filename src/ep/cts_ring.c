/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Registered memory for rings of clear-to-sends. A slab holds many rings under one registration, so a comm costs 2 KiB
 * and no registration of its own.
 * A ring whose address a peer knows is reused only after that peer has confirmed that it writes no more (linger.c).
 */
#include <errno.h>
#include <stdlib.h>

#include "topo/near.h"
#include "ep/cts_ring.h"

#define PER_SLAB 16

struct slab {
	struct list link; /* in ep->slabs */
	struct dev_mr *mr;
	void *memory;
	struct cts_ring rings[PER_SLAB];
};

static int slab_new(struct xfer_ep *ep)
{
	struct slab *slab = calloc(1, sizeof(*slab));
	int i, ret;

	if (!slab)
		return -ENOMEM;
	slab->memory = topo_near_alloc(ep->node, PER_SLAB * WIRE_RING_BYTES);
	ret = slab->memory ? dev_mr_get(ep->access, slab->memory, PER_SLAB * WIRE_RING_BYTES, &slab->mr) : -ENOMEM;
	if (ret) {
		topo_near_free(slab->memory, PER_SLAB * WIRE_RING_BYTES);
		free(slab);
		return ret;
	}
	list_append(&ep->slabs, &slab->link);
	for (i = 0; i < PER_SLAB; i++) {
		struct cts_ring *r = &slab->rings[i];

		r->entries = (struct wire_cts *)slab->memory + (size_t)i * WIRE_WINDOW;
		r->mr = slab->mr;
		r->addr = fab_mr_remote_addr(ep->domain, slab->memory, r->entries);
		list_append(&ep->rings_free, &r->link);
	}
	return 0;
}

int cts_ring_get(struct xfer_ep *ep, struct cts_ring **out)
{
	int ret = list_empty(&ep->rings_free) ? slab_new(ep) : 0;

	*out = NULL;
	if (ret)
		return ret;
	*out = container_of(ep->rings_free.next, struct cts_ring, link);
	list_remove(&(*out)->link);
	wire_cts_ring_init((*out)->entries);
	return 0;
}

void cts_ring_put(struct xfer_ep *ep, struct cts_ring *ring)
{
	if (!ring)
		return;
	list_remove(&ring->link);
	list_append(&ep->rings_free, &ring->link);
}

void cts_rings_close(struct xfer_ep *ep)
{
	while (!list_empty(&ep->slabs)) {
		struct slab *slab = container_of(ep->slabs.next, struct slab, link);

		list_remove(&slab->link);
		dev_mr_put(slab->mr);
		topo_near_free(slab->memory, PER_SLAB * WIRE_RING_BYTES);
		free(slab);
	}
}

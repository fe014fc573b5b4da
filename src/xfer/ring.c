/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Registered memory for rings of clear-to-sends: a slab of many under one registration, so that a
 * connection costs its 2 KiB and no registration of its own.
 * A ring that a peer knows of is used again only when that peer has said that it writes no more (parting.c).
 */
#include <errno.h>
#include <stdlib.h>

#include "topo/near.h"
#include "xfer/internal.h"

#define PER_SLAB 16

struct slab {
	struct list link; /* in port->slabs */
	struct dev_mr *mr;
	void *memory;
	struct ring rings[PER_SLAB];
};

static int slab_new(struct xfer_port *port)
{
	struct slab *slab = calloc(1, sizeof(*slab));
	int i, ret;

	if (!slab)
		return -ENOMEM;
	slab->memory = topo_near_alloc(port->node, PER_SLAB * WIRE_RING_BYTES);
	ret = slab->memory ? dev_mr_get(port->dev, slab->memory, PER_SLAB * WIRE_RING_BYTES, &slab->mr) : -ENOMEM;
	if (ret) {
		topo_near_free(slab->memory, PER_SLAB * WIRE_RING_BYTES);
		free(slab);
		return ret;
	}
	list_append(&port->slabs, &slab->link);
	for (i = 0; i < PER_SLAB; i++) {
		struct ring *r = &slab->rings[i];

		r->entries = (struct wire_clear *)slab->memory + (size_t)i * WIRE_WINDOW;
		r->mr = slab->mr;
		r->addr = fab_mr_remote_addr(port->domain, slab->memory, r->entries);
		list_append(&port->rings_free, &r->link);
	}
	return 0;
}

int ring_get(struct xfer_port *port, struct ring **out)
{
	int ret = list_empty(&port->rings_free) ? slab_new(port) : 0;

	*out = NULL;
	if (ret)
		return ret;
	*out = owner_of(port->rings_free.next, struct ring, link);
	list_remove(&(*out)->link);
	wire_ring_init((*out)->entries);
	return 0;
}

void ring_put(struct xfer_port *port, struct ring *ring)
{
	if (!ring)
		return;
	list_remove(&ring->link);
	list_append(&port->rings_free, &ring->link);
}

void rings_close(struct xfer_port *port)
{
	while (!list_empty(&port->slabs)) {
		struct slab *slab = owner_of(port->slabs.next, struct slab, link);

		list_remove(&slab->link);
		dev_mr_put(port->dev, slab->mr);
		topo_near_free(slab->memory, PER_SLAB * WIRE_RING_BYTES);
		free(slab);
	}
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Registered memory for rings of clear-to-sends: a slab of many under one registration, so that a
 * connection costs its 2 KiB and no registration of its own.
 *
 * A ring that a peer knows of is used again only when that peer has said that it writes no more: until then
 * it lingers under its channel's id.
 */
#include <errno.h>
#include <stdlib.h>

#include "peer/lifeline.h"
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

/* Nothing is to be waited for any more. */
static void fin(struct xfer_port *port, struct ring *ring)
{
	port->fins_awaited -= ring->fin_awaited;
	ring->fin_awaited = false;
	lifeline_put(ring->line);
	ring->line = NULL;
}

void ring_linger(struct xfer_port *port, struct ring *ring, struct xfer_chan *chan)
{
	ring->chan_id = chan->id;
	ring->fin_awaited = chan->fin_awaited;
	port->fins_awaited += ring->fin_awaited;
	if (ring->fin_awaited) {
		ring->line = chan->line;
		chan->line = NULL;
	}
	list_append(&port->rings_lingering, &ring->link);
}

void ring_fin(struct xfer_port *port, uint32_t chan_id, bool settled)
{
	struct list *it, *tmp;

	list_each (&port->rings_lingering, it, tmp) {
		struct ring *r = owner_of(it, struct ring, link);

		if (r->chan_id != chan_id)
			continue;
		fin(port, r);
		if (settled)
			ring_put(port, r);
	}
}

void rings_remind(struct xfer_port *port, bool late)
{
	struct list *it, *tmp;

	list_each (&port->rings_lingering, it, tmp) {
		struct ring *r = owner_of(it, struct ring, link);
		enum lifeline_state state = r->line ? lifeline_check(r->line) : late ? LIFELINE_REFUSED : LIFELINE_ALIVE;

		if (!r->fin_awaited)
			continue;
		if (state == LIFELINE_ALIVE || state == LIFELINE_CONNECTING)
			lifeline_ring(r->line);
		else
			fin(port, r);
	}
}

void rings_close(struct xfer_port *port)
{
	struct list *it, *tmp;

	list_each (&port->rings_lingering, it, tmp)
		fin(port, owner_of(it, struct ring, link));
	while (!list_empty(&port->slabs)) {
		struct slab *slab = owner_of(port->slabs.next, struct slab, link);

		list_remove(&slab->link);
		dev_mr_put(port->dev, slab->mr);
		topo_near_free(slab->memory, PER_SLAB * WIRE_RING_BYTES);
		free(slab);
	}
}

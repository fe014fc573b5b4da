/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is left of a closed channel until its peer has closed its half, too.
 *
 * A sender's ring may still be written to. Its last eager messages have to arrive (the peer's fin), since they count
 * as sent. And where the peer's sends end by a word of our libfabric, not of the NICs, that word must get through
 * (the peer's close): a port that ended earlier, or forgot the peer's address, would take it along.
 */
#include <errno.h>
#include <stdlib.h>

#include "peer/lifeline.h"
#include "xfer/internal.h"

struct parting {
	struct list link; /* in one of port->partings, by chan_id */
	uint32_t chan_id;
	bool awaited;		/* the port is not to end before the peer has answered ... */
	struct xfer_peer *peer; /* ... so neither are these, while it is: both counted; NULL: without */
	struct lifeline *line;
	struct ring *ring; /* or NULL */
};

/* Thousands of channels may end together. */
static struct list *where(struct xfer_port *port, uint32_t chan_id)
{
	return &port->partings[IDMAP_SLOT(chan_id) % PARTING_LISTS];
}

/* EFA without writes of its own: long messages and emulated writes. */
static bool sends_end_by_word(const struct fab_nic *nic)
{
	return nic->silent_dead && !(nic->rma && nic->writes_native);
}

bool parting_owed(const struct xfer_chan *chan)
{
	if (chan->peer_closed || chan->port->err)
		return false;
	if (chan->kind == XFER_SEND)
		return chan->eager_sent && !chan->err;
	if (chan->err && chan->err != -ECANCELED)
		return false; /* it has failed; it is not only closed with receives outstanding */
	return chan->completions && sends_end_by_word(chan->port->dev->nic);
}

void parting_begin(struct xfer_chan *chan)
{
	struct ring *ring = chan->kind == XFER_SEND ? chan->ring : NULL;
	struct xfer_port *port = chan->port;
	struct parting *p;

	if (!chan->remote_id || chan->peer_closed || (!ring && !chan->peer_awaited))
		return;
	if (ring)
		chan->ring = NULL; /* without memory for a parting it is not used again */
	p = calloc(1, sizeof(*p));
	if (!p)
		return;
	p->chan_id = chan->id;
	p->ring = ring;
	list_append(where(port, p->chan_id), &p->link);
	if (!chan->peer_awaited)
		return;
	p->awaited = true;
	port->peers_awaited++;
	p->peer = chan->peer;
	p->line = chan->line;
	chan->peer = NULL;
	chan->line = NULL;
}

/* Nothing is to be waited for any more. */
static void answered(struct xfer_port *port, struct parting *p)
{
	port->peers_awaited -= p->awaited;
	p->awaited = false;
	peer_put(p->peer);
	lifeline_put(p->line);
	p->peer = NULL;
	p->line = NULL;
}

static void part(struct xfer_port *port, struct parting *p)
{
	answered(port, p);
	ring_put(port, p->ring);
	list_remove(&p->link);
	free(p);
}

static struct parting *find(struct xfer_port *port, uint32_t chan_id)
{
	struct list *it, *tmp, *here = where(port, chan_id);

	list_each (here, it, tmp)
		if (owner_of(it, struct parting, link)->chan_id == chan_id)
			return owner_of(it, struct parting, link);
	return NULL;
}

void parting_answered(struct xfer_port *port, uint32_t chan_id, bool closed)
{
	struct parting *p = find(port, chan_id);

	if (p && closed)
		part(port, p);
	else if (p)
		answered(port, p);
}

static void remind(struct xfer_port *port, struct parting *p, bool late)
{
	enum lifeline_state state = p->line ? lifeline_check(p->line) : late ? LIFELINE_REFUSED : LIFELINE_ALIVE;

	if (state == LIFELINE_ALIVE || state == LIFELINE_CONNECTING)
		lifeline_ring(p->line);
	else
		answered(port, p);
}

void partings_remind(struct xfer_port *port, bool late)
{
	struct list *it, *tmp;
	int i;

	for (i = 0; i < PARTING_LISTS; i++)
		list_each (&port->partings[i], it, tmp)
			if (owner_of(it, struct parting, link)->awaited)
				remind(port, owner_of(it, struct parting, link), late);
}

void partings_init(struct xfer_port *port)
{
	int i;

	for (i = 0; i < PARTING_LISTS; i++)
		list_init(&port->partings[i]);
}

void partings_close(struct xfer_port *port)
{
	int i;

	for (i = 0; i < PARTING_LISTS; i++)
		while (!list_empty(&port->partings[i]))
			part(port, owner_of(port->partings[i].next, struct parting, link));
}

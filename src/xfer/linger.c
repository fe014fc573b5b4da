/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lingering: what remains of a closed comm until its peer has closed its half, too.
 *
 * The peer may still write to a sender's ring. A sender's last eager messages must arrive (the peer's close-ack),
 * because they count as sent. Where the peer's sends complete by an acknowledgement of our provider instead of the
 * NIC, the endpoint stays open, and keeps the peer's address, until the peer has received it (the peer's CLOSE).
 */
#include <errno.h>
#include <stdlib.h>

#include "peer/lifeline.h"
#include "xfer/internal.h"

#define ASKS_A_TURN 16 /* questions of a reminder; a mailbox holds twice as many */

struct lingering {
	struct list link; /* in one of ep->lingering, by comm_id */
	uint32_t comm_id;
	uint32_t remote_ep, remote_id; /* the peer's half */
	bool awaited;		       /* the endpoint must not close before the peer has answered */
	struct xfer_peer *peer;	       /* a reference while awaited, otherwise NULL */
	struct lifeline *line;	       /* a reference while awaited, or NULL */
	struct cts_ring *ring;	       /* the sender's ring, or NULL */
};

/* The list for this id. There are several, because thousands of comms may be closed together. */
static struct list *linger_list(struct xfer_ep *ep, uint32_t comm_id)
{
	return &ep->lingering[IDMAP_SLOT(comm_id) % LINGER_LISTS];
}

/* Do the peer's sends complete by an acknowledgement of our provider? So do EFA's long messages and emulated writes. */
static bool provider_acknowledges(const struct fab_nic *nic)
{
	return nic->silent_dead && !(nic->rma && nic->writes_native);
}

bool linger_needed(const struct xfer_comm *comm)
{
	if (comm->close.peer_closed || comm->ep->err)
		return false;
	if (comm->kind == XFER_SEND)
		return comm->tx.eager_sent && !comm->err;
	if (comm->err && comm->err != -ECANCELED)
		return false; /* a failed comm, not one closed with receives outstanding */
	return comm->completions && provider_acknowledges(comm->ep->dev->nic);
}

void linger_begin(struct xfer_comm *comm)
{
	struct cts_ring *ring = comm->kind == XFER_SEND ? comm->ring : NULL;
	struct xfer_ep *ep = comm->ep;
	struct lingering *p;

	if (!comm->remote_id || comm->close.peer_closed || (!ring && !comm->close.peer_awaited))
		return;
	if (ring)
		comm->ring = NULL; /* without memory for a lingering comm the ring is never reused */
	p = calloc(1, sizeof(*p));
	if (!p)
		return;
	p->comm_id = comm->id;
	p->remote_ep = comm->remote_ep;
	p->remote_id = comm->remote_id;
	p->ring = ring;
	list_append(linger_list(ep, p->comm_id), &p->link);
	if (!comm->close.peer_awaited)
		return;
	p->awaited = true;
	ep->peers_awaited++;
	p->peer = comm->peer;
	p->line = comm->watch.line;
	comm->peer = NULL;
	comm->watch.line = NULL;
}

/* Ends the endpoint's wait for this peer. */
static void linger_done(struct xfer_ep *ep, struct lingering *p)
{
	ep->peers_awaited -= p->awaited;
	p->awaited = false;
	peer_put(p->peer);
	lifeline_put(p->line);
	p->peer = NULL;
	p->line = NULL;
}

static void linger_end(struct xfer_ep *ep, struct lingering *p)
{
	linger_done(ep, p);
	cts_ring_put(ep, p->ring);
	list_remove(&p->link);
	free(p);
}

static struct lingering *linger_find(struct xfer_ep *ep, uint32_t comm_id)
{
	struct list *it, *tmp, *here = linger_list(ep, comm_id);

	list_each (here, it, tmp)
		if (container_of(it, struct lingering, link)->comm_id == comm_id)
			return container_of(it, struct lingering, link);
	return NULL;
}

void linger_answered(struct xfer_ep *ep, uint32_t comm_id, bool closed)
{
	struct lingering *p = linger_find(ep, comm_id);

	if (p && closed)
		linger_end(ep, p);
	else if (p)
		linger_done(ep, p);
}

void linger_half_gone(struct xfer_ep *ep, uint32_t comm_id)
{
	linger_answered(ep, comm_id, false);
}

/* The answer may be lost: the connection that it came over was reset when the peer closed its endpoint before ours. */
static void ask(const struct xfer_ep *ep, const struct lingering *p)
{
	const struct wire_note n = wire_note_make(WIRE_NOTE_ASK, p->remote_ep, p->remote_id, ep->id, p->comm_id);

	lifeline_tell(p->line, &n);
}

static void linger_remind(struct xfer_ep *ep, struct lingering *p, bool late, bool asks)
{
	enum lifeline_state state = p->line ? lifeline_check(p->line) : late ? LIFELINE_REFUSED : LIFELINE_ALIVE;

	if (state != LIFELINE_ALIVE && state != LIFELINE_CONNECTING)
		linger_done(ep, p);
	else if (asks)
		ask(ep, p);
	else
		lifeline_wake(p->line);
}

void lingering_remind(struct xfer_ep *ep, unsigned turn, bool late)
{
	unsigned turns = ((unsigned)ep->peers_awaited + ASKS_A_TURN - 1) / ASKS_A_TURN, n = 0;
	struct list *it, *tmp;
	int i;

	for (i = 0; i < LINGER_LISTS; i++)
		list_each (&ep->lingering[i], it, tmp)
			if (container_of(it, struct lingering, link)->awaited)
				linger_remind(ep, container_of(it, struct lingering, link), late,
					      n++ / ASKS_A_TURN == turn % turns);
}

void lingering_init(struct xfer_ep *ep)
{
	int i;

	for (i = 0; i < LINGER_LISTS; i++)
		list_init(&ep->lingering[i]);
}

void lingering_close(struct xfer_ep *ep)
{
	int i;

	for (i = 0; i < LINGER_LISTS; i++)
		while (!list_empty(&ep->lingering[i]))
			linger_end(ep, container_of(ep->lingering[i].next, struct lingering, link));
}

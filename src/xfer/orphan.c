/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Giving up messages in flight so that their memory can be freed, without harming other channels.
 *
 * A receive that was announced to the sender can be taken back from the provider, but not from the sender:
 * its message may be on the way, and would arrive unexpected and block the stream behind it. So a receive
 * into scratch memory takes its place, an orphan, until the message has come or the sender's close says
 * that it never will.
 *
 * A message whose bytes already flow can't be taken back: it is waited for, and when WEFT_CLOSE_TIMEOUT
 * passes the endpoint is shut down, which is the only fence left.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "xfer/internal.h"

#define DRAIN_US      100000 /* without an arrival */
#define RING_FIRST_US 1000   /* an answer that does not come by itself is asked for */
#define RING_EVERY_US 15000

struct orphan {
	struct fab_op op; /* first */
	struct list link; /* in port->orphans, or in orphans_waiting while not posted */
	struct xfer_port *port;
	struct rail *rail;
	struct fab_mr *mr;
	void *scratch;
	size_t len;
	uint32_t chan_id;
	uint32_t seq;
	uint8_t place;
};

static void orphan_free(struct orphan *o)
{
	list_remove(&o->link);
	fab_mr_close(o->mr);
	free(o->scratch);
	free(o);
}

static void orphan_done(struct fab_op *op, const struct fab_result *r)
{
	(void)r; /* data nobody wants, or our own cancel */
	orphan_free((struct orphan *)op);
}

static void orphan_post(struct orphan *o)
{
	struct xfer_port *port = o->port;
	int ret = fab_trecv(o->rail->ep, &o->op, o->scratch, o->len, fab_mr_desc(o->mr),
			    tagged_tag(o->chan_id, o->seq, o->place));

	list_remove(&o->link);
	list_append(ret == -EAGAIN ? &port->orphans_waiting : &port->orphans, &o->link);
	if (ret && ret != -EAGAIN) {
		log_debug("no receive for a message that is not wanted any more: %d", ret);
		orphan_free(o);
	}
}

void orphans_progress(struct xfer_port *port)
{
	struct list *it, *tmp;

	list_each (&port->orphans_waiting, it, tmp)
		orphan_post(owner_of(it, struct orphan, link));
}

static void orphan_new(struct xfer_chan *chan, const struct xfer_req *req)
{
	struct xfer_port *port = chan->port;
	size_t len = req->posted;
	struct orphan *o = calloc(1, sizeof(*o));

	if (!o)
		return;
	o->op.done = orphan_done;
	o->port = port;
	o->chan_id = chan->id;
	o->seq = req->seq;
	o->place = req->place;
	o->len = len;
	o->rail = tagged_path(chan, req->seq)->rail;
	o->scratch = malloc(len ? len : 1);
	list_init(&o->link);
	if (!o->scratch || fab_mr_reg(port->dev->domains[o->rail->index], o->scratch, len, &o->mr)) {
		log_debug("no memory to receive a message that is not wanted any more");
		orphan_free(o);
		return;
	}
	orphan_post(o);
}

/* Of the channel, and not among what its sender has sent? */
static bool is_vain(const struct orphan *o, const struct wire_ctrl *close)
{
	return o->chan_id == close->to && !group_was_sent(o->seq, o->place, close->seq, (uint8_t)close->len);
}

void orphans_settle(struct xfer_port *port, const struct wire_ctrl *close)
{
	struct list *it, *tmp;

	list_each (&port->orphans, it, tmp) {
		struct orphan *o = owner_of(it, struct orphan, link);

		if (is_vain(o, close) && port->ep)
			fab_cancel(o->rail->ep, &o->op);
	}
	list_each (&port->orphans_waiting, it, tmp) {
		struct orphan *o = owner_of(it, struct orphan, link);

		if (is_vain(o, close))
			orphan_free(o);
	}
}

/* After the endpoint is closed. */
void orphans_close(struct xfer_port *port)
{
	while (!list_empty(&port->orphans))
		orphan_free(owner_of(port->orphans.next, struct orphan, link));
	while (!list_empty(&port->orphans_waiting))
		orphan_free(owner_of(port->orphans_waiting.next, struct orphan, link));
}

static bool concerned(const struct xfer_req *req, const struct xfer_region *region)
{
	return !req->copied && (!region || req->region == region);
}

static int count(struct xfer_chan *chan, const struct xfer_region *region)
{
	struct list *it, *tmp;
	int n = !region && chan->rma && chan->rma->flying;

	list_each (&chan->reqs, it, tmp)
		n += concerned(owner_of(it, struct xfer_req, link), region);
	return n;
}

static void cancel(struct xfer_chan *chan, const struct xfer_region *region)
{
	struct list *it, *tmp;

	list_each (&chan->reqs, it, tmp) {
		struct xfer_req *req = owner_of(it, struct xfer_req, link);

		if (concerned(req, region) && req->group && !group_forget(req))
			req_finish(req, -ESHUTDOWN, 0); /* the provider does not have it */
		else if (concerned(req, region))
			fab_cancel(tagged_path(chan, req->seq)->rail->ep, &req->op);
	}
}

/* A sender that is gone can't answer a recall, nor write; what it had written is here after a silence. */
static bool sender_gone(struct xfer_chan *chan, int64_t now, int64_t since)
{
	enum lifeline_state state;

	if (!chan->rma || !chan->line || now - since < DRAIN_US)
		return false;
	state = lifeline_check(chan->line);
	return state == LIFELINE_DEAD || state == LIFELINE_CLOSED;
}

static void wait_for(struct xfer_chan *chan, const struct xfer_region *region)
{
	struct xfer_port *port = chan->port;
	int64_t now = clock_us(), since = now, deadline = now + port->conf->close_timeout_us;
	int64_t ring_at = now + RING_FIRST_US;
	uint32_t seen = chan->completions;

	while (!port->err && count(chan, region)) {
		xfer_port_poll(port);
		now = clock_us();
		if (chan->completions != seen)
			since = now;
		seen = chan->completions;
		if (chan->rma && now > ring_at) {
			lifeline_ring(chan->line);
			ring_at = now + RING_EVERY_US;
		}
		if (sender_gone(chan, now, since))
			rma_abandon(chan);
		if (now > deadline && count(chan, region))
			port_break(port, -ECANCELED,
				   "transfers did not end within WEFT_CLOSE_TIMEOUT of being closed");
	}
	if (port->err && port->ep)
		port_shut(port); /* the fence */
}

/* Scratch receives for what the sender may still send. */
static void leave_orphans(struct xfer_chan *chan, const struct xfer_region *region)
{
	struct list *it, *tmp;

	if (chan->kind != XFER_RECV || !chan->port->ep || chan->gone_since_us)
		return;
	list_each (&chan->done, it, tmp) {
		struct xfer_req *req = owner_of(it, struct xfer_req, link);

		if (req->err == -ECANCELED && concerned(req, region) &&
		    (!chan->peer_closed || group_comes(req)))
			orphan_new(chan, req);
		if (req->err == -ECANCELED)
			req->err = -ESHUTDOWN; /* replaced once */
	}
}

void chan_quiesce(struct xfer_chan *chan, const struct xfer_region *region)
{
	int n;

	flush_drain(chan);
	n = count(chan, region);
	if (!n)
		return;
	chan->quiescing = true;
	if (!chan->err) {
		chan->err = -ECANCELED;
		log_info("%s channel to peer %s ends with %d messages outstanding",
			 chan->kind == XFER_SEND ? "send" : "receive", chan->peer->text, n);
	}
	if (chan->port->ep) {
		if (chan->rma)
			rma_recall(chan);
		else if (chan->kind == XFER_RECV)
			cancel(chan, region);
		wait_for(chan, region);
		if (!chan->rma)
			leave_orphans(chan, region);
	}
	chan->quiescing = false;
	chan_send_close(chan);
}

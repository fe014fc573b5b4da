/* SPDX-License-Identifier: Apache-2.0 */
/* Channels: opening, connecting, failing, closing; and whether the peer still lives. */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "xfer/internal.h"

#define LOOK_EVERY_US 100000  /* lifelines are looked at this often while a request waits */
#define LOOKED_AWAY_US 1000000 /* longer than this nobody looks away who waits */
#define RING_EVERY_US 1000000 /* the bell of a sender from which nothing comes */
#define GRACE_US      2000000 /* after its end, what a peer had sent may still arrive */
#define PUSH_US	      50000   /* for a last message that the provider would not take at once */

int xfer_chan_open(struct xfer_port *port, enum xfer_kind kind, const struct wire_who *who,
		   struct lifeline *line, void *waiter, struct xfer_chan **out)
{
	bool rma = port->dev->nic->rma;
	size_t clears = kind == XFER_SEND && !rma ? WIRE_WINDOW : 0;
	struct xfer_chan *chan = calloc(1, sizeof(*chan) + clears * sizeof(chan->clears[0]));
	int ret;

	*out = NULL;
	if (!chan) {
		lifeline_put(line);
		return -ENOMEM;
	}
	chan->port = port;
	chan->line = line;
	chan->waiter = waiter;
	chan->kind = kind;
	chan->wire = rma ? &rma_wire : &tagged_wire;
	chan->next_seq = (uint32_t)port->conf->test_seq;
	chan->rung_us = clock_us();
	list_init(&chan->reqs);
	list_init(&chan->done);
	list_init(&chan->groups_out);
	list_init(&chan->regions);
	list_init(&chan->flushes);
	ret = peer_get(port, who, &chan->peer);
	if (!ret)
		ret = idmap_add(&port->chans, chan, &chan->id);
	if (!ret && rma)
		ret = rma_open(chan);
	if (ret) {
		rma_close(chan);
		idmap_remove(&port->chans, chan->id);
		peer_put(chan->peer);
		lifeline_put(line);
		free(chan);
		return ret;
	}
	port_hold(port);
	*out = chan;
	return 0;
}

int xfer_chan_send_connect(struct xfer_chan *chan, enum wire_type type, uint32_t to, uint8_t status)
{
	struct wire_connect msg;
	int i;

	wire_ctrl_init(&msg.ctrl, type, to, chan->id);
	xfer_port_who(chan->port, &msg.who);
	msg.who.status = status;
	if (chan->port->dev->gdr.cuda)
		msg.who.flags |= WIRE_WHO_NO_EAGER;
	msg.who.rails = (uint8_t)chan->port->rail_count;
	for (i = 1; i < chan->port->rail_count; i++)
		memcpy(msg.rail_addr[i - 1], chan->port->rails[i].addr, WIRE_ADDR_BYTES);
	if (chan->ring && chan->kind == XFER_SEND) {
		msg.who.ring_addr = chan->ring->addr;
		rma_keys(chan->port, chan->ring->mr, &msg.who.ring_keys);
	}
	msg.who.lifeline_id = chan->line ? lifeline_id(chan->line) : 0;
	return ctrl_send(chan->port, chan->peer, chan, &msg.ctrl);
}

int xfer_chan_connect_sent(struct xfer_chan *chan)
{
	return chan->err ? chan->err : chan->connect_sent;
}

int xfer_chan_connected(struct xfer_chan *chan, const struct wire_connect *msg)
{
	int ret = peer_widen(chan->peer, msg);

	if (ret)
		return ret;
	chan->remote_id = msg->ctrl.from;
	chan->no_eager = msg->who.flags & WIRE_WHO_NO_EAGER;
	chan->waiter = NULL;
	if (chan->rma) {
		chan->rma->ring_addr = msg->who.ring_addr;
		chan->rma->ring_keys = msg->who.ring_keys;
	}
	peer_name(chan->peer, &msg->who);
	if (chan->grouped)
		group_answer(chan);
	chan_answer_close(chan); /* a peer that closed before we knew its name waits for this */
	return 0;
}

const char *xfer_chan_peer_text(const struct xfer_chan *chan)
{
	return chan->peer->text;
}

enum xfer_kind xfer_chan_kind(const struct xfer_chan *chan)
{
	return chan->kind;
}

static int in_flight(const struct xfer_chan *chan, uint32_t *out_first)
{
	struct list *it, *tmp;
	int n = 0;

	*out_first = chan->next_seq;
	list_each (&chan->reqs, it, tmp) {
		struct xfer_req *req = owner_of(it, struct xfer_req, link);

		if (!n++)
			*out_first = req->seq;
	}
	return n;
}

void chan_fail(struct xfer_chan *chan, int err, const char *fmt, ...)
{
	const char *noun = chan->kind == XFER_SEND ? "send" : "receive";
	char what[400];
	uint32_t first;
	va_list ap;
	int n;

	if (chan->err)
		return;
	chan->err = err;
	va_start(ap, fmt);
	vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	n = in_flight(chan, &first);
	log_warn("%s channel to peer %s on NIC %s (%s): %s; %d %s%s outstanding, number %" PRIu32
		 " is next",
		 noun, chan->peer->text, chan->port->dev->nic->name, chan->port->dev->nic->provider,
		 what, n, noun, n == 1 ? "" : "s", first);
	if (chan->lost && chan->kind == XFER_SEND)
		chan_send_close(chan); /* nobody may look at this channel again, and the peer waits */
	chan_answer_close(chan);
	chan_fin(chan);
}

void chan_doubt(struct xfer_chan *chan, int err, const char *text)
{
	if (chan->kind == XFER_SEND || !chan->connect_sent)
		chan_fail(chan, err, "a control message could not be delivered (%s)", text);
	else if (!chan->doubt)
		chan->doubt = err;
}

int xfer_chan_check_peer(struct xfer_chan *chan)
{
	enum lifeline_state state;
	int64_t now = clock_us();

	if (chan->err || (!chan->line && !chan->doubt))
		return chan->err;
	state = chan->line ? lifeline_check(chan->line) : LIFELINE_ALIVE;
	if (!chan->doubt && (state == LIFELINE_ALIVE || state == LIFELINE_CONNECTING))
		return 0;
	if (state == LIFELINE_DEAD)
		chan->peer->dead = true;
	if (!chan->gone_since_us)
		chan->gone_since_us = chan->quiet_since_us = now;
	if (chan->completions != chan->completions_seen) {
		chan->completions_seen = chan->completions;
		chan->quiet_since_us = now;
	}
	if (now - chan->quiet_since_us < GRACE_US)
		return 0;
	if (state == LIFELINE_CLOSED)
		chan_fail(chan, -ECONNRESET, "the peer has closed its connections to this process");
	else if (state == LIFELINE_ALIVE || state == LIFELINE_CONNECTING)
		chan_fail(chan, chan->doubt, "nothing reaches the peer any more (%s)", strerror(-chan->doubt));
	else
		chan_fail(chan, -ECONNRESET, "the peer process has died or its host is unreachable");
	return chan->err;
}

/* Is something with a NIC that does not wait for the peer's program? */
static bool awaits_nic(const struct xfer_chan *chan)
{
	if (chan->kind == XFER_SEND && !list_empty(&chan->reqs))
		return true;
	return chan->reads || (chan->rma && chan->rma->flying) || ctrl_flying(chan);
}

/* A NIC that has died tells nobody; neither does its peer's, unless that one has something to send it. */
static void watch_nic(struct xfer_chan *chan, int64_t passed_us)
{
	int64_t limit = chan->port->conf->nic_timeout_us;

	if (!limit || !chan->port->dev->nic->silent_dead || chan->err)
		return;
	if (chan->completions != chan->completions_looked || !awaits_nic(chan)) {
		chan->completions_looked = chan->completions;
		chan->stalled_us = 0;
		return;
	}
	/* Nobody may have waited all the time from one look to the next. */
	chan->stalled_us += passed_us < LOOKED_AWAY_US ? passed_us : LOOKED_AWAY_US;
	if (chan->stalled_us > limit)
		chan_fail(chan, -ETIMEDOUT,
			  "a NIC has left what it was given without an end for %" PRId64 " s (WEFT_NIC_TIMEOUT): it or its driver "
			  "may have died, see the kernel's log",
			  limit / 1000000);
}

/* A sender that waits for nothing need not look at its network, where the provider may have kept something. */
static void remind(struct xfer_chan *chan, int64_t now)
{
	if (chan->completions != chan->completions_rung) {
		chan->completions_rung = chan->completions;
		chan->rung_us = now;
	} else if (now - chan->rung_us > RING_EVERY_US) {
		chan->rung_us = now;
		lifeline_ring(chan->line);
	}
}

void chan_idle(struct xfer_chan *chan)
{
	int64_t now, passed;

	if (++chan->idle_polls % IDLE_LOOK)
		return;
	now = clock_us();
	passed = now - chan->looked_us;
	if (passed < LOOK_EVERY_US)
		return;
	chan->looked_us = now;
	watch_nic(chan, passed);
	if (!xfer_chan_check_peer(chan) && chan->kind == XFER_RECV)
		remind(chan, now);
}

/* Its close may have overtaken messages. After a failure nobody counts any more, and it shall not wait. */
void chan_fin(struct xfer_chan *chan)
{
	struct wire_ctrl msg;
	uint32_t sent;

	if (!chan->fin_due || (!chan->err && (!group_whole_sent(chan, &sent) || chan->rma->here != sent)))
		return;
	chan->fin_due = false;
	wire_ctrl_init(&msg, WIRE_FIN, chan->remote_id, chan->id);
	ctrl_send(chan->port, chan->peer, NULL, &msg);
}

void chan_peer_closed(struct xfer_chan *chan, const struct wire_ctrl *msg)
{
	chan->peer_closed = true;
	chan->peer_sent = msg->seq;
	chan->peer_places = (uint8_t)msg->len;
	if (chan->grp && !(msg->len & WIRE_CLOSE_GROUPED))
		group_closed(chan);
	if (msg->len & WIRE_CLOSE_LOST && chan->kind == XFER_RECV) {
		chan->lost = true;
		chan->lost_seq = (uint32_t)(msg->len >> 32);
		chan_fail(chan, -ECONNRESET, "the peer could not deliver message number %" PRIu32,
			  chan->lost_seq);
	}
	if (chan->kind == XFER_SEND) {
		chan_answer_close(chan);
	} else {
		rma_settle(chan);
		chan->fin_due = chan->rma;
		chan_fin(chan);
	}
}

/*
 * It lets the receiver forget what will never come; and go, so it must have said all that ends the sends it got. One
 * that has failed waits for nothing.
 */
void chan_answer_close(struct xfer_chan *chan)
{
	if (chan->peer_closed && chan->kind == XFER_SEND && (chan->err || list_empty(&chan->reqs)))
		chan_send_close(chan);
}

void chan_send_close(struct xfer_chan *chan)
{
	struct wire_ctrl msg;

	if (!chan->remote_id || chan->close_sent || chan->port->err)
		return;
	chan->close_sent = true;
	wire_ctrl_init(&msg, WIRE_CLOSE, chan->remote_id, chan->id);
	msg.seq = chan->next_seq;
	if (chan->grouped || chan->groups)
		msg.len = WIRE_CLOSE_GROUPED | group_sent_places(chan);
	if (chan->lost && chan->kind == XFER_SEND)
		msg.len |= WIRE_CLOSE_LOST | (uint64_t)chan->lost_seq << 32;
	ctrl_send(chan->port, chan->peer, NULL, &msg);
	chan->peer_awaited = parting_owed(chan);
}

static void free_reqs(struct xfer_port *port, struct list *reqs)
{
	while (!list_empty(reqs)) {
		struct xfer_req *req = owner_of(reqs->next, struct xfer_req, link);

		list_remove(&req->link);
		pool_put(&port->req_pool, req);
	}
}

/* The caller may never poll again: what the provider would not take at once must leave now. */
static void push_out(struct xfer_port *port)
{
	int64_t deadline = clock_us() + PUSH_US;

	while (!port->err && !list_empty(&port->tx_waiting) && clock_us() < deadline)
		xfer_port_poll(port);
}

/* Eager messages are done for their sender before the provider has let go of them: here they must be. */
static void flush_eager(struct xfer_chan *chan)
{
	int64_t deadline = clock_us() + chan->port->conf->close_timeout_us;

	while (chan->eager_flying && !chan->err && !chan->port->err && clock_us() < deadline) {
		xfer_port_poll(chan->port);
		chan_idle(chan);
	}
}

void xfer_chan_close(struct xfer_chan *chan)
{
	struct xfer_port *port;

	if (!chan)
		return;
	port = chan->port;
	xfer_port_lock(port);
	chan_quiesce(chan, NULL);
	flush_eager(chan);
	chan_send_close(chan);
	push_out(port);
	while (!list_empty(&chan->regions))
		region_free(owner_of(chan->regions.next, struct xfer_region, link));
	free_reqs(port, &chan->done);
	free_reqs(port, &chan->reqs);
	free_reqs(port, &chan->flushes);
	free_reqs(port, &chan->groups_out);
	group_close(chan);
	parting_begin(chan);
	rma_close(chan);
	idmap_remove(&port->chans, chan->id);
	peer_put(chan->peer);
	lifeline_put(chan->line);
	free(chan);
	xfer_port_unlock(port);
	xfer_port_put(port);
}

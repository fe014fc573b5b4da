/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Closing a comm or a registration: the close handshake, and cancelling what is in flight so that memory can be
 * freed.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "comm/stall.h"
#include "comm/status.h"
#include "proto/flush.h"
#include "proto/group.h"
#include "xfer/internal.h"

#define PUSH_US	      50000  /* time for the last messages to reach the provider */
#define DRAIN_US      100000 /* silence after which a sender that is gone has nothing more to arrive */
#define HALF_DRAIN_US 300000 /* the same after the peer's report that its half is gone; the network may be slower */
#define ASK_EVERY_US  50000  /* time between questions whether the peer's half is gone */
#define WAKE_FIRST_US 1000   /* time until the first wakeup of a peer that must answer */
#define WAKE_EVERY_US 15000  /* time between further wakeups */

static void send_close(struct xfer_comm *comm)
{
	struct wire_ctrl msg;

	if (!comm->remote_id || comm->close.sent || comm->ep->err)
		return;
	comm->close.sent = true;
	wire_ctrl_init(&msg, WIRE_CLOSE, comm->remote_id, comm->id);
	msg.seq = comm->next_seq;
	if (comm->tx.grouped || comm->tx.groups)
		msg.len = WIRE_CLOSE_GROUPED | group_sent_subs(comm);
	if (comm->close.lost && comm->kind == XFER_SEND)
		msg.len |= WIRE_CLOSE_LOST | (uint64_t)comm->close.lost_seq << 32;
	ctrl_send(comm->ep, comm->peer, &msg, comm->id, NULL);
	comm->close.peer_awaited = linger_needed(comm);
}

/*
 * CLOSE lets the receiver drop pending receives and exit, so it must not overtake the completions of our own sends. A
 * failed comm does not wait for them.
 */
void comm_answer_close(struct xfer_comm *comm)
{
	if (comm->close.peer_closed && comm->kind == XFER_SEND && (comm->err || !req_oldest(comm)))
		send_close(comm);
}

/*
 * The peer's CLOSE may have overtaken its messages, so the close-ack waits for them. After a failure the messages are
 * not counted any more, and the peer must not wait.
 */
static void ack_close(struct xfer_comm *comm)
{
	struct wire_ctrl msg;

	if (!comm->close.ack_due || (!comm->err && !comm->proto->all_arrived(comm)))
		return;
	comm->close.ack_due = false;
	wire_ctrl_init(&msg, WIRE_CLOSE_ACK, comm->remote_id, comm->id);
	ctrl_send(comm->ep, comm->peer, &msg, comm->id, NULL);
}

void comm_peer_closed(struct xfer_comm *comm, const struct wire_ctrl *msg)
{
	comm->close.peer_closed = true;
	comm->close.peer_sent = msg->seq;
	comm->close.peer_subs = (uint8_t)msg->len;
	comm->stats.at->peer_closed = 1;
	stats_note(&comm->ep->stats, WEFT_STATS_EV_PEER_CLOSED, &comm->stats, comm->next_seq, 0);
	if (comm->rx.grp && !(msg->len & WIRE_CLOSE_GROUPED))
		group_closed(comm);
	if (msg->len & WIRE_CLOSE_LOST && comm->kind == XFER_RECV) {
		comm->close.lost = true;
		comm->close.lost_seq = (uint32_t)(msg->len >> 32);
		comm_fail(comm, -ECONNRESET, "the peer could not deliver message number %" PRIu32,
			  comm->close.lost_seq);
	}
	if (comm->kind == XFER_SEND) {
		comm_answer_close(comm);
	} else {
		comm->proto->settle(comm);
		comm->close.ack_due = comm->proto->eager;
		ack_close(comm);
	}
}

void comm_close_step(struct pending *p)
{
	struct xfer_comm *comm = container_of(p, struct xfer_comm, close.step);

	if (comm->err && comm->close.lost && comm->kind == XFER_SEND)
		send_close(comm);
	comm_answer_close(comm);
	ack_close(comm);
}

/*
 * A receiver's CLOSE asks the sender to confirm that it writes no more. It must not overtake our clear-to-sends,
 * because the sender gives its ring to another comm after the CLOSE.
 */
static void send_recall(struct xfer_comm *comm)
{
	if (comm->proto->recalls && comm->kind == XFER_RECV && !comm->proto->busy(comm))
		send_close(comm);
}

/* The number of operations that still use the registration (NULL: any memory). */
static int close_count(struct xfer_comm *comm, const struct xfer_region *region)
{
	struct list *it, *tmp;
	int n = !region && comm->proto->busy(comm);

	list_each (&comm->reqs, it, tmp) {
		const struct xfer_req *req = container_of(it, struct xfer_req, link);

		n += !req->done && req_uses(req, region);
	}
	return n;
}

/*
 * The peer's process lives and has reported that its half can't write any more. Its CLOSE may be lost, with its
 * endpoint. No answer would prove nothing.
 */
static bool half_gone(struct xfer_comm *comm, int64_t now)
{
	struct comm_watch *w = &comm->watch;

	if (comm->completions != w->completions_no_half) {
		w->completions_no_half = comm->completions;
		w->no_half_us = now;
	}
	return now - w->no_half_us >= HALF_DRAIN_US;
}

/*
 * A sender that is gone can neither answer a recall nor write. Its earlier writes have arrived after a silence of
 * DRAIN_US, which all comms of a peer share. since_us is the time of this comm's last arrival, or 0 if there was
 * none.
 */
static bool sender_gone(struct xfer_comm *comm, int64_t now, int64_t since_us)
{
	struct xfer_peer *peer = comm->peer;
	enum lifeline_state state;

	if (!comm->proto->recalls || !comm->watch.line)
		return false;
	if (comm->watch.no_half_us && !comm->close.peer_closed && half_gone(comm, now))
		return true;
	state = lifeline_check(comm->watch.line);
	if (state != LIFELINE_DEAD && state != LIFELINE_CLOSED)
		return false;
	if (!peer->gone_us)
		peer->gone_us = now;
	return now - (since_us > peer->gone_us ? since_us : peer->gone_us) >= DRAIN_US;
}

static void wait_for(struct xfer_comm *comm, const struct xfer_region *region)
{
	struct xfer_ep *ep = comm->ep;
	int64_t now = clock_us(), since = 0, deadline = now + ep->conf->close_timeout_us;
	int64_t wake_at = now + WAKE_FIRST_US, ask_at = now + ASK_EVERY_US;
	uint32_t seen = comm->completions;

	while (!ep->err && close_count(comm, region)) {
		xfer_ep_poll(ep);
		send_recall(comm);
		now = clock_us();
		if (comm->completions != seen)
			since = now;
		seen = comm->completions;
		if (now > wake_at) {
			lifeline_wake(comm->watch.line);
			wake_at = now + WAKE_EVERY_US;
		}
		if (now > ask_at && comm->proto->recalls) {
			status_ask_end(comm);
			ask_at = now + ASK_EVERY_US;
		}
		if (sender_gone(comm, now, since))
			comm->proto->abandon(comm);
		if (now > deadline && close_count(comm, region))
			ep_break(ep, -ECANCELED, "transfers did not complete within WEFT_CLOSE_TIMEOUT of the close");
	}
	if (ep->err && ep->fab)
		ep_shut(ep); /* the fence */
}

static void quiesce(struct xfer_comm *comm, const struct xfer_region *region)
{
	int n;

	flush_drain(comm, region);
	n = close_count(comm, region);
	if (!n)
		return;
	comm->close.quiescing = true;
	if (!comm->err) {
		comm->err = -ECANCELED;
		log_info("%s comm to peer %s is closed with %d messages outstanding",
			 comm->kind == XFER_SEND ? "send" : "receive", comm->peer->text, n);
	}
	if (comm->ep->fab) {
		send_recall(comm);
		comm->proto->cancel(comm, region);
		wait_for(comm, region);
		comm->proto->discard(comm, region);
	}
	comm->close.quiescing = false;
	send_close(comm);
}

static void free_reqs(struct xfer_comm *comm, struct list *reqs)
{
	while (!list_empty(reqs))
		req_drop(comm, container_of(reqs->next, struct xfer_req, link));
}

/* Sends the waiting control messages now, because the application may never poll again. */
static void push_out(struct xfer_ep *ep)
{
	int64_t deadline = clock_us() + PUSH_US;

	while (!ep->err && !list_empty(&ep->tx_waiting) && clock_us() < deadline)
		xfer_ep_poll(ep);
}

/* Waits for eager messages in flight. */
static void flush_eager(struct xfer_comm *comm)
{
	int64_t deadline = clock_us() + comm->ep->conf->close_timeout_us;

	while (comm->tx.eager_in_flight && !comm->err && !comm->ep->err && clock_us() < deadline) {
		xfer_ep_poll(comm->ep);
		comm_idle(comm);
	}
}

void xfer_comm_close(struct xfer_comm *comm)
{
	struct xfer_ep *ep;

	if (!comm)
		return;
	ep = comm->ep;
	xfer_ep_lock(ep);
	comm->stats.at->state = comm->err ? WEFT_STATS_FAILED : WEFT_STATS_CLOSING;
	quiesce(comm, NULL);
	flush_eager(comm);
	send_close(comm);
	push_out(ep);
	while (!list_empty(&comm->regions))
		region_free(container_of(comm->regions.next, struct xfer_region, link));
	free_reqs(comm, &comm->reqs);
	free_reqs(comm, &comm->rx.flushes);
	free_reqs(comm, &comm->rx.groups_out);
	group_close(comm);
	if (comm->stats.at->stall && !comm->err)
		stall_moved(comm);
	linger_begin(comm); /* takes the peer along, if its answer is awaited */
	stats_comm_close(&comm->stats);
	comm->proto->close(comm);
	list_remove(&comm->close.step.link);
	idmap_remove(&ep->comms, comm->id);
	peer_put(comm->peer);
	lifeline_put(comm->watch.line);
	free(comm);
	xfer_ep_unlock(ep);
	xfer_ep_put(ep);
}

void xfer_region_close(struct xfer_region *region)
{
	struct xfer_ep *ep = region->comm->ep;

	xfer_ep_lock(ep);
	quiesce(region->comm, region);
	region_free(region);
	xfer_ep_unlock(ep);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Eager messages on the RMA protocol. A small message without a clear-to-send is sent at once inside a control message.
 * The receiver copies it into its receive, or keeps it as an unexpected message until the receive is posted.
 *
 *	receiver                              sender
 *	                                        isend k: no clear-to-send, k < credit_limit + WIRE_EAGER_WINDOW
 *	  copy, or keep          <-- eager k --
 *	  irecv k + 63           -- credit --->  credit_limit = k + 64
 *
 * Eager messages and RMA writes share one sequence of numbers, so they mix freely in order. Only messages with the
 * tag of the first receive are sent eagerly; others may have to wait for their turn (group.c). The receiver keeps at
 * most WIRE_EAGER_WINDOW messages beyond the posted receives; `credit_limit` enforces this bound.
 *
 * The CPU must not access GPU memory. So a message from GPU memory is never eager, and a device that may receive into
 * GPU memory reports at connect time that it accepts no eager messages (WIRE_WHO_NO_EAGER).
 *
 * Adaptive mode: after a run of small messages the receiver stops posting clear-to-sends (cts_off), which saves a
 * write per message, and reports this with a credit. The sender of a message that cannot be eager then sends
 * WIRE_CTS_REQUEST, and the receiver posts clear-to-sends again.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "comm/account.h"
#include "proto/eager.h"
#include "proto/proto.h"

#define CTS_OFF_AFTER 16 /* consecutive small messages after which no more clear-to-sends are posted */

/* --- sending --- */

/* The message has been sent or has failed. The request completes now, even if its owner never tests it again. */
static void eager_sent(struct xfer_ep *ep, const struct ctrl_end *end)
{
	struct xfer_comm *comm = idmap_get(&ep->comms, end->comm_id);
	struct xfer_req *req = end->arg;

	if (!comm)
		return;
	if (end->err && !comm->close.lost) {
		comm->close.lost = true;
		comm->close.lost_seq = end->msg->seq;
	}
	comm_ctrl_sent(ep, end);
	comm->tx.eager_in_flight--;
	account_eager_left(comm);
	if (end->err)
		account_failed(req, end->err);
	req_finish(req, end->err, req->posted);
}

/* What rail_best would say, without a call where there is nothing to choose. */
static inline const struct path *eager_path(const struct xfer_comm *comm, size_t len)
{
	struct xfer_peer *peer = comm->peer;

	return peer->path_count == 1 || peer->ep->control_alone ? peer->paths : rail_best(peer, comm->home, len);
}

bool eager_inject(struct xfer_comm *comm, const void *buf, size_t len, uint32_t tag)
{
	struct {
		struct wire_ctrl msg;
		char data[CTRL_INJECT_MAX];
	} m;

	if (!ctrl_can_inject(comm->ep, sizeof(m.msg) + len))
		return false;
	wire_ctrl_init(&m.msg, WIRE_EAGER, comm->remote_id, comm->id);
	m.msg.seq = comm->next_seq;
	m.msg.len = wire_tagged_len(tag, (uint32_t)len);
	if (len)
		memcpy(m.data, buf, len);
	if (ctrl_inject(eager_path(comm, len), &m.msg, len))
		return false;
	comm->tx.eager_sent = true;
	return true;
}

int eager_send(struct xfer_req *req, const void *buf)
{
	struct xfer_comm *comm = req->comm;
	const struct path *path;
	struct wire_ctrl msg;
	int ret;

	if (eager_inject(comm, buf, req->posted, req->tag)) {
		req_finish(req, 0, req->posted);
		return 0;
	}
	wire_ctrl_init(&msg, WIRE_EAGER, comm->remote_id, comm->id);
	msg.seq = req->seq;
	msg.len = wire_tagged_len(req->tag, (uint32_t)req->posted);
	req->copied = true;
	path = eager_path(comm, req->posted);
	ret = ctrl_send_data(comm->peer, path, &msg, buf, comm->id, eager_sent, req);
	if (ret)
		return ret;
	account_departure(path->rail, req->posted);
	comm->tx.eager_in_flight++; /* eager_sent, which may have run already, subtracts */
	comm->tx.eager_sent = true;
	return 0;
}

void eager_request_cts(struct xfer_comm *comm, size_t len, uint32_t tag, const struct xfer_region *region)
{
	struct wire_ctrl msg;

	/* An eager message that is only too far ahead needs no clear-to-send: it waits for a credit. */
	if (!comm->tx.peer_cts_off || eager_fits(comm, len, tag, region))
		return;
	wire_ctrl_init(&msg, WIRE_CTS_REQUEST, comm->remote_id, comm->id);
	msg.seq = comm->next_seq;
	if (!comm_send_ctrl(comm, &msg))
		comm->tx.peer_cts_off = false;
}

void eager_credit(struct xfer_comm *comm, const struct wire_ctrl *msg)
{
	if (comm->kind != XFER_SEND)
		return;
	if (seq_at_or_after(msg->seq, comm->tx.credit_limit))
		comm->tx.credit_limit = msg->seq;
	if (msg->len)
		comm->tx.peer_cts_off = true;
}

/* --- receiving --- */

__attribute__((noinline)) void eager_send_credit(struct xfer_comm *comm)
{
	struct rma_recv *r = comm->rx.rma;
	struct wire_ctrl msg;
	int ret;

	wire_ctrl_init(&msg, WIRE_CREDIT, comm->remote_id, comm->id);
	msg.seq = comm->next_seq;
	msg.len = r->cts_off;
	ret = comm_send_ctrl(comm, &msg);
	if (ret) {
		comm_fail(comm, ret, "a credit cannot be sent");
		return;
	}
	r->credit_sent = comm->next_seq;
	if (r->cts_off)
		window_skip_old(comm);
	r->eager_seen = r->cts_off;
}

/* While clear-to-sends are posted: counts the messages that could have been eager. */
__attribute__((noinline)) void eager_note_size(struct xfer_comm *comm, size_t len)
{
	struct rma_recv *r = comm->rx.rma;

	r->small = len < comm->ep->eager_end ? r->small + 1 : 0;
	if (comm->rx.grp || comm->ep->dev->gdr.cuda || r->small < CTS_OFF_AFTER ||
	    comm->ep->conf->eager != CONF_EAGER_ADAPTIVE)
		return;
	r->cts_off = true;
	eager_send_credit(comm);
}

void eager_cts_requested(struct xfer_comm *comm, const struct wire_ctrl *msg)
{
	(void)msg;
	if (!comm->rx.rma)
		return;
	comm->rx.rma->cts_off = false;
	comm->rx.rma->small = 0;
	pending_add(comm->ep, &comm->rx.rma->retry);
}

/* The receive can't take the message: completes it with an error, which fails the comm. */
__attribute__((cold, noinline)) static void refuse(struct xfer_req *req, size_t len)
{
	struct xfer_comm *comm = req->comm;
	bool large = len > req->posted;

	if (large)
		comm_fail(comm, -EMSGSIZE, "message number %" PRIu32 " has %zu bytes, the receive posted for it %zu",
			  req->seq, len, req->posted);
	else
		comm_fail(comm, -EPROTO, "message number %" PRIu32 " arrived eagerly, but its receive is in GPU memory",
			  req->seq);
	account_failed(req, large ? -EMSGSIZE : -EPROTO);
	req_finish(req, large ? -EMSGSIZE : -EPROTO, 0);
}

/* Copies the message; false: the receive can't take it, and the comm has failed. */
static inline bool copy(struct xfer_req *req, const void *data, size_t len)
{
	if (len > req->posted || (len && req->region->gpu)) {
		refuse(req, len);
		return false;
	}
	if (len)
		memcpy(req->buf, data, len);
	return true;
}

static void keep(struct xfer_comm *comm, const struct wire_ctrl *msg, const void *data)
{
	struct rma_recv *r = comm->rx.rma;
	struct unexpected *kept;

	if (eager_is_kept(r, msg->seq) || (uint32_t)(msg->seq - group_first(comm)) >= WIRE_EAGER_WINDOW) {
		comm_fail(comm, -EPROTO, "message number %" PRIu32 " is out of place", msg->seq);
		return;
	}
	if (!r->unexpected)
		r->unexpected = calloc(WIRE_EAGER_WINDOW, sizeof(struct unexpected *));
	kept = r->unexpected ? pool_get(&comm->ep->unexpected_pool) : NULL;
	if (!kept) {
		comm_fail(comm, -ENOMEM, "no memory for a message that arrived before its receive");
		return;
	}
	kept->seq = msg->seq;
	kept->tag = wire_tagged_tag(msg);
	kept->len = wire_tagged_bytes(msg);
	memcpy(kept->data, data, kept->len);
	r->unexpected[msg->seq % WIRE_EAGER_WINDOW] = kept;
	r->kept++;
}

/* eager_is_kept for any number: beyond the window, another message may have its slot. */
static bool is_kept_already(const struct rma_recv *r, uint32_t seq)
{
	return eager_is_kept(r, seq) && r->unexpected[seq % WIRE_EAGER_WINDOW]->seq == seq;
}

/* A message without a waiting receive. */
static void arrived_early(struct xfer_comm *comm, const struct wire_ctrl *msg, const void *data)
{
	struct rma_recv *r = comm->rx.rma;

	r->eager_seen = true;
	if (!seq_at_or_after(msg->seq, group_first(comm)) || is_kept_already(r, msg->seq)) {
		log_debug("message number %" PRIu32 " arrived twice or for a cancelled receive", msg->seq);
		return;
	}
	r->arrived++;
	if (!comm->err)
		keep(comm, msg, data);
	if (comm->rx.grp)
		pending_add(comm->ep, &comm->rx.grp->retry);
	if (comm->close.ack_due)
		comm_kick(comm);
}

__attribute__((always_inline)) static inline void arrived_for(struct xfer_req *req, struct xfer_comm *comm,
							      const struct wire_ctrl *msg, const void *data)
{
	struct rma_recv *r = comm->rx.rma;
	size_t len = wire_tagged_bytes(msg);

	r->eager_seen = true;
	r->arrived++;
	window_forget_plain(comm, msg->seq);
	if (!copy(req, data, len))
		return;
	account_received_eagerly(req, len);
	req_finish_whole(comm, req, len);
}

/* Any message but the plain one. */
__attribute__((noinline)) static void arrived_rare(struct xfer_comm *comm, const struct wire_ctrl *msg,
						   const void *data)
{
	struct rma_recv *r = comm->rx.rma;
	struct xfer_req *req = r ? r->at[msg->seq % WIRE_WINDOW] : NULL;

	if (!r) {
		comm_fail(comm, -EPROTO, "an eager message arrived on a comm that accepts none");
	} else if (!req || req->seq != msg->seq) {
		arrived_early(comm, msg, data);
	} else {
		arrived_for(req, comm, msg, data);
		eager_received(comm, wire_tagged_bytes(msg));
	}
}

/* The plain message: its receive waits, and the sender gets no clear-to-sends. */
void eager_arrived(struct xfer_comm *comm, const struct wire_ctrl *msg, const void *data)
{
	struct rma_recv *r = comm->rx.rma;
	struct xfer_req *req = r && r->cts_off ? r->at[msg->seq % WIRE_WINDOW] : NULL;

	if (req && req->seq == msg->seq)
		arrived_for(req, comm, msg, data);
	else
		arrived_rare(comm, msg, data);
}

/* Copies the unexpected message into the receive. */
static void give(struct unexpected **at, struct xfer_req *req)
{
	struct xfer_comm *comm = req->comm;
	struct unexpected *s = *at;

	*at = NULL;
	comm->rx.rma->kept--;
	if (copy(req, s->data, s->len)) {
		account_received_eagerly(req, s->len);
		req_finish(req, 0, s->len);
		eager_received(comm, s->len);
	}
	pool_put(&comm->ep->unexpected_pool, s);
}

bool eager_give(struct xfer_req *part, uint32_t seq)
{
	struct unexpected **at;

	if (!is_kept_already(part->comm->rx.rma, seq))
		return false;
	at = &part->comm->rx.rma->unexpected[seq % WIRE_EAGER_WINDOW];
	if ((*at)->tag != part->tag)
		return false;
	window_forget(part);
	give(at, part);
	return true;
}

__attribute__((noinline)) void eager_take_kept(struct xfer_req *req)
{
	give(&req->comm->rx.rma->unexpected[req->seq % WIRE_EAGER_WINDOW], req);
}

void eager_close(struct xfer_comm *comm)
{
	struct rma_recv *r = comm->rx.rma;
	int i;

	for (i = 0; r && r->kept && i < WIRE_EAGER_WINDOW; i++)
		if (r->unexpected[i])
			pool_put(&comm->ep->unexpected_pool, r->unexpected[i]);
	if (r)
		free(r->unexpected);
}

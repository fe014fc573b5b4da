/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Eager messages on the RMA wire: a small message that finds no clear-to-send goes at once, inside a
 * control message; the receiver copies it into its receive, or keeps it until that is posted.
 *
 *	receiver                              sender
 *	                                        isend k: nothing announced, k < told + 128
 *	  copy, or stash         <-- eager k --
 *	  irecv k + 63           -- credit --->  told = k + 64
 *
 * Message numbers are those of the RMA writes, so both kinds mix freely and nothing changes its place. Only
 * messages with the tag of the first receive go eagerly: others may have to wait for their turn (group.c). A
 * stash holds at most WIRE_EAGER_WINDOW messages beyond the receives posted, which is what `told` bounds.
 *
 * No CPU may read a GPU's memory, nor write it: a message out of it is never eager, and a device that may receive into it
 * says when it connects that it takes none (WIRE_WHO_NO_EAGER).
 *
 * Adaptive: after a run of small messages the receiver falls quiet: it announces nothing more, which saves
 * a write per message, and says so with a credit. The sender of a message that can't be eager then says
 * `want`, and the receiver announces again.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/log.h"
#include "xfer/internal.h"

#define CREDIT_EVERY (WIRE_EAGER_WINDOW / 2)
#define QUIET_AFTER  16 /* small messages in a row */

/* --- sending --- */

static bool is_eager(const struct xfer_chan *chan, size_t len, uint32_t tag, const struct xfer_region *region)
{
	return chan->ring && !chan->no_eager && !region_is_gpus(region) && len < chan->port->eager_end && chan->has_tag &&
	       chan->tag == tag &&
	       !(chan->grouped && seq_at_or_after(chan->next_seq, chan->grouped_from));
}

/* Receives known to be posted may well lie ahead. */
bool eager_may(const struct xfer_chan *chan, size_t len, uint32_t tag, const struct xfer_region *region)
{
	return is_eager(chan, len, tag, region) && !seq_at_or_after(chan->next_seq, chan->told + WIRE_EAGER_WINDOW);
}

bool eager_first(const struct xfer_chan *chan, size_t len, uint32_t tag, const struct xfer_region *region)
{
	return chan->peer_quiet && eager_may(chan, len, tag, region);
}

int eager_send(struct xfer_req *req, const void *buf)
{
	struct xfer_chan *chan = req->chan;
	struct wire_ctrl msg;
	int ret;

	wire_ctrl_init(&msg, WIRE_EAGER, chan->remote_id, chan->id);
	msg.seq = req->seq;
	msg.len = wire_tagged_len(req->tag, (uint32_t)req->posted);
	req->copied = true;
	ret = ctrl_send_eager(req, &msg, buf);
	if (!ret)
		chan->eager_sent = true;
	return ret;
}

void eager_want(struct xfer_chan *chan, size_t len, uint32_t tag, const struct xfer_region *region)
{
	struct wire_ctrl msg;

	/* One that is only too far ahead waits for a credit, which comes before its receive matters. */
	if (!chan->peer_quiet || is_eager(chan, len, tag, region))
		return;
	wire_ctrl_init(&msg, WIRE_WANT, chan->remote_id, chan->id);
	msg.seq = chan->next_seq;
	if (!ctrl_send(chan->port, chan->peer, chan, &msg))
		chan->peer_quiet = false;
}

void eager_credit(struct xfer_chan *chan, const struct wire_ctrl *msg)
{
	if (chan->kind != XFER_SEND)
		return;
	if (seq_at_or_after(msg->seq, chan->told))
		chan->told = msg->seq;
	if (msg->len)
		chan->peer_quiet = true;
}

/* --- receiving --- */

static void send_credit(struct xfer_chan *chan)
{
	struct rma_recv *r = chan->rma;
	struct wire_ctrl msg;

	wire_ctrl_init(&msg, WIRE_CREDIT, chan->remote_id, chan->id);
	msg.seq = chan->next_seq;
	msg.len = r->quiet;
	if (ctrl_send(chan->port, chan->peer, chan, &msg)) {
		chan_fail(chan, -ENOMEM, "no memory for a credit");
		return;
	}
	r->credited = chan->next_seq;
	r->eager_seen = r->quiet;
}

void eager_posted(struct xfer_chan *chan)
{
	struct rma_recv *r = chan->rma;

	if (r->eager_seen && (uint32_t)(chan->next_seq - r->credited) >= CREDIT_EVERY)
		send_credit(chan);
}

void eager_received(struct xfer_chan *chan, size_t len)
{
	struct rma_recv *r = chan->rma;

	r->small = len < chan->port->eager_end ? r->small + 1 : 0;
	if (chan->grp || r->quiet || chan->port->dev->gdr.cuda || r->small < QUIET_AFTER ||
	    chan->port->conf->eager != CONF_EAGER_ADAPTIVE)
		return;
	r->quiet = true;
	send_credit(chan);
}

void eager_wanted(struct xfer_chan *chan, const struct wire_ctrl *msg)
{
	(void)msg;
	if (!chan->rma)
		return;
	chan->rma->quiet = false;
	chan->rma->small = 0;
	rma_announce(chan);
}

static void copy(struct xfer_req *req, const void *data, size_t len)
{
	struct xfer_chan *chan = req->chan;

	if (len > req->posted) {
		chan_fail(chan, -EMSGSIZE,
			  "message number %" PRIu32 " has %zu bytes, the receive posted for it %zu", req->seq,
			  len, req->posted);
		req_finish(req, -EMSGSIZE, 0);
		return;
	}
	if (len && region_is_gpus(req->region)) {
		chan_fail(chan, -EPROTO, "message number %" PRIu32 " came eagerly, for a GPU", req->seq);
		req_finish(req, -EPROTO, 0);
		return;
	}
	if (len)
		memcpy(req->buf, data, len);
	req_finish(req, 0, len);
	eager_received(chan, len);
}

static void keep(struct xfer_chan *chan, const struct wire_ctrl *msg, const void *data)
{
	struct stash **at = &chan->rma->stash[msg->seq % WIRE_EAGER_WINDOW];

	if (*at || (uint32_t)(msg->seq - group_first(chan)) >= WIRE_EAGER_WINDOW) {
		chan_fail(chan, -EPROTO, "message number %" PRIu32 " is out of place", msg->seq);
		return;
	}
	*at = pool_get(&chan->port->stash_pool);
	if (!*at) {
		chan_fail(chan, -ENOMEM, "no memory for a message that came before its receive");
		return;
	}
	(*at)->seq = msg->seq;
	(*at)->tag = wire_tagged_tag(msg);
	(*at)->len = wire_tagged_bytes(msg);
	memcpy((*at)->data, data, (*at)->len);
}

void eager_arrived(struct xfer_chan *chan, const struct wire_ctrl *msg, const void *data)
{
	struct rma_recv *r = chan->rma;
	struct xfer_req *req;

	if (!r) {
		chan_fail(chan, -EPROTO, "an eager message on a channel that takes none");
		return;
	}
	r->eager_seen = true;
	if (seq_at_or_after(msg->seq, group_first(chan))) {
		r->here++;
		if (!chan->err)
			keep(chan, msg, data);
		if (chan->grp)
			group_progress(chan);
		chan_fin(chan);
		return;
	}
	req = r->at[msg->seq % WIRE_WINDOW];
	if (!req || req->seq != msg->seq) {
		log_debug("message number %" PRIu32 " came twice or for a receive given up", msg->seq);
		return;
	}
	r->here++;
	rma_forget(req);
	copy(req, data, wire_tagged_bytes(msg));
	chan_fin(chan);
}

bool eager_here(const struct xfer_chan *chan, uint32_t seq)
{
	return chan->rma->stash[seq % WIRE_EAGER_WINDOW];
}

/* What is kept there goes to the receive. */
static void give(struct stash **at, struct xfer_req *req)
{
	struct stash *s = *at;

	*at = NULL;
	copy(req, s->data, s->len);
	pool_put(&req->chan->port->stash_pool, s);
}

bool eager_give(struct xfer_req *part, uint32_t seq)
{
	struct stash **at = &part->chan->rma->stash[seq % WIRE_EAGER_WINDOW];

	if (!*at || (*at)->seq != seq || (*at)->tag != part->tag)
		return false;
	rma_forget(part);
	give(at, part);
	return true;
}

bool eager_take(struct xfer_req *req)
{
	struct stash **at = &req->chan->rma->stash[req->seq % WIRE_EAGER_WINDOW];

	if (!*at)
		return false;
	give(at, req);
	return true;
}

void eager_close(struct xfer_chan *chan)
{
	int i;

	for (i = 0; chan->rma && i < WIRE_EAGER_WINDOW; i++)
		if (chan->rma->stash[i])
			pool_put(&chan->port->stash_pool, chan->rma->stash[i]);
}

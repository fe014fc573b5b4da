/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tagged wire: messages by the provider's tagged send and receive.
 *
 *	receiver                                   sender
 *	  irecv k: tagged receive (channel, k)
 *	           clear-to-send (k, bytes)  ---->  kept in clears[k % window]
 *	                                            isend k: there? tagged send (channel, k)
 *	  receive completes                  <----
 */
#include <errno.h>
#include <inttypes.h>

#include "xfer/internal.h"

void chan_cleared(struct xfer_chan *chan, const struct wire_ctrl *msg)
{
	struct clear *slot = &chan->clears[msg->seq % WIRE_WINDOW];

	if (chan->kind != XFER_SEND || chan->wire != &tagged_wire || slot->valid ||
	    (uint32_t)(msg->seq - chan->next_seq) >= WIRE_WINDOW) {
		chan_fail(chan, -EPROTO, "clear-to-send number %" PRIu32 " is out of place", msg->seq);
		return;
	}
	*slot = (struct clear){
		.len = wire_tagged_bytes(msg), .tag = wire_tagged_tag(msg), .seq = msg->seq, .valid = true};
}

static bool cleared(struct xfer_chan *chan, struct wire_clear *out)
{
	struct clear *slot = &chan->clears[chan->next_seq % WIRE_WINDOW];

	out->len = slot->len;
	out->tag = slot->tag;
	return slot->valid;
}

/* Both sides give each number the same path. */
const struct path *tagged_path(const struct xfer_chan *chan, uint32_t seq)
{
	return &chan->peer->paths[seq % (uint32_t)chan->peer->path_count];
}

uint64_t tagged_tag(uint32_t chan_id, uint32_t seq, uint8_t place)
{
	return place == REQ_WHOLE ? wire_tag(chan_id, seq) : wire_group_tag(chan_id, seq, place);
}

static void *desc(const struct xfer_req *req, const struct path *p)
{
	return fab_mr_desc(req->region ? req->region->mr->rail[p->rail->index] : NULL);
}

static int post_send(struct xfer_req *req, const void *buf, const struct wire_clear *clear)
{
	struct xfer_chan *chan = req->chan;
	const struct path *p = tagged_path(chan, req->seq);
	int ret = fab_tsend(p->rail->ep, &req->op, buf, req->posted, desc(req, p), p->fab_addr,
			    tagged_tag(chan->remote_id, req->seq, req->place));

	(void)clear;
	if (!ret && req->place == REQ_WHOLE)
		chan->clears[req->seq % WIRE_WINDOW].valid = false;
	return ret;
}

static int post_recv(struct xfer_req *req)
{
	struct xfer_chan *chan = req->chan;
	const struct path *p = tagged_path(chan, req->seq);

	chan->rails |= (uint8_t)(1u << p->rail->index);
	return fab_trecv(p->rail->ep, &req->op, req->buf, req->posted, desc(req, p),
			 tagged_tag(chan->id, req->seq, req->place));
}

static void announce(struct xfer_req *req)
{
	struct xfer_chan *chan = req->chan;
	struct wire_ctrl clear;
	int ret;

	wire_ctrl_init(&clear, WIRE_CLEAR_TO_SEND, chan->remote_id, chan->id);
	clear.seq = req->seq;
	clear.len = wire_tagged_len(req->tag, req->posted < UINT32_MAX ? (uint32_t)req->posted : UINT32_MAX);
	ret = ctrl_send(chan->port, chan->peer, chan, &clear);
	if (ret)
		chan_fail(chan, ret, "no memory for a clear-to-send");
}

const struct xfer_wire tagged_wire = {
	.cleared = cleared,
	.send = post_send,
	.recv = post_recv,
	.announce = announce,
};

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sending, receiving and testing messages, whatever wire carries them (tagged.c, rma.c).
 *
 * The k-th send meets the k-th receive, whose tag it must have. A send starts when the receive has been
 * announced to it (clear-to-send), so nothing is ever unexpected: on providers with one byte stream per peer, an
 * unexpected message would block all channels behind it.
 */
#include <errno.h>
#include <inttypes.h>

#include "base/log.h"
#include "xfer/internal.h"

void req_finish(struct xfer_req *req, int err, size_t len)
{
	struct xfer_chan *chan = req->chan;

	chan->completions++;
	req->err = err;
	req->done = true;
	if (chan->kind == XFER_RECV)
		req->len = len;
	list_remove(&req->link);
	list_append(&chan->done, &req->link);
	if (req->group)
		group_part_done(req);
	if (chan->peer_closed)
		chan_answer_close(chan);
}

void req_broken(struct xfer_req *req, const struct fab_result *r)
{
	struct xfer_chan *chan = req->chan;

	req->err = r->err;
	if (!(chan->quiescing && r->err == -ECANCELED))
		chan_fail(chan, r->err == -ECANCELED ? -ECONNRESET : r->err,
			  "%s number %" PRIu32 " failed (%s)",
			  chan->kind == XFER_SEND ? "send" : "receive", req->seq, r->text);
}

static void req_done(struct fab_op *op, const struct fab_result *r)
{
	struct xfer_req *req = (struct xfer_req *)op;

	if (r->err)
		req_broken(req, r);
	req_finish(req, r->err, r->len);
}

static int check_buffer(const struct xfer_chan *chan, const void *buf, size_t len,
			const struct xfer_region *region)
{
	const char *p = buf;

	if (!len)
		return 0;
	if (region && region->chan == chan && p >= region->base && len <= region->len &&
	    (size_t)(p - region->base) <= region->len - len)
		return 0;
	log_warn("a %s of %zu bytes at %p lies outside the memory registered for it",
		 chan->kind == XFER_SEND ? "send" : "receive", len, buf);
	return -EINVAL;
}

struct xfer_req *req_new(struct xfer_chan *chan, void *buf, size_t len, struct xfer_region *region)
{
	struct xfer_req *req = pool_get(&chan->port->req_pool);

	if (!req)
		return NULL;
	req->op.done = req_done;
	req->chan = chan;
	req->region = region;
	req->buf = buf;
	req->posted = req->len = len;
	req->seq = chan->next_seq;
	req->group = NULL;
	req->place = REQ_WHOLE;
	req->done = req->copied = req->flush = req->flushing = req->flushed = false;
	req->flush_todo = req->flush_left = 0;
	req->pieces = req->arrived = req->parts = req->posted_parts = req->left = 0;
	req->err = 0;
	list_append(&chan->reqs, &req->link);
	return req;
}

void req_drop(struct xfer_chan *chan, struct xfer_req *req)
{
	list_remove(&req->link);
	pool_put(&chan->port->req_pool, req);
}

/* Is the next message cleared? */
static bool is_clear(struct xfer_chan *chan, uint32_t tag, struct wire_clear *out, uint8_t *out_place)
{
	if (chan->groups && group_place(chan, tag, out, out_place))
		return true;
	*out_place = REQ_WHOLE;
	if (!chan->wire->cleared(chan, out))
		return false;
	if (!chan->has_tag)
		chan->tag = out->tag;
	chan->has_tag = true;
	return out->tag == tag;
}

/* Looks once at what has arrived. */
static bool next_clear(struct xfer_chan *chan, uint32_t tag, struct wire_clear *out, uint8_t *out_place)
{
	if (is_clear(chan, tag, out, out_place))
		return true;
	xfer_port_poll(chan->port);
	return is_clear(chan, tag, out, out_place);
}

/*
 * A message on a channel that is dead or whose peer has closed its half: no error until somebody wants to
 * know what became of it, since either side may close first. Testing the request gives the error.
 */
static int start_in_vain(struct xfer_chan *chan, size_t len, struct xfer_region *region,
			 struct xfer_req **out)
{
	struct xfer_req *req;

	if (chan->outstanding == WIRE_WINDOW)
		return chan->err ? chan->err : -EAGAIN;
	req = req_new(chan, NULL, len, region);
	if (!req)
		return -ENOMEM;
	req->done = true;
	req->err = -ECONNRESET;
	list_remove(&req->link);
	list_append(&chan->done, &req->link);
	chan->outstanding++; /* but not next_seq: the close tells how many were sent */
	*out = req;
	return 0;
}

static int send_locked(struct xfer_chan *chan, void *buf, size_t len, uint32_t tag,
		       struct xfer_region *region, struct xfer_req **out)
{
	uint8_t place = REQ_WHOLE;
	struct wire_clear clear;
	struct xfer_req *req;
	bool cleared, eager;
	int ret;

	if (chan->outstanding == WIRE_WINDOW) {
		xfer_port_poll(chan->port);
		return chan->err ? chan->err : -EAGAIN;
	}
	cleared = !eager_first(chan, len, tag, region) && next_clear(chan, tag, &clear, &place);
	eager = !cleared && eager_may(chan, len, tag, region);
	if (!chan->err && !cleared && !eager)
		chan_idle(chan);
	if (chan->err || chan->peer_closed)
		return start_in_vain(chan, len, region, out);
	if (!cleared && !eager) {
		eager_want(chan, len, tag, region);
		return -EAGAIN;
	}
	if (cleared && len > clear.len) {
		chan_fail(chan, -EMSGSIZE,
			  "send number %" PRIu32 " has %zu bytes, the receive posted for it %" PRIu64,
			  chan->next_seq, len, clear.len);
		return chan->err;
	}
	req = req_new(chan, buf, len, region);
	if (!req)
		return -ENOMEM;
	req->tag = tag;
	req->place = place;
	ret = eager ? eager_send(req, buf) : chan->wire->send(req, buf, &clear);
	if (ret) {
		req_drop(chan, req);
		if (ret != -EAGAIN) {
			chan_fail(chan, ret, "send number %" PRIu32 " was refused", chan->next_seq);
		} else {
			xfer_port_poll(chan->port);
			chan_idle(chan);
		}
		return chan->err ? start_in_vain(chan, len, region, out) : -EAGAIN;
	}
	chan->outstanding++;
	if (place == REQ_WHOLE)
		chan->next_seq++;
	else
		group_sent(chan, place);
	*out = req;
	return 0;
}

static int recv_locked(struct xfer_chan *chan, const struct xfer_sub *sub, struct xfer_req **out)
{
	struct xfer_req *req;
	int ret;

	if (chan->outstanding == WIRE_WINDOW) {
		xfer_port_poll(chan->port);
		return chan->err ? chan->err : -EAGAIN;
	}
	req = req_new(chan, sub->buf, sub->len, sub->region);
	if (!req)
		return -ENOMEM;
	req->tag = chan->tag = sub->tag;
	chan->has_tag = true;
	ret = chan->wire->recv(req);
	if (ret) {
		req_drop(chan, req);
		if (ret != -EAGAIN) {
			chan_fail(chan, ret, "receive number %" PRIu32 " was refused", chan->next_seq);
		} else {
			xfer_port_poll(chan->port);
			chan_idle(chan);
		}
		return chan->err ? start_in_vain(chan, sub->len, sub->region, out) : -EAGAIN;
	}
	chan->next_seq++;
	chan->outstanding++;
	chan->wire->announce(req);
	*out = req;
	return 0;
}

int xfer_isend(struct xfer_chan *chan, void *buf, size_t len, uint32_t tag, struct xfer_region *region,
	       struct xfer_req **out)
{
	int ret = check_buffer(chan, buf, len, region);

	*out = NULL;
	if (ret)
		return ret;
	xfer_port_lock(chan->port);
	ret = chan->err ? start_in_vain(chan, len, region, out) : send_locked(chan, buf, len, tag, region, out);
	xfer_port_unlock(chan->port);
	return ret;
}

static int group_locked(struct xfer_chan *chan, int n, const struct xfer_sub subs[], struct xfer_req **out)
{
	int ret = chan->outstanding < WIRE_WINDOW ? group_recv(chan, n, subs, out) : -EAGAIN;

	if (ret == -EAGAIN) {
		xfer_port_poll(chan->port);
		chan_idle(chan);
		return chan->err ? start_in_vain(chan, 0, NULL, out) : ret;
	}
	if (ret)
		return ret;
	chan->next_seq++;
	chan->outstanding++;
	group_progress(chan);
	return 0;
}

int xfer_irecv(struct xfer_chan *chan, int n, const struct xfer_sub subs[], struct xfer_req **out)
{
	int i, ret = 0;

	*out = NULL;
	for (i = 0; i < n && !ret; i++)
		ret = check_buffer(chan, subs[i].buf, subs[i].len, subs[i].region);
	if (ret)
		return ret;
	xfer_port_lock(chan->port);
	if (chan->err)
		ret = start_in_vain(chan, 0, NULL, out);
	else if (n == 1 && !chan->grp && (!chan->has_tag || chan->tag == subs->tag))
		ret = recv_locked(chan, subs, out);
	else
		ret = group_locked(chan, n, subs, out);
	xfer_port_unlock(chan->port);
	return ret;
}

/* Is there a message that the peer, which has closed its half, has not sent? */
static bool is_vain(const struct xfer_req *req)
{
	unsigned i;

	for (i = 0; i < req->parts; i++)
		if (!req->part[i]->done && !group_comes(req->part[i]))
			return true;
	return !req->parts && !group_comes(req);
}

static int test_locked(struct xfer_req *req, size_t out_lens[])
{
	struct xfer_chan *chan = req->chan;

	if (req->flush) {
		out_lens[0] = 0;
		return flush_test(req);
	}
	if (!req->done || req->flushing)
		xfer_port_poll(chan->port);
	if (req->done && !req->err) {
		int ret = chan->self_flush ? flush_self(req) : 1;

		if (ret <= 0)
			return ret;
		chan->outstanding--;
		if (req->parts)
			return group_take(req, out_lens);
		out_lens[0] = req->len;
		req_drop(chan, req);
		return 1;
	}
	if (!chan->err && req->err)
		chan_fail(chan, req->err, "the peer has closed its half before send number %" PRIu32,
			  req->seq);
	if (!chan->err && chan->peer_closed && chan->kind == XFER_RECV && is_vain(req))
		chan_fail(chan, -ECONNRESET, "the peer has closed its half after %" PRIu32 " messages",
			  chan->peer_sent);
	if (!chan->err)
		chan_idle(chan);
	return chan->err;
}

int xfer_test(struct xfer_req *req, size_t out_lens[])
{
	struct xfer_port *port = req->chan->port;
	int ret;

	xfer_port_lock(port);
	ret = test_locked(req, out_lens);
	xfer_port_unlock(port);
	return ret;
}

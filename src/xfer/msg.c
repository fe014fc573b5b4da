/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sending, receiving and testing messages, whatever wire carries them (tagged.c, rma.c).
 *
 * The k-th send meets the k-th receive. A send starts when the receive has been announced to it
 * (clear-to-send), so nothing is ever unexpected: on providers with one byte stream per peer, an unexpected
 * message would block all channels behind it.
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

static struct xfer_req *req_new(struct xfer_chan *chan, void *buf, size_t len,
				struct xfer_region *region)
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
	req->done = false;
	req->pieces = req->arrived = 0;
	req->err = 0;
	list_append(&chan->reqs, &req->link);
	return req;
}

static void req_drop(struct xfer_chan *chan, struct xfer_req *req)
{
	list_remove(&req->link);
	pool_put(&chan->port->req_pool, req);
}

static void req_started(struct xfer_chan *chan)
{
	chan->next_seq++;
	chan->outstanding++;
}

/* Is the next message cleared? Looks once at what has arrived. */
static bool next_clear(struct xfer_chan *chan, struct wire_clear *out)
{
	if (chan->wire->cleared(chan, out))
		return true;
	xfer_port_poll(chan->port);
	return chan->wire->cleared(chan, out);
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

static int send_locked(struct xfer_chan *chan, void *buf, size_t len, struct xfer_region *region,
		       struct xfer_req **out)
{
	struct wire_clear clear;
	struct xfer_req *req;
	bool cleared, eager;
	int ret;

	if (chan->outstanding == WIRE_WINDOW) {
		xfer_port_poll(chan->port);
		return chan->err ? chan->err : -EAGAIN;
	}
	cleared = !eager_first(chan, len) && next_clear(chan, &clear);
	eager = !cleared && eager_may(chan, len);
	if (!chan->err && !cleared && !eager)
		chan_idle(chan);
	if (chan->err || chan->peer_closed)
		return start_in_vain(chan, len, region, out);
	if (!cleared && !eager) {
		eager_want(chan);
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
	req_started(chan);
	*out = req;
	return 0;
}

static int recv_locked(struct xfer_chan *chan, void *buf, size_t len, struct xfer_region *region,
		       struct xfer_req **out)
{
	struct xfer_req *req;
	int ret;

	if (chan->outstanding == WIRE_WINDOW) {
		xfer_port_poll(chan->port);
		return chan->err ? chan->err : -EAGAIN;
	}
	req = req_new(chan, buf, len, region);
	if (!req)
		return -ENOMEM;
	ret = chan->wire->recv(req, buf);
	if (ret) {
		req_drop(chan, req);
		if (ret != -EAGAIN) {
			chan_fail(chan, ret, "receive number %" PRIu32 " was refused", chan->next_seq);
		} else {
			xfer_port_poll(chan->port);
			chan_idle(chan);
		}
		return chan->err ? start_in_vain(chan, len, region, out) : -EAGAIN;
	}
	req_started(chan);
	chan->wire->announce(req);
	*out = req;
	return 0;
}

int xfer_isend(struct xfer_chan *chan, void *buf, size_t len, struct xfer_region *region,
	       struct xfer_req **out)
{
	int ret = check_buffer(chan, buf, len, region);

	*out = NULL;
	if (ret)
		return ret;
	xfer_port_lock(chan->port);
	ret = chan->err ? start_in_vain(chan, len, region, out) : send_locked(chan, buf, len, region, out);
	xfer_port_unlock(chan->port);
	return ret;
}

int xfer_irecv(struct xfer_chan *chan, void *buf, size_t len, struct xfer_region *region,
	       struct xfer_req **out)
{
	int ret = check_buffer(chan, buf, len, region);

	*out = NULL;
	if (ret)
		return ret;
	xfer_port_lock(chan->port);
	ret = chan->err ? start_in_vain(chan, len, region, out) : recv_locked(chan, buf, len, region, out);
	xfer_port_unlock(chan->port);
	return ret;
}

static int test_locked(struct xfer_req *req, size_t *out_len)
{
	struct xfer_chan *chan = req->chan;

	if (!req->done)
		xfer_port_poll(chan->port);
	if (req->done && !req->err) {
		*out_len = req->len;
		chan->outstanding--;
		req_drop(chan, req);
		return 1;
	}
	if (!chan->err && req->err)
		chan_fail(chan, req->err, "the peer has closed its half before send number %" PRIu32,
			  req->seq);
	if (!chan->err && chan->peer_closed && chan->kind == XFER_RECV &&
	    seq_at_or_after(req->seq, chan->peer_sent))
		chan_fail(chan, -ECONNRESET, "the peer has closed its half after %" PRIu32 " messages",
			  chan->peer_sent);
	if (!chan->err)
		chan_idle(chan);
	return chan->err;
}

int xfer_test(struct xfer_req *req, size_t *out_len)
{
	struct xfer_port *port = req->chan->port;
	int ret;

	xfer_port_lock(port);
	ret = test_locked(req, out_len);
	xfer_port_unlock(port);
	return ret;
}

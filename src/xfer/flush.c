/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Flushes: a receive is done when its data have left the NIC, but a GPU may see them later. A read of the GPU's memory
 * by the same NIC pushes before it what that NIC has written, so the receiver reads back a byte on every rail that
 * carried data for the channel; or the driver does it by a call.
 *
 *	NCCL asks (xfer_flush)                the request is done when all the reads are
 *	NCCL will not ask (self_flush)        the same, before the receive's own request is done
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "dev/gdr.h"
#include "xfer/internal.h"

#define SINK_BYTES 64 /* of a rail, where what is read goes */

struct flush_read {
	struct fab_op op; /* first */
	struct xfer_req *req;
	struct xfer_chan *chan;
};

_Static_assert(sizeof(struct flush_read) <= PIECE_BYTES, "reads fit the pool of pieces");

int flush_open(struct xfer_port *port)
{
	int i, ret = 0;

	if (!port->dev->gdr.cuda || !port->dev->nic->reads)
		return 0;
	port->sinks = aligned_alloc(SINK_BYTES, SINK_BYTES * (size_t)port->rail_count);
	if (!port->sinks)
		return -ENOMEM;
	for (i = 0; i < port->rail_count && !ret; i++) {
		struct rail *r = &port->rails[i];

		ret = fab_mr_reg(port->dev->domains[i], port->sinks + (size_t)i * SINK_BYTES, SINK_BYTES, &r->sink_mr);
		if (!ret)
			ret = fab_ep_insert(r->ep, r->addr, &r->self);
	}
	return ret;
}

void flush_close(struct xfer_port *port)
{
	int i;

	for (i = 0; i < port->rail_count; i++)
		fab_mr_close(port->rails[i].sink_mr);
	free(port->sinks);
}

static void read_done(struct fab_op *op, const struct fab_result *r)
{
	struct flush_read *read = (struct flush_read *)op;
	struct xfer_req *req = read->req;

	read->chan->reads--;
	req->flush_left--;
	if (r->err) {
		req->err = r->err;
		chan_fail(read->chan, r->err == -ECANCELED ? -ECONNRESET : r->err,
			  "the read that flushes receives failed (%s); WEFT_FLUSH=call may do without", r->text);
	}
	pool_put(&read->chan->port->piece_pool, read);
}

static int post(struct xfer_req *req, int rail)
{
	struct xfer_chan *chan = req->chan;
	struct xfer_port *port = chan->port;
	struct rail *r = &port->rails[rail];
	const struct dev_mr *mr = req->flush_region->mr;
	struct flush_read *read = pool_get(&port->piece_pool);
	int ret;

	if (!read)
		return -ENOMEM;
	read->op.done = read_done;
	read->req = req;
	read->chan = chan;
	ret = fab_read(r->ep, &read->op, port->sinks + (size_t)rail * SINK_BYTES, 1, fab_mr_desc(r->sink_mr), r->self,
		       fab_mr_remote_addr(port->dev->domains[rail], (void *)mr->base, req->flush_at),
		       fab_mr_key(mr->rail[rail]));
	if (ret) {
		pool_put(&port->piece_pool, read);
		return ret;
	}
	chan->reads++;
	req->flush_left++;
	return 0;
}

/* Posts the reads that are still to be posted. True: none is left, nor on its way. */
static bool advance(struct xfer_req *req)
{
	int i, ret;

	for (i = 0; i < req->chan->port->rail_count; i++) {
		if (!(req->flush_todo >> i & 1))
			continue;
		ret = post(req, i);
		if (ret == -EAGAIN)
			break;
		req->flush_todo &= (uint8_t)~(1u << i);
		if (ret) {
			req->err = ret;
			chan_fail(req->chan, ret, "the read that flushes receives was refused");
		}
	}
	return !req->flush_todo && !req->flush_left;
}

/* 1: it is flushed, 0: not yet, or the error. */
static int go_on(struct xfer_req *req)
{
	if (!advance(req))
		return 0;
	return req->err ? req->err : 1;
}

/* Begins to flush. 1: that was all; 0: flush_step goes on; or an error. */
static int begin(struct xfer_req *req, struct xfer_region *region, char *at)
{
	struct xfer_chan *chan = req->chan;

	req->flush_region = region;
	req->flush_at = at;
	switch (gdr_flush_of(chan->port->dev, &region->mr->mem)) {
	case DEV_FLUSH_CALL: return accel_flush(&region->mr->mem) ? -EIO : 1;
	case DEV_FLUSH_READ: req->flush_todo = chan->rails; return go_on(req);
	default: return 1;
	}
}

/* The first bytes for a GPU that the receive has got, or NULL. */
static struct xfer_req *for_gpu(struct xfer_req *req)
{
	unsigned i;

	for (i = 0; i < req->parts; i++)
		if (req->part[i]->len && region_is_gpus(req->part[i]->region))
			return req->part[i];
	return !req->parts && req->len && region_is_gpus(req->region) ? req : NULL;
}

int flush_self(struct xfer_req *req)
{
	struct xfer_chan *chan = req->chan;
	struct xfer_req *part;
	int ret = 1;

	if (!chan->self_flush || req->flushed)
		return 1;
	part = req->flushing ? NULL : for_gpu(req);
	if (req->flushing)
		ret = go_on(req);
	else if (part && accel_info()->gpus[part->region->mr->mem.gpu].capability >= GDR_UNASKED)
		ret = begin(req, part->region, part->buf);
	req->flushing = true;
	req->flushed = ret == 1;
	if (ret < 0)
		chan_fail(chan, ret, "what was received can't be flushed");
	return chan->err ? chan->err : ret;
}

int flush_test(struct xfer_req *req)
{
	struct xfer_chan *chan = req->chan;
	int ret;

	xfer_port_poll(chan->port);
	ret = go_on(req);
	if (ret <= 0)
		return ret ? ret : chan->err;
	req_drop(chan, req);
	return 1;
}

static int flush_locked(struct xfer_chan *chan, struct xfer_region *region, void *buf, struct xfer_req **out)
{
	struct xfer_req *req;
	int ret;

	if (chan->err)
		return chan->err;
	req = req_new(chan, buf, 0, region);
	if (!req)
		return -ENOMEM;
	list_remove(&req->link);
	list_append(&chan->flushes, &req->link);
	req->flush = true;
	ret = begin(req, region, buf);
	if (ret < 0) {
		chan_fail(chan, ret, "what was received can't be flushed");
		return ret; /* the request stays the channel's */
	}
	if (ret)
		req_drop(chan, req);
	else
		*out = req;
	return 0;
}

int xfer_flush(struct xfer_chan *chan, void *buf, struct xfer_region *region, struct xfer_req **out)
{
	int ret;

	*out = NULL;
	if (!region_is_gpus(region))
		return 0;
	xfer_port_lock(chan->port);
	ret = flush_locked(chan, region, buf, out);
	xfer_port_unlock(chan->port);
	return ret;
}

void xfer_chan_self_flush(struct xfer_chan *chan)
{
	chan->self_flush = true;
}

/* Reads end by themselves, but not before the memory that they read may be freed. */
void flush_drain(struct xfer_chan *chan)
{
	struct xfer_port *port = chan->port;
	int64_t deadline = clock_us() + port->conf->close_timeout_us;

	while (chan->reads && port->ep && !port->err) {
		xfer_port_poll(port);
		if (chan->reads && clock_us() > deadline)
			port_break(port, -ECANCELED, "a flush did not end within WEFT_CLOSE_TIMEOUT of being closed");
	}
	if (chan->reads && port->ep)
		port_shut(port);
}

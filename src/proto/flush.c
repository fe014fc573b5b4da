/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Flushes. A receive completes when its data have left the NIC, but the GPU may see them later. A read of the GPU's
 * memory by the same NIC pushes the NIC's earlier writes ahead of it. So the receiver reads back one byte on every
 * rail that carried data for the comm, or calls the driver to flush.
 *
 *	NCCL asks (xfer_flush)                the request completes after all reads
 *	NCCL does not ask (self_flush)        the request of the receive completes after all reads
 */
#include <errno.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "dev/gdr.h"
#include "proto/flush.h"

#define SINK_BYTES 64 /* target of reads, per rail */

struct flush_read {
	struct fab_op op; /* first */
	struct xfer_req *req;
	struct xfer_comm *comm;
};

_Static_assert(sizeof(struct flush_read) <= OP_BYTES, "reads fit the pool of stripe_ops");

int flush_open(struct xfer_ep *ep)
{
	int i, ret = 0;

	if (!ep->dev->gdr.cuda || !ep->dev->nic->reads)
		return 0;
	ep->sinks = aligned_alloc(SINK_BYTES, SINK_BYTES * (size_t)ep->nic_count);
	if (!ep->sinks)
		return -ENOMEM;
	for (i = 0; i < ep->nic_count && !ret; i++) {
		struct rail *r = &ep->rails[i];

		ret = fab_mr_reg(ep->access->domains[i], ep->sinks + (size_t)i * SINK_BYTES, SINK_BYTES, &r->sink_mr);
		if (!ret)
			ret = fab_ep_insert(r->fab, r->addr, &r->self);
	}
	return ret;
}

void flush_close(struct xfer_ep *ep)
{
	int i;

	for (i = 0; i < ep->nic_count; i++)
		fab_mr_close(ep->rails[i].sink_mr);
	free(ep->sinks);
}

static void read_done(struct fab_op *op, const struct fab_result *r)
{
	struct flush_read *read = (struct flush_read *)op;
	struct xfer_req *req = read->req;

	read->comm->rx.reads--;
	req->flush_left--;
	if (r->err) {
		req->err = r->err;
		comm_fail(read->comm, r->err == -ECANCELED ? -ECONNRESET : r->err,
			  "the read that flushes receives failed (%s); WEFT_FLUSH=call may avoid it", r->text);
	}
	pool_put(&read->comm->ep->op_pool, read);
}

static int post(struct xfer_req *req, int rail)
{
	struct xfer_comm *comm = req->comm;
	struct xfer_ep *ep = comm->ep;
	struct rail *r = &ep->rails[rail];
	const struct dev_mr *mr = req->flush_region->mr;
	struct flush_read *read;
	int ret;

	if (!r->fab)
		return ep->err ? ep->err : -ESHUTDOWN;
	read = pool_get(&ep->op_pool);
	if (!read)
		return -ENOMEM;
	read->op.done = read_done;
	read->req = req;
	read->comm = comm;
	ret = fab_read(r->fab, &read->op, ep->sinks + (size_t)rail * SINK_BYTES, 1, fab_mr_desc(r->sink_mr), r->self,
		       fab_mr_remote_addr(ep->access->domains[rail], (void *)mr->base, req->flush_at),
		       fab_mr_key(mr->rail[rail]));
	if (ret) {
		pool_put(&ep->op_pool, read);
		return ret;
	}
	comm->rx.reads++;
	req->flush_left++;
	return 0;
}

/* Posts the remaining reads. Returns true if all reads have completed. */
static bool advance(struct xfer_req *req)
{
	int i, ret;

	for (i = 0; i < req->comm->ep->nic_count; i++) {
		if (!(req->flush_todo >> i & 1))
			continue;
		ret = post(req, i);
		if (ret == -EAGAIN)
			break;
		req->flush_todo &= (uint8_t) ~(1u << i);
		if (ret) {
			req->err = ret;
			comm_fail(req->comm, ret, "the read that flushes receives was refused");
		}
	}
	return !req->flush_todo && !req->flush_left;
}

/* Returns 1 if the flush is done, 0 if not yet, or the error. */
static int flush_go_on(struct xfer_req *req)
{
	if (!advance(req))
		return 0;
	return req->err ? req->err : 1;
}

/* Starts the flush. Returns 1 if it is done already, 0 if flush_go_on continues it, or an error. */
static int flush_begin(struct xfer_req *req, struct xfer_region *region, char *at)
{
	struct xfer_comm *comm = req->comm;

	req->flush_region = region;
	req->flush_at = at;
	switch (gdr_flush_of(comm->ep->dev, &region->mr->mem)) {
	case DEV_FLUSH_CALL: return accel_flush(&region->mr->mem) ? -EIO : 1;
	case DEV_FLUSH_READ: req->flush_todo = comm->rx.rails; return flush_go_on(req);
	default: return 1;
	}
}

/* The first part of the receive that got data for a GPU, or NULL. */
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
	struct xfer_comm *comm = req->comm;
	struct xfer_req *part;
	int ret = 1;

	if (!comm->rx.self_flush || req->flushed)
		return 1;
	part = req->flushing ? NULL : for_gpu(req);
	if (req->flushing)
		ret = flush_go_on(req);
	else if (part && accel_info()->gpus[part->region->mr->mem.gpu].capability >= GDR_UNASKED)
		ret = flush_begin(req, part->region, part->buf);
	req->flushing = true;
	req->flushed = ret == 1;
	if (ret < 0)
		comm_fail(comm, ret, "received data cannot be flushed");
	return comm->err ? comm->err : ret;
}

int flush_test(struct xfer_req *req)
{
	struct xfer_comm *comm = req->comm;
	int ret;

	xfer_ep_poll(comm->ep);
	ret = flush_go_on(req);
	if (!ret)
		comm_idle_for_nic(comm);
	if (ret <= 0)
		return ret ? ret : comm->err;
	req_drop(comm, req);
	return 1;
}

int flush_start(struct xfer_comm *comm, void *buf, struct xfer_region *region, struct xfer_req **out)
{
	struct xfer_req *req;
	int ret;

	if (comm->err)
		return comm->err;
	req = req_new(comm, buf, 0, region);
	if (!req)
		return -ENOMEM;
	list_remove(&req->link);
	list_append(&comm->rx.flushes, &req->link);
	req->flush = true;
	ret = flush_begin(req, region, buf);
	if (ret < 0) {
		comm_fail(comm, ret, "received data cannot be flushed");
		return ret; /* the comm keeps the request */
	}
	if (ret)
		req_drop(comm, req);
	else
		*out = req;
	return 0;
}

/* Reads of this registration (NULL: of any) that have not been posted never will be. */
static void cancel(struct list *reqs, const struct xfer_region *region)
{
	struct list *it, *tmp;

	list_each (reqs, it, tmp) {
		struct xfer_req *req = container_of(it, struct xfer_req, link);

		if (!req->flush_todo || (region && req->flush_region != region))
			continue;
		req->flush_todo = 0;
		req->err = -ESHUTDOWN; /* but the message is here, so no discard replaces it (discard.c) */
	}
}

/* Reads complete by themselves, but their memory must not be freed before that. */
void flush_drain(struct xfer_comm *comm, const struct xfer_region *region)
{
	struct xfer_ep *ep = comm->ep;
	int64_t deadline = clock_us() + ep->conf->close_timeout_us;

	cancel(&comm->reqs, region);
	cancel(&comm->rx.flushes, region);
	cancel(&comm->rx.groups_out, region);
	while (comm->rx.reads && ep->fab && !ep->err) {
		xfer_ep_poll(ep);
		if (comm->rx.reads && clock_us() > deadline)
			ep_break(ep, -ECANCELED, "a flush did not complete within WEFT_CLOSE_TIMEOUT of the close");
	}
	if (comm->rx.reads && ep->fab)
		ep_shut(ep);
}

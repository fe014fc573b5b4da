/* SPDX-License-Identifier: Apache-2.0 */
/* Requests: creation and completion, on either protocol. */
#include <errno.h>
#include <inttypes.h>

#include "comm/account.h"
#include "comm/window.h"

static void part_done(struct xfer_req *part)
{
	struct xfer_req *group = part->group;

	window_forget_part(part);
	if (part->err && !group->err)
		group->err = part->err;
	if (!--group->left)
		group->done = true;
}

static void finish_badly(struct xfer_req *req, int err)
{
	struct xfer_comm *comm = req->comm;

	comm->completions++;
	comm->peer->moves++;
	req->err = err;
	req->len = 0;
	req->done = true;
}

void req_finish(struct xfer_req *req, int err, size_t len)
{
	struct xfer_comm *comm = req->comm;
	struct xfer_req *group = req->group;

	if (err)
		finish_badly(req, err);
	else
		req_complete(comm, req, len); /* from here on the request belongs to the application */
	if (group)
		part_done(req);
	if (comm->close.peer_closed)
		comm_kick(comm);
}

void req_broken(struct xfer_req *req, const struct fab_result *r)
{
	struct xfer_comm *comm = req->comm;

	req->err = r->err;
	account_failed(req, r->err);
	if (!comm->err && !comm->watch.rail)
		comm->watch.rail = (uint8_t)(comm->rail_of(comm, req->seq) + 1);
	if (!(comm->close.quiescing && r->err == -ECANCELED))
		comm_fail(comm, r->err == -ECANCELED ? -ECONNRESET : r->err, "%s number %" PRIu32 " failed (%s)",
			  comm->kind == XFER_SEND ? "send" : "receive", req->seq, r->text);
}

/* A message that one operation of the provider sent or received is done; stripes that arrive are counted there. */
static void req_timed(struct xfer_req *req, size_t len)
{
	if (req->comm->kind == XFER_SEND) {
		account_send_done(req);
		return;
	}
	account_arrival(&req->comm->ep->rails[req->rail], len);
	account_recv_done(req, len, req->rail);
}

static void req_done(struct fab_op *op, const struct fab_result *r)
{
	struct xfer_req *req = (struct xfer_req *)op;

	if (r->err) {
		op->done = fab_op_over;
		req_broken(req, r);
	} else {
		req_timed(req, r->len);
	}
	req_finish(req, r->err, req->comm->kind == XFER_RECV ? r->len : req->posted);
}

struct xfer_req *req_alloc(struct xfer_comm *comm)
{
	struct xfer_req *req = pool_get(&comm->ep->req_pool);

	if (!req)
		return NULL;
	req->op.done = req_done;
	req->comm = comm;
	req->done = true; /* until it is used */
	req->err = 0;
	req->group = NULL;
	list_append(&comm->reqs, &req->link);
	return req;
}

void req_drop(struct xfer_comm *comm, struct xfer_req *req)
{
	list_remove(&req->link);
	if (req->op.done != fab_op_over)
		pool_put(&comm->ep->req_pool, req);
}

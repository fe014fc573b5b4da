/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sending half of the RMA protocol. Each stripe of a message is a remote write of its own, whose immediate data
 * gives the number of stripes. The send completes with its last stripe.
 *
 * Once the first stripe is posted, the send can no longer be refused: a later stripe that its rail cannot accept yet
 * waits on the endpoint's pending list.
 */
#include <errno.h>
#include <string.h>

#include "comm/profile.h"
#include "proto/rma.h"

bool rma_cts(struct xfer_comm *comm, struct wire_cts *out)
{
	return wire_cts_take(comm->ring->entries, comm->id, comm->next_seq, out);
}

/* The immediate data of stripe i of n. */
static uint64_t imm_of(const struct xfer_req *req, int i, int n)
{
	unsigned stripe = req->sub_index == REQ_WHOLE ? (unsigned)i : req->sub_index;

	return wire_imm(IDMAP_SLOT(req->comm->remote_id), req->seq, stripe, (unsigned)n, req->posted);
}

/*
 * The descriptor of the source. Zero-length sends need a valid one, too (libfabric 2.1's efa-direct dereferences it).
 */
static void *desc_of(const struct xfer_req *req, const struct rail *rail)
{
	return fab_mr_desc((req->posted ? req->region->mr : req->comm->ring->mr)->rail[rail->nic]);
}

struct stripe_op {
	struct fab_op op; /* first */
	struct pending retry;
	struct xfer_req *req;
	struct path *path;
	const char *from;
	size_t len;
	uint64_t to, key, imm;
	uint8_t index; /* of the stripe in its message */
};

_Static_assert(sizeof(struct stripe_op) <= OP_BYTES, "stripes fit the endpoint's op_pool");

/* For a profiler. */
static void stripe_landed(const struct stripe_op *p)
{
	struct profile_part *part = &p->req->profile->part[p->index];

	if (!p->req->profile->stripes)
		return;
	part->wire_us = stats_us(p->req->comm->stats.ep, stats_now() - p->req->since);
	part->landed = true;
}

static void note_stripes(struct xfer_req *req, const struct stripe *stripes, int n)
{
	struct req_profile *profile = req->comm->profile_next;
	int i;

	req->profile = profile;
	profile->stripes = n;
	for (i = 0; i < n; i++)
		profile->part[i] =
			(struct profile_part){.rail = (uint8_t)stripes[i].path->rail->nic, .bytes = stripes[i].len};
}

static void stripe_done(struct fab_op *op, const struct fab_result *r)
{
	struct stripe_op *p = (struct stripe_op *)op;
	struct xfer_req *req = p->req;
	struct fab_result whole = *r;

	rail_completed(p->path->rail, p->len);
	if (__builtin_expect(req->profile != NULL, 0))
		stripe_landed(p);
	if (r->err)
		p->op.done = fab_op_over;
	else
		pool_put(&req->comm->ep->op_pool, p);
	if (r->err && !req->comm->err)
		req->comm->watch.rail = (uint8_t)(p->path->rail->nic + 1);
	if (r->err)
		req_broken(req, r);
	if (--req->stripes_left) {
		req->comm->peer->moves++;
		return;
	}
	whole.err = req->err;
	req->op.done(&req->op, &whole);
}

static int stripe_post(struct stripe_op *p)
{
	struct rail *rail = p->path->rail;
	int ret = fab_write_imm(rail->fab, &p->op, p->from, p->len, desc_of(p->req, rail), p->path->fab_addr, p->to,
				p->key, p->imm);

	if (!ret)
		rail_posted(rail, p->len);
	return ret;
}

static void stripe_refused(struct stripe_op *p, int err)
{
	struct fab_result r = {.err = err, .text = strerror(-err)};

	rail_posted(p->path->rail, p->len); /* balances rail_completed in stripe_done */
	stripe_done(&p->op, &r);
}

static void stripe_again(struct pending *pending)
{
	struct stripe_op *p = container_of(pending, struct stripe_op, retry);
	int ret = p->req->comm->peer->dead ? -ECONNRESET : stripe_post(p);

	if (ret == -EAGAIN)
		pending_add(p->req->comm->ep, pending);
	else if (ret)
		stripe_refused(p, ret);
}

static struct stripe_op *stripe_new(struct xfer_req *req, const char *buf, const struct wire_cts *cts,
				    const struct stripe *s)
{
	const struct xfer_comm *comm = req->comm;
	struct stripe_op *p = pool_get(&comm->ep->op_pool);

	if (!p)
		return NULL;
	p->op.done = stripe_done;
	list_init(&p->retry.link);
	p->retry.retry = stripe_again;
	p->req = req;
	p->path = s->path;
	p->from = buf + s->at;
	p->len = s->len;
	p->to = cts->addr + s->at;
	p->key = wire_key(&cts->keys, comm->peer->nics, s->path->remote);
	return p;
}

/* Not inlined: its arrays would enlarge the stack frame of the common case, one rail. */
__attribute__((noinline)) static int stripes_send(struct xfer_req *req, const void *buf, const struct wire_cts *cts)
{
	struct xfer_comm *comm = req->comm;
	struct xfer_ep *ep = comm->ep;
	struct stripe stripes[WIRE_STRIPES_MAX];
	struct stripe_op *stripe_ops[WIRE_STRIPES_MAX] = {NULL};
	int i, ret = 0, n = 1;

	if (req->sub_index == REQ_WHOLE)
		n = rail_stripes(comm->peer, comm->home, req->posted, stripes);
	else
		stripes[0] =
			(struct stripe){.path = rail_best(comm->peer, comm->home, req->posted), .len = req->posted};
	for (i = 0; i < n && !ret; i++) {
		stripe_ops[i] = stripe_new(req, buf, cts, &stripes[i]);
		if (!stripe_ops[i])
			ret = -ENOMEM;
		else
			stripe_ops[i]->imm = imm_of(req, i, n), stripe_ops[i]->index = (uint8_t)i;
	}
	if (!ret)
		ret = stripe_post(stripe_ops[0]);
	if (ret) {
		n = i;
		for (i = 0; i < n; i++)
			if (stripe_ops[i])
				pool_put(&ep->op_pool, stripe_ops[i]);
		return ret;
	}
	req->stripes_left = (uint8_t)n;
	if (comm->profile_next && n > 1)
		note_stripes(req, stripes, n);
	req->rail = n == 1 ? (uint8_t)stripes[0].path->rail->nic : WEFT_STATS_NO_RAIL;
	for (i = 1; i < n; i++) {
		ret = stripe_post(stripe_ops[i]);
		if (ret == -EAGAIN)
			pending_add(ep, &stripe_ops[i]->retry);
		else if (ret)
			stripe_refused(stripe_ops[i], ret);
	}
	return 0;
}

static int write_whole(struct xfer_req *req, const void *buf, const struct wire_cts *cts)
{
	const struct path *path = &req->comm->peer->paths[0];

	return fab_write_imm(path->rail->fab, &req->op, buf, req->posted, desc_of(req, path->rail), path->fab_addr,
			     cts->addr, cts->keys.one, imm_of(req, 0, 1));
}

int rma_post_send(struct xfer_req *req, const void *buf, const struct wire_cts *cts)
{
	struct xfer_comm *comm = req->comm;
	int ret = comm->peer->path_count == 1 ? write_whole(req, buf, cts) : stripes_send(req, buf, cts);

	if (!ret && req->sub_index == REQ_WHOLE && seq_at_or_after(req->seq, comm->tx.credit_limit))
		comm->tx.credit_limit = req->seq + 1; /* its receive is posted */
	return ret;
}

/* The only rail with bytes in flight: old ones, because nothing moves. */
static int sending_rail(const struct xfer_ep *ep)
{
	int i, rail = -1;

	for (i = 0; i < ep->rail_count; i++)
		if (ep->rails[i].outstanding)
			rail = rail < 0 || rail == ep->rails[i].nic ? ep->rails[i].nic : DEV_RAILS_MAX;
	return rail < DEV_RAILS_MAX ? rail : -1;
}

/* The only rail that has brought data before, but no stripe of this message, of which others have come. */
static int receiving_rail(const struct xfer_comm *comm, uint32_t seq)
{
	const struct xfer_req *req = req_oldest(comm);
	unsigned rails = req && req->seq == seq && req->arrived ? comm->rx.rails & ~req->brought : 0;

	return rails && !(rails & (rails - 1)) ? __builtin_ctz(rails) : -1;
}

int rma_rail_of(const struct xfer_comm *comm, uint32_t seq)
{
	return comm->kind == XFER_SEND ? sending_rail(comm->ep) : receiving_rail(comm, seq);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The RMA protocol: messages by remote writes with immediate data, straight into the receiver's buffer.
 *
 *	receiver                                       sender
 *	  irecv k: ring[k % window],
 *	           a clear-to-send, written     ---->  ring[k % window]
 *	                                               isend k: write into the buffer,
 *	  immediate: (comm, k, stripe)          <----  with immediate data
 *
 * The protocol assumes no order between operations: a clear-to-send contains the proof that it is complete
 * (wire/cts.h), and a message is accessed only after its arrival has been reported.
 *
 * Once a clear-to-send is posted, only the sender's CLOSE releases the buffer (xfer/close.c).
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "comm/account.h"
#include "proto/eager.h"
#include "proto/rma.h"

/* A write of clear-to-sends that the provider holds. */
struct cts_write {
	struct fab_op op; /* first */
	struct xfer_comm *comm;
	uint32_t slots; /* bit mask */
};

_Static_assert(sizeof(struct cts_write) <= OP_BYTES, "writes of clear-to-sends fit the endpoint's op_pool");
_Static_assert(WIRE_WINDOW == 32, "a bit for each slot");

static void cts_written(struct fab_op *op, const struct fab_result *r);

static void cts_retry(struct pending *p)
{
	rma_post_cts(container_of(p, struct rma_recv, retry)->comm);
}

/* The keys of memory, for the peer. */
static void fill_keys(const struct xfer_ep *ep, const struct dev_mr *mr, union wire_keys *out)
{
	int i;

	if (ep->nic_count == 1)
		out->one = fab_mr_key(mr->rail[0]);
	else
		for (i = 0; i < ep->nic_count; i++)
			out->each[i] = (uint32_t)fab_mr_key(mr->rail[i]);
}

static int rma_open(struct xfer_comm *comm)
{
	int ret = cts_ring_get(comm->ep, &comm->ring);

	comm->tx.credit_limit = comm->next_seq;
	comm->rail_of = rma_rail_of;
	if (ret || comm->kind == XFER_SEND)
		return ret;
	comm->rx.rma = calloc(1, sizeof(*comm->rx.rma));
	if (!comm->rx.rma)
		return -ENOMEM;
	comm->rx.rma->comm = comm;
	comm->rx.rma->cts_posted = comm->rx.rma->credit_sent = comm->rx.rma->arrived = comm->next_seq;
	list_init(&comm->rx.rma->retry.link);
	comm->rx.rma->retry.retry = cts_retry;
	return 0;
}

static void rma_close(struct xfer_comm *comm)
{
	eager_close(comm);
	if (comm->rx.rma)
		list_remove(&comm->rx.rma->retry.link);
	free(comm->rx.rma);
	cts_ring_put(comm->ep, comm->ring);
}

/* The peer of a sender writes clear-to-sends into the sender's ring. */
static void rma_fill_who(const struct xfer_comm *comm, struct wire_who *out)
{
	if (comm->kind != XFER_SEND)
		return;
	out->ring_addr = comm->ring->addr;
	fill_keys(comm->ep, comm->ring->mr, &out->ring_keys);
}

static void rma_connected(struct xfer_comm *comm, const struct wire_who *who)
{
	if (!comm->rx.rma)
		return;
	comm->rx.rma->ring_addr = who->ring_addr;
	comm->rx.rma->ring_keys = who->ring_keys;
}

/* --- receiving --- */

/* The target of the message. A message of 0 bytes needs a valid target, too: the ring. */
static uint64_t fill_target(const struct xfer_req *req, union wire_keys *out)
{
	const struct xfer_comm *comm = req->comm;
	const struct dev_mr *mr = req->posted ? req->region->mr : comm->ring->mr;

	fill_keys(comm->ep, mr, out);
	return req->posted ? fab_mr_remote_addr(comm->ep->domain, (void *)mr->base, req->buf) : comm->ring->addr;
}

static void rma_fill_sub(struct wire_sub *out, const struct xfer_req *part)
{
	out->addr = fill_target(part, &out->keys);
}

/* An entry is filled only when it is posted, because many receives need no clear-to-send. */
static void fill_entry(const struct xfer_req *req)
{
	const struct xfer_comm *comm = req->comm;
	struct wire_cts *c = &comm->ring->entries[req->seq % WIRE_WINDOW];

	c->to = comm->remote_id;
	c->tag = req->tag;
	c->len = req->posted;
	c->addr = fill_target(req, &c->keys);
	wire_cts_seal(c, req->seq);
}

#define COALESCE_POLLS 64 /* polls for which a receive may wait to share a write */
#define NIC_IDLE       2  /* polls without a completion after which an endpoint counts as idle */

/*
 * An entry must not be overtaken by the next entry of its slot, which may follow early if a message arrived eagerly.
 * If the completion of a write means that the data are in place, any rail will do; otherwise the primary rail keeps
 * the order.
 */
static const struct path *cts_path(const struct xfer_comm *comm, size_t bytes)
{
	return comm->ep->dev->nic->writes_native ? rail_best(comm->peer, comm->home, bytes) : &comm->peer->paths[0];
}

static struct cts_write *cts_write_new(struct xfer_comm *comm, uint32_t first, uint32_t n)
{
	struct cts_write *a = pool_get(&comm->ep->op_pool);

	if (!a)
		return NULL;
	a->op.done = cts_written;
	a->comm = comm;
	a->slots = (uint32_t)((1ull << n) - 1) << first % WIRE_WINDOW;
	return a;
}

/* Writes n consecutive entries of the ring: injected, or by a write that completes later. */
static int write_entries(struct xfer_comm *comm, uint32_t first, uint32_t n)
{
	struct rma_recv *r = comm->rx.rma;
	const struct wire_cts *from = &comm->ring->entries[first % WIRE_WINDOW];
	size_t bytes = n * sizeof(*from);
	const struct path *path = cts_path(comm, bytes);
	struct fab_ep *fab = path->rail->fab;
	uint64_t to = r->ring_addr + first % WIRE_WINDOW * sizeof(*from);
	uint64_t key = wire_key(&r->ring_keys, comm->peer->nics, path->remote);
	struct cts_write *a;
	uint32_t i;
	int ret;

	for (i = 0; i < n; i++)
		fill_entry(r->at[(first + i) % WIRE_WINDOW]);
	if (bytes <= fab_inject_bytes(fab) && !comm->ep->dev->nic->writes_native)
		return fab_write_inject(fab, from, bytes, path->fab_addr, to, key);
	a = cts_write_new(comm, first, n);
	if (!a)
		return -ENOMEM;
	ret = fab_write(fab, &a->op, from, bytes, fab_mr_desc(comm->ring->mr->rail[path->rail->nic]), path->fab_addr,
			to, key);
	if (ret)
		pool_put(&comm->ep->op_pool, a);
	else
		r->in_flight |= a->slots;
	return ret;
}

/*
 * How many of the next n entries can be written now: up to the end of the ring, and up to a slot whose earlier entry is
 * still in flight and could be overtaken.
 */
static uint32_t writable(const struct rma_recv *r, uint32_t n)
{
	uint32_t slot = r->cts_posted % WIRE_WINDOW, room;

	for (room = 0; room < n && slot + room < WIRE_WINDOW; room++)
		if (r->in_flight >> (slot + room) & 1)
			break;
	return room;
}

static bool waits(const struct xfer_comm *comm, uint32_t seq)
{
	const struct xfer_req *req = comm->rx.rma->at[seq % WIRE_WINDOW];

	return req && req->seq == seq;
}

/*
 * Skips receives that an eager message has filled: they need no clear-to-send. Returns false if none is left to post.
 */
static bool skip_received(struct xfer_comm *comm)
{
	struct rma_recv *r = comm->rx.rma;

	while (r->cts_posted != group_first(comm) && !waits(comm, r->cts_posted))
		r->cts_posted++;
	return r->cts_posted != group_first(comm);
}

/* The number of consecutive receives that wait for a clear-to-send. */
static uint32_t run_length(const struct xfer_comm *comm)
{
	uint32_t n = 0, left = group_first(comm) - comm->rx.rma->cts_posted;

	while (n < left && waits(comm, comm->rx.rma->cts_posted + n))
		n++;
	return n;
}

/*
 * One write can carry the clear-to-sends of several receives, and the sender does not need them before it has filled
 * the receives that it knows. So new receives wait until they are as many as the open ones. The number of open
 * receives drops with every arrival, and COALESCE_POLLS bounds the wait. On a NIC with native writes coalescing only
 * saves requests, so there receives wait only while the endpoint has other work.
 */
static bool may_coalesce(const struct xfer_comm *comm, uint32_t n)
{
	struct rma_recv *r = comm->rx.rma;

	if (n >= r->open || (comm->ep->idle >= NIC_IDLE && comm->ep->dev->nic->writes_native))
		return false;
	return r->coalesce_left && r->coalesce_left--;
}

/* Reserves room for the messages of the next n receives, or of as many as there is room for. */
static uint32_t reserve(const struct xfer_comm *comm, uint32_t n)
{
	uint32_t i;

	for (i = 0; i < n; i++)
		if (window_reserve(comm))
			break;
	return i;
}

__attribute__((noinline)) void rma_post_cts(struct xfer_comm *comm)
{
	struct rma_recv *r = comm->rx.rma;
	bool held = false;
	int ret = 0;

	if (r->cts_off)
		return;
	window_skip_old(comm);
	while (skip_received(comm) && !ret && !comm->err && !comm->close.peer_closed && !comm->peer->dead &&
	       !comm->watch.unreachable) {
		uint32_t n = run_length(comm);

		held = may_coalesce(comm, n);
		if (held)
			break;
		n = writable(r, n);
		if (!n)
			break; /* cts_written continues */
		n = reserve(comm, n);
		ret = n ? write_entries(comm, r->cts_posted, n) : -EAGAIN;
		if (!ret) {
			r->cts_posted += n;
			r->open += n;
			r->coalesce_left = COALESCE_POLLS;
			continue;
		}
		while (n--)
			window_release(comm);
	}
	if (ret != -EAGAIN && !held)
		list_remove(&r->retry.link);
	else
		pending_add(comm->ep, &r->retry);
	if (ret && ret != -EAGAIN)
		comm_unreachable(comm, ret, strerror(-ret));
}

static void cts_written(struct fab_op *op, const struct fab_result *r)
{
	struct cts_write *a = (struct cts_write *)op;
	struct xfer_comm *comm = a->comm;

	comm->rx.rma->in_flight &= ~a->slots;
	pool_put(&comm->ep->op_pool, a);
	if (r->err)
		comm_unreachable(comm, r->err == -ECANCELED ? -ECONNRESET : r->err, r->text);
	else
		rma_post_cts(comm);
}

static int rma_recv(struct xfer_req *req)
{
	struct xfer_comm *comm = req->comm;
	struct rma_recv *r = comm->rx.rma;
	struct xfer_req **at = &r->at[req->seq % WIRE_WINDOW];

	if (*at)
		return -EAGAIN; /* the message of the receive one window earlier has not arrived */
	if (!eager_take(req))
		*at = req;
	comm->next_seq++;
	eager_posted(comm);
	if (!r->cts_off)
		rma_post_cts(comm);
	return 0;
}

/* Records the arrival of a stripe. Returns true if the message is complete, with *len bytes in all. */
static bool whole(struct xfer_req *req, uint64_t imm, int rail, size_t *len)
{
	unsigned all = (1u << wire_imm_stripes(imm)) - 1, this = 1u << wire_imm_stripe(imm);

	if (all == 1)
		return true;
	if (req->arrived & this)
		return false;
	if (!req->arrived)
		account_first_stripe(req);
	req->brought |= (uint8_t)(1u << rail);
	req->len = req->arrived ? req->len + *len : *len;
	req->arrived |= (uint8_t)this;
	req->comm->peer->moves++;
	*len = req->len;
	return req->arrived == all;
}

/* Where the provider reports no length of a stripe, it counts as an equal part of its message. */
static inline void count_arrival(const struct rail *rail, uint64_t imm, size_t len)
{
	unsigned n = wire_imm_stripes(imm);

	if (fab_imm_is_long(rail->fab))
		len = n == 1 ? wire_imm_len(imm) : wire_imm_len(imm) / n;
	account_arrival(rail, len);
}

void rma_arrival(void *arg, uint64_t imm, size_t len)
{
	struct rail *rail = arg;
	struct xfer_ep *ep = rail->ep;
	struct xfer_comm *comm = idmap_at(&ep->comms, wire_imm_slot(imm));
	struct xfer_req *req = comm && comm->rx.rma ? window_find(comm, imm) : NULL;

	if (!req) {
		log_debug("NIC %s: a write without a waiting receive arrived", ep->dev->rails[rail->nic]->name);
		return;
	}
	comm->rx.rails |= (uint8_t)(1u << rail->nic);
	count_arrival(rail, imm, len);
	if (!whole(req, imm, rail->nic, &len))
		return;
	if (fab_imm_is_long(ep->fab))
		len = wire_imm_len(imm);
	if (len > req->posted) {
		comm_fail(comm, -EPROTO, "receive number %" PRIu32 " of %zu bytes got %zu", req->seq, req->posted, len);
		len = req->posted;
	}
	window_forget(req);
	if (!req->group)
		comm->rx.rma->arrived++;
	account_recv_done(req, len, req->arrived ? WEFT_STATS_NO_RAIL : (uint8_t)rail->nic);
	if (req->group)
		req_finish(req, 0, len);
	else
		req_finish_whole(comm, req, len);
	eager_received(comm, len);
	if (comm->close.ack_due)
		comm_kick(comm);
}

/* --- cancelling --- */

/* Completes the receives of a failed comm whose messages will not arrive, or all. */
static void end_receives(struct xfer_comm *comm, bool all)
{
	struct list *it, *tmp;

	list_each (&comm->reqs, it, tmp) {
		struct xfer_req *req = container_of(it, struct xfer_req, link);

		if (req->done || (!all && group_comes(req)))
			continue;
		window_forget(req);
		account_failed(req, -ECANCELED);
		req_finish(req, -ECANCELED, 0);
	}
}

static void rma_settle(struct xfer_comm *comm)
{
	if (comm->rx.rma && comm->err && comm->ep->fab)
		end_receives(comm, false);
}

static void rma_abandon(struct xfer_comm *comm)
{
	if (comm->rx.rma && comm->ep->fab)
		end_receives(comm, true);
}

/* The receives complete when the sender's CLOSE answers ours. */
static void rma_cancel(struct xfer_comm *comm, const struct xfer_region *region)
{
	(void)region;
	if (comm->close.peer_closed)
		rma_settle(comm);
}

static void rma_discard(struct xfer_comm *comm, const struct xfer_region *region)
{
	(void)comm; /* nothing to do: the receives have completed because the sender writes no more */
	(void)region;
}

static bool rma_busy(const struct xfer_comm *comm)
{
	return comm->rx.rma && comm->rx.rma->in_flight;
}

static bool rma_all_arrived(const struct xfer_comm *comm)
{
	uint32_t sent;

	return group_whole_sent(comm, &sent) && comm->rx.rma->arrived == sent;
}

static bool rma_slot_free(const struct xfer_comm *comm, uint32_t seq)
{
	return !comm->rx.rma->at[seq % WIRE_WINDOW];
}

static int rma_recv_part(struct xfer_req *part)
{
	return window_reserve(part->comm);
}

static void rma_cts_arrived(struct xfer_comm *comm, const struct wire_ctrl *msg)
{
	comm_fail(comm, -EPROTO,
		  "clear-to-send number %" PRIu32 " arrived as a message, which only the tagged protocol uses",
		  msg->seq);
}

const struct proto_ops rma_proto = {
	.open = rma_open,
	.close = rma_close,
	.fill_who = rma_fill_who,
	.connected = rma_connected,
	.cts = rma_cts,
	.cts_arrived = rma_cts_arrived,
	.send = rma_post_send,
	.recv = rma_recv,
	.slot_free = rma_slot_free,
	.recv_part = rma_recv_part,
	.fill_sub = rma_fill_sub,
	.cancel = rma_cancel,
	.discard = rma_discard,
	.settle = rma_settle,
	.abandon = rma_abandon,
	.busy = rma_busy,
	.all_arrived = rma_all_arrived,
	.eager = true,
	.recalls = true,
};

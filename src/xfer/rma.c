/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The RMA wire: messages by remote writes with immediate data, straight into the receiver's buffer.
 *
 *	receiver                                       sender
 *	  irecv k: mirror[k % window]
 *	           written by RMA               ---->  ring[k % window]
 *	                                               isend k: there? write into the buffer,
 *	  arrival names (channel, k, stripe)    <----  with immediate data
 *
 * No order between any two operations is assumed: a clear-to-send proves itself whole (wire/clear.h), a
 * message is there when its arrival is reported, and no byte of it is ever looked at before.
 *
 * Nothing can take back a receive that was announced but the sender's word: see rma_recall.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "xfer/internal.h"

/* A write of clear-to-sends that the provider holds. */
struct announcement {
	struct fab_op op; /* first */
	struct xfer_chan *chan;
	uint32_t places; /* a bit each */
};

_Static_assert(sizeof(struct announcement) <= PIECE_BYTES, "announcements fit the pieces' pool");
_Static_assert(WIRE_WINDOW == 32, "a bit for each place");

static void announced(struct fab_op *op, const struct fab_result *r);

int rma_open(struct xfer_chan *chan)
{
	int ret = ring_get(chan->port, &chan->ring);

	chan->told = chan->next_seq;
	if (ret || chan->kind == XFER_SEND)
		return ret;
	chan->rma = calloc(1, sizeof(*chan->rma));
	if (!chan->rma)
		return -ENOMEM;
	chan->rma->chan = chan;
	chan->rma->announced = chan->rma->credited = chan->rma->here = chan->next_seq;
	list_init(&chan->rma->link);
	return 0;
}

void rma_close(struct xfer_chan *chan)
{
	eager_close(chan);
	if (chan->rma)
		list_remove(&chan->rma->link);
	free(chan->rma);
	ring_put(chan->port, chan->ring);
}

/* --- sending --- */

static bool cleared(struct xfer_chan *chan, struct wire_clear *out)
{
	return wire_clear_take(chan->ring->entries, chan->id, chan->next_seq, out);
}

uint64_t rma_imm(const struct xfer_req *req, int i, int n)
{
	unsigned stripe = req->place == REQ_WHOLE ? (unsigned)i : req->place;

	return wire_imm(IDMAP_SLOT(req->chan->remote_id), req->seq, stripe, (unsigned)n, req->posted);
}

void *rma_desc(const struct xfer_req *req, const struct rail *rail)
{
	return fab_mr_desc((req->posted ? req->region->mr : req->chan->ring->mr)->rail[rail->index]);
}

static int write_whole(struct xfer_req *req, const void *buf, const struct wire_clear *clear)
{
	const struct path *path = &req->chan->peer->paths[0];

	return fab_write_imm(path->rail->ep, &req->op, buf, req->posted, rma_desc(req, path->rail), path->fab_addr,
			     clear->addr, clear->keys.one, rma_imm(req, 0, 1));
}

static int post_send(struct xfer_req *req, const void *buf, const struct wire_clear *clear)
{
	struct xfer_chan *chan = req->chan;
	int ret = chan->peer->path_count == 1 ? write_whole(req, buf, clear) : pieces_send(req, buf, clear);

	if (!ret && req->place == REQ_WHOLE && seq_at_or_after(req->seq, chan->told))
		chan->told = req->seq + 1; /* its receive is posted */
	return ret;
}

/* --- receiving --- */

/* Each path may bring a stripe. */
static void unexpect(const struct xfer_peer *peer, int paths)
{
	while (paths)
		fab_unexpect(peer->paths[--paths].rail->ep);
}

void rma_unexpect(const struct xfer_chan *chan)
{
	unexpect(chan->peer, chan->peer->path_count);
}

void rma_forget(struct xfer_req *req)
{
	struct xfer_chan *chan = req->chan;

	if (req->group && !group_forget(req))
		return;
	if (!req->group) {
		chan->rma->at[req->seq % WIRE_WINDOW] = NULL;
		if (!seq_at_or_after(req->seq, chan->rma->announced))
			chan->rma->open--;
	}
	rma_unexpect(chan);
}

int rma_expect(const struct xfer_chan *chan)
{
	const struct xfer_peer *peer = chan->peer;
	int i, ret = 0;

	for (i = 0; i < peer->path_count; i++) {
		ret = fab_expect(peer->paths[i].rail->ep);
		if (ret)
			break;
	}
	if (ret)
		unexpect(peer, i);
	return ret;
}

void rma_keys(const struct xfer_port *port, const struct dev_mr *mr, union wire_keys *out)
{
	int i;

	if (port->rail_count == 1)
		out->one = fab_mr_key(mr->rail[0]);
	else
		for (i = 0; i < port->rail_count; i++)
			out->each[i] = (uint32_t)fab_mr_key(mr->rail[i]);
}

/* Where the message shall go. One without bytes needs a place as well: any. */
static uint64_t fill_place(const struct xfer_req *req, union wire_keys *out)
{
	const struct xfer_chan *chan = req->chan;
	const struct dev_mr *mr = req->posted ? req->region->mr : chan->ring->mr;

	rma_keys(chan->port, mr, out);
	return req->posted ? fab_mr_remote_addr(chan->port->domain, (void *)mr->base, req->buf) : chan->ring->addr;
}

void rma_fill_sub(struct wire_sub *out, const struct xfer_req *part)
{
	out->addr = fill_place(part, &out->keys);
}

static int post_recv(struct xfer_req *req)
{
	struct xfer_chan *chan = req->chan;
	int ret;

	if (chan->rma->at[req->seq % WIRE_WINDOW])
		return -EAGAIN; /* a window of numbers lies behind one whose message has not come */
	if (eager_take(req))
		return 0;
	ret = rma_expect(chan);
	if (ret)
		return ret;
	chan->rma->at[req->seq % WIRE_WINDOW] = req;
	return 0;
}

/* Only when it is announced: many receives never are. */
static void fill_entry(const struct xfer_req *req)
{
	const struct xfer_chan *chan = req->chan;
	struct wire_clear *c = &chan->ring->entries[req->seq % WIRE_WINDOW];

	c->to = chan->remote_id;
	c->tag = req->tag;
	c->len = req->posted;
	c->addr = fill_place(req, &c->keys);
	wire_clear_seal(c, req->seq);
}

#define PATIENCE 64 /* looks at the completion queue */
#define NIC_IDLE 2  /* those that find nothing */

/*
 * An entry must not be overtaken by the next in its place, which may be written when a message has come eagerly. Where the
 * end of a write says that it is in place, any rail will do; else the leader keeps them in order.
 */
static const struct path *announcing_path(const struct xfer_chan *chan, size_t bytes)
{
	return chan->port->dev->nic->writes_native ? rail_best(chan->peer, bytes) : &chan->peer->paths[0];
}

static struct announcement *announcement_new(struct xfer_chan *chan, uint32_t first, uint32_t n)
{
	struct announcement *a = pool_get(&chan->port->piece_pool);

	if (!a)
		return NULL;
	a->op.done = announced;
	a->chan = chan;
	a->places = (uint32_t)((1ull << n) - 1) << first % WIRE_WINDOW;
	return a;
}

/* n in a row in the ring: injected, or by a write that is over when the provider says so. */
static int write_entries(struct xfer_chan *chan, uint32_t first, uint32_t n)
{
	struct rma_recv *r = chan->rma;
	const struct wire_clear *from = &chan->ring->entries[first % WIRE_WINDOW];
	size_t bytes = n * sizeof(*from);
	const struct path *path = announcing_path(chan, bytes);
	struct fab_ep *ep = path->rail->ep;
	uint64_t to = r->ring_addr + first % WIRE_WINDOW * sizeof(*from);
	uint64_t key = wire_key(&r->ring_keys, chan->peer->rails, path->remote);
	struct announcement *a;
	uint32_t i;
	int ret;

	for (i = 0; i < n; i++)
		fill_entry(r->at[(first + i) % WIRE_WINDOW]);
	if (bytes <= fab_inject_bytes(ep) && !chan->port->dev->nic->writes_native)
		return fab_write_inject(ep, from, bytes, path->fab_addr, to, key);
	a = announcement_new(chan, first, n);
	if (!a)
		return -ENOMEM;
	ret = fab_write(ep, &a->op, from, bytes, fab_mr_desc(chan->ring->mr->rail[path->rail->index]), path->fab_addr, to, key);
	if (ret)
		pool_put(&chan->port->piece_pool, a);
	else
		r->flying |= a->places;
	return ret;
}

/*
 * How many of n from there on can be written now: up to the ring's end, and to an entry that is still on its way, for
 * it would overtake the next in its place.
 */
static uint32_t writable(const struct rma_recv *r, uint32_t n)
{
	uint32_t place = r->announced % WIRE_WINDOW, room;

	for (room = 0; room < n && place + room < WIRE_WINDOW; room++)
		if (r->flying >> (place + room) & 1)
			break;
	return room;
}

static bool waits(const struct xfer_chan *chan, uint32_t seq)
{
	const struct xfer_req *req = chan->rma->at[seq % WIRE_WINDOW];

	return req && req->seq == seq;
}

/* Receives that an eager message has met need no announcement. False: nothing is left to announce. */
static bool skip_received(struct xfer_chan *chan)
{
	struct rma_recv *r = chan->rma;

	while (r->announced != group_first(chan) && !waits(chan, r->announced))
		r->announced++;
	return r->announced != group_first(chan);
}

/* How many receives in a row wait from there on. */
static uint32_t run_length(const struct xfer_chan *chan)
{
	uint32_t n = 0, left = group_first(chan) - chan->rma->announced;

	while (n < left && waits(chan, chan->rma->announced + n))
		n++;
	return n;
}

/*
 * One write announces several receives, and the sender can't need them before it has filled those announced: the
 * new ones wait until they are as many as those. Their number goes down with every arrival, so nobody waits for
 * ever; nor for long, if the sender is about to send a few more than that. Where the NIC writes by itself it is only
 * its requests that are spared: then no longer than there is something else to do.
 */
static bool may_wait(const struct xfer_chan *chan, uint32_t n)
{
	struct rma_recv *r = chan->rma;

	if (n >= r->open || (chan->port->idle >= NIC_IDLE && chan->port->dev->nic->writes_native))
		return false;
	return r->patience && r->patience--;
}

void rma_announce(struct xfer_chan *chan)
{
	struct rma_recv *r = chan->rma;
	bool held = false;
	int ret = 0;

	if (r->quiet)
		return;
	if (group_first(chan) - r->announced > WIRE_WINDOW)
		r->announced = group_first(chan) - WIRE_WINDOW;
	while (skip_received(chan) && !ret && !chan->err && !chan->peer_closed &&
	       !chan->peer->dead && !chan->doubt) {
		uint32_t n = run_length(chan);

		held = may_wait(chan, n);
		if (held)
			break;
		n = writable(r, n);
		if (!n)
			break; /* its end goes on with this */
		ret = write_entries(chan, r->announced, n);
		if (!ret) {
			r->announced += n;
			r->open += n;
			r->patience = PATIENCE;
		}
	}
	if (ret != -EAGAIN && !held)
		list_remove(&r->link);
	else if (list_empty(&r->link))
		list_append(&chan->port->announcing, &r->link);
	if (ret && ret != -EAGAIN)
		chan_doubt(chan, ret, strerror(-ret));
}

static void announced(struct fab_op *op, const struct fab_result *r)
{
	struct announcement *a = (struct announcement *)op;
	struct xfer_chan *chan = a->chan;

	chan->rma->flying &= ~a->places;
	pool_put(&chan->port->piece_pool, a);
	if (r->err)
		chan_doubt(chan, r->err == -ECANCELED ? -ECONNRESET : r->err, r->text);
	else
		rma_announce(chan);
}

static void announce(struct xfer_req *req)
{
	eager_posted(req->chan);
	rma_announce(req->chan);
}

void rma_progress(struct xfer_port *port)
{
	struct list *it, *tmp;

	list_each (&port->announcing, it, tmp)
		rma_announce(owner_of(it, struct rma_recv, link)->chan);
}

/* Notes a stripe. Is the message whole now, with *len bytes in all? */
static bool whole(struct xfer_req *req, uint64_t imm, size_t *len)
{
	unsigned all = (1u << wire_imm_stripes(imm)) - 1, this = 1u << wire_imm_stripe(imm);

	if (all == 1)
		return true;
	if (req->arrived & this)
		return false;
	req->len = req->arrived ? req->len + *len : *len;
	req->arrived |= (uint8_t)this;
	*len = req->len;
	return req->arrived == all;
}

/* The receive that the arrival is for, or NULL. */
static struct xfer_req *find(const struct xfer_chan *chan, uint64_t imm)
{
	struct xfer_req *req = chan->rma->at[wire_imm_place(imm)];

	return req && wire_imm_is(imm, req->seq) ? req : group_find(chan, imm);
}

void rma_arrival(void *arg, uint64_t imm, size_t len)
{
	struct rail *rail = arg;
	struct xfer_port *port = rail->port;
	struct xfer_chan *chan = idmap_at(&port->chans, wire_imm_slot(imm));
	struct xfer_req *req = chan && chan->rma ? find(chan, imm) : NULL;

	if (!req) {
		log_debug("NIC %s: a write arrived that no receive waits for", port->dev->rails[rail->index]->name);
		return;
	}
	chan->rails |= (uint8_t)(1u << rail->index);
	if (!whole(req, imm, &len))
		return;
	if (fab_imm_is_long(port->ep))
		len = wire_imm_len(imm);
	if (len > req->posted) {
		chan_fail(chan, -EPROTO, "receive number %" PRIu32 " of %zu bytes got %zu", req->seq,
			  req->posted, len);
		len = req->posted;
	}
	rma_forget(req);
	if (!req->group)
		chan->rma->here++;
	req_finish(req, 0, len);
	eager_received(chan, len);
	chan_fin(chan);
}

/* --- giving up --- */

static void cancel(struct xfer_chan *chan, bool all)
{
	struct list *it, *tmp;

	list_each (&chan->reqs, it, tmp) {
		struct xfer_req *req = owner_of(it, struct xfer_req, link);

		if (!all && group_comes(req))
			continue;
		rma_forget(req);
		req_finish(req, -ECANCELED, 0);
	}
}

void rma_recall(struct xfer_chan *chan)
{
	chan_send_close(chan);
	if (chan->peer_closed)
		rma_settle(chan);
}

void rma_settle(struct xfer_chan *chan)
{
	if (chan->rma && chan->err && chan->port->ep)
		cancel(chan, false);
}

void rma_abandon(struct xfer_chan *chan)
{
	if (chan->rma && chan->port->ep)
		cancel(chan, true);
}

const struct xfer_wire rma_wire = {
	.cleared = cleared,
	.send = post_send,
	.recv = post_recv,
	.announce = announce,
};

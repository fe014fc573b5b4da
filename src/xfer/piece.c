/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A message over the rails of the RMA wire: each stripe is a remote write of its own, whose immediate tells
 * the receiver how many there are. The message is sent when the last has completed.
 *
 * Once the first stripe is posted the message is under way: a later one that its rail can't take yet waits
 * in port->pieces_waiting.
 */
#include <errno.h>
#include <string.h>

#include "xfer/internal.h"

struct piece {
	struct fab_op op; /* first */
	struct list link; /* in port->pieces_waiting while not posted */
	struct xfer_req *req;
	struct path *path;
	const char *from;
	size_t len;
	uint64_t to, key, imm;
};

_Static_assert(sizeof(struct piece) <= PIECE_BYTES, "pieces fit their pool");

static void piece_done(struct fab_op *op, const struct fab_result *r)
{
	struct piece *p = (struct piece *)op;
	struct xfer_req *req = p->req;
	struct fab_result whole = *r;

	rail_completed(p->path->rail, p->len);
	pool_put(&req->chan->port->piece_pool, p);
	if (r->err)
		req_broken(req, r);
	if (--req->pieces)
		return;
	whole.err = req->err;
	req->op.done(&req->op, &whole);
}

static int piece_post(struct piece *p)
{
	struct rail *rail = p->path->rail;
	int ret = fab_write_imm(rail->ep, &p->op, p->from, p->len, rma_desc(p->req, rail), p->path->fab_addr, p->to, p->key,
				p->imm);

	if (!ret)
		rail_posted(rail, p->len);
	return ret;
}

static void piece_refused(struct piece *p, int err)
{
	struct fab_result r = {.err = err, .text = strerror(-err)};

	rail_posted(p->path->rail, p->len); /* piece_done takes it back */
	piece_done(&p->op, &r);
}

void pieces_progress(struct xfer_port *port)
{
	struct list *it, *tmp;

	list_each (&port->pieces_waiting, it, tmp) {
		struct piece *p = owner_of(it, struct piece, link);
		int ret = p->req->chan->peer->dead ? -ECONNRESET : piece_post(p);

		if (ret == -EAGAIN)
			continue;
		list_remove(&p->link);
		if (ret)
			piece_refused(p, ret);
	}
}

static struct piece *piece_new(struct xfer_req *req, const char *buf, const struct wire_clear *clear,
			       const struct stripe *s)
{
	const struct xfer_chan *chan = req->chan;
	struct piece *p = pool_get(&chan->port->piece_pool);

	if (!p)
		return NULL;
	p->op.done = piece_done;
	list_init(&p->link);
	p->req = req;
	p->path = s->path;
	p->from = buf + s->at;
	p->len = s->len;
	p->to = clear->addr + s->at;
	p->key = wire_key(&clear->keys, chan->peer->rails, s->path->remote);
	return p;
}

int pieces_send(struct xfer_req *req, const void *buf, const struct wire_clear *clear)
{
	struct xfer_chan *chan = req->chan;
	struct xfer_port *port = chan->port;
	struct stripe stripes[DEV_RAILS_MAX];
	struct piece *pieces[DEV_RAILS_MAX] = {NULL};
	int i, ret = 0, n = 1;

	if (req->place == REQ_WHOLE)
		n = rail_stripes(chan->peer, req->posted, stripes);
	else
		stripes[0] = (struct stripe){.path = rail_best(chan->peer, req->posted), .len = req->posted};
	for (i = 0; i < n && !ret; i++) {
		pieces[i] = piece_new(req, buf, clear, &stripes[i]);
		if (!pieces[i])
			ret = -ENOMEM;
		else
			pieces[i]->imm = rma_imm(req, i, n);
	}
	if (!ret)
		ret = piece_post(pieces[0]);
	if (ret) {
		n = i;
		for (i = 0; i < n; i++)
			if (pieces[i])
				pool_put(&port->piece_pool, pieces[i]);
		return ret;
	}
	req->pieces = (uint8_t)n;
	for (i = 1; i < n; i++) {
		ret = piece_post(pieces[i]);
		if (ret == -EAGAIN)
			list_append(&port->pieces_waiting, &pieces[i]->link);
		else if (ret)
			piece_refused(pieces[i], ret);
	}
	return 0;
}

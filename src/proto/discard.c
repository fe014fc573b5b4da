/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Discard receives: cancelling receives so that their memory can be freed, without harming other comms.
 *
 * After its clear-to-send a receive can be cancelled at the provider, but not at the sender: the message may be on the
 * way, and would arrive unexpected and block the stream behind it. So a discard receive into scratch memory takes the
 * receive's place, until the message has arrived or the sender's CLOSE reports that it was never sent.
 *
 * A message whose bytes are already moving cannot be cancelled. The close waits for it, and after WEFT_CLOSE_TIMEOUT
 * shuts the endpoint down, which is the only fence left.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "comm/account.h"
#include "proto/tagged.h"

struct discard {
	struct fab_op op;     /* first */
	struct list link;     /* in ep->discards */
	struct pending retry; /* while not posted */
	struct xfer_ep *ep;
	struct rail *rail;
	struct fab_mr *mr;
	void *scratch;
	size_t len;
	uint32_t comm_id;
	uint32_t seq;
	uint8_t sub_index;
};

static void discard_free(struct discard *o)
{
	list_remove(&o->link);
	list_remove(&o->retry.link);
	fab_mr_close(o->mr);
	free(o->scratch);
	free(o);
}

static void discard_done(struct fab_op *op, const struct fab_result *r)
{
	(void)r; /* discarded data, or the result of our own cancel */
	discard_free((struct discard *)op);
}

static void discard_post(struct discard *o)
{
	struct xfer_ep *ep = o->ep;
	int ret = fab_trecv(o->rail->fab, &o->op, o->scratch, o->len, fab_mr_desc(o->mr),
			    tagged_tag(o->comm_id, o->seq, o->sub_index));

	if (ret == -EAGAIN) {
		pending_add(ep, &o->retry);
	} else if (ret) {
		log_debug("cannot post a discard receive: %s", strerror(-ret));
		discard_free(o);
	}
}

static void discard_again(struct pending *p)
{
	discard_post(container_of(p, struct discard, retry));
}

static void discard_new(struct xfer_comm *comm, const struct xfer_req *req)
{
	struct xfer_ep *ep = comm->ep;
	size_t len = req->posted;
	struct discard *o = calloc(1, sizeof(*o));

	if (!o)
		return;
	o->op.done = discard_done;
	o->ep = ep;
	o->comm_id = comm->id;
	o->seq = req->seq;
	o->sub_index = req->sub_index;
	o->len = len;
	o->rail = tagged_path(comm, req->seq)->rail;
	o->scratch = malloc(len ? len : 1);
	list_init(&o->link);
	list_init(&o->retry.link);
	o->retry.retry = discard_again;
	if (!o->scratch || fab_mr_reg(ep->access->domains[o->rail->nic], o->scratch, len, &o->mr)) {
		log_debug("no memory for a discard receive");
		discard_free(o);
		return;
	}
	list_append(&ep->discards, &o->link);
	discard_post(o);
}

/* Does it belong to the comm of this CLOSE, and was its message never sent? */
static bool discard_never_sent(const struct discard *o, const struct wire_ctrl *close)
{
	return o->comm_id == close->to && !group_was_sent(o->seq, o->sub_index, close->seq, (uint8_t)close->len);
}

void discards_settle(struct xfer_ep *ep, const struct wire_ctrl *close)
{
	struct list *it, *tmp;

	list_each (&ep->discards, it, tmp) {
		struct discard *o = container_of(it, struct discard, link);

		if (!discard_never_sent(o, close))
			continue;
		if (!list_empty(&o->retry.link))
			discard_free(o);
		else if (ep->fab)
			fab_cancel(o->rail->fab, &o->op);
	}
}

void discards_close(struct xfer_ep *ep)
{
	while (!list_empty(&ep->discards))
		discard_free(container_of(ep->discards.next, struct discard, link));
}

void tagged_cancel(struct xfer_comm *comm, const struct xfer_region *region)
{
	struct list *it, *tmp;

	if (comm->kind != XFER_RECV)
		return;
	list_each (&comm->reqs, it, tmp) {
		struct xfer_req *req = container_of(it, struct xfer_req, link);

		if (req->done)
			continue;
		if (req_uses(req, region) && req->group && !window_forget_part(req)) { /* it was not posted */
			account_failed(req, -ESHUTDOWN);
			req_finish(req, -ESHUTDOWN, 0);
		} else if (req_uses(req, region)) {
			fab_cancel(tagged_path(comm, req->seq)->rail->fab, &req->op);
		}
	}
}

/* Posts discard receives for the messages that the sender may still send. */
void discards_post(struct xfer_comm *comm, const struct xfer_region *region)
{
	struct list *it, *tmp;

	if (comm->kind != XFER_RECV || !comm->ep->fab || comm->watch.gone_since_us)
		return;
	list_each (&comm->reqs, it, tmp) {
		struct xfer_req *req = container_of(it, struct xfer_req, link);

		if (!req->done)
			continue;
		if (req->err == -ECANCELED && req_uses(req, region) && (!comm->close.peer_closed || group_comes(req)))
			discard_new(comm, req);
		if (req->err == -ECANCELED)
			req->err = -ESHUTDOWN; /* so that it is replaced only once */
	}
}

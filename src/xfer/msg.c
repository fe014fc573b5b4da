/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sending, receiving and testing messages, on either protocol (tagged.c, rma.c).
 *
 * The k-th send matches the k-th receive and must have its tag. A send starts after the clear-to-send of its receive,
 * so no message is unexpected to the provider: on providers with one byte stream per peer, an unexpected message
 * would block all comms behind it.
 */
#include <errno.h>
#include <inttypes.h>

#include "base/log.h"
#include "comm/account.h"
#include "proto/eager.h"
#include "proto/flush.h"
#include "proto/group.h"
#include "proto/rma.h"
#include "xfer/internal.h"

__attribute__((cold, noinline)) static int outside(const struct xfer_comm *comm, const void *buf, size_t len)
{
	log_warn("a %s of %zu bytes at %p lies outside the memory registered for it",
		 comm->kind == XFER_SEND ? "send" : "receive", len, buf);
	return -EINVAL;
}

static int check_buffer(const struct xfer_comm *comm, const void *buf, size_t len, const struct xfer_region *region)
{
	const char *p = buf;

	if (region && region->comm == comm) {
		size_t at = (size_t)(p - region->base); /* larger than any region if p is below it */

		if (at <= region->len && len <= region->len - at)
			return 0;
	}
	return len ? outside(comm, buf, len) : 0;
}

/* Has the clear-to-send of the next message arrived, with this tag? */
static bool find_cts(struct xfer_comm *comm, uint32_t tag, struct wire_cts *out, uint8_t *out_sub)
{
	if (comm->tx.groups && group_sub(comm, tag, out, out_sub))
		return true;
	*out_sub = REQ_WHOLE;
	if (comm->tx.only_groups || !comm->proto->cts(comm, out))
		return false;
	if (!comm->has_tag)
		comm->tag = out->tag;
	comm->has_tag = true;
	return out->tag == tag;
}

/* The same, with a poll if it has not. */
static bool next_cts(struct xfer_comm *comm, uint32_t tag, struct wire_cts *out, uint8_t *out_sub)
{
	if (find_cts(comm, tag, out, out_sub))
		return true;
	xfer_ep_poll(comm->ep);
	return find_cts(comm, tag, out, out_sub);
}

/*
 * A message on a comm that has failed or whose peer has closed its half. Starting it is no error, because either side
 * may close first; testing the request returns the error.
 */
static int start_failed(struct xfer_comm *comm, size_t len, struct xfer_region *region, struct xfer_req **out)
{
	struct xfer_req *req;

	account_forget_ask(comm);
	if (!req_fits(comm))
		return comm->err ? comm->err : -EAGAIN;
	req = req_new(comm, NULL, len, region);
	if (!req)
		return -ENOMEM;
	req->done = true;
	req->err = -ECONNRESET;
	comm->outstanding++; /* but not next_seq, from which CLOSE reports how many messages were sent */
	*out = req;
	return 0;
}

/* From time to time: does this isend wait for any clear-to-send, not only for one with its tag? */
static void note_want(struct xfer_comm *comm)
{
	struct wire_cts cts;

	if (comm->watch.idle_polls % IDLE_POLLS == 1)
		comm->watch.wants = !(comm->tx.groups && group_cts_is_here(comm)) && !comm->proto->cts(comm, &cts);
}

/*
 * The plain send: a small message to a receiver that posts no clear-to-sends, which the provider takes at once, so that
 * the request is done. Anything else returns NULL, with nothing changed, and takes the long way through send_locked.
 */
static struct xfer_req *send_plain(struct xfer_comm *comm, const void *buf, size_t len, uint32_t tag,
				   const struct xfer_region *region)
{
	struct xfer_req *req;

	if (!eager_first(comm, len, tag, region) || comm->close.peer_closed || comm->outstanding >= WIRE_WINDOW ||
	    account_waits(comm) || comm->profile_next)
		return NULL;
	req = req_get(comm);
	if (!req)
		return NULL;
	if (!eager_inject(comm, buf, len, tag)) {
		req_spare(comm, req);
		return NULL;
	}
	req->err = 0;
	req->profile = NULL;
	account_eager(comm, len);
	req_complete(comm, req, len);
	comm->outstanding++;
	comm->next_seq++;
	return req;
}

__attribute__((noinline)) static int send_locked(struct xfer_comm *comm, void *buf, size_t len, uint32_t tag,
						 struct xfer_region *region, struct xfer_req **out)
{
	uint8_t sub_index = REQ_WHOLE;
	struct wire_cts cts;
	struct xfer_req *req;
	bool has_cts, eager;
	int ret;

	if (!req_fits(comm)) {
		xfer_ep_poll(comm->ep);
		return comm->err ? comm->err : -EAGAIN;
	}
	has_cts = !eager_first(comm, len, tag, region) && next_cts(comm, tag, &cts, &sub_index);
	eager = !has_cts && eager_may(comm, len, tag, region);
	if (!comm->err && !has_cts && !eager)
		comm_idle(comm);
	if (comm->err || comm->close.peer_closed)
		return start_failed(comm, len, region, out);
	if (!has_cts && !eager) {
		account_asked(comm, len);
		eager_request_cts(comm, len, tag, region);
		note_want(comm);
		return -EAGAIN;
	}
	if (has_cts && len > cts.len) {
		comm_fail(comm, -EMSGSIZE, "send number %" PRIu32 " has %zu bytes, the receive posted for it %" PRIu64,
			  comm->next_seq, len, cts.len);
		return comm->err;
	}
	req = req_new(comm, buf, len, region);
	if (!req)
		return -ENOMEM;
	req->tag = tag;
	req->sub_index = sub_index;
	ret = eager ? eager_send(req, buf) : comm->proto->send(req, buf, &cts);
	if (ret) {
		req_drop(comm, req);
		if (ret != -EAGAIN) {
			comm_fail(comm, ret, "send number %" PRIu32 " was refused", comm->next_seq);
		} else {
			account_refused(comm, len);
			xfer_ep_poll(comm->ep);
			comm_idle(comm);
		}
		return comm->err ? start_failed(comm, len, region, out) : -EAGAIN;
	}
	if (eager)
		account_sent_eagerly(comm, req);
	else
		account_sent(comm, req);
	comm->outstanding++;
	if (sub_index == REQ_WHOLE)
		comm->next_seq++;
	else
		group_sent(comm, sub_index);
	*out = req;
	return 0;
}

/*
 * The plain receive: outside groups, with the tag of the receives before. Anything else returns NULL, with nothing
 * changed, and takes the long way through recv_locked.
 */
static struct xfer_req *recv_plain(struct xfer_comm *comm, void *buf, size_t len, uint32_t tag,
				   struct xfer_region *region)
{
	struct xfer_req *req;

	if (comm->err || !comm->has_tag || comm->tag != tag || comm->outstanding >= WIRE_WINDOW)
		return NULL;
	req = req_new(comm, buf, len, region);
	if (!req)
		return NULL;
	req->tag = tag;
	account_receive(req);
	if (comm->rx.rma && rma_recv_plain(comm, req)) {
		account_accepted(comm, 1);
		comm->outstanding++;
		return req;
	}
	if (comm->proto->recv(req)) {
		req_spare(comm, req);
		return NULL;
	}
	account_accepted(comm, 1);
	comm->outstanding++;
	return req;
}

static int recv_whole(struct xfer_comm *comm, const struct xfer_sub *sub, struct xfer_req **out)
{
	struct xfer_req *req;
	int ret;

	if (!req_fits(comm)) {
		xfer_ep_poll(comm->ep);
		return comm->err ? comm->err : -EAGAIN;
	}
	req = req_new(comm, sub->buf, sub->len, sub->region);
	if (!req)
		return -ENOMEM;
	req->tag = comm->tag = sub->tag;
	comm->has_tag = true;
	account_receive(req);
	ret = comm->proto->recv(req);
	if (ret) {
		req_drop(comm, req);
		if (ret != -EAGAIN) {
			comm_fail(comm, ret, "receive number %" PRIu32 " was refused", comm->next_seq);
		} else {
			account_refused(comm, sub->len);
			xfer_ep_poll(comm->ep);
			comm_idle(comm);
		}
		return comm->err ? start_failed(comm, sub->len, sub->region, out) : -EAGAIN;
	}
	account_accepted(comm, 1);
	comm->outstanding++;
	*out = req;
	return 0;
}

static int recv_group(struct xfer_comm *comm, int n, const struct xfer_sub subs[], struct xfer_req **out)
{
	int ret = req_fits(comm) ? group_recv(comm, n, subs, out) : -EAGAIN;

	if (ret == -EAGAIN) {
		xfer_ep_poll(comm->ep);
		comm_idle(comm);
		return comm->err ? start_failed(comm, 0, NULL, out) : ret;
	}
	if (ret)
		return ret;
	account_accepted(comm, n);
	comm->next_seq++;
	comm->outstanding++;
	group_progress(comm);
	return 0;
}

__attribute__((noinline)) static int recv_locked(struct xfer_comm *comm, int n, const struct xfer_sub subs[],
						 struct xfer_req **out)
{
	if (comm->err)
		return start_failed(comm, 0, NULL, out);
	if (n == 1 && !comm->rx.grp && (!comm->has_tag || comm->tag == subs->tag))
		return recv_whole(comm, subs, out);
	return recv_group(comm, n, subs, out);
}

int xfer_isend(struct xfer_comm *comm, void *buf, size_t len, uint32_t tag, struct xfer_region *region,
	       struct xfer_req **out)
{
	int ret = check_buffer(comm, buf, len, region);

	*out = NULL;
	if (ret)
		return ret;
	xfer_ep_lock(comm->ep);
	if (comm->err)
		ret = start_failed(comm, len, region, out);
	else if (!(*out = send_plain(comm, buf, len, tag, region)))
		ret = send_locked(comm, buf, len, tag, region, out);
	xfer_ep_unlock(comm->ep);
	return ret;
}

int xfer_irecv_one(struct xfer_comm *comm, void *buf, size_t len, uint32_t tag, struct xfer_region *region,
		   struct xfer_req **out)
{
	int ret = check_buffer(comm, buf, len, region);

	*out = NULL;
	if (ret)
		return ret;
	xfer_ep_lock(comm->ep);
	*out = recv_plain(comm, buf, len, tag, region);
	if (!*out)
		ret = recv_locked(comm, 1, &(struct xfer_sub){.buf = buf, .len = len, .tag = tag, .region = region},
				  out);
	xfer_ep_unlock(comm->ep);
	return ret;
}

int xfer_irecv(struct xfer_comm *comm, int n, const struct xfer_sub subs[], struct xfer_req **out)
{
	int i, ret = 0;

	*out = NULL;
	for (i = 0; i < n && !ret; i++)
		ret = check_buffer(comm, subs[i].buf, subs[i].len, subs[i].region);
	if (ret)
		return ret;
	xfer_ep_lock(comm->ep);
	ret = recv_locked(comm, n, subs, out);
	xfer_ep_unlock(comm->ep);
	return ret;
}

/* The peer has closed its half. Did it not send a message that this receive waits for? */
static bool req_never_sent(const struct xfer_req *req)
{
	unsigned i;

	for (i = 0; i < req->parts; i++)
		if (!req->part[i]->done && !group_comes(req->part[i]))
			return true;
	return !req->parts && !group_comes(req);
}

/* The request has been polled. */
__attribute__((always_inline)) static inline int test_polled(struct xfer_req *req, size_t out_lens[])
{
	struct xfer_comm *comm = req->comm;

	if (req->done && !req->err) {
		int ret = comm->rx.self_flush ? flush_self(req) : 1;

		if (!ret)
			comm_idle_for_nic(comm);
		if (ret <= 0)
			return ret ? ret : comm->err;
		comm->outstanding--;
		if (req->parts)
			return group_take(req, out_lens);
		out_lens[0] = req->len;
		req_spare(comm, req);
		return 1;
	}
	if (!comm->err && req->err)
		comm_fail(comm, req->err,
			  comm->kind == XFER_SEND ? "the peer has closed its half before send number %" PRIu32
						  : "the memory of receive number %" PRIu32 " is gone",
			  req->seq);
	if (!comm->err && comm->close.peer_closed && comm->kind == XFER_RECV && req_never_sent(req))
		comm_fail(comm, -ECONNRESET, "the peer has closed its half after %" PRIu32 " messages",
			  comm->close.peer_sent);
	if (!comm->err)
		comm_idle(comm);
	return comm->err;
}

static inline int test_locked(struct xfer_req *req, size_t out_lens[])
{
	if (req->flush) {
		out_lens[0] = 0;
		return flush_test(req);
	}
	if (!req->done || req->flushing)
		xfer_ep_poll(req->comm->ep);
	return test_polled(req, out_lens);
}

int xfer_test_noting(struct xfer_req *req, size_t out_lens[], void (*note)(const struct xfer_req *req, void *arg),
		     void *arg)
{
	struct xfer_ep *ep = req->comm->ep;
	int ret;

	xfer_ep_lock(ep);
	if (!req->done || req->flushing)
		xfer_ep_poll(ep);
	note(req, arg);
	ret = test_polled(req, out_lens);
	xfer_ep_unlock(ep);
	return ret;
}

int xfer_test(struct xfer_req *req, size_t out_lens[])
{
	struct xfer_ep *ep = req->comm->ep;
	int ret;

	xfer_ep_lock(ep);
	ret = test_locked(req, out_lens);
	xfer_ep_unlock(ep);
	return ret;
}

bool xfer_is_done(struct xfer_req *req, size_t *out_len)
{
	if (!req_is_ready(req))
		return false;
	*out_len = req->len;
	req_take(req);
	return true;
}

int xfer_flush(struct xfer_comm *comm, void *buf, struct xfer_region *region, struct xfer_req **out)
{
	int ret;

	*out = NULL;
	if (!region_is_gpus(region))
		return 0;
	if (region->comm != comm)
		return outside(comm, buf, 0);
	xfer_ep_lock(comm->ep);
	ret = flush_start(comm, buf, region, out);
	xfer_ep_unlock(comm->ep);
	return ret;
}

void xfer_comm_self_flush(struct xfer_comm *comm)
{
	comm->rx.self_flush = true;
}

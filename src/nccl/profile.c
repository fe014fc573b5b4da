/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Events for NCCL's profiler; see profile.h. The callback runs outside the endpoint's lock. Its rules: a start needs a
 * handle, it writes the event only if a profiler wants it, and an event that was not written must not be stopped.
 */
#include "nccl/profile.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/pool.h"
#include "comm/profile.h"
#include "comm/req.h"
#include "weft/profile.h"

enum { EVENT_START, EVENT_STOP, EVENT_UPDATE, EVENT_UPDATE_AND_STOP };

static _Atomic(weft_nccl_profiler) callback_now;
static pthread_mutex_t notes_lock = PTHREAD_MUTEX_INITIALIZER;
static struct pool notes; /* of struct req_profile; never freed */
static bool notes_ready;

void profile_in_child(void)
{
	pthread_mutex_init(&notes_lock, NULL);
	notes_ready = false;
}

void profile_set(weft_nccl_profiler callback)
{
	if (callback)
		atomic_store(&callback_now, callback);
}

bool profile_wanted(struct xfer_comm *comm)
{
	if (!atomic_load_explicit(&callback_now, memory_order_relaxed))
		return false;
	return seq_at_or_after(comm->next_seq, comm->profile_ask_seq);
}

static struct req_profile *note_get(void)
{
	struct req_profile *p;

	pthread_mutex_lock(&notes_lock);
	if (!notes_ready)
		pool_init(&notes, sizeof(struct req_profile), 32);
	notes_ready = true;
	p = pool_get(&notes);
	pthread_mutex_unlock(&notes_lock);
	if (!p)
		return NULL;
	memset(p, 0, sizeof(*p));
	list_init(&p->link);
	return p;
}

static void note_put(struct req_profile *p)
{
	pthread_mutex_lock(&notes_lock);
	pool_put(&notes, p);
	pthread_mutex_unlock(&notes_lock);
}

static void fill(struct weft_profile *d, const struct xfer_comm *comm, const struct req_profile *p,
		 const struct profile_part *part, bool final, int err)
{
	*d = (struct weft_profile){.receive = comm->kind == XFER_RECV,
				   .eager = p->eager,
				   .rail = part->rail,
				   .final = final,
				   .err = -err,
				   .number = part->number,
				   .peer_pid = comm->peer->who.pid,
				   .bytes = part->bytes,
				   .waited_ns = (uint64_t)part->peer_us * 1000,
				   .on_wire_ns = (uint64_t)part->wire_us * 1000};
	snprintf(d->peer_host, sizeof(d->peer_host), "%.63s", comm->peer->who.host);
}

static void call(const struct xfer_comm *comm, const struct req_profile *p, struct profile_part *part, int kind,
		 void *phandle, int err)
{
	weft_nccl_profiler callback = atomic_load(&callback_now);
	struct weft_profile data;

	fill(&data, comm, p, part, kind == EVENT_UPDATE_AND_STOP, err);
	if (kind != EVENT_START && !part->event)
		return;
	callback(&part->event, kind, phandle, WEFT_PROFILE_ID, &data);
	if (kind == EVENT_STOP || kind == EVENT_UPDATE_AND_STOP)
		part->event = NULL;
}

/* Notes the state of one message of a request. */
static void note_message(struct profile_part *part, const struct xfer_req *req)
{
	bool receive = req->comm->kind == XFER_RECV;

	part->number = req->seq;
	part->bytes = receive && req->done ? req->len : req->posted;
	part->peer_us = req->peer_us;
	if (req->done && receive && req->since && !req->arrived) /* an eager one, which is not timed */
		part->peer_us = stats_us(req->comm->stats.ep, stats_now() - req->since);
	else if (req->done)
		part->wire_us = (uint32_t)req->since;
	part->rail = receive && (!req->done || req->arrived) ? WEFT_PROFILE_RAIL_UNKNOWN : req->rail;
	part->done = req->done;
	part->begun = receive && req->arrived;
}

/* Notes the state of the request. Needs the endpoint's lock. */
static void note(const struct xfer_req *req, void *arg)
{
	struct req_profile *p = arg;
	int i;

	if (p->stripes) {
		for (i = 0; i < p->stripes; i++) {
			p->part[i].number = req->seq;
			p->part[i].peer_us = req->peer_us;
			p->part[i].done = p->part[i].landed;
		}
		p->parts = p->stripes;
	} else if (req->parts) {
		for (i = 0; i < req->parts; i++)
			note_message(&p->part[i], req->part[i]);
		p->parts = req->parts;
	} else {
		note_message(&p->part[0], req);
		p->parts = 1;
		p->eager = req->comm->kind == XFER_SEND && req->copied;
	}
}

/* From now on the request has no notes. */
static void forget(struct xfer_req *req, struct req_profile *p)
{
	xfer_ep_lock(req->comm->ep);
	req->profile = NULL;
	list_remove(&p->link);
	xfer_ep_unlock(req->comm->ep);
	note_put(p);
}

struct req_profile *profile_begin(struct xfer_comm *comm)
{
	return comm->profile_next = note_get();
}

/* Starts the events of a new request, or forgets the notes if nobody wants them. */
void profile_begun(struct xfer_comm *comm, struct req_profile *p, struct xfer_req *req, void **phandles)
{
	bool any = false;
	int i;

	comm->profile_next = NULL;
	if (!p)
		return;
	if (!req) {
		note_put(p);
		return;
	}
	xfer_ep_lock(comm->ep);
	req->profile = p;
	note(req, p);
	xfer_ep_unlock(comm->ep);
	for (i = 0; i < p->parts; i++) {
		void *phandle = phandles[comm->kind == XFER_SEND ? 0 : i];

		if (phandle)
			call(comm, p, &p->part[i], EVENT_START, phandle, 0);
		any |= p->part[i].event != NULL;
	}
	if (!any) {
		comm->profile_ask_seq = comm->next_seq + PROFILE_ASK_EVERY - 1;
		forget(req, p);
		return;
	}
	xfer_ep_lock(comm->ep);
	comm->profile_ask_seq = comm->next_seq; /* stays in reach of wrapping numbers */
	list_append(&comm->profiles, &p->link);
	xfer_ep_unlock(comm->ep);
}

/* Tells the profiler of stripes that have completed, and of messages that begin to arrive. */
static void tell_progress(const struct xfer_comm *comm, struct req_profile *p)
{
	int i;

	for (i = 0; i < p->stripes; i++)
		if (p->part[i].done && p->part[i].event)
			call(comm, p, &p->part[i], EVENT_UPDATE_AND_STOP, NULL, 0);
	for (i = 0; i < p->parts; i++) {
		if (!p->part[i].begun || p->part[i].told)
			continue;
		p->part[i].told = true;
		call(comm, p, &p->part[i], EVENT_UPDATE, NULL, 0);
	}
}

int profile_test(struct xfer_req *req, size_t out_lens[])
{
	struct req_profile *p = req->profile;
	struct xfer_comm *comm = req->comm;
	int i, ret = xfer_test_noting(req, out_lens, note, p);

	if (!ret) {
		tell_progress(comm, p);
		return 0;
	}
	for (i = 0; i < p->parts; i++)
		call(comm, p, &p->part[i], EVENT_UPDATE_AND_STOP, NULL, ret < 0 ? ret : 0);
	if (ret < 0) {
		forget(req, p);
		return ret;
	}
	xfer_ep_lock(comm->ep); /* the request is gone */
	list_remove(&p->link);
	xfer_ep_unlock(comm->ep);
	note_put(p);
	return ret;
}

void profile_close(struct xfer_comm *comm)
{
	struct list left, *it, *tmp;
	int i;

	if (!comm)
		return;
	list_init(&left);
	list_each (&comm->profiles, it, tmp) {
		struct req_profile *p = container_of(it, struct req_profile, link);

		for (i = 0; i < p->parts; i++)
			call(comm, p, &p->part[i], EVENT_STOP, NULL, 0);
		list_remove(it);
		list_append(&left, it);
	}
	xfer_comm_close(comm);
	list_each (&left, it, tmp) /* only now does no request use them */
		note_put(container_of(it, struct req_profile, link));
}

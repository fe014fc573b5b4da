/* SPDX-License-Identifier: Apache-2.0 */
/* A request is one message in flight on a comm, or one group of messages. */
#ifndef WEFT_COMM_REQ_H
#define WEFT_COMM_REQ_H

#include <string.h>

#include "comm/comm.h"

#define REQ_WHOLE 0xff /* sub_index of a message outside groups */

struct xfer_req {
	union {
		struct fab_op op;		       /* first: libfabric's context */
		struct xfer_req *part[WIRE_GROUP_MAX]; /* a group: the requests of its parts */
	};
	struct list link; /* in comm->reqs; a group: in its comm's lists of groups */
	struct xfer_comm *comm;
	size_t len;	   /* bytes of the message, valid when done */
	uint8_t sub_index; /* index in the group, or REQ_WHOLE */
	uint32_t seq, tag;
	struct xfer_req *next; /* in comm->taken or comm->spare */
	struct xfer_region *region;
	void *buf;
	size_t posted;			  /* bytes of the buffer */
	struct xfer_req *group;		  /* receiving: the group that this is a part of, or NULL */
	struct xfer_region *flush_region; /* the registration that the flush reads from */
	char *flush_at;			  /* the byte that the flush reads */

	/* From here on set to zero by req_new. */
	bool done;
	bool ready;			   /* done, and test has only to return `len`: it needs no lock; set last */
	bool copied;			   /* the data was copied, so the provider does not access the user's buffer */
	bool flush;			   /* a request of xfer_flush, not a message */
	bool flushing, flushed;		   /* state of a receive that is flushed before it is done */
	uint8_t flush_todo;		   /* bit mask of the rails whose reads must still be posted */
	uint8_t flush_left;		   /* number of reads in flight */
	uint8_t stripes_left;		   /* sending: stripes that have not completed */
	uint8_t arrived;		   /* receiving: bit mask of the stripes that have arrived */
	uint8_t brought;		   /* receiving: bit mask of the rails that brought stripes */
	uint8_t rail;			   /* that carried the message, or WEFT_STATS_NO_RAIL: several */
	uint8_t parts, posted_parts, left; /* number of a group's parts: all, posted, not done; 0 without a group */
	int err;
	uint32_t peer_us;	     /* time that it waited for the peer */
	struct req_profile *profile; /* notes for a profiler, or NULL */
	uint64_t since;		     /* time, in ticks, since it waits; when a timed one is done: us on the wire */
};

static inline bool req_is_ready(const struct xfer_req *req)
{
	return __atomic_load_n(&req->ready, __ATOMIC_ACQUIRE);
}

/* The slow half of req_get. */
struct xfer_req *req_alloc(struct xfer_comm *comm);

/*
 * With `spare` empty or the window full: makes the requests that test has returned available for the next messages.
 * Returns the first of them, or NULL.
 */
static inline struct xfer_req *req_reap(struct xfer_comm *comm)
{
	struct xfer_req *req, *first = comm->spare, *next;

	if (!atomic_load_explicit(&comm->taken, memory_order_relaxed))
		return first;
	for (req = atomic_exchange_explicit(&comm->taken, NULL, memory_order_acquire); req; req = next) {
		next = req->next;
		req->next = first;
		first = req;
		comm->outstanding--;
	}
	comm->spare = first;
	return first;
}

/* Can another request start? At most WIRE_WINDOW of them may be outstanding. */
static inline bool req_fits(struct xfer_comm *comm)
{
	if (comm->outstanding == WIRE_WINDOW)
		req_reap(comm);
	return comm->outstanding < WIRE_WINDOW;
}

/* Memory of a request, linked in comm->reqs; only `comm` is set. NULL: out of memory. */
static inline struct xfer_req *req_get(struct xfer_comm *comm)
{
	struct xfer_req *req = comm->spare;

	if (!req)
		req = req_reap(comm);
	if (!req)
		return req_alloc(comm);
	comm->spare = req->next;
	return req;
}

/* A request in flight for message comm->next_seq. NULL: out of memory. */
static inline struct xfer_req *req_new(struct xfer_comm *comm, void *buf, size_t len, struct xfer_region *region)
{
	struct xfer_req *req = req_get(comm);

	if (!req)
		return NULL;
	req->region = region;
	req->buf = buf;
	req->posted = len;
	req->seq = comm->next_seq;
	req->sub_index = REQ_WHOLE;
	memset(&req->done, 0, sizeof(*req) - offsetof(struct xfer_req, done));
	return req;
}

/* A request that has failed stays with the endpoint, because its provider may report it again (fab_op_over). */
void req_drop(struct xfer_comm *comm, struct xfer_req *req);

/* Test returns this request, which is `ready`. Needs no lock: the comm finds it in req_reap. */
static inline void req_take(struct xfer_req *req)
{
	_Atomic(struct xfer_req *) *taken = &req->comm->taken;

	req->next = atomic_load_explicit(taken, memory_order_relaxed);
	while (!atomic_compare_exchange_weak_explicit(taken, &req->next, req, memory_order_release,
						      memory_order_relaxed))
		;
}

/* Keeps the memory of a request outside groups that nobody uses any more for another message. */
static inline void req_spare(struct xfer_comm *comm, struct xfer_req *req)
{
	req->done = true;
	req->next = comm->spare;
	comm->spare = req;
}

/* Completes the request with a message of len bytes, after which a closing step may be due. */
void req_finish(struct xfer_req *req, int err, size_t len);

/* The parts of req_finish that count the message, without an error. */
static inline void req_complete(struct xfer_comm *comm, struct xfer_req *req, size_t len)
{
	comm->completions++;
	comm->peer->moves++;
	req->len = len;
	req->done = true;
	__atomic_store_n(&req->ready, !comm->rx.self_flush, __ATOMIC_RELEASE);
}
/* An operation of the request has failed, which fails the comm. The request completes after all its operations. */
void req_broken(struct xfer_req *req, const struct fab_result *r);

/* req_finish for a message outside groups, without an error. */
static inline void req_finish_whole(struct xfer_comm *comm, struct xfer_req *req, size_t len)
{
	req_complete(comm, req, len);
	if (comm->close.peer_closed)
		comm_kick(comm);
}

/* The request in flight with the smallest number, or NULL. For slow paths. */
static inline struct xfer_req *req_oldest(const struct xfer_comm *comm)
{
	struct xfer_req *oldest = NULL;
	struct list *it, *tmp;

	list_each (&comm->reqs, it, tmp) {
		struct xfer_req *req = container_of(it, struct xfer_req, link);

		if (!req->done && (!oldest || seq_at_or_after(oldest->seq, req->seq)))
			oldest = req;
	}
	return oldest;
}

/* May the provider access memory of this registration (NULL: of any) for the request? */
static inline bool req_uses(const struct xfer_req *req, const struct xfer_region *region)
{
	return !req->copied && (!region || req->region == region);
}

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the record counts and times of a comm's messages (include/weft/stats.h explains the figures). The functions of
 * the data path are a few stores each. All need the endpoint's lock.
 */
#ifndef WEFT_COMM_ACCOUNT_H
#define WEFT_COMM_ACCOUNT_H

#include <stdatomic.h>

#include "comm/stall.h"

/* --- sending --- */

__attribute__((cold, noinline)) void account_first_ask(struct xfer_comm *comm, size_t len);
__attribute__((cold, noinline)) void account_cleared(struct xfer_comm *comm, struct xfer_req *req);
/* The isend that asked will not be sent. */
void account_forget_ask(struct xfer_comm *comm);
/* A message could not be posted; it is tried again. */
__attribute__((cold, noinline)) void account_refused(struct xfer_comm *comm, size_t len);

/* An isend has found no clear-to-send. */
static inline void account_asked(struct xfer_comm *comm, size_t len)
{
	if (!comm->stats.at->asked)
		account_first_ask(comm, len);
}

/* A send has been posted. */
static inline void account_sent(struct xfer_comm *comm, struct xfer_req *req)
{
	struct weft_stats_comm *at = comm->stats.at;

	at->posted++;
	if (at->asked)
		account_cleared(comm, req);
	else
		at->peer_us[0]++;
	req->since = stats_now();
}

/* Does an isend wait for its clear-to-send? */
static inline bool account_waits(const struct xfer_comm *comm)
{
	return comm->stats.at->asked != 0;
}

/* A message was copied, from a send or into a receive. */
static inline void account_eager(struct xfer_comm *comm, size_t len)
{
	struct weft_stats_comm *at = comm->stats.at;

	at->eager_messages++;
	atomic_signal_fence(memory_order_seq_cst); /* one vector of both would cost ten instructions more */
	at->eager_bytes += len;
}

/* A message was sent eagerly. */
static inline void account_sent_eagerly(struct xfer_comm *comm, struct xfer_req *req)
{
	if (__builtin_expect(account_waits(comm), 0))
		account_cleared(comm, req);
	account_eager(comm, req->posted);
}

/* Data has left as a control message of a rail; fabric counts all other. */
static inline void account_departure(const struct rail *rail, size_t len)
{
	struct weft_stats_rail *at = rail->ep->stats.rails[rail->nic];

	at->tx_messages++;
	at->tx_bytes += len;
}

/* The provider has finished with an eager message, which no counter tells: it may have been the oldest in flight. */
static inline void account_eager_left(struct xfer_comm *comm)
{
	comm->stats.at->oldest = 0;
}

/* --- receiving --- */

/* A receive, or a part of a group, is about to be posted; its comm has accepted n of them. */
static inline void account_receive(struct xfer_req *req)
{
	req->since = stats_now();
}

static inline void account_accepted(struct xfer_comm *comm, int n)
{
	comm->stats.at->posted += (uint64_t)n;
}

/* The first of several stripes has arrived. */
void account_first_stripe(struct xfer_req *req);

/* Data has arrived on a rail; ep/ctrl.c counts eager messages. */
static inline void account_arrival(const struct rail *rail, size_t len)
{
	struct weft_stats_rail *at = rail->ep->stats.rails[rail->nic];

	at->rx_messages++;
	at->rx_bytes += len;
}

/* The receive of an eager message has waited for long. */
__attribute__((cold, noinline)) void account_late(struct xfer_req *req, size_t len, uint64_t now);

/* An eager message is in its receive. */
static inline void account_received_eagerly(struct xfer_req *req, size_t len)
{
	struct xfer_comm *comm = req->comm;
	uint64_t now = stats_now();

	account_eager(comm, len);
	if (__builtin_expect(now - req->since >= comm->stats.ep->late, 0))
		account_late(req, len, now);
}

/* --- both --- */

static inline void account_wait(uint64_t *sum, uint64_t *buckets, uint64_t ticks, uint32_t us)
{
	*sum += ticks;
	buckets[stats_bucket(us)]++;
}

/* A timed send has completed without an error. */
static inline void account_send_done(struct xfer_req *req)
{
	const struct stats_comm *c = &req->comm->stats;
	uint64_t now = stats_now(), ticks = now - req->since;
	uint32_t us = stats_us(c->ep, ticks);
	struct weft_stats_comm *at = c->at;

	req->since = us;
	stats_done_event(c, now, req->rail, req->seq, req->peer_us, us, req->posted);
	account_wait(&at->wire_ticks, at->wire_us, ticks, us);
	at->last = now;
	at->messages++;
	at->bytes += req->posted;
	if (__builtin_expect(at->stall != 0, 0))
		stall_moved(req->comm);
}

/* All the time of a receive, until now, was its wait for the peer. */
static inline void account_waited(struct xfer_req *req, uint64_t now, uint64_t ticks, uint32_t us, size_t len)
{
	const struct stats_comm *c = &req->comm->stats;

	req->peer_us = us;
	req->since = 0;
	stats_done_event(c, now, req->rail, req->seq, us, 0, len);
	account_wait(&c->at->peer_ticks, c->at->peer_us, ticks, us);
}

/* The same for a receive. rail: WEFT_STATS_NO_RAIL: several. */
static inline void account_recv_done(struct xfer_req *req, size_t len, uint8_t rail)
{
	const struct stats_comm *c = &req->comm->stats;
	uint64_t now = stats_now(), ticks = now - req->since;
	uint32_t us = stats_us(c->ep, ticks);
	struct weft_stats_comm *at = c->at;

	at->last = now;
	at->messages++;
	at->bytes += len;
	if (req->arrived) {
		req->since = us;
		stats_done_event(c, now, rail, req->seq, req->peer_us, us, len);
		account_wait(&at->wire_ticks, at->wire_us, ticks, us);
	} else {
		req->rail = rail;
		account_waited(req, now, ticks, us, len);
	}
	if (__builtin_expect(at->stall != 0, 0))
		stall_moved(req->comm);
}

/* A message has completed with an error. */
__attribute__((cold, noinline)) void account_failed(struct xfer_req *req, int err);

/*
 * For checks of a waiting comm, 10 times a second: writes down what only a look finds, and warns of a message that waits
 * for longer than WEFT_STALL_WARN.
 */
void account_check(struct xfer_comm *comm);

#endif

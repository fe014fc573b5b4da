/* SPDX-License-Identifier: Apache-2.0 */
/* The record of a comm outside the fast path; see account.h. */
#include "comm/account.h"

#include "ep/health.h"

static struct stats_ep *account_part(const struct xfer_comm *comm)
{
	return comm->stats.ep;
}

void account_first_ask(struct xfer_comm *comm, size_t len)
{
	stats_note(account_part(comm), WEFT_STATS_EV_ASKED, &comm->stats, comm->next_seq, len);
	comm->stats.at->asked_bytes = len;
	comm->stats.at->asked = account_part(comm)->at->now;
}

void account_cleared(struct xfer_comm *comm, struct xfer_req *req)
{
	struct weft_stats_comm *at = comm->stats.at;
	uint64_t now = stats_now(), ticks = now - at->asked;

	req->peer_us = stats_us(account_part(comm), ticks);
	account_wait(&at->peer_ticks, at->peer_us, ticks, req->peer_us);
	at->asked = 0;
	stats_event(account_part(comm), (struct weft_stats_event){.time = now,
								  .kind = WEFT_STATS_EV_CLEARED,
								  .rail = WEFT_STATS_NO_RAIL,
								  .comm = comm->stats.index,
								  .number = req->seq,
								  .peer_us = req->peer_us,
								  .value = req->posted});
	account_part(comm)->at->now = now;
	if (at->stall)
		stall_moved(comm);
}

void account_failed(struct xfer_req *req, int err)
{
	struct xfer_comm *comm = req->comm;

	comm->stats.at->failed++;
	stats_note(account_part(comm), WEFT_STATS_EV_FAILED, &comm->stats, req->seq, (uint64_t)-err);
}

void account_forget_ask(struct xfer_comm *comm)
{
	comm->stats.at->asked = 0;
}

void account_refused(struct xfer_comm *comm, size_t len)
{
	if (comm->refused_seq == comm->next_seq + 1)
		return;
	comm->refused_seq = comm->next_seq + 1;
	stats_note(account_part(comm), WEFT_STATS_EV_REFUSED, &comm->stats, comm->next_seq, len);
}

void account_first_stripe(struct xfer_req *req)
{
	struct weft_stats_comm *at = req->comm->stats.at;
	uint64_t now = stats_now();

	req->peer_us = stats_us(account_part(req->comm), now - req->since);
	account_wait(&at->peer_ticks, at->peer_us, now - req->since, req->peer_us);
	req->since = now;
}

void account_late(struct xfer_req *req, size_t len, uint64_t now)
{
	struct xfer_comm *comm = req->comm;
	uint64_t ticks = now - req->since;

	if (comm->ep->nic_count > 1)
		req->rail = WEFT_STATS_NO_RAIL;
	account_waited(req, now, ticks, stats_us(account_part(comm), ticks), len);
	comm->stats.at->last = now;
	if (comm->stats.at->stall)
		stall_moved(comm);
}

static void write_oldest(struct xfer_comm *comm, uint64_t now)
{
	struct weft_stats_comm *at = comm->stats.at;
	struct xfer_req *req = req_oldest(comm);

	at->next = comm->next_seq;
	at->oldest_after = at->messages + at->eager_messages + at->failed;
	if (req && !req->since)
		req->since = now; /* eager, and still with the provider */
	at->oldest = req ? req->since : 0;
	at->oldest_number = req ? req->seq : 0;
	at->oldest_bytes = req ? req->posted : 0;
}

/* Bytes in flight on all streams of a NIC. */
static uint64_t nic_outstanding(const struct xfer_ep *ep, int nic)
{
	uint64_t bytes = 0;
	int i;

	for (i = 0; i < ep->rail_count; i++)
		if (ep->rails[i].nic == nic)
			bytes += ep->rails[i].outstanding;
	return bytes;
}

static void write_rails(struct xfer_ep *ep)
{
	int i;

	ep->stats.at->polls = ep->polls;
	stats_core_check(&ep->stats);
	for (i = 0; i < ep->nic_count; i++) {
		struct weft_stats_rail *at = ep->stats.rails[i];
		const struct rail *r = &ep->rails[i];
		size_t depth = 0;

		if (!r->fab || !at)
			continue;
		at->in_flight = fab_ep_fill(r->fab, &depth);
		at->queue_depth = depth;
		at->posted = at->completed + at->in_flight;
		at->outstanding = nic_outstanding(ep, i);
		at->seen = r->samples ? (uint64_t)(r->seen * 1e6) : 0;
	}
}

void account_check(struct xfer_comm *comm)
{
	uint64_t now = stats_check(account_part(comm));

	write_oldest(comm, now);
	write_rails(comm->ep);
	ep_health_check(comm->ep);
	stall_check(comm, now);
}

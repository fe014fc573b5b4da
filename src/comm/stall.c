/* SPDX-License-Identifier: Apache-2.0 */
/* The watchdog of waiting messages; see stall.h. */
#include "comm/stall.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/log.h"
#include "base/text.h"

/* What a comm waits for. */
struct stall {
	enum weft_stats_wait wait;
	uint64_t since; /* ticks */
	uint32_t number;
	size_t bytes;
	unsigned rails; /* bit mask of those that have the message */
};

/* The rails that may have a posted message: the one that it took, or those that have bytes in flight. */
static unsigned rails_of(const struct xfer_req *req)
{
	const struct xfer_ep *ep = req->comm->ep;
	unsigned all = 0;
	int i;

	if (req->rail < DEV_RAILS_MAX)
		return 1u << req->rail;
	for (i = 0; i < ep->rail_count; i++)
		if (ep->rails[i].outstanding)
			all |= 1u << ep->rails[i].nic;
	return all;
}

/* The wait of the comm's oldest message. */
static struct stall find_stall(const struct xfer_comm *comm)
{
	const struct weft_stats_comm *at = comm->stats.at;
	const struct xfer_req *req = req_oldest(comm);
	bool posted = comm->kind == XFER_SEND || (req && req->arrived);

	if (req && req->since)
		return (struct stall){.wait = posted ? WEFT_STATS_WAIT_WIRE : WEFT_STATS_WAIT_PEER,
				      .since = req->since,
				      .number = req->seq,
				      .bytes = req->posted,
				      .rails = comm->kind == XFER_SEND ? rails_of(req) : comm->rx.rails};
	if (at->asked)
		return (struct stall){.wait = WEFT_STATS_WAIT_PEER,
				      .since = at->asked,
				      .number = comm->next_seq,
				      .bytes = at->asked_bytes};
	return (struct stall){.wait = WEFT_STATS_NO_WAIT};
}

static uint64_t ms_since(const struct xfer_comm *comm, uint64_t now, uint64_t since)
{
	uint64_t ticks = now - since;

	/* per_us overflows nothing here, but stats_us() would cut after 71 minutes. */
	return (int64_t)ticks < 0 ? 0 : (uint64_t)((stats_wide)ticks * comm->stats.ep->per_us >> 64) / 1000;
}

/* " on rails eth0, eth1" */
static void rails_text(const struct xfer_comm *comm, unsigned rails, char *buf, size_t bytes)
{
	const struct dev *dev = comm->ep->dev;
	int i, n = 0;

	buf[0] = 0;
	for (i = 0; i < dev->rail_count; i++)
		if (rails >> i & 1)
			text_append(buf, bytes, "%s%s", n++ ? ", " : " on rail ", dev->rails[i]->name);
}

/* "send number 7 (4096 bytes) waits for the receiver for 31 s: it has posted no receive for it" */
static char *stall_describe(const struct xfer_comm *comm, const struct stall *s, uint64_t now, char *buf, size_t bytes)
{
	bool send = comm->kind == XFER_SEND;
	char rails[300];

	rails_text(comm, s->rails, rails, sizeof(rails));
	snprintf(buf, bytes, "%s number %" PRIu32 " (%zu bytes) %s for %" PRIu64 " s: %s%s", send ? "send" : "receive",
		 s->number, s->bytes,
		 s->wait == WEFT_STATS_WAIT_WIRE ? "is on the wire"
		 : send				 ? "waits for the receiver"
						 : "waits for the sender",
		 ms_since(comm, now, s->since) / 1000,
		 s->wait == WEFT_STATS_WAIT_PEER && send ? "the peer has posted no receive for it"
		 : s->wait == WEFT_STATS_WAIT_PEER	 ? "nothing of the message has arrived"
		 : send					 ? "posted and not completed"
							 : "a part of the message has arrived",
		 s->wait == WEFT_STATS_WAIT_WIRE ? rails : "");
	return buf;
}

static void stall_warn(struct xfer_comm *comm, const struct stall *s, uint64_t now)
{
	struct weft_stats_comm *at = comm->stats.at;
	uint32_t us =
		(uint32_t)(ms_since(comm, now, s->since) < 4000000 ? ms_since(comm, now, s->since) * 1000 : UINT32_MAX);
	const char *path = stats_path();
	char text[700];

	at->stall = s->wait;
	at->stall_since = s->since;
	at->stalls++;
	stats_event(comm->stats.ep, (struct weft_stats_event){.time = now,
							      .kind = WEFT_STATS_EV_STALLED,
							      .rail = WEFT_STATS_NO_RAIL,
							      .comm = comm->stats.index,
							      .number = s->number,
							      .peer_us = s->wait == WEFT_STATS_WAIT_PEER ? us : 0,
							      .wire_us = s->wait == WEFT_STATS_WAIT_WIRE ? us : 0,
							      .value = s->bytes});
	log_warn("%s comm to peer %s on NIC %s (%s): %s (WEFT_STALL_WARN)%s%s",
		 comm->kind == XFER_SEND ? "send" : "receive", comm->peer->text, comm->ep->dev->nic->name,
		 comm->ep->dev->nic->provider, stall_describe(comm, s, now, text, sizeof(text)),
		 *path ? "; record " : "", path);
}

void stall_moved(struct xfer_comm *comm)
{
	struct weft_stats_comm *at = comm->stats.at;
	uint64_t ms = ms_since(comm, stats_now(), at->stall_since);

	at->stall = WEFT_STATS_NO_WAIT;
	stats_note(comm->stats.ep, WEFT_STATS_EV_MOVED, &comm->stats, 0, ms);
	log_info("%s comm to peer %s on NIC %s (%s) goes on after %" PRIu64 ".%" PRIu64 " s",
		 comm->kind == XFER_SEND ? "send" : "receive", comm->peer->text, comm->ep->dev->nic->name,
		 comm->ep->dev->nic->provider, ms / 1000, ms / 100 % 10);
}

void stall_check(struct xfer_comm *comm, uint64_t now)
{
	const struct weft_stats_comm *at = comm->stats.at;
	int64_t limit_us = comm->ep->conf->stall_warn_us;
	struct stall s = find_stall(comm);

	if (at->stall && s.since != at->stall_since)
		stall_moved(comm);
	if (!limit_us || comm->err || at->stall || s.wait == WEFT_STATS_NO_WAIT)
		return;
	if ((int64_t)ms_since(comm, now, s.since) >= limit_us / 1000)
		stall_warn(comm, &s, now);
}

char *stall_text(const struct xfer_comm *comm, char *buf, size_t buf_bytes)
{
	struct stall s = find_stall(comm);
	uint64_t now = stats_now();
	char text[700];

	buf[0] = 0;
	if (s.wait != WEFT_STATS_NO_WAIT && ms_since(comm, now, s.since) >= 1000)
		text_append(buf, buf_bytes, "; %s", stall_describe(comm, &s, now, text, sizeof(text)));
	if (*stats_path())
		text_append(buf, buf_bytes, "; record %s", stats_path());
	return buf;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "observe/span.h"

#define LONG_BUCKET 10

_Static_assert(WEFT_STATS_LATE_US == 1 << LONG_BUCKET, "the waits of eager messages that the record has");

/* Counters of a torn copy could run backwards. */
static uint64_t more(uint64_t now, uint64_t before)
{
	return now > before ? now - before : 0;
}

static void wait_measure(struct wait_view *w, const struct weft_stats_head *h, uint64_t ticks, uint64_t ticks_before,
			 const uint64_t *us, const uint64_t *us_before)
{
	int i;

	w->ns = weft_stats_span_ns(h, more(ticks, ticks_before));
	for (i = 0; i < WEFT_STATS_BUCKETS; i++) {
		w->us[i] = more(us[i], us_before ? us_before[i] : 0);
		w->count += w->us[i];
	}
}

/* About the time in long waits, from the histogram. */
static uint64_t long_waits(const struct wait_view *w)
{
	uint64_t sum = 0;
	int i;

	for (i = LONG_BUCKET; i < WEFT_STATS_BUCKETS; i++)
		if (w->us[i])
			sum += w->us[i] < (UINT64_C(1) << 20) ? w->us[i] * 1500 << i : w->ns;
	return sum < w->ns ? sum : w->ns;
}

/* The bucket of the longest wait, or -1: none was long. */
static int longest_bucket(const struct wait_view *w)
{
	int i = WEFT_STATS_BUCKETS - 1;

	while (i >= LONG_BUCKET && !w->us[i])
		i--;
	return i >= LONG_BUCKET ? i : -1;
}

/* At most so long was the longest wait; 0: none was long. */
static uint64_t longest_at_most(const struct wait_view *w)
{
	int bucket = longest_bucket(w);

	return bucket < 0 ? 0 : UINT64_C(2000) << bucket;
}

/* The same, but no longer than the sum allows: the waits of the other buckets lasted at least as long as these begin. */
static uint64_t longest_by_sum(const struct wait_view *w)
{
	uint64_t most = longest_at_most(w), left = w->ns;
	int i, bucket = longest_bucket(w);

	for (i = 1; i < bucket; i++)
		left = more(left, w->us[i] < UINT64_C(1) << 20 ? w->us[i] * 1000 << i : 0);
	return bucket < 0 ? 0 : left / w->us[bucket] < most ? left / w->us[bucket] : most;
}

static double age(uint64_t now, uint64_t since)
{
	return now > since ? (double)(now - since) / 1e9 : 0;
}

static double longest(const struct span *s)
{
	uint64_t peer = longest_at_most(&s->peer), wire = longest_at_most(&s->wire);
	double ended = (double)(peer > wire ? peer : wire) / 1e9,
	       open = s->waits_s > s->oldest_s ? s->waits_s : s->oldest_s;

	return ended > open ? ended : open;
}

/* The longest wait since the beginning may be that for a peer that started later: it is no sign of anything. */
static void forget_longest(struct span *s)
{
	uint64_t longest = longest_by_sum(&s->peer);
	s->left_out_s = (double)longest / 1e9;
	s->long_ns = more(s->long_ns, longest);
	s->seconds = s->seconds > s->left_out_s ? s->seconds - s->left_out_s : 0;
}

void span_measure(struct span *s, const struct record *record, const struct weft_stats_comm *comm,
		  const struct weft_stats_comm *before, double seconds)
{
	static const struct weft_stats_comm nothing;
	const struct weft_stats_head *h = &record->head;
	const struct weft_stats_endpoint *endpoint = record_endpoint(record, comm->endpoint);
	const struct weft_stats_comm *old = before ? before : &nothing;

	*s = (struct span){.head = h, .comm = comm};
	s->now_ns = weft_stats_ns(h, endpoint ? endpoint->now : comm->last);
	s->whole = before && before->state == WEFT_STATS_CONNECTED;
	s->bytes = more(comm->bytes, old->bytes);
	s->messages = more(comm->messages, old->messages);
	s->eager_messages = more(comm->eager_messages, old->eager_messages);
	s->eager_bytes = more(comm->eager_bytes, old->eager_bytes);
	wait_measure(&s->peer, h, comm->peer_ticks, old->peer_ticks, comm->peer_us, before ? before->peer_us : NULL);
	wait_measure(&s->wire, h, comm->wire_ticks, old->wire_ticks, comm->wire_us, before ? before->wire_us : NULL);
	s->long_ns = long_waits(&s->peer);
	if (comm->asked)
		s->waits_s = age(s->now_ns, weft_stats_ns(h, comm->asked));
	if (weft_stats_oldest(comm))
		s->oldest_s = age(s->now_ns, weft_stats_ns(h, comm->oldest));
	s->longest_s = longest(s);
	if (seconds > 0) {
		s->seconds = seconds;
	} else {
		s->seconds = age(s->now_ns,
				 comm->state == WEFT_STATS_CONNECTED ? weft_stats_ns(h, comm->since) : h->base_ns);
		forget_longest(s);
	}
}

/* The thread may have to run twice for a message: for its clear-to-send, and for the message. */
double core_explains(const struct process_view *p, double messages_per_second)
{
	double share = 2 * messages_per_second * p->core_wait_s;

	return share < p->core_share ? share : p->core_share;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* See pattern.h. */
#include "pattern.h"

#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "complain.h"
#include "seconds.h"
#include "stats.h"

/* Limit for all slots of one direction together, unless a single message of each comm is larger. */
#define AREA_MAX_BYTES	   (256ul << 20)
#define SLOT_ALIGN	   64
#define LATENCY_RECV_AHEAD 2 /* the receive in progress and the next one */

const char *pattern_name(enum pattern p)
{
	static const char *const names[PATTERNS] = {"latency", "bandwidth", "rate", "bidir", "birate"};

	return names[p];
}

static size_t stride(size_t bytes)
{
	size_t n = bytes > FLOW_ACK_BYTES ? bytes : FLOW_ACK_BYTES;

	return (n + SLOT_ALIGN - 1) / SLOT_ALIGN * SLOT_ALIGN;
}

unsigned pattern_depth(enum pattern p, size_t bytes, unsigned depth, unsigned comms)
{
	size_t fit = AREA_MAX_BYTES / stride(bytes) / comms;

	if (p == PATTERN_LATENCY)
		return 1;
	if (!fit)
		fit = 1;
	return fit < depth ? (unsigned)fit : depth;
}

size_t pattern_area(size_t bytes, unsigned depth)
{
	size_t slots = depth > LATENCY_RECV_AHEAD ? depth : LATENCY_RECV_AHEAD;

	return slots * stride(bytes);
}

bool pattern_is_mutual(enum pattern p)
{
	return p == PATTERN_BIDIR || p == PATTERN_BIRATE;
}

bool pattern_times_rounds(const struct run *r, int rank)
{
	return r->pattern == PATTERN_LATENCY && rank == r->from;
}

static int pass(struct share *h)
{
	uint64_t before = 0, after = 0;
	unsigned i;

	for (i = 0; i < h->count; i++) {
		struct side *s = &h->sides[i];

		before += s->tx.done + s->rx.done;
		if (s->engine->step(s))
			return -1;
		after += s->tx.done + s->rx.done;
	}
	if (h->sides->yield && after == before)
		sched_yield();
	return 0;
}

static void flow_init(struct flow *f, const struct run *r, unsigned char *base, uint64_t *seq)
{
	f->base = base;
	f->stride = stride(r->bytes);
	f->bytes = r->bytes;
	f->check = r->check;
	f->total = flow_end(f, 1);
	f->first_seq = *seq;
	*seq += f->total;
}

/* Sets up both flows. Rank `from` always sends, the other one only in patterns with both directions. */
static void set_up(struct side *s, const struct run *r)
{
	bool stream = r->pattern != PATTERN_LATENCY, both = !stream || pattern_is_mutual(r->pattern);
	bool sends = both || s->rank == r->from, receives = both || s->rank != r->from;

	s->pattern = r->pattern;
	s->rounds = 0;
	s->tx = (struct flow){.warm = sends ? r->warm : 0, .timed = sends ? r->timed : 0};
	s->rx = (struct flow){.warm = receives ? r->warm : 0, .timed = receives ? r->timed : 0};
	s->rx.receives = true;
	s->tx.acks = stream && receives;
	s->rx.acks = stream && sends;
	s->tx.depth = s->tx.slots = r->depth;
	s->rx.depth = s->rx.slots = stream ? r->depth : LATENCY_RECV_AHEAD;
	flow_init(&s->tx, r, s->mem, &s->tx_seq);
	flow_init(&s->rx, r, side_rx_area(s), &s->rx_seq);
	s->rx.limit = s->rx.total;
	if (s->engine->begin)
		s->engine->begin(s);
}

/* The acknowledgement may be sent when all data of the other process has arrived. */
static void admit_ack(struct side *s, int phase)
{
	if (s->rx.done >= flow_data_end(&s->rx, phase) && s->tx.limit < flow_end(&s->tx, phase))
		s->tx.limit = flow_end(&s->tx, phase);
}

static bool has_ended(const struct side *s, int phase)
{
	return s->tx.done >= flow_end(&s->tx, phase) && s->rx.done >= flow_end(&s->rx, phase);
}

/* Runs one phase of streamed messages. */
static int stream_phase(struct share *h, int phase)
{
	unsigned i, left = h->count;
	int ret = 0;

	for (i = 0; i < h->count; i++)
		h->sides[i].tx.limit = flow_data_end(&h->sides[i].tx, phase);
	while (left && !ret) {
		for (i = 0; i < h->count; i++)
			admit_ack(&h->sides[i], phase);
		ret = pass(h);
		for (i = left = 0; i < h->count; i++)
			left += !has_ended(&h->sides[i], phase);
	}
	return ret;
}

/* Waits for the other threads, and serves the comms meanwhile: the other process may not have ended the phase. */
static int pass_gate(struct share *h)
{
	int ret = 0;

	if (h->threads < 2)
		return 0;
	atomic_fetch_add(h->gate, 1);
	while (!ret && atomic_load(h->gate) < h->threads) {
		ret = pass(h);
		sched_yield();
	}
	return ret;
}

static int stream(struct share *h)
{
	int ret = stream_phase(h, 0);

	if (ret || pass_gate(h))
		return -1;
	effort_start();
	h->start = seconds_now();
	ret = stream_phase(h, 1);
	h->end = seconds_now();
	h->effort = effort_stop();
	return ret;
}

/* A round lasts from one answer to the next. The first comm of a thread begins the count of effort. */
static void end_round(struct share *h, unsigned i)
{
	struct side *s = &h->sides[i];
	uint64_t warm = h->run->warm, k = s->rounds++;
	double now = seconds_now();

	if (k >= warm)
		h->round_s[i * h->run->timed + k - warm] = now - s->round_end;
	if (s->rounds == warm && s == h->sides)
		effort_start();
	s->round_end = now;
	if (s->rounds < s->tx.total)
		s->tx.limit = s->rounds + 1;
}

static int ping(struct share *h)
{
	unsigned i, left = h->count;
	int ret = 0;

	if (!h->run->warm)
		effort_start();
	for (i = 0; i < h->count; i++) {
		h->sides[i].round_end = seconds_now();
		h->sides[i].tx.limit = 1;
	}
	while (left && !ret) {
		ret = pass(h);
		for (i = left = 0; i < h->count && !ret; i++) {
			if (h->sides[i].rx.done > h->sides[i].rounds)
				end_round(h, i);
			left += h->sides[i].rounds < h->sides[i].tx.total;
		}
	}
	return ret;
}

static int pong(struct share *h)
{
	unsigned i, left = h->count;
	int ret = 0;

	if (!h->run->warm)
		effort_start();
	while (left && !ret) {
		ret = pass(h);
		for (i = left = 0; i < h->count && !ret; i++) {
			struct side *s = &h->sides[i];

			if (i == 0 && s->rx.done > s->rounds && s->rx.done == h->run->warm)
				effort_start();
			s->rounds = s->tx.limit = s->rx.done; /* an answer to each */
			left += s->rounds < s->rx.total;
		}
	}
	return ret;
}

static int latency(struct share *h)
{
	int ret = h->round_s ? ping(h) : pong(h);
	unsigned i, left = h->count;

	h->effort = effort_stop();
	while (left && !ret) {
		for (i = left = 0; i < h->count; i++)
			left += h->sides[i].tx.done < h->sides[i].tx.total;
		ret = left ? pass(h) : 0;
	}
	return ret;
}

int pattern_share(struct share *h)
{
	unsigned i;

	for (i = 0; i < h->count; i++)
		set_up(&h->sides[i], h->run);
	return h->run->pattern == PATTERN_LATENCY ? latency(h) : stream(h);
}

static void sum_rounds(double *round_s, size_t n, unsigned comms, struct run_result *out)
{
	size_t i;

	out->seconds = 0;
	for (i = 0; i < n; i++)
		out->seconds += round_s[i] / comms; /* the comms' rounds ran at once */
	out->median_us = stats_median(round_s, n) / 2 * 1e6;
	out->p99_us = stats_percentile(round_s, n, 99) / 2 * 1e6;
}

void pattern_sum(const struct share *shares, unsigned n, double *round_s, struct run_result *out)
{
	double start = shares[0].start, end = shares[0].end;
	unsigned i, k, comms = 0;

	memset(out, 0, sizeof(*out));
	out->effort = shares[0].effort;
	for (i = 0; i < n; i++) {
		const struct share *h = &shares[i];

		start = h->start < start ? h->start : start;
		end = h->end > end ? h->end : end;
		out->effort.preemptions += i ? h->effort.preemptions : 0;
		for (k = 0; k < h->count; k++)
			out->wrong += h->sides[k].rx.wrong;
		comms += h->count;
	}
	out->seconds = end - start;
	if (round_s)
		sum_rounds(round_s, comms * shares[0].run->timed, comms, out);
}

double *pattern_rounds(const struct run *r, unsigned comms)
{
	size_t bytes = comms * r->timed * sizeof(double);
	double *round_s = malloc(bytes);

	if (round_s)
		memset(round_s, 0xff, bytes); /* touches the pages */
	else
		complain("no memory for %zu samples", bytes / sizeof(double));
	return round_s;
}

int pattern_run(struct side *s, const struct run *r, struct run_result *out)
{
	struct share h = {.run = r, .sides = s, .count = 1, .threads = 1};
	int ret;

	if (pattern_times_rounds(r, s->rank)) {
		h.round_s = pattern_rounds(r, 1);
		if (!h.round_s)
			return -1;
	}
	ret = pattern_share(&h);
	pattern_sum(&h, 1, h.round_s, out);
	free(h.round_s);
	return ret;
}

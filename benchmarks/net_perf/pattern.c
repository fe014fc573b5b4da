/* SPDX-License-Identifier: Apache-2.0 */
/* See pattern.h. */
#include "pattern.h"

#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "complain.h"
#include "seconds.h"
#include "stats.h"

/* Slots of one direction together take at most this, unless a single message is larger. */
#define AREA_MAX_BYTES     (256ul << 20)
#define SLOT_ALIGN         64
#define LATENCY_RECV_AHEAD 2 /* the receive that is awaited and the next one */

const char *pattern_name(enum pattern p)
{
	static const char *const names[PATTERNS] = {"latency", "bandwidth", "rate", "bidir"};

	return names[p];
}

static size_t stride(size_t bytes)
{
	size_t n = bytes > FLOW_ACK_BYTES ? bytes : FLOW_ACK_BYTES;

	return (n + SLOT_ALIGN - 1) / SLOT_ALIGN * SLOT_ALIGN;
}

unsigned pattern_depth(enum pattern p, size_t bytes, unsigned depth)
{
	size_t fit = AREA_MAX_BYTES / stride(bytes);

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

static int pass(struct side *s)
{
	uint64_t before = s->tx.done + s->rx.done;
	int ret = s->engine->step(s);

	if (s->yield && s->tx.done + s->rx.done == before)
		sched_yield();
	return ret;
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

/* Which way data flows in a pattern: rank 0 always sends, rank 1 where the pattern goes both ways.
 */
static void set_up(struct side *s, const struct run *r)
{
	bool stream = r->pattern != PATTERN_LATENCY;
	bool both = r->pattern == PATTERN_LATENCY || r->pattern == PATTERN_BIDIR;
	bool sends = both || s->rank == 0, receives = both || s->rank == 1;

	s->pattern = r->pattern;
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

/* One group of streamed messages. An acknowledgement leaves when all of the other's data is here.
 */
static int stream_phase(struct side *s, int phase)
{
	int ret;

	s->tx.limit = flow_data_end(&s->tx, phase);
	do {
		if (s->rx.done >= flow_data_end(&s->rx, phase) &&
		    s->tx.limit < flow_end(&s->tx, phase))
			s->tx.limit = flow_end(&s->tx, phase);
		ret = pass(s);
	} while (!ret &&
		 (s->tx.done < flow_end(&s->tx, phase) || s->rx.done < flow_end(&s->rx, phase)));
	return ret;
}

static int stream(struct side *s, struct run_result *out)
{
	double start;
	int ret = stream_phase(s, 0);

	if (ret)
		return ret;
	effort_start();
	start = seconds_now();
	ret = stream_phase(s, 1);
	out->seconds = seconds_now() - start;
	out->effort = effort_stop();
	return ret;
}

/* Rank 0: from each answer to the next is one round. */
static int ping(struct side *s, double *round_s)
{
	uint64_t k, warm = s->tx.warm;
	double last = seconds_now(), now;
	int ret;

	for (k = 0; k < s->tx.total; k++) {
		if (k == warm)
			effort_start();
		s->tx.limit = k + 1;
		do {
			ret = pass(s);
		} while (!ret && s->rx.done <= k);
		if (ret)
			return ret;
		now = seconds_now();
		if (k >= warm)
			round_s[k - warm] = now - last;
		last = now;
	}
	return 0;
}

static int pong(struct side *s)
{
	uint64_t k;
	int ret;

	for (k = 0; k < s->rx.total; k++) {
		if (k == s->rx.warm)
			effort_start();
		do {
			ret = pass(s);
		} while (!ret && s->rx.done <= k);
		if (ret)
			return ret;
		s->tx.limit = k + 1;
	}
	return 0;
}

static int latency(struct side *s, struct run_result *out)
{
	size_t n = s->tx.timed, i;
	double *round_s = calloc(n, sizeof(*round_s));
	int ret;

	if (!round_s) {
		complain("no memory for %zu samples", n);
		return -1;
	}
	memset(round_s, 0xff, n * sizeof(*round_s)); /* touches the pages */
	ret = s->rank ? pong(s) : ping(s, round_s);
	out->effort = effort_stop();
	while (!ret && s->tx.done < s->tx.total)
		ret = pass(s);
	if (!ret && s->rank == 0) {
		for (i = 0; i < n; i++)
			out->seconds += round_s[i];
		out->median_us = stats_median(round_s, n) / 2 * 1e6;
		out->p99_us = stats_percentile(round_s, n, 99) / 2 * 1e6;
	}
	free(round_s);
	return ret;
}

int pattern_run(struct side *s, const struct run *r, struct run_result *out)
{
	int ret;

	memset(out, 0, sizeof(*out));
	set_up(s, r);
	ret = r->pattern == PATTERN_LATENCY ? latency(s, out) : stream(s, out);
	out->wrong = s->rx.wrong;
	return ret;
}

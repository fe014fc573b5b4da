/* SPDX-License-Identifier: Apache-2.0 */
/* See sweep.h. */
#include "sweep.h"

#include <stdlib.h>
#include <string.h>

#include "complain.h"
#include "stats.h"

#define RATE_MAX_BYTES	   8192
#define STREAM_DEPTH	   8
#define RATE_DEPTH	   32
#define ITERATIONS_MAX	   1000000
#define LATENCY_MIN_ROUNDS 10
#define LATENCY_WARM	   20
#define LATENCY_TRIAL	   100
#define STREAM_TRIAL	   16		/* multiple of the depth */
#define TRIAL_MAX_BYTES	   (32ul << 20) /* limit of a trial, unless the smallest trial is larger */

#define LANES_MAX (SIDES_MAX + 1)

/* One participant of a sweep: a side, or one of the two operations of the raw side. */
struct lane {
	struct pair *pair;
	int side;
	enum raw_op op;
	double *instructions[2]; /* by rank: one value per repetition */
	struct measured m;
};

struct state {
	const struct cli *cli;
	int nlanes;
	struct lane lanes[LANES_MAX];
	double *room; /* memory for the values of all repetitions and lanes */
};

unsigned sweep_raw_ops(const struct cli *c)
{
	return c->raw_op ? c->raw_op : RAW_TAGGED | RAW_WRITEDATA;
}

size_t sweep_next(const struct cli *c, size_t bytes)
{
	return bytes ? bytes * (size_t)c->step_factor : 1;
}

static bool is_rate(enum pattern p)
{
	return p == PATTERN_RATE || p == PATTERN_BIRATE;
}

bool sweep_has(const struct cli *c, enum pattern p, size_t bytes)
{
	return c->patterns[p] && (!is_rate(p) || bytes <= RATE_MAX_BYTES);
}

static struct point make_point(const struct cli *c, enum pattern p, size_t bytes)
{
	unsigned depth = is_rate(p) ? RATE_DEPTH : STREAM_DEPTH;

	if (c->depth)
		depth = (unsigned)c->depth;
	return (struct point){p, bytes, pattern_depth(p, bytes, depth, (unsigned)c->comms)};
}

void sweep_needs(const struct cli *c, struct setup *out)
{
	size_t bytes, tx, rx;
	int i;

	out->raw_ops = sweep_raw_ops(c);
	if (c->workload) {
		out->tx_bytes = out->rx_bytes = (size_t)c->workload * MIX_ARENA_BYTES;
		return;
	}
	for (i = 0; i < PATTERNS; i++) {
		enum pattern p = (enum pattern)i;

		for (bytes = (size_t)c->min_bytes; bytes <= (size_t)c->max_bytes; bytes = sweep_next(c, bytes)) {
			struct point point = make_point(c, p, bytes);

			if (!sweep_has(c, p, bytes))
				continue;
			tx = pattern_area(bytes, point.depth);
			rx = pattern_area(bytes, c->raw ? 2 * point.depth : point.depth);
			out->tx_bytes = tx > out->tx_bytes ? tx : out->tx_bytes;
			out->rx_bytes = rx > out->rx_bytes ? rx : out->rx_bytes;
		}
	}
}

static uint64_t clamp(double v, uint64_t low, uint64_t high)
{
	if (v < (double)low)
		return low;
	return v > (double)high ? high : (uint64_t)v;
}

/* The number of messages that fit into TRIAL_MAX_BYTES, from `low` to `high`. */
static uint64_t fitting(const struct point *p, uint64_t low, uint64_t high)
{
	return clamp((double)TRIAL_MAX_BYTES / ((double)p->bytes + 1), low, high);
}

static uint64_t warm_count(const struct cli *c, const struct point *p)
{
	if (c->warm >= 0)
		return (uint64_t)c->warm;
	return p->pattern == PATTERN_LATENCY ? fitting(p, 2, LATENCY_WARM) : p->depth;
}

static int run(struct lane *l, const struct run *r, struct answer out[2])
{
	struct order order = {.kind = ORDER_RUN, .run = *r, .op = l->op};
	int ret = pair_order(l->pair, &order, out);

	if (!ret)
		l->m.wrong += out[0].run.wrong + out[1].run.wrong;
	return ret;
}

/* Compares every byte of a few messages, which would be too slow in timed runs. */
static int verify(struct lane *l, const struct point *p)
{
	struct run r = {.pattern = p->pattern,
			.check = PAYLOAD_FULL,
			.depth = p->depth,
			.bytes = p->bytes,
			.timed = p->pattern == PATTERN_LATENCY ? 4 : 2 * p->depth};
	struct answer answers[2];

	return run(l, &r, answers);
}

/* Computes the number of messages of a repetition from the time of a few messages. */
static int find_iterations(const struct cli *c, struct lane *l, const struct point *p, struct run *r)
{
	bool latency = p->pattern == PATTERN_LATENCY;
	double share_s = (double)c->time_ms / 1000 / (double)c->repetitions;
	struct answer answers[2];

	if (c->iterations) {
		l->m.iterations = (uint64_t)c->iterations;
		return 0;
	}
	r->timed = latency ? fitting(p, 3, LATENCY_TRIAL) : fitting(p, p->depth, STREAM_TRIAL * p->depth);
	if (run(l, r, answers))
		return -1;
	l->m.iterations = clamp(share_s / answers[0].run.seconds * (double)r->timed,
				latency ? LATENCY_MIN_ROUNDS : 2 * p->depth, ITERATIONS_MAX);
	return 0;
}

static double value_of(const struct cli *c, const struct point *p, const struct run *r, const struct run_result *result)
{
	double messages = (double)r->timed * (double)c->comms * (pattern_is_mutual(p->pattern) ? 2 : 1);

	if (p->pattern == PATTERN_LATENCY)
		return result->median_us;
	return messages * (is_rate(p->pattern) ? 1 : (double)p->bytes / 1e9) / result->seconds;
}

static void note_effort(const struct cli *c, struct lane *l, int rank, int rep, const struct effort *e)
{
	double messages = (double)l->m.iterations * (double)c->comms;

	l->instructions[rank][rep] = e->instructions < 0 ? -1 : e->instructions / messages;
	l->m.preemptions += e->preemptions;
}

static int repeat(const struct cli *c, struct lane *l, const struct point *p, struct run *r, int rep)
{
	struct answer answers[2];
	int rank;

	r->timed = l->m.iterations;
	if (run(l, r, answers))
		return -1;
	l->m.values[rep] = value_of(c, p, r, &answers[0].run);
	l->m.p99s[rep] = answers[0].run.p99_us;
	for (rank = 0; rank < 2; rank++)
		note_effort(c, l, rank, rep, &answers[rank].run.effort);
	return 0;
}

/* The median. Keeps the order of the repetitions. */
static double median_of(const double *v, size_t n)
{
	double copy[n];

	memcpy(copy, v, sizeof(copy));
	return stats_median(copy, n);
}

static void summarize(struct lane *l, size_t reps)
{
	l->m.value = median_of(l->m.values, reps);
	l->m.p99 = median_of(l->m.p99s, reps);
	l->m.instructions[0] = median_of(l->instructions[0], reps);
	l->m.instructions[1] = median_of(l->instructions[1], reps);
}

/* Starts new processes for the repetition; only once for two lanes of the same pair. */
static int renew(struct lane *l, struct pair **renewed)
{
	if (*renewed == l->pair)
		return 0;
	*renewed = l->pair;
	return pair_end(l->pair) || pair_start(l->pair) ? -1 : 0;
}

static int measure(struct state *s, const struct point *p)
{
	const struct cli *c = s->cli;
	struct run r = {.pattern = p->pattern,
			.check = c->check ? PAYLOAD_STAMP : PAYLOAD_NONE,
			.depth = p->depth,
			.bytes = p->bytes,
			.warm = warm_count(c, p)};
	int i, rep;

	for (i = 0; i < s->nlanes; i++) {
		struct lane *l = &s->lanes[i];

		l->m.wrong = l->m.preemptions = 0;
		if ((c->check && verify(l, p)) || find_iterations(c, l, p, &r))
			return -1;
	}
	for (rep = 0; rep < c->repetitions; rep++) {
		struct pair *renewed = NULL;

		for (i = 0; i < s->nlanes; i++) {
			/* The order alternates, so that no lane always follows the same one. */
			struct lane *l = &s->lanes[rep % 2 ? s->nlanes - 1 - i : i];

			if ((c->fresh && rep && renew(l, &renewed)) || repeat(c, l, p, &r, rep))
				return -1;
		}
	}
	for (i = 0; i < s->nlanes; i++)
		summarize(&s->lanes[i], (size_t)c->repetitions);
	return 0;
}

/* Chooses one result per side. A side with two lanes gets the better result, and the errors of both. */
static void choose(const struct state *s, const struct point *p, struct measured *out)
{
	int i;

	for (i = 0; i < s->nlanes; i++) {
		const struct lane *l = &s->lanes[i];
		struct measured *m = &out[l->side];
		bool second = i && s->lanes[i - 1].side == l->side;
		uint64_t wrong = l->m.wrong + (second ? m->wrong : 0);

		if (!second || (p->pattern == PATTERN_LATENCY ? l->m.value < m->value : l->m.value > m->value))
			*m = l->m;
		m->wrong = wrong;
	}
}

static int sweep_all(struct state *s, sweep_show show, void *arg, uint64_t *out_wrong)
{
	const struct cli *c = s->cli;
	struct measured results[SIDES_MAX];
	size_t bytes;
	int i, lane;

	for (i = 0; i < PATTERNS; i++) {
		for (bytes = (size_t)c->min_bytes; bytes <= (size_t)c->max_bytes; bytes = sweep_next(c, bytes)) {
			struct point p = make_point(c, (enum pattern)i, bytes);

			if (!sweep_has(c, p.pattern, bytes))
				continue;
			if (measure(s, &p))
				return -1;
			choose(s, &p, results);
			show(arg, &p, results);
			for (lane = 0; lane < s->nlanes; lane++)
				*out_wrong += s->lanes[lane].m.wrong;
		}
	}
	return 0;
}

static void add_lane(struct state *s, struct pair *sides, int side, enum raw_op op)
{
	size_t reps = (size_t)s->cli->repetitions;
	double *room = s->room + (size_t)s->nlanes * 4 * reps;

	s->lanes[s->nlanes++] = (struct lane){
		.pair = &sides[side],
		.side = side,
		.op = op,
		.m = {.values = room, .p99s = room + reps, .op = op},
		.instructions = {room + 2 * reps, room + 3 * reps},
	};
}

int sweep(const struct cli *c, struct pair *sides, int nsides, sweep_show show, void *arg, uint64_t *out_wrong)
{
	struct state s = {.cli = c};
	unsigned ops = sweep_raw_ops(c);
	int side, ret;

	*out_wrong = 0;
	s.room = calloc((size_t)c->repetitions * 4 * LANES_MAX, sizeof(*s.room));
	if (!s.room) {
		complain("no memory for %d repetitions", (int)c->repetitions);
		return -1;
	}
	for (side = 0; side < nsides; side++) {
		bool raw = !sides[side].config.plugin;

		if (!raw || (ops & RAW_TAGGED))
			add_lane(&s, sides, side, RAW_TAGGED);
		if (raw && (ops & RAW_WRITEDATA))
			add_lane(&s, sides, side, RAW_WRITEDATA);
	}
	ret = sweep_all(&s, show, arg, out_wrong);
	free(s.room);
	return ret;
}

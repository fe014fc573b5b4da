/* SPDX-License-Identifier: Apache-2.0 */
#include "measure.h"
#include "guarded.h"
#include "progress.h"
#include "stats.h"
#include "table.h"
#include "verify.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* As in nccl-tests: data before timing have a seed of their own. */
enum { TIMING_SEED = 99, FIRST_CHECK_SEED = 100 };

struct measure {
	struct settings *s;
	struct oob *oob;
	struct engine *engine;
	int rank, nranks;
	struct guarded send, recv;
	char *gpu_send, *gpu_recv; /* the same on the GPU, strips included; NULL: there is none */
	void *expected;   /* NULL without verification */
	double *times_us; /* of single iterations, both placements; NULL if not wanted */
	double *scratch;
	double *gathered; /* one number of each rank */
	uint64_t check_seed;
	struct totals totals;
};

/* One row in one placement. */
struct test {
	const struct row *row;
	bool in_place;
	int root;             /* 0 where there is none */
	size_t count;         /* the collective's argument */
	size_t sends, expects; /* elements in the send buffer, and of the result */
	size_t bytes;
	int64_t places; /* how often the size fits into the buffers: iterations walk through them */
};

static double now_s(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec * 1e-9;
}

static char *place_in(const struct guarded *g, const struct test *t, int64_t op)
{
	return (char *)g->data + (size_t)(op % t->places) * t->bytes;
}

static struct test test_of(const struct measure *m, const struct row *row, bool in_place)
{
	return (struct test){
		.row = row,
		.in_place = in_place,
		.root = row->root < 0 ? 0 : (int)row->root,
		.count = (size_t)row->count,
		.sends = (size_t)collective_send_count(m->s->what, m->nranks, row->count),
		.expects = (size_t)collective_recv_count(m->s->what, m->nranks, row->count),
		.bytes = (size_t)row->bytes,
		.places = 1,
	};
}

/* Where this rank's own share lies in a buffer of all ranks' shares. */
static size_t own_share(const struct measure *m, const struct test *t)
{
	return (size_t)m->rank * t->count * type_facts[t->row->type].bytes;
}

/* In place, the smaller of the two is the own share of the larger one. */
static char *input_of(const struct measure *m, const struct test *t, int64_t op)
{
	if (!t->in_place)
		return place_in(&m->send, t, op);
	return place_in(&m->recv, t, op) + (t->sends < t->expects ? own_share(m, t) : 0);
}

static char *result_of(const struct measure *m, const struct test *t, int64_t op)
{
	return place_in(&m->recv, t, op) + (t->in_place && t->expects < t->sends ? own_share(m, t) : 0);
}

/* Where the engine finds what is at p in a buffer. */
static char *there(const struct measure *m, char *p)
{
	const struct guarded *s = &m->send, *r = &m->recv;
	size_t in_send = (size_t)(p - (char *)s->map);

	if (!m->gpu_send)
		return p;
	return in_send < s->map_bytes ? m->gpu_send + in_send : m->gpu_recv + (p - (char *)r->map);
}

/* To and from the GPU, where there is one. */
static int upload(struct measure *m, char *p, size_t bytes)
{
	return m->gpu_send && bytes ? m->engine->calls->put(m->engine, there(m, p), p, bytes) : 0;
}

static int download(struct measure *m, char *p, size_t bytes)
{
	return m->gpu_send && bytes ? m->engine->calls->get(m->engine, p, there(m, p), bytes) : 0;
}

/* The op-th operation of the timed ones; 0 also serves for all others. */
static int operate(struct measure *m, const struct test *t, int64_t op)
{
	const struct engine_op what = {t->row->type, t->row->op, t->root, t->count};

	return m->engine->calls->run(m->engine, &what, there(m, input_of(m, t, op)), there(m, result_of(m, t, op)));
}

/* What was started is done. */
static int finish(struct measure *m)
{
	return m->engine->calls->wait ? m->engine->calls->wait(m->engine) : 0;
}

static int operate_alone(struct measure *m, const struct test *t)
{
	int err = operate(m, t, 0);

	return err ? err : finish(m);
}

static struct verify_case verify_case(const struct measure *m, const struct test *t, uint64_t seed)
{
	return (struct verify_case){t->row->type, t->row->op, seed, m->nranks, 0};
}

/* The input of the op-th operation. What a broadcast overwrites is no input. */
static int fill(struct measure *m, const struct test *t, const struct verify_case *c, int64_t op)
{
	char *input = input_of(m, t, op);

	if (m->s->what == BROADCAST && t->in_place && m->rank != t->root)
		return 0;
	verify_fill(c, m->rank, input, t->sends);
	return upload(m, input, t->sends * type_facts[t->row->type].bytes);
}

/* What all ranks' shares should be: the first elements of what each has, or those that it has for this one. */
static void expect_shares(const struct measure *m, const struct test *t, struct verify_case c)
{
	size_t share_bytes = t->count * type_facts[t->row->type].bytes;

	c.first = m->s->what == ALL_TO_ALL ? (size_t)m->rank * t->count : 0;
	for (int r = 0; r < m->nranks; r++)
		verify_fill(&c, r, (char *)m->expected + (size_t)r * share_bytes, t->count);
}

static void expect(const struct measure *m, const struct test *t, struct verify_case c)
{
	switch (m->s->what) {
	case REDUCE_SCATTER:
		c.first = (size_t)m->rank * t->count;
		verify_expect(&c, m->expected, t->count);
		break;
	case ALL_GATHER:
	case ALL_TO_ALL: expect_shares(m, t, c); break;
	case SEND_RECV:
		verify_fill(&c, (m->rank + m->nranks - 1) % m->nranks, m->expected, t->count);
		break;
	case BROADCAST: verify_fill(&c, t->root, m->expected, t->count); break;
	default: verify_expect(&c, m->expected, t->count);
	}
}

/* Data for the op-th operation; what it should give goes to m->expected. */
static int prepare(struct measure *m, const struct test *t, const struct verify_case *c, int64_t op)
{
	char *result = result_of(m, t, op);
	int err;

	expect(m, t, *c);
	verify_poison(c, result, m->expected, t->expects);
	err = upload(m, result, t->expects * type_facts[t->row->type].bytes);
	return err ? err : fill(m, t, c, op);
}

static int64_t check_guards(struct measure *m)
{
	const struct engine_calls *calls = m->engine->calls;

	return guarded_check(&m->send) + guarded_check(&m->recv) +
	       (calls->check_guards ? calls->check_guards(m->engine) : 0);
}

static int move_strips(struct measure *m, int (*move)(struct measure *m, char *p, size_t bytes))
{
	const struct guarded *const both[] = {&m->send, &m->recv};
	int err = 0;

	for (int i = 0; !err && i < 2; i++) {
		err = move(m, (char *)both[i]->data - GUARD_BYTES, GUARD_BYTES);
		if (!err)
			err = move(m, (char *)both[i]->data + both[i]->bytes, GUARD_BYTES);
	}
	return err;
}

/* Counts what is wrong after the op-th operation, here and everywhere. */
static int check(struct measure *m, const struct test *t, const struct verify_case *c, int64_t op,
		 int64_t *wrong)
{
	char *result = result_of(m, t, op);
	double mine_as_double;
	int err = download(m, result, t->expects * type_facts[t->row->type].bytes);

	if (!err)
		err = move_strips(m, download);
	if (err)
		return err;
	mine_as_double = (double)(verify_compare(c, result, m->expected, t->expects) + check_guards(m));
	if (oob_allgather(m->oob, &mine_as_double, sizeof(mine_as_double), m->gathered))
		return FAIL_PEER;
	for (int r = 0; r < m->nranks; r++) {
		*wrong += (int64_t)m->gathered[r];
		m->totals.failed_checks += m->gathered[r] > 0;
	}
	return 0;
}

static int verify(struct measure *m, const struct test *t, int64_t *wrong)
{
	int err = 0;

	for (int64_t round = 0; !err && !*wrong && round < m->s->check; round++) {
		struct verify_case c = verify_case(m, t, m->check_seed++);

		progress_show("verifying", round, m->s->check);
		err = prepare(m, t, &c, 0);
		if (!err)
			err = operate_alone(m, t);
		if (!err)
			err = check(m, t, &c, 0, wrong);
	}
	return err;
}

static double combine(const struct measure *m)
{
	double sum = 0, min = m->gathered[0], max = m->gathered[0];

	for (int r = 0; r < m->nranks; r++) {
		sum += m->gathered[r];
		min = m->gathered[r] < min ? m->gathered[r] : min;
		max = m->gathered[r] > max ? m->gathered[r] : max;
	}
	switch (m->s->average) {
	case 0: return m->gathered[0];
	case 1: return sum / m->nranks;
	case 2: return min;
	default: return max;
	}
}

/* Times the iterations; times_us (or NULL) gets each one's, for a single operation. */
static int time_iters(struct measure *m, const struct test *t, double *times_us, double *out_s)
{
	const struct engine_calls *calls = m->engine->calls;
	int64_t agg = m->s->agg_iters;
	double start = now_s(), before = start, after = start;
	int err = 0;

	for (int64_t i = 0; i < m->s->iters; i++) {
		progress_show("timing", i, m->s->iters);
		if (agg > 1 && calls->begin)
			err = calls->begin(m->engine);
		for (int64_t a = 0; !err && a < agg; a++)
			err = operate(m, t, i * agg + a);
		if (!err && agg > 1 && calls->end)
			err = calls->end(m->engine);
		if (!err && times_us)
			err = finish(m);
		if (err)
			return err;
		if (times_us) {
			after = now_s();
			times_us[i] = (after - before) * 1e6 / (double)agg;
			before = after;
		}
	}
	err = finish(m);
	*out_s = (now_s() - start) / (double)(m->s->iters * agg);
	return err;
}

/* An iteration took as long as it took the slowest rank. */
static int slowest_iters(struct measure *m, double *times_us, struct iter_stats *out)
{
	size_t n = (size_t)m->s->iters;
	double *all = malloc(n * (size_t)m->nranks * sizeof(*all));
	int err = 0;

	if (!all)
		return FAIL_SYSTEM;
	if (oob_allgather(m->oob, times_us, n * sizeof(*times_us), all))
		err = FAIL_PEER;
	for (size_t i = 0; !err && i < n * (size_t)m->nranks; i++)
		if (all[i] > times_us[i % n])
			times_us[i % n] = all[i];
	free(all);
	if (!err)
		stats_of_iters(times_us, m->s->iters, m->s->per_iter_skip, m->scratch, out);
	return err;
}

static int timed(struct measure *m, const struct test *t, struct placement *p, int64_t *wrong)
{
	int64_t last_op = m->s->iters * m->s->agg_iters - 1;
	double *times_us = m->times_us ? m->times_us + t->in_place * m->s->iters : NULL;
	struct verify_case c = verify_case(m, t, TIMING_SEED);
	/* In place, an operation works on what earlier ones left: nothing to compare with. */
	bool check_last = m->s->check_timed && !t->in_place;
	double seconds;
	int err = m->expected ? fill(m, t, &c, 0) : 0;

	if (!err)
		err = operate_alone(m, t);
	if (!err && check_last)
		err = prepare(m, t, &c, last_op);
	if (!err && oob_barrier(m->oob))
		err = FAIL_PEER;
	if (!err)
		err = time_iters(m, t, times_us, &seconds);
	if (!err && oob_allgather(m->oob, &seconds, sizeof(seconds), m->gathered))
		err = FAIL_PEER;
	if (err)
		return err;
	seconds = combine(m);
	p->time_us = seconds * 1e6;
	p->algbw_gbs = (double)t->bytes / seconds * 1e-9;
	p->busbw_gbs = p->algbw_gbs * collective_bus_factor(m->s->what, m->nranks);
	if (check_last)
		err = check(m, t, &c, last_op, wrong);
	if (!err && times_us)
		err = slowest_iters(m, times_us, &p->iters);
	return err;
}

static void add_to_totals(struct totals *totals, const struct row *row, const struct placement *p)
{
	totals->busbw_sum += p->busbw_gbs;
	totals->busbw_count++;
	if (p->busbw_gbs >= totals->busbw_max) {
		totals->busbw_max = p->busbw_gbs;
		totals->busbw_max_bytes = row->bytes;
	}
}

static int measure_place(struct measure *m, const struct row *row, bool in_place,
			 struct placement *p)
{
	struct test t = test_of(m, row, in_place);
	bool unverified = in_place && collective_facts[m->s->what].unverified_in_place;
	int64_t wrong = 0;
	int err;

	if (t.bytes)
		t.places = m->s->max_bytes / row->bytes;
	err = timed(m, &t, p, &wrong);
	if (!err && !unverified)
		err = verify(m, &t, &wrong);
	if (!err && oob_barrier(m->oob))
		err = FAIL_PEER;
	p->wrong = (m->s->check && !unverified) || (m->s->check_timed && !in_place) ? wrong : -1;
	return err;
}

static int measure_row(struct measure *m, struct row *row, struct json_report *json)
{
	if (!m->rank)
		table_row_begin(stdout, row);
	for (int i = 0; i < 2; i++) {
		int err = measure_place(m, row, i == 1, &row->place[i]);

		progress_clear();
		if (err)
			return err;
		add_to_totals(&m->totals, row, &row->place[i]);
		if (!m->rank)
			table_row_place(stdout, m->s, &row->place[i]);
	}
	if (m->rank)
		return 0;
	table_row_end(stdout, m->s);
	json_add_row(json, m->s, row);
	return 0;
}

static struct row row_of(const struct measure *m, enum elem_type type, enum redop op, int root, int64_t bytes)
{
	size_t elem_bytes = type_facts[type].bytes;
	struct row row = {.type = type, .op = op, .root = root, .iters = m->s->iters};

	row.count = collective_count(m->s->what, m->nranks, elem_bytes, bytes);
	row.bytes = row.count * (int64_t)elem_bytes * (collective_facts[m->s->what].per_rank ? m->nranks : 1);
	return row;
}

/* Unlike nccl-tests, exactly the sizes that are measured. */
static int warm_up(struct measure *m, enum elem_type type, enum redop op, int root)
{
	for (int64_t b = m->s->min_bytes; b <= m->s->max_bytes; b = settings_next_size(m->s, b)) {
		struct row row = row_of(m, type, op, root, b);
		struct test t = test_of(m, &row, false);

		for (int64_t i = 0; i < m->s->warmup_iters; i++) {
			int err = operate_alone(m, &t);

			progress_show("warming up", i, m->s->warmup_iters);
			if (err)
				return err;
		}
	}
	progress_clear();
	return 0;
}

static int scan(struct measure *m, enum elem_type type, enum redop op, int root, struct json_report *json)
{
	int err;

	if (oob_barrier(m->oob))
		return FAIL_PEER;
	err = warm_up(m, type, op, root);
	for (int64_t b = m->s->min_bytes; !err && b <= m->s->max_bytes;
	     b = settings_next_size(m->s, b)) {
		struct row row = row_of(m, type, op, root, b);

		err = measure_row(m, &row, json);
	}
	return err;
}

/* A broadcast from the root that was asked for, or from every rank in turn. */
static int scan_roots(struct measure *m, enum elem_type type, enum redop op, struct json_report *json)
{
	int first = (int)m->s->root, last = first, err = 0;

	if (collective_facts[m->s->what].rooted && first < 0) {
		first = 0;
		last = m->nranks - 1;
	}
	for (int root = first; !err && root <= last; root++)
		err = scan(m, type, op, root, json);
	return err;
}

int measure_run(struct measure *m, struct json_report *json, struct totals *out_totals)
{
	const struct settings *s = m->s;
	int err = 0;

	for (int64_t cycle = 0; !err && (!s->run_cycles || cycle < s->run_cycles); cycle++)
		for (int t = 0; !err && t < s->ntypes; t++)
			for (int o = 0; !err && o < s->nops; o++)
				err = scan_roots(m, s->types[t], s->ops[o], json);
	progress_clear();
	*out_totals = m->totals;
	return err;
}

/* Bytes that are free for this rank's buffers, leaving a fifth of the memory alone. */
static double memory_share(int local_ranks)
{
	double kib = 0;
	char line[128];
	FILE *f = fopen("/proc/meminfo", "re");

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "MemAvailable: %lf", &kib) == 1)
			break;
	if (f)
		fclose(f);
	return kib * 1024 * 0.8 / local_ranks;
}

/* All ranks take the size that fits the tightest one. */
static int limit_size(struct measure *m, int local_ranks, bool *out_lowered)
{
	const struct engine_calls *calls = m->engine->calls;
	double fits = memory_share(local_ranks) / (m->s->check || m->s->check_timed ? 3 : 2);
	/* The GPU, too, is shared by all ranks if by any, and has buffers of NCCL's besides. */
	double gpu = calls->room ? calls->room(m->engine) * 0.8 / (m->s->device < 0 ? 1 : local_ranks) / 2 : fits;

	fits = gpu < fits ? gpu : fits;
	if (oob_allgather(m->oob, &fits, sizeof(fits), m->gathered))
		return FAIL_PEER;
	for (int r = 0; r < m->nranks; r++)
		fits = m->gathered[r] < fits ? m->gathered[r] : fits;
	*out_lowered = fits > 0 && (double)m->s->max_bytes > fits;
	if (*out_lowered)
		m->s->max_bytes = (int64_t)fits / 4096 * 4096;
	if (m->s->min_bytes > m->s->max_bytes)
		m->s->min_bytes = m->s->max_bytes;
	return 0;
}

static int allocate_on_gpu(struct measure *m)
{
	const struct engine_calls *calls = m->engine->calls;
	void *send, *recv;
	int err = calls->alloc(m->engine, m->send.map_bytes, &send);

	if (!err)
		err = calls->alloc(m->engine, m->recv.map_bytes, &recv);
	if (err)
		return err;
	m->gpu_send = send;
	m->gpu_recv = recv;
	return move_strips(m, upload);
}

static int allocate(struct measure *m)
{
	size_t bytes = (size_t)m->s->max_bytes, iters = (size_t)m->s->iters;
	size_t largest = 0, shift_bytes;

	for (int i = 0; i < m->s->ntypes; i++)
		if (type_facts[m->s->types[i]].bytes > largest)
			largest = type_facts[m->s->types[i]].bytes;
	/* One shift for all types: a whole number of elements of each. */
	shift_bytes = largest * (size_t)m->s->unalign;
	if (guarded_open(&m->send, bytes, shift_bytes) ||
	    guarded_open(&m->recv, bytes, shift_bytes))
		return FAIL_SYSTEM;
	if (m->engine->calls->alloc) {
		int err = allocate_on_gpu(m);

		if (err)
			return err;
	}
	if (m->s->check || m->s->check_timed) {
		m->expected = malloc(bytes);
		if (!m->expected)
			return FAIL_SYSTEM;
	}
	if (!m->s->per_iter)
		return 0;
	m->times_us = calloc(2 * iters, sizeof(*m->times_us));
	m->scratch = calloc(iters, sizeof(*m->scratch));
	return m->times_us && m->scratch ? 0 : FAIL_SYSTEM;
}

int measure_open(struct settings *s, struct oob *oob, struct engine *engine, int local_ranks,
		 struct measure **out_measure, bool *out_lowered)
{
	struct measure *m = calloc(1, sizeof(*m));
	int err;

	*out_measure = m;
	if (!m)
		return FAIL_SYSTEM;
	m->s = s;
	m->oob = oob;
	m->engine = engine;
	m->rank = oob_rank(oob);
	m->nranks = oob_nranks(oob);
	m->check_seed = FIRST_CHECK_SEED;
	m->totals.min_bw = s->min_bw;
	m->gathered = calloc((size_t)m->nranks, sizeof(*m->gathered));
	if (!m->gathered)
		return FAIL_SYSTEM;
	err = limit_size(m, local_ranks, out_lowered);
	return err ? err : allocate(m);
}

void measure_close(struct measure *m)
{
	if (!m)
		return;
	guarded_close(&m->send);
	guarded_close(&m->recv);
	free(m->expected);
	free(m->times_us);
	free(m->scratch);
	free(m->gathered);
	free(m);
}

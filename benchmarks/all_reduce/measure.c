/* SPDX-License-Identifier: Apache-2.0 */
#include "measure.h"
#include "data.h"
#include "exchange.h"
#include "memory.h"
#include "progress.h"
#include "stats.h"
#include "table.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* As in nccl-tests, the data before timing have a seed of their own. */
enum { TIMING_SEED = 99, FIRST_CHECK_SEED = 100 };

/* Smallest limit to which sizes are lowered for lack of memory. */
enum { SMALLEST_LIMIT = 4096 };

struct measure {
	struct settings *s;
	struct oob *oob;
	struct engine *engine;
	const struct team *team;
	int rank, nranks; /* in the job */
	struct data *data;
	const struct roof *roof; /* NULL: not wanted */
	double *times_us;	 /* times of single iterations, both placements; NULL: not recorded */
	double *all_times_us;	 /* the same of all ranks */
	double *scratch;
	double *gathered; /* one number per rank */
	uint64_t check_seed;
	struct totals totals;
	char error[256];
};

static double now_s(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec * 1e-9;
}

/* Starts timed operation number `op`; 0 also for operations that are not timed. */
static int operate(struct measure *m, const struct test *t, int64_t op)
{
	const struct engine_op what = {t->row->type, t->row->op, t->root, t->count};

	return m->engine->calls->run(m->engine, &what, data_input(m->data, t, op), data_result(m->data, t, op));
}

/* Waits until all started operations have completed. */
static int finish(struct measure *m)
{
	return m->engine->calls->wait ? m->engine->calls->wait(m->engine) : 0;
}

static int operate_alone(struct measure *m, const struct test *t)
{
	int err = operate(m, t, 0);

	return err ? err : finish(m);
}

/* Counts the wrong elements and guard bytes after operation `op`, over all ranks. */
static int check(struct measure *m, const struct test *t, uint64_t seed, int64_t op, int64_t *wrong)
{
	int64_t mine = 0;
	double mine_as_double;
	int err = data_check(m->data, t, seed, op, &mine);

	if (err)
		return err;
	mine_as_double = (double)mine;
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
		uint64_t seed = m->check_seed++;

		progress_show("verifying", round, m->s->check);
		err = data_prepare(m->data, t, seed, 0);
		if (!err)
			err = operate_alone(m, t);
		if (!err)
			err = check(m, t, seed, 0, wrong);
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

/* Times the iterations. times_us (may be NULL) gets the time of one operation of each iteration. */
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

/* The time of an iteration is that of the slowest rank. `all`: room for the times of all ranks. */
static int slowest_iters(struct measure *m, double *times_us, double *all, struct iter_stats *out)
{
	size_t n = (size_t)m->s->iters;

	if (oob_allgather(m->oob, times_us, n * sizeof(*times_us), all))
		return FAIL_PEER;
	for (size_t i = 0; i < n * (size_t)m->nranks; i++)
		if (all[i] > times_us[i % n])
			times_us[i % n] = all[i];
	stats_of_iters(times_us, m->s->iters, m->s->per_iter_skip, m->scratch, out);
	out->process_times_us = all;
	out->nprocesses = m->nranks;
	return 0;
}

static int timed(struct measure *m, const struct test *t, struct placement *p, int64_t *wrong)
{
	int64_t last_op = m->s->iters * m->s->agg_iters - 1;
	double *times_us = m->times_us ? m->times_us + t->in_place * m->s->iters : NULL;
	/* In place, the input is the result of earlier operations, so there is no expected result. */
	bool check_last = m->s->check_timed && !t->in_place;
	double seconds;
	int err = m->s->check || m->s->check_timed ? data_fill(m->data, t, TIMING_SEED, 0) : 0;

	if (!err)
		err = operate_alone(m, t);
	if (!err && check_last)
		err = data_prepare(m->data, t, TIMING_SEED, last_op);
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
	p->algbw_gbs = collective_moved_bytes(m->s->what, m->team->nranks, t->row->bytes) / seconds * 1e-9;
	p->busbw_gbs = p->algbw_gbs * collective_bus_factor(m->s->what, m->team->nranks);
	if (check_last)
		err = check(m, t, TIMING_SEED, last_op, wrong);
	if (!err && times_us)
		err = slowest_iters(m, times_us, m->all_times_us + t->in_place * m->s->iters * m->nranks, &p->iters);
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

static int measure_place(struct measure *m, const struct row *row, bool in_place, struct placement *p)
{
	struct test t = data_test(m->data, row, in_place);
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

static struct exchange unequal_exchange(const struct measure *m, const struct row *row)
{
	return (struct exchange){.what = m->s->what,
				 .nranks = m->team->nranks,
				 .count = (size_t)row->count,
				 .elem_bytes = type_facts[row->type].bytes,
				 .traffic = &m->s->traffic};
}

static void print_traffic(const struct measure *m, const struct row *row)
{
	struct exchange x = unequal_exchange(m, row);

	for (int r = 0; m->s->traffic.print && r < m->team->nranks; r++)
		table_traffic(stdout, r, (int64_t)(exchange_sends(&x, r) * x.elem_bytes),
			      (int64_t)(exchange_receives(&x, r) * x.elem_bytes), row->place[0].time_us,
			      collective_bus_factor(m->s->what, m->team->nranks));
}

static int measure_row(struct measure *m, struct row *row, struct report *report)
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
	row->roof_gbs = roof_busbw(m->roof, m->s, m->team->nranks, row);
	roof_judge(&m->totals.roof, row);
	if (row->bytes >= m->totals.largest_bytes) {
		m->totals.largest_bytes = row->bytes;
		m->totals.largest_busbw = (row->place[0].busbw_gbs + row->place[1].busbw_gbs) / 2;
	}
	table_row_end(stdout, m->s, row);
	print_traffic(m, row);
	report_add_row(report, row);
	return 0;
}

/* The size of a row is that of the rank with most data; a matrix of traffic takes no count. */
static void set_unequal(const struct measure *m, struct row *row)
{
	struct exchange x;

	if (m->s->traffic.matrix)
		row->count = 0;
	x = unequal_exchange(m, row);
	row->bytes = (int64_t)(exchange_largest(&x) * x.elem_bytes);
}

static struct row row_of(const struct measure *m, enum elem_type type, enum redop op, int root, int64_t bytes)
{
	size_t elem_bytes = type_facts[type].bytes;
	struct row row = {.type = type, .op = op, .root = root, .iters = m->s->iters};

	row.count = collective_count(m->s->what, m->team->nranks, elem_bytes, bytes);
	if (m->s->what == ALL_TO_ALL_V)
		set_unequal(m, &row);
	else
		row.bytes =
			row.count * (int64_t)elem_bytes * (collective_facts[m->s->what].per_rank ? m->team->nranks : 1);
	return row;
}

/* Unlike nccl-tests, warms up exactly the measured sizes. */
static int warm_up(struct measure *m, enum elem_type type, enum redop op, int root)
{
	for (int64_t b = m->s->min_bytes; b <= m->s->max_bytes; b = settings_next_size(m->s, b)) {
		struct row row = row_of(m, type, op, root, b);
		struct test t = data_test(m->data, &row, false);

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

static int scan(struct measure *m, enum elem_type type, enum redop op, int root, struct report *report)
{
	int err;

	if (oob_barrier(m->oob))
		return FAIL_PEER;
	err = warm_up(m, type, op, root);
	for (int64_t b = m->s->min_bytes; !err && b <= m->s->max_bytes; b = settings_next_size(m->s, b)) {
		struct row row = row_of(m, type, op, root, b);

		err = measure_row(m, &row, report);
	}
	return err;
}

/* Measures with the requested root, or with every rank in turn. */
static int scan_roots(struct measure *m, enum elem_type type, enum redop op, struct report *report)
{
	int first = (int)m->s->root, last = first, err = 0;

	if (collective_facts[m->s->what].rooted && first < 0) {
		first = 0;
		last = m->team->smallest - 1;
	}
	for (int root = first; !err && root <= last; root++)
		err = scan(m, type, op, root, report);
	return err;
}

int measure_run(struct measure *m, const struct roof *roof, struct report *report, struct totals *out_totals)
{
	const struct settings *s = m->s;
	int err = 0;

	m->roof = roof;
	*out_totals = m->totals;
	if (s->what == HYPERCUBE && !m->team->powers_of_two) {
		if (!m->rank)
			printf("# %d ranks are not a power of two, skipping\n",
			       m->team->largest & (m->team->largest - 1) ? m->team->largest : m->team->smallest);
		return 0;
	}
	for (int64_t cycle = 0; !err && (!s->run_cycles || cycle < s->run_cycles); cycle++)
		for (int t = 0; !err && t < s->ntypes; t++)
			for (int o = 0; !err && o < s->nops; o++)
				err = scan_roots(m, s->types[t], s->ops[o], report);
	progress_clear();
	*out_totals = m->totals;
	return err;
}

/* Bytes for this rank's buffers: its part of four fifths of the memory that the machine and its control groups leave. */
static double memory_share(int local_ranks)
{
	double available = memory_available();

	return available > 0 ? available * 0.8 / local_ranks : 1e18;
}

/* Lowers the sizes to the smallest limit of all ranks. */
static int limit_size(struct measure *m, int local_ranks, bool *out_lowered)
{
	const struct engine_calls *calls = m->engine->calls;
	double fits, gpu;

	/* All engines must have allocated their memory before any rank reads the remaining memory. */
	if (oob_barrier(m->oob))
		return FAIL_PEER;
	fits = memory_share(local_ranks) / (m->s->check || m->s->check_timed ? 3 : 2);
	/* With a given device, all ranks of the host share one GPU, and NCCL allocates buffers there, too. */
	gpu = calls->room ? calls->room(m->engine) * 0.8 / (m->s->device < 0 ? 1 : local_ranks) / 2 : fits;
	fits = gpu < fits ? gpu : fits;
	if (oob_allgather(m->oob, &fits, sizeof(fits), m->gathered))
		return FAIL_PEER;
	for (int r = 0; r < m->nranks; r++)
		fits = m->gathered[r] < fits ? m->gathered[r] : fits;
	*out_lowered = (double)m->s->max_bytes > fits;
	if (*out_lowered && fits < SMALLEST_LIMIT) {
		snprintf(m->error, sizeof(m->error), "not enough memory: room for buffers of %.0f bytes only", fits);
		return FAIL_SYSTEM;
	}
	if (*out_lowered)
		m->s->max_bytes = (int64_t)fits / 4096 * 4096;
	if (m->s->min_bytes > m->s->max_bytes)
		m->s->min_bytes = m->s->max_bytes;
	return 0;
}

const char *measure_error(const struct measure *m)
{
	return m ? m->error : "";
}

/* The size of a matrix of traffic is given, whatever the sizes of the command line. */
static int check_traffic(struct measure *m)
{
	struct row row = row_of(m, m->s->types[0], OP_NONE, -1, 0);

	if (!m->s->traffic.matrix || row.bytes <= m->s->max_bytes)
		return 0;
	snprintf(m->error, sizeof(m->error), "%s needs --maxbytes %" PRId64, m->s->traffic.file, row.bytes);
	return FAIL_SYSTEM;
}

static int allocate_times(struct measure *m)
{
	size_t iters = (size_t)m->s->iters;

	if (!m->s->per_iter)
		return 0;
	m->times_us = calloc(2 * iters, sizeof(*m->times_us));
	m->all_times_us = calloc(2 * iters * (size_t)m->nranks, sizeof(*m->all_times_us));
	m->scratch = calloc(iters, sizeof(*m->scratch));
	return m->times_us && m->all_times_us && m->scratch ? 0 : FAIL_SYSTEM;
}

int measure_open(struct settings *s, const struct team *team, struct engine *engine, int local_ranks,
		 struct measure **out_measure, bool *out_lowered)
{
	struct measure *m = calloc(1, sizeof(*m));
	int err;

	*out_measure = m;
	if (!m)
		return FAIL_SYSTEM;
	m->s = s;
	m->oob = team->oob;
	m->team = team;
	m->engine = engine;
	m->rank = oob_rank(m->oob);
	m->nranks = oob_nranks(m->oob);
	m->check_seed = FIRST_CHECK_SEED;
	m->totals.min_bw = s->min_bw;
	m->gathered = calloc((size_t)m->nranks, sizeof(*m->gathered));
	if (!m->gathered)
		return FAIL_SYSTEM;
	err = limit_size(m, local_ranks, out_lowered);
	if (!err)
		err = check_traffic(m);
	if (!err)
		err = data_open(s, engine, team, &m->data);
	return err ? err : allocate_times(m);
}

void measure_close(struct measure *m)
{
	if (!m)
		return;
	data_close(m->data);
	free(m->times_us);
	free(m->all_times_us);
	free(m->scratch);
	free(m->gathered);
	free(m);
}

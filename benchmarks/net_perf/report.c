/* SPDX-License-Identifier: Apache-2.0 */
/* See report.h. */
#include "report.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

#include <jansson.h>

#include "complain.h"
#include "far.h"
#include "oob.h"

struct report {
	const struct cli *cli;
	const struct pair *sides;
	int nsides;
	json_t *root, *rows;
	uint64_t points, preempted; /* over all sides: number of points, and number of points with preemptions */
};

static const char *unit(enum pattern p)
{
	static const char *const units[PATTERNS] = {"us", "GB/s", "msg/s", "GB/s", "msg/s"};

	return units[p];
}

static bool is_raw(const struct pair *p)
{
	return !p->config.plugin;
}

/* The value of side A divided by that of another side; < 0 if there is no value. */
static double ratio(double a, double other)
{
	return other > 0 ? a / other : -1;
}

static json_t *sides_json(const struct report *r)
{
	json_t *all = json_object(), *one;
	int i;

	for (i = 0; i < r->nsides; i++) {
		const struct pair *p = &r->sides[i];
		const struct hello *h = &p->hello[0];

		if (is_raw(p))
			one = json_pack("{s:s, s:s, s:s, s:s}", "provider", h->raw.provider, "domain", h->raw.domain,
					"libfabric", h->raw.version, "library", h->raw.library);
		else
			one = json_pack("{s:s, s:i, s:s, s:s, s:i}", "plugin", h->name, "abi", h->abi, "path",
					p->config.plugin, "device", h->device, "index", p->config.setup.dev);
		json_object_set_new(one, "environment", p->config.env ? json_string(p->config.env) : json_null());
		json_object_set_new(all, p->config.label, one);
	}
	return all;
}

static json_t *machine_json(const struct cli *c)
{
	struct utsname u;

	uname(&u);
	return json_pack("{s:s, s:s, s:s, s:i, s:[i,i]}", "system", u.sysname, "release", u.release, "machine",
			 u.machine, "cores", c->cores_allowed, "pinned", c->cores[0], c->cores[1]);
}

static const char *ops_text(unsigned ops)
{
	if (ops == RAW_TAGGED)
		return "tagged messages";
	if (ops == RAW_WRITEDATA)
		return "writes with immediate data";
	return "the better of tagged messages (t) and writes with immediate data (w) at each point";
}

static void print_side(const struct cli *c, const struct pair *p)
{
	const struct hello *h = &p->hello[0];

	if (!is_raw(p)) {
		printf("# %s: plugin %s v%d (%s), device %d: %s\n", p->config.label, h->name, h->abi, p->config.plugin,
		       p->config.setup.dev, h->device);
	} else {
		printf("# %s: libfabric %s (%s), provider %s, domain %s\n", p->config.label, h->raw.version,
		       h->raw.library, h->raw.provider, h->raw.domain);
		printf("# %s: %s\n", p->config.label, ops_text(sweep_raw_ops(c)));
	}
	if (p->config.env)
		printf("# %s: environment %s\n", p->config.label, p->config.env);
}

static void print_machine(const struct cli *c, const struct pair *sides)
{
	const struct far *f = sides->config.far;

	if (f)
		printf("# rank 0 on %s, rank 1 on %s (%s)\n", oob_peer(f->oob, 0)->host, oob_peer(f->oob, 1)->host,
		       f->place.origin);
	printf("# 2 processes on %d core%s, ", c->cores_allowed, c->cores_allowed == 1 ? "" : "s");
	if (c->cores[0] < 0)
		printf("not pinned\n");
	else
		printf("pinned to %d and %d\n", c->cores[0], c->cores[1]);
	if (c->yield && c->threads > 1)
		printf("# warning: fewer cores than threads: this measures the scheduler, too\n");
	else if (c->yield)
		printf("# warning: both share one core: this measures the scheduler\n");
}

static void print_instructions_note(const struct report *r)
{
	if (!r->cli->instructions)
		return;
	printf("# instructions per message: user space, one column per rank; %s\n",
	       r->sides[0].hello[0].counts_instructions
		       ? "waiting in a loop counts, too"
		       : "n/a, no counter here or not permitted (kernel.perf_event_paranoid)");
}

static void print_comms_note(const struct report *r)
{
	if (r->cli->comms > 1)
		printf("# %" PRId64 " comms each way over %" PRId64 " thread%s of each process: GB/s and msg/s of all "
		       "together; depth of each\n",
		       r->cli->comms, r->cli->threads, r->cli->threads > 1 ? "s" : "");
	if (r->cli->comms > 1 && r->cli->raw)
		printf("# raw: an endpoint and a completion queue for each comm\n");
}

static void print_sweep_head(const struct report *r)
{
	int i;

	printf("# latency: half a round in us, median and p99; GB/s: 10^9 bytes/s; medians of "
	       "%" PRId64 " repetitions%s\n",
	       r->cli->repetitions, r->nsides > 1 ? ", sides in turn" : "");
	if (r->nsides > 1)
		printf("# ratio: A divided by the other; good for A: latency below 1, the rest "
		       "above 1\n");
	print_comms_note(r);
	print_instructions_note(r);
	printf("#%-11s %10s %5s %-5s", " pattern", "bytes", "depth", "unit");
	for (i = 0; i < r->nsides; i++) {
		printf(" %10s %9s", r->sides[i].config.label, "p99");
		if (is_raw(&r->sides[i]))
			printf(" op");
		if (r->cli->instructions)
			printf(" %8s %8s", "ins:0", "ins:1");
	}
	for (i = 1; i < r->nsides; i++)
		printf("%*sA/%s", 8 - (int)strlen(r->sides[i].config.label), "", r->sides[i].config.label);
	printf(" %6s\n", "wrong");
	fflush(stdout);
}

static void print_curve_head(const struct report *r)
{
	int i;

	printf("# a pair: one connection each way, registered and used once; per process\n");
	printf("# us: set-up time per pair of this step; KiB: growth of resident memory per pair "
	       "of this "
	       "step, and in all\n");
	printf("#%9s", "pairs");
	for (i = 0; i < r->nsides; i++)
		printf(" %7s us %7s KiB %7s all", r->sides[i].config.label, r->sides[i].config.label,
		       r->sides[i].config.label);
	printf("\n");
	fflush(stdout);
}

static void print_workload_head(const struct report *r)
{
	printf("# workload: %" PRId64 " comms each way, bursts of messages from 64 B to 8 MiB, some before their "
	       "receives;\n"
	       "# medians of %" PRId64 " repetitions%s\n"
	       "# p50, p99: us from the start of a burst until the receiver has a message of it, of up to 8 KiB\n"
	       "#%-5s %12s %10s %10s %10s\n",
	       r->cli->workload, r->cli->repetitions, r->nsides > 1 ? ", sides in turn" : "", " side", "messages/s",
	       "GB/s", "p50", "p99");
}

struct report *report_open(const struct cli *c, const struct pair *sides, int nsides)
{
	struct report *r = calloc(1, sizeof(*r));
	int i;

	if (r)
		r->root = json_object();
	if (!r || !r->root) {
		free(r);
		complain("no memory");
		return NULL;
	}
	r->cli = c;
	r->sides = sides;
	r->nsides = nsides;
	r->rows = json_array();
	json_object_set_new(r->root, "program", json_string("weft_net_perf"));
	json_object_set_new(r->root, "version", json_string(PACKAGE_VERSION));
	json_object_set_new(r->root, "machine", machine_json(c));
	if (sides->config.far)
		json_object_set_new(r->root, "hosts",
				    json_pack("[s,s]", oob_peer(sides->config.far->oob, 0)->host,
					      oob_peer(sides->config.far->oob, 1)->host));
	json_object_set_new(r->root, "sides", sides_json(r));
	json_object_set_new(r->root, "comms", json_integer(c->comms));
	json_object_set_new(r->root, "threads", json_integer(c->threads));
	json_object_set_new(r->root, "repetitions", json_integer(c->repetitions));
	json_object_set_new(r->root, c->workload ? "workload" : c->pairs ? "connections" : "points", r->rows);
	printf("# weft_net_perf %s\n", PACKAGE_VERSION);
	print_machine(c, sides);
	for (i = 0; i < nsides; i++)
		print_side(c, &sides[i]);
	if (c->workload)
		print_workload_head(r);
	else if (c->pairs)
		print_curve_head(r);
	else
		print_sweep_head(r);
	return r;
}

static void print_value(enum pattern p, double v)
{
	if (p == PATTERN_RATE || p == PATTERN_BIRATE)
		printf(" %10.0f", v);
	else
		printf(" %10.4g", v);
}

static void print_instructions(double n)
{
	if (n < 0)
		printf(" %8s", "n/a");
	else
		printf(" %8.0f", n);
}

static void print_ratio(double v)
{
	if (v < 0)
		printf("   %7s", "-");
	else
		printf("   %7.3f", v);
}

static void print_point(const struct report *r, const struct point *p, const struct measured *m)
{
	uint64_t wrong = 0;
	int i;

	printf("  %-10s %10zu %5u %-5s", pattern_name(p->pattern), p->bytes, p->depth, unit(p->pattern));
	for (i = 0; i < r->nsides; i++) {
		print_value(p->pattern, m[i].value);
		if (p->pattern == PATTERN_LATENCY)
			printf(" %9.2f", m[i].p99);
		else
			printf(" %9s", "-");
		if (is_raw(&r->sides[i]))
			printf("  %s", m[i].op == RAW_TAGGED ? "t" : "w");
		if (r->cli->instructions) {
			print_instructions(m[i].instructions[0]);
			print_instructions(m[i].instructions[1]);
		}
		wrong += m[i].wrong;
	}
	for (i = 1; i < r->nsides; i++)
		print_ratio(ratio(m[0].value, m[i].value));
	printf(" %6" PRIu64 "\n", wrong);
	fflush(stdout);
}

static json_t *array_json(const double *v, int64_t n)
{
	json_t *a = json_array();
	int64_t i;

	for (i = 0; i < n; i++)
		json_array_append_new(a, json_real(v[i]));
	return a;
}

static json_t *measured_json(const struct report *r, const struct point *p, const struct measured *m, bool raw)
{
	json_t *one = json_pack("{s:f, s:I, s:I, s:I}", "value", m->value, "iterations", (json_int_t)m->iterations,
				"wrong", (json_int_t)m->wrong, "preemptions", (json_int_t)m->preemptions);

	json_object_set_new(one, "values", array_json(m->values, r->cli->repetitions));
	if (p->pattern == PATTERN_LATENCY) {
		json_object_set_new(one, "p99", json_real(m->p99));
		json_object_set_new(one, "p99s", array_json(m->p99s, r->cli->repetitions));
	}
	if (raw)
		json_object_set_new(one, "op", json_string(m->op == RAW_TAGGED ? "tagged" : "writedata"));
	if (m->instructions[0] >= 0)
		json_object_set_new(one, "instructions", array_json(m->instructions, 2));
	return one;
}

void report_point(struct report *r, const struct point *p, const struct measured *m)
{
	json_t *row = json_pack("{s:s, s:I, s:i, s:s}", "pattern", pattern_name(p->pattern), "bytes",
				(json_int_t)p->bytes, "depth", (int)p->depth, "unit", unit(p->pattern));
	json_t *sides = json_object(), *ratios = json_object();
	double quotient;
	int i;

	print_point(r, p, m);
	for (i = 0; i < r->nsides; i++) {
		const char *label = r->sides[i].config.label;

		r->points++;
		r->preempted += m[i].preemptions > 0;
		json_object_set_new(sides, label, measured_json(r, p, &m[i], is_raw(&r->sides[i])));
		quotient = ratio(m[0].value, m[i].value);
		if (i && quotient >= 0)
			json_object_set_new(ratios, label, json_real(quotient));
	}
	json_object_set_new(row, "sides", sides);
	json_object_set_new(row, "ratios", ratios);
	json_array_append_new(r->rows, row);
}

void report_curve(struct report *r, unsigned pairs, const struct curve_step *steps)
{
	json_t *row = json_pack("{s:i}", "pairs", (int)pairs), *sides = json_object();
	int i;

	if (pairs)
		printf(" %9u", pairs);
	else
		printf(" %9s", "0 (close)");
	for (i = 0; i < r->nsides; i++) {
		printf(" %10.1f %11.2f %11.0f", steps[i].us_per_pair, steps[i].kib_per_pair, steps[i].total_kib);
		json_object_set_new(sides, r->sides[i].config.label,
				    json_pack("{s:f, s:f, s:f}", "us_per_pair", steps[i].us_per_pair, "kib_per_pair",
					      steps[i].kib_per_pair, "total_kib", steps[i].total_kib));
	}
	printf("\n");
	fflush(stdout);
	json_object_set_new(row, "sides", sides);
	json_array_append_new(r->rows, row);
}

void report_workload(struct report *r, const struct workload_result *results)
{
	int i;

	for (i = 0; i < r->nsides; i++) {
		const struct workload_result *m = &results[i];
		json_t *row =
			json_pack("{s:s, s:f, s:f, s:f, s:f}", "side", r->sides[i].config.label, "messages_per_s",
				  m->messages_per_s, "gb_per_s", m->gb_per_s, "p50_us", m->p50_us, "p99_us", m->p99_us);

		printf("  %-4s %12.0f %10.3f %10.1f %10.1f\n", r->sides[i].config.label, m->messages_per_s, m->gb_per_s,
		       m->p50_us, m->p99_us);
		json_array_append_new(r->rows, row);
	}
	for (i = 1; i < r->nsides; i++)
		printf("  A/%-2s %12.3f %10.3f %10.3f %10.3f\n", r->sides[i].config.label,
		       results[0].messages_per_s / results[i].messages_per_s, results[0].gb_per_s / results[i].gb_per_s,
		       results[0].p50_us / results[i].p50_us, results[0].p99_us / results[i].p99_us);
	fflush(stdout);
}

int report_finish(struct report *r, uint64_t wrong)
{
	const char *path = r->cli->json;
	int ret = 0;

	json_object_set_new(r->root, "wrong", json_integer((json_int_t)wrong));
	if (r->preempted)
		printf("# disturbed: in %" PRIu64 " of %" PRIu64 " measurements a process had to give its "
		       "core to others\n",
		       r->preempted, r->points);
	printf("# wrong: %" PRIu64 "%s\n", wrong, r->cli->check ? "" : " (not checked)");
	if (fflush(stdout))
		ret = -1;
	if (path && json_dump_file(r->root, path, JSON_INDENT(1) | JSON_REAL_PRECISION(6))) {
		complain("cannot write %s: %s", path, strerror(errno));
		ret = -1;
	}
	return ret;
}

void report_close(struct report *r)
{
	json_decref(r->root);
	free(r);
}

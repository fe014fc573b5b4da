/* SPDX-License-Identifier: Apache-2.0 */
/* See show_limits.h. */
#include "show_limits.h"

#include <stdlib.h>
#include <string.h>

#include "expect.h"
#include "net_perf/trial.h"
#include "roof.h"

enum { BELOW_SHOWN = 8 /* pairs */, NICS_BYTES = 1024 };

#define HINT "; --roof tells whether the network or the plugin is the limit"

/* One of the two limits. */
struct limit {
	const char *name, *of;
	roof_part *part;
};

static const struct limit by_nics = {"expected", "what the NICs allow", expect_ratio};
static const struct limit by_raw = {"roof", "raw libfabric", roof_ratio};

static double expected_speed(const struct cell *c)
{
	return c->expected.gb_per_s;
}

static double raw_bandwidth(const struct cell *c)
{
	return c->raw_gb_per_s;
}

static double raw_latency(const struct cell *c)
{
	return c->raw_latency_us;
}

/* Ends the line of a pair. */
static void print_nic_limit(FILE *out, const struct matrix *m, const struct expected_speed *e)
{
	fprintf(out, ": %.4g GB/s, by those of rank %d (%s)", e->gb_per_s, e->limit, m->who[e->limit].host);
	if (e->pairs > 1)
		fprintf(out, ", which %d pairs share", e->pairs);
}

/* The pairs that are below the limit, the lowest first. */
static void print_below(FILE *out, const struct matrix *m, const struct limit *l)
{
	struct roof_pair *pairs;
	int n = roof_below(m, l->part, &pairs), i;

	for (i = 0; i < n && i < BELOW_SHOWN; i++) {
		fprintf(out, "# %s: rank %d (%s) -> rank %d (%s): %.2f of %s", l->name, pairs[i].from,
			m->who[pairs[i].from].host, pairs[i].to, m->who[pairs[i].to].host, pairs[i].ratio, l->of);
		if (l == &by_nics)
			print_nic_limit(out, m, &matrix_at(m, pairs[i].from, pairs[i].to)->expected);
		fputc('\n', out);
	}
	if (n > BELOW_SHOWN)
		fprintf(out, "# %s: and %d more pairs\n", l->name, n - BELOW_SHOWN);
	free(pairs);
}

static void print_verdict(FILE *out, const struct matrix *m, const struct limit *l, bool hint)
{
	struct roof_sum sum = roof_sum(m, l->part);

	print_below(out, m, l);
	fprintf(out, "# %s: %.2f of %s, the lowest of %d", l->name, sum.lowest, l->of, sum.pairs);
	if (sum.below)
		fprintf(out, "; %d below %g%s\n", sum.below, ROOF_FINE, hint ? HINT : "");
	else
		fprintf(out, ": fine\n");
}

/* One line if it is true of every rank. */
static void print_nics(FILE *out, const struct matrix *m)
{
	char first[NICS_BYTES], text[NICS_BYTES];
	int i;

	expect_nics(&m->who[0], first, sizeof(first));
	for (i = 1; i < m->n && !strcmp(first, expect_nics(&m->who[i], text, sizeof(text))); i++)
		;
	if (i == m->n)
		fprintf(out, "# expected: every rank: %s\n", first);
	for (i = i == m->n ? m->n : 0; i < m->n; i++)
		fprintf(out, "# expected: rank %d: %s\n", i, expect_nics(&m->who[i], text, sizeof(text)));
}

/* Is there a pair whose speed is known at both ends, but does not count? */
static bool any_passes_by(const struct matrix *m)
{
	int i, j;

	for (i = 0; i < m->n; i++)
		for (j = 0; j < m->n; j++)
			if (i != j && m->who[i].nnics && m->who[i].mbps[0] && expect_passes_by(m, i, j))
				return true;
	return false;
}

void show_expected(FILE *out, const struct matrix *m, bool hint)
{
	print_nics(out, m);
	if (any_passes_by(m))
		fprintf(out,
			"# expected: not known of pairs of one host: the kernel moves their messages, not the NICs\n");
	if (!roof_sum(m, expect_ratio).pairs)
		return;
	show_matrix(out, m, "exp", expected_speed);
	show_matrix(out, m, "ofexp", expect_ratio);
	print_verdict(out, m, &by_nics, hint);
}

void show_roof(FILE *out, const struct matrix *m)
{
	int i;

	for (i = 0; i < m->n; i++)
		fprintf(out, "# roof: rank %d: %s\n", i, *m->who[i].raw ? m->who[i].raw : "not measured");
	show_matrix(out, m, "raw", raw_bandwidth);
	show_matrix(out, m, "rawus", raw_latency);
	show_matrix(out, m, "ratio", roof_ratio);
	if (roof_sum(m, roof_ratio).pairs)
		print_verdict(out, m, &by_raw, false);
	else
		fprintf(out, "# roof: no pair could be measured with raw libfabric\n");
}

static json_t *known(double v)
{
	return v > 0 ? json_real(v) : json_null();
}

static json_t *verdict_json(const struct matrix *m, const struct limit *l)
{
	struct roof_sum sum = roof_sum(m, l->part);

	return json_pack("{s:i, s:i, s:o, s:f, s:b}", "pairs", sum.pairs, "below", sum.below, "lowest",
			 known(sum.lowest), "least", ROOF_FINE, "fine", sum.pairs && !sum.below);
}

json_t *expected_json(const struct matrix *m)
{
	json_t *root = verdict_json(m, &by_nics), *nics = json_array();
	char text[NICS_BYTES];
	int i;

	for (i = 0; i < m->n; i++)
		json_array_append_new(nics, json_string(expect_nics(&m->who[i], text, sizeof(text))));
	json_object_set_new(root, "nics", nics);
	return root;
}

json_t *roof_json(const struct matrix *m)
{
	json_t *root = verdict_json(m, &by_raw), *raw = json_array();
	int i;

	for (i = 0; i < m->n; i++)
		json_array_append_new(raw, *m->who[i].raw ? json_string(m->who[i].raw) : json_null());
	json_object_set_new(root, "raw", raw);
	return root;
}

void json_add_expected(json_t *pair, const struct cell *c)
{
	bool is_known = c->expected.gb_per_s > 0;

	json_object_set_new(pair, "expected_gb_per_s", known(c->expected.gb_per_s));
	json_object_set_new(pair, "expected_ratio", known(expect_ratio(c)));
	json_object_set_new(pair, "limit", is_known ? json_integer(c->expected.limit) : json_null());
	json_object_set_new(pair, "limit_pairs", is_known ? json_integer(c->expected.pairs) : json_null());
}

void json_add_roof(json_t *pair, const struct cell *c)
{
	json_object_set_new(pair, "raw_gb_per_s", known(c->raw_gb_per_s));
	json_object_set_new(pair, "raw_latency_us", known(c->raw_latency_us));
	json_object_set_new(pair, "ratio", known(roof_ratio(c)));
}

void csv_expected(FILE *out, const struct cell *c)
{
	if (c->expected.gb_per_s > 0)
		fprintf(out, ",%.6g,%.6g,%d\n", c->expected.gb_per_s, expect_ratio(c), c->expected.limit);
	else
		fputs(",,,\n", out);
}

void csv_roof(FILE *out, const struct cell *c)
{
	if (c->raw_gb_per_s > 0)
		fprintf(out, ",%.6g,%.6g,%.6g", c->raw_gb_per_s, c->raw_latency_us, roof_ratio(c));
	else
		fputs(",,,", out);
}

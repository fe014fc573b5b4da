/* SPDX-License-Identifier: Apache-2.0 */
/* See show.h. svg.c has the heat map. */
#include "show.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "net_perf/complain.h"
#include "show_limits.h"
#include "show_rails.h"
#include "size_text.h"

#define NAME_BYTES 256

static void print_head(FILE *out, const struct report *r)
{
	const struct matrix *m = r->matrix;
	char size[32];
	int i;

	fprintf(out, "# weft-pair %s: %d ranks\n", PACKAGE_VERSION, m->n);
	for (i = 0; i < m->n; i++)
		fprintf(out, "# rank %3d: %s, pid %d, plugin %s, device %s\n", i, m->who[i].host, m->who[i].pid,
			*m->who[i].plugin ? m->who[i].plugin : "-", *m->who[i].device ? m->who[i].device : "-");
	fprintf(out,
		"# GB/s: 10^9 bytes/s from the row's rank to the column's, messages of %s, %" PRId64
		" at once on %" PRId64 " comm%s\n",
		size_print(r->want->bytes, size, sizeof(size)), r->want->depth, r->want->comms,
		r->want->comms > 1 ? "s" : "");
	fprintf(out, "# us: half a round trip of 8 bytes; medians of %" PRId64 " repetitions; x: not connected\n",
		r->want->repetitions);
	if (r->want->duplex)
		fprintf(out, "# both directions of a pair at once; each has the bandwidth of the slower one\n");
	show_rails_head(out, m);
}

static void print_number(FILE *out, double v)
{
	fprintf(out, " %8.*f", v < 10 ? 4 : v < 1000 ? 2 : 0, v);
}

void show_matrix(FILE *out, const struct matrix *m, const char *unit, double (*value)(const struct cell *c))
{
	int i, j;

	fprintf(out, "# %-4s rank", unit);
	for (i = 0; i < m->n; i++)
		fprintf(out, " %8d", i);
	fprintf(out, "\n");
	for (i = 0; i < m->n; i++) {
		fprintf(out, "  %-4s %4d", unit, i);
		for (j = 0; j < m->n; j++) {
			const struct cell *c = matrix_at(m, i, j);

			if (c->state == CELL_GOOD && value(c) > 0)
				print_number(out, value(c));
			else
				fprintf(out, " %8s", c->state == CELL_SELF ? "-" : "x");
		}
		fprintf(out, "\n");
	}
}

static double bandwidth(const struct cell *c)
{
	return c->gb_per_s;
}

static double latency(const struct cell *c)
{
	return c->latency_us;
}

/* Names each pair that is not connected; or a rank, if none of its pairs is. `over`: "" or a rail. */
static void print_failed(FILE *out, const struct matrix *m, const char *over)
{
	int i, j, failed;

	for (i = 0; i < m->n; i++) {
		for (j = failed = 0; j < m->n; j++)
			failed += matrix_at(m, i, j)->state == CELL_FAILED;
		if (failed == m->n - 1)
			fprintf(out, "# not connected: rank %d (%s) <-> *%s\n", i, m->who[i].host, over);
		for (j = i + 1; j < m->n && failed < m->n - 1; j++)
			if (matrix_at(m, i, j)->state == CELL_FAILED)
				fprintf(out, "# not connected: rank %d (%s) <-> rank %d (%s)%s\n", i, m->who[i].host, j,
					m->who[j].host, over);
	}
}

static void print_wrong(FILE *out, const struct matrix *m, const char *over)
{
	int i, j;

	for (i = 0; i < m->n; i++)
		for (j = 0; j < m->n; j++)
			if (matrix_at(m, i, j)->wrong)
				fprintf(out, "# wrong bytes: rank %d (%s) -> rank %d (%s), %" PRIu64 " messages%s\n", i,
					m->who[i].host, j, m->who[j].host, matrix_at(m, i, j)->wrong, over);
}

static void print_rails(FILE *out, const struct matrix *m)
{
	char gb[24], us[24];
	int i;

	for (i = 0; i < m->nrails; i++) {
		snprintf(gb, sizeof(gb), "GB/s@%d", i);
		snprintf(us, sizeof(us), "us@%d", i);
		show_matrix(out, &m->rails[i], gb, bandwidth);
		show_matrix(out, &m->rails[i], us, latency);
	}
}

static void print_faults(FILE *out, const struct matrix *m)
{
	char over[24];
	int i;

	print_failed(out, m, "");
	print_wrong(out, m, "");
	for (i = 0; i < m->nrails; i++) {
		snprintf(over, sizeof(over), " over rail %d", i);
		print_failed(out, &m->rails[i], over);
		print_wrong(out, &m->rails[i], over);
	}
}

void show_table(FILE *out, const struct report *r)
{
	const struct matrix *m = r->matrix;
	char name[NAME_BYTES];
	int i;

	print_head(out, r);
	show_matrix(out, m, "GB/s", bandwidth);
	show_matrix(out, m, "us", latency);
	show_expected(out, m, !r->want->roof);
	if (r->want->roof)
		show_roof(out, m);
	print_rails(out, m);
	print_faults(out, m);
	for (i = 0; i < r->noutliers; i++) {
		fprintf(out, "# outlier: %s: %.2g of the others", matrix_name(m, &r->outliers[i], name, sizeof(name)),
			r->outliers[i].ratio);
		show_rails_of(out, r, &r->outliers[i]);
	}
	show_rails_slow(out, r);
	if (m->n < 3)
		fprintf(out, "# two ranks have no others to be compared with\n");
	fprintf(out, "# median %.4g GB/s; wrong: %" PRIu64 "; not connected: %d; outliers: %d\n", matrix_median(m),
		matrix_wrong(m), matrix_failed(m), r->noutliers);
}

static json_t *ranks_json(const struct matrix *m)
{
	json_t *all = json_array();
	int i;

	for (i = 0; i < m->n; i++)
		json_array_append_new(all,
				      json_pack("{s:i, s:s, s:i, s:s, s:s}", "rank", i, "host", m->who[i].host, "pid",
						m->who[i].pid, "plugin", m->who[i].plugin, "device", m->who[i].device));
	json_add_nics(all, m);
	return all;
}

static json_t *pairs_json(const struct matrix *m, bool roof)
{
	json_t *all = json_array(), *one;
	int i, j;

	for (i = 0; i < m->n; i++)
		for (j = 0; j < m->n; j++) {
			const struct cell *c = matrix_at(m, i, j);

			if (c->state == CELL_SELF)
				continue;
			one = json_pack("{s:i, s:i, s:b, s:f, s:f, s:I}", "from", i, "to", j, "connected",
					c->state == CELL_GOOD, "gb_per_s", c->gb_per_s, "latency_us", c->latency_us,
					"wrong", (json_int_t)c->wrong);
			json_add_expected(one, c);
			if (roof)
				json_add_roof(one, c);
			json_array_append_new(all, one);
			json_add_rails(all, m, i, j);
		}
	return all;
}

static json_t *outliers_json(const struct report *r)
{
	json_t *all = json_array();
	int i;

	for (i = 0; i < r->noutliers; i++)
		json_array_append_new(all, outlier_json(r->matrix, &r->outliers[i]));
	return all;
}

int show_json(const char *path, const struct report *r)
{
	const struct want *w = r->want;
	const struct matrix *m = r->matrix;
	json_t *root = json_pack("{s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:f}", "program", "weft-pair", "version",
				 PACKAGE_VERSION, "bytes", (json_int_t)w->bytes, "depth", (json_int_t)w->depth, "comms",
				 (json_int_t)w->comms, "threads", (json_int_t)w->threads, "repetitions",
				 (json_int_t)w->repetitions, "least", w->least);
	int ret = 0;

	json_object_set_new(root, "ranks", ranks_json(m));
	json_object_set_new(root, "pairs", pairs_json(m, w->roof));
	json_object_set_new(root, "expected", expected_json(m));
	if (w->roof)
		json_object_set_new(root, "roof", roof_json(m));
	json_object_set_new(root, "outliers", outliers_json(r));
	json_object_set_new(root, "slow_rails", slow_rails_json(r));
	json_object_update_new(root,
			       json_pack("{s:f, s:I, s:i, s:i}", "median_gb_per_s", matrix_median(m), "wrong",
					 (json_int_t)matrix_wrong(m), "failed", matrix_failed(m), "status", r->status));
	if (json_dump_file(root, path, JSON_INDENT(1) | JSON_REAL_PRECISION(6))) {
		complain("cannot write %s: %s", path, strerror(errno));
		ret = -1;
	}
	json_decref(root);
	return ret;
}

/* The pairs of the devices (rail -1), or of one rail. */
static void print_csv(FILE *out, const struct report *r, int rail)
{
	const struct matrix *m = rail < 0 ? r->matrix : &r->matrix->rails[rail];
	int i, j;

	for (i = 0; i < m->n; i++)
		for (j = 0; j < m->n; j++) {
			const struct cell *c = matrix_at(m, i, j);

			if (c->state == CELL_SELF)
				continue;
			fprintf(out, "%d,%d,%s,%s,%d,%.6g,%.6g,%" PRIu64, i, j, m->who[i].host, m->who[j].host,
				c->state == CELL_GOOD, c->gb_per_s, c->latency_us, c->wrong);
			if (r->want->roof)
				csv_roof(out, c);
			if (rail >= 0)
				fprintf(out, ",%d,%s,%s,%.4g", rail, m->who[i].nics[rail], m->who[j].nics[rail],
					c->share);
			fputs(r->want->rails && rail < 0 ? ",,,," : "", out);
			csv_expected(out, c);
		}
}

int show_csv(const char *path, const struct report *r)
{
	const struct matrix *m = r->matrix;
	FILE *out = fopen(path, "we");
	int rail, bad = !out;

	if (out)
		fprintf(out,
			"from,to,from_host,to_host,connected,gb_per_s,latency_us,wrong%s%s,expected_gb_per_s,expected_ratio,limit\n",
			r->want->roof ? ",raw_gb_per_s,raw_latency_us,ratio" : "",
			r->want->rails ? ",rail,from_nic,to_nic,share" : "");
	for (rail = -1; out && rail < m->nrails; rail++)
		print_csv(out, r, rail);
	if (out)
		bad = ferror(out) | fclose(out);
	if (bad)
		complain("cannot write %s: %s", path, strerror(errno));
	return bad ? -1 : 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "csv.h"
#include "new_file.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

struct csv_report {
	FILE *file;
	bool per_iter, roof;
};

struct csv_report *csv_open(const struct settings *s)
{
	static const char *const places[] = {"out_of_place", "in_place"};
	static const char *const columns[] = {"time_us", "alg_bw", "bus_bw", "nwrong"};
	static const char *const iter_columns[] = {"min_us", "max_us", "avg_us",   "p50_us",
						   "p95_us", "p99_us", "stdev_us", "cv_pct"};
	struct csv_report *c = calloc(1, sizeof(*c));

	if (c)
		c->file = new_file(s->csv, "CSV");
	if (!c || !c->file) {
		free(c);
		return NULL;
	}
	c->per_iter = s->per_iter;
	c->roof = s->roof;
	fputs("size,count,type,redop,root", c->file);
	for (int p = 0; p < 2; p++) {
		for (size_t i = 0; i < sizeof(columns) / sizeof(columns[0]); i++)
			fprintf(c->file, ",%s_%s", places[p], columns[i]);
		for (size_t i = 0; c->per_iter && i < sizeof(iter_columns) / sizeof(iter_columns[0]); i++)
			fprintf(c->file, ",%s_%s", places[p], iter_columns[i]);
	}
	if (c->roof)
		fputs(",roof_bus_bw,out_of_place_roof_ratio,in_place_roof_ratio", c->file);
	fputc('\n', c->file);
	fflush(c->file);
	return c;
}

static void add_number(FILE *f, double v)
{
	if (isfinite(v))
		fprintf(f, ",%.9g", v);
	else
		fputc(',', f);
}

static void add_placement(const struct csv_report *c, const struct placement *p)
{
	const struct iter_stats *st = &p->iters;
	const double iters[] = {st->min_us, st->max_us, st->avg_us,   st->p50_us,
				st->p95_us, st->p99_us, st->stdev_us, st->cv_pct};

	add_number(c->file, p->time_us);
	add_number(c->file, p->algbw_gbs);
	add_number(c->file, p->busbw_gbs);
	if (p->wrong < 0)
		fputc(',', c->file);
	else
		fprintf(c->file, ",%" PRId64, p->wrong);
	for (size_t i = 0; c->per_iter && i < sizeof(iters) / sizeof(iters[0]); i++)
		add_number(c->file, iters[i]);
}

void csv_add_row(struct csv_report *c, const struct row *row)
{
	if (!c)
		return;
	fprintf(c->file, "%" PRId64 ",%" PRId64 ",%s,%s,%" PRId64, row->bytes, row->count, type_facts[row->type].name,
		op_names[row->op], row->root);
	for (int p = 0; p < 2; p++)
		add_placement(c, &row->place[p]);
	if (c->roof && row->roof_gbs > 0)
		fprintf(c->file, ",%.9g,%.9g,%.9g", row->roof_gbs, row_ratio(row, 0), row_ratio(row, 1));
	else if (c->roof)
		fputs(",,,", c->file);
	fputc('\n', c->file);
	fflush(c->file);
}

void csv_close(struct csv_report *c)
{
	if (c)
		new_file_close(c->file, "CSV");
	free(c);
}

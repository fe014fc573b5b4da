/* SPDX-License-Identifier: Apache-2.0 */
#include "report.h"
#include "csv.h"
#include "json.h"
#include "plot.h"

#include <stdlib.h>

struct report {
	const struct settings *s;
	struct json_report *json;
	struct csv_report *csv;
	struct plot *plot;
};

struct report *report_open(const struct settings *s, const struct report_head *head)
{
	struct report *r = calloc(1, sizeof(*r));

	if (!r)
		return NULL;
	r->s = s;
	if (s->json)
		r->json = json_open(s, head);
	if (s->csv)
		r->csv = csv_open(s);
	if (s->plot)
		r->plot = plot_open(s, head->program, head->nranks);
	return r;
}

void report_add_row(struct report *r, const struct row *row)
{
	if (!r)
		return;
	json_add_row(r->json, r->s, row);
	csv_add_row(r->csv, row);
	plot_add_row(r->plot, row);
}

void report_add(struct report *r, const char *key, json_t *value)
{
	json_add(r ? r->json : NULL, key, value);
}

void report_close(struct report *r, const struct totals *t, const char *error)
{
	if (!r)
		return;
	json_close(r->json, t, error);
	csv_close(r->csv);
	plot_close(r->plot);
	free(r);
}

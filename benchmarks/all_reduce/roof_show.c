/* SPDX-License-Identifier: Apache-2.0 */
#include "net_perf/trial.h"
#include "roof.h"
#include "size_text.h"

#include <string.h>

enum { LINE_BYTES = 512, NICS_SHOWN = 40 };

/* "rank 1 (hosta, eth0) <-> rank 2 (hostb, eth0)" */
static char *name_link(const struct roof *r, const struct team *team, const struct roof_link *l, char *buf)
{
	snprintf(buf, LINE_BYTES, "rank %d (%s, %.*s) <-> rank %d (%s, %.*s)", l->low,
		 oob_peer(team->oob, l->low)->host, NICS_SHOWN, r->ranks[l->low].nics, l->high,
		 oob_peer(team->oob, l->high)->host, NICS_SHOWN, r->ranks[l->high].nics);
	return buf;
}

/* The links that raw libfabric could not measure. */
static void print_failed(FILE *f, const struct roof *r, const struct team *team)
{
	char name[LINE_BYTES];

	if (!r->nlinks)
		fprintf(f, "# Roof: not measured: no rank has a neighbour\n");
	for (int i = 0; i < r->nlinks; i++)
		if (!r->links[i].good)
			fprintf(f, "# Roof: not measured: raw libfabric failed at %s; stderr says why\n",
				name_link(r, team, &r->links[i], name));
}

void roof_print_head(FILE *f, const struct roof *r, const struct team *team)
{
	int last = r->nsizes - 1;
	char size[32];

	if (r->measured)
		fprintf(f,
			"# Roof: raw %s on %.*s, %d connection%s: %.3g GB/s each way with messages of %s, %.4g us; the slowest of %d link%s "
			"between neighbours\n",
			r->ranks[0].raw, NICS_SHOWN, r->ranks[0].nics, r->connections, r->connections > 1 ? "s" : "",
			r->gb_per_s[last], size_print((int64_t)r->bytes[last], size, sizeof(size)), r->latency_us,
			r->nlinks, r->nlinks > 1 ? "s" : "");
	else
		print_failed(f, r, team);
	fflush(f);
}

static void print_limit(FILE *f, const struct roof *r, const struct team *team, bool fine)
{
	char name[LINE_BYTES];
	double share;
	const struct roof_link *l = roof_slowest(r, &share);

	if (!fine || share < ROOF_FINE)
		fprintf(f, "# Roof: slowest link, of which the roof is: %s, %.2f of the median link\n",
			name_link(r, team, l, name), share);
	if (!fine)
		fprintf(f, "# Roof: the links allow more; the rest of the time is the ranks' own: plugin, copying, "
			   "reduction, cores\n");
}

void roof_print_verdict(FILE *f, const struct roof *r, const struct team *team, const struct roof_verdict *v)
{
	char at[32], least[32], most[32];

	if (!r->measured || !v->rows)
		return;
	size_print(v->lowest_bytes, at, sizeof(at));
	if (!v->below)
		fprintf(f, "# Roof: %.2f of raw libfabric, the lowest of %d rows, at %s: fine\n", v->lowest, v->rows,
			at);
	else
		fprintf(f, "# Roof: %.2f of raw libfabric, the lowest of %d rows, at %s; %d below %g, from %s to %s\n",
			v->lowest, v->rows, at, v->below, ROOF_FINE, size_print(v->least_below, least, sizeof(least)),
			size_print(v->most_below, most, sizeof(most)));
	print_limit(f, r, team, !v->below);
	fflush(f);
}

static json_t *links_json(const struct roof *r)
{
	json_t *all = json_array();

	for (int i = 0; i < r->nlinks; i++) {
		const struct roof_link *l = &r->links[i];
		json_t *rates = json_array();

		for (int k = 0; k < r->nsizes; k++)
			json_array_append_new(rates, json_real(l->gb_per_s[k]));
		json_array_append_new(all,
				      json_pack("{s:[i,i], s:b, s:[s,s], s:f, s:o}", "ranks", l->low, l->high, "good",
						l->good, "nics", r->ranks[l->low].nics, r->ranks[l->high].nics,
						"latency_us", l->latency_us, "gb_per_s", rates));
	}
	return all;
}

json_t *roof_json(const struct roof *r, const struct roof_verdict *v)
{
	json_t *o = json_pack("{s:b, s:i, s:s, s:f, s:b, s:i, s:i, s:o}", "measured", r->measured, "connections",
			      r->connections, "raw", r->nranks ? r->ranks[0].raw : "", "least", ROOF_FINE, "fine",
			      v->rows && !v->below, "rows", v->rows, "below", v->below, "links", links_json(r));
	json_t *sizes = json_array();
	double share;

	for (int k = 0; k < r->nsizes; k++)
		json_array_append_new(sizes, json_integer((json_int_t)r->bytes[k]));
	json_object_set_new(o, "bytes", sizes);
	if (!r->measured)
		return o;
	json_object_set_new(o, "latency_us", json_real(r->latency_us));
	if (v->rows) {
		json_object_set_new(o, "lowest_ratio", json_real(v->lowest));
		json_object_set_new(o, "lowest_bytes", json_integer(v->lowest_bytes));
	}
	roof_slowest(r, &share);
	json_object_set_new(o, "slowest_link_share", json_real(share));
	return o;
}

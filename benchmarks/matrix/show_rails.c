/* SPDX-License-Identifier: Apache-2.0 */
/* See show_rails.h. */
#include "show_rails.h"

#include "show_limits.h"

#define NAME_BYTES 256

void show_rails_head(FILE *out, const struct matrix *m)
{
	int i, k;

	if (!m->nrails)
		return;
	fprintf(out, "# @N: over rail N alone; NICs by rail:\n");
	for (i = 0; i < m->n; i++) {
		fprintf(out, "# rank %3d:", i);
		for (k = 0; k < m->who[i].nnics; k++)
			fprintf(out, " %s", m->who[i].nics[k]);
		fprintf(out, "\n");
	}
}

/* Number of rails that make this an outlier. All rails together are no rail's fault. */
static int count_rails(const struct report *r, const struct outlier *o)
{
	int i, n = 0;

	for (i = 0; i < r->nslow; i++)
		n += rails_explains(&r->slow[i], o);
	return n < r->matrix->nrails ? n : 0;
}

void show_rails_of(FILE *out, const struct report *r, const struct outlier *o)
{
	const char *before = ": ";
	char name[NAME_BYTES];
	int i;

	for (i = 0; i < r->nslow && count_rails(r, o); i++) {
		if (!rails_explains(&r->slow[i], o))
			continue;
		fprintf(out, "%s%s", before, rails_name(r->matrix, &r->slow[i], name, sizeof(name)));
		before = ", ";
	}
	fprintf(out, "\n");
}

static bool is_shown(const struct report *r, const struct slow_rail *s)
{
	int i;

	for (i = 0; i < r->noutliers && !rails_explains(s, &r->outliers[i]); i++)
		;
	return i < r->noutliers;
}

void show_rails_slow(FILE *out, const struct report *r)
{
	char name[NAME_BYTES], rail[NAME_BYTES];
	int i;

	for (i = 0; i < r->nslow; i++) {
		const struct slow_rail *s = &r->slow[i];

		if (is_shown(r, s))
			continue;
		rails_name(r->matrix, s, rail, sizeof(rail));
		if (s->all)
			fprintf(out, "# outlier: %s: %.2g of the other rails\n", rail, s->of.ratio);
		else
			fprintf(out, "# outlier: %s, %s: %.2g of the others over this rail\n",
				matrix_name(r->matrix, &s->of, name, sizeof(name)), rail, s->of.ratio);
	}
	if (r->want->rails)
		fprintf(out, "# slow rails: %d\n", r->nslow);
	if (r->want->rails && rails_unknown(r->matrix) >= 0)
		fprintf(out,
			"# no rails: rank %d keeps no record of its NICs: another plugin than Weft, or WEFT_STATS=0\n",
			rails_unknown(r->matrix));
}

static json_t *rank_or_all(int rank)
{
	return rank < 0 ? json_string("*") : json_integer(rank);
}

json_t *outlier_json(const struct matrix *m, const struct outlier *o)
{
	char name[NAME_BYTES];
	json_t *one = json_pack("{s:s, s:b, s:b, s:f}", "name", matrix_name(m, o, name, sizeof(name)), "host", o->host,
				"both", o->both, "ratio", o->ratio);

	json_object_set_new(one, "from", rank_or_all(o->from));
	json_object_set_new(one, "to", rank_or_all(o->to));
	return one;
}

json_t *slow_rails_json(const struct report *r)
{
	json_t *all = json_array(), *one;
	char name[NAME_BYTES];
	int i;

	for (i = 0; i < r->nslow; i++) {
		one = outlier_json(r->matrix, &r->slow[i].of);
		rails_name(r->matrix, &r->slow[i], name, sizeof(name));
		json_object_update_new(one, json_pack("{s:i, s:s}", "rail", r->slow[i].rail, "rail_name", name));
		json_array_append_new(all, one);
	}
	return all;
}

void json_add_nics(json_t *ranks, const struct matrix *m)
{
	int i, k;

	for (i = 0; i < m->n; i++) {
		json_t *nics = json_array(), *mbps = json_array(), *rank = json_array_get(ranks, (size_t)i);

		for (k = 0; k < m->who[i].nnics; k++) {
			json_array_append_new(nics, json_string(m->who[i].nics[k]));
			json_array_append_new(mbps, json_integer(m->who[i].mbps[k]));
		}
		json_object_set_new(rank, "nics", nics);
		json_object_set_new(rank, "nics_mbps", mbps);
	}
}

static json_t *rail_json(const struct matrix *m, int rail, int from, int to)
{
	const struct cell *c = matrix_at(&m->rails[rail], from, to);

	json_t *one =
		json_pack("{s:i, s:s, s:s, s:b, s:f, s:f, s:f, s:I}", "rail", rail, "from_nic", m->who[from].nics[rail],
			  "to_nic", m->who[to].nics[rail], "connected", c->state == CELL_GOOD, "gb_per_s", c->gb_per_s,
			  "latency_us", c->latency_us, "share", c->share, "wrong", (json_int_t)c->wrong);

	json_add_expected(one, c);
	return one;
}

void json_add_rails(json_t *pairs, const struct matrix *m, int from, int to)
{
	json_t *rails = json_array();
	int i;

	for (i = 0; i < m->nrails; i++)
		if (matrix_at(&m->rails[i], from, to)->state != CELL_SELF)
			json_array_append_new(rails, rail_json(m, i, from, to));
	json_object_set_new(json_array_get(pairs, json_array_size(pairs) - 1), "rails", rails);
}

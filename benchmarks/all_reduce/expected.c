/* SPDX-License-Identifier: Apache-2.0 */
#include "expected.h"
#include "net_perf/trial.h"
#include "nic_path.h"
#include "size_text.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool has(const struct nic_path *s, const char *name)
{
	for (int i = 0; i < s->nnics; i++)
		if (!strcmp(s->nics[i].name, name))
			return true;
	return false;
}

static bool same_host(const struct oob *oob, int a, int b)
{
	return !strcmp(oob_peer(oob, a)->host, oob_peer(oob, b)->host);
}

static bool is_first(const struct oob *oob, int rank)
{
	int r = 0;

	while (!same_host(oob, r, rank))
		r++;
	return r == rank;
}

/* Adds the NICs that the host does not have yet. False: a speed is not known. */
static bool add_share(struct expected *host, const struct nic_path *all, int rank, const struct oob *oob)
{
	const struct nic_path *s = &all[rank];
	char each[32];

	host->sharing++;
	for (int i = 0; i < s->nnics; i++) {
		bool again = false;

		for (int r = 0; r < rank && !again; r++)
			again = same_host(oob, r, rank) && has(&all[r], s->nics[i].name);
		if (again)
			continue;
		snprintf(each, sizeof(each), "%g Gbit/s", s->nics[i].mbps / 1e3);
		if (!host->nics)
			snprintf(host->each, sizeof(host->each), "%s", each);
		else if (strcmp(each, host->each))
			*host->each = 0;
		host->nics++;
		host->host_gbs += s->nics[i].mbps / 8e3;
		if (!s->nics[i].mbps)
			return false;
	}
	return s->nnics > 0;
}

/* The NICs of the host whose first rank is `first`. */
static bool sum_host(struct expected *host, const struct nic_path *all, int first, const struct oob *oob, bool shared)
{
	*host = (struct expected){.nics = 0};
	snprintf(host->source, sizeof(host->source), "%s", all[first].source);
	for (int r = first; r < oob_nranks(oob); r++)
		if (same_host(oob, r, first) && !add_share(host, all, r, oob))
			return false;
	host->busbw_gbs = host->host_gbs / (shared ? host->sharing : 1);
	return true;
}

int expected_find(struct oob *oob, bool shared, struct expected *out)
{
	int n = oob_nranks(oob), ret = 0;
	struct nic_path mine, *all = calloc((size_t)n, sizeof(*all));
	struct expected host;

	memset(out, 0, sizeof(*out));
	if (!all)
		return -ENOMEM;
	nic_path_read(getpid(), &mine);
	if (oob_allgather(oob, &mine, sizeof(mine), all))
		ret = -EPIPE;
	for (int r = 0; !ret && r < n && n > 1; r++) {
		if (!is_first(oob, r))
			continue;
		if (!sum_host(&host, all, r, oob, shared)) {
			memset(out, 0, sizeof(*out));
			break;
		}
		if (!out->nics || host.busbw_gbs < out->busbw_gbs)
			*out = host;
	}
	free(all);
	return ret;
}

void expected_print_head(FILE *f, const struct expected *e)
{
	if (!e->nics)
		return;
	fprintf(f, "# Expected: at most %.4g GB/s each way: %d NIC%s%s%s", e->host_gbs, e->nics, e->nics > 1 ? "s" : "",
		*e->each ? " x " : "", e->each);
	if (e->busbw_gbs < e->host_gbs)
		fprintf(f, " of a host, for the %d ranks there; busbw %.4g GB/s", e->sharing, e->busbw_gbs);
	fprintf(f, "; %s\n", e->source);
	fflush(f);
}

static double ratio(const struct expected *e, const struct totals *t)
{
	return t->largest_busbw / e->busbw_gbs;
}

void expected_print_end(FILE *f, const struct expected *e, const struct totals *t)
{
	char size[32];

	if (!e->nics || !t->largest_bytes)
		return;
	size_print(t->largest_bytes, size, sizeof(size));
	fprintf(f, "# Expected: %.2f of what the NICs allow at %s%s\n", ratio(e, t), size,
		ratio(e, t) < ROOF_FINE ? "; --roof 1 tells whether the network or the ranks are the limit" : ": fine");
	fflush(f);
}

json_t *expected_json(const struct expected *e, const struct totals *t)
{
	return e->nics ? json_pack("{s:i, s:i, s:f, s:f, s:s, s:I, s:f}", "nics", e->nics, "ranks", e->sharing,
				   "host_gb_per_s", e->host_gbs, "bus_bw", e->busbw_gbs, "source", e->source, "bytes",
				   (json_int_t)t->largest_bytes, "ratio", ratio(e, t))
		       : NULL;
}

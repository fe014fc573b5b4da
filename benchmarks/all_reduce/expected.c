/* SPDX-License-Identifier: Apache-2.0 */
#include "expected.h"
#include "net_perf/trial.h"
#include "size_text.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int expected_find(const struct settings *s, const struct team *team, struct expected *out)
{
	struct oob *oob = team->oob;
	size_t n = (size_t)oob_nranks(oob);
	struct expected_rank mine = {.group = team->color, .rank = team->rank}, *all = calloc(n, sizeof(*all));
	int ret = 0;

	memset(out, 0, sizeof(*out));
	if (!all)
		return -ENOMEM;
	snprintf(mine.host, sizeof(mine.host), "%s", oob_peer(oob, oob_rank(oob))->host);
	nic_path_read(getpid(), &mine.path);
	if (oob_allgather(oob, &mine, sizeof(mine), all))
		ret = -EPIPE;
	/* Groups of several sizes: the others' messages are not known. */
	else if (!oob_rank(oob) && team->smallest == team->largest)
		expected_settle(out, s, team->nranks, all, (int)n);
	free(all);
	return ret;
}

void expected_print_head(FILE *f, const struct expected *e)
{
	if (!e->nics)
		return;
	fprintf(f, "# Expected: at most %.4g GB/s each way: %d NIC%s%s%s", e->host_gbs, e->nics, e->nics > 1 ? "s" : "",
		*e->each ? " x " : "", e->each);
	if (e->busbw_gbs != e->host_gbs)
		fprintf(f, " of a host, for the %s%d ranks there%s; busbw %.4g GB/s",
			e->inside ? "" : "messages of the ", e->sharing, e->inside ? "" : " to other hosts",
			e->busbw_gbs);
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

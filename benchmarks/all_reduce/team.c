/* SPDX-License-Identifier: Apache-2.0 */
#include "team.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Finds the sizes of all groups, and the members of the own one. */
static void count(struct team *g, const int *colors)
{
	int n = oob_nranks(g->oob), self = oob_rank(g->oob);

	g->smallest = n;
	g->powers_of_two = true;
	for (int r = 0; r < n; r++) {
		int size = 0, before = 0;

		for (int other = 0; other < n; other++) {
			size += colors[other] == colors[r];
			before += other < r && colors[other] == colors[r];
		}
		g->smallest = size < g->smallest ? size : g->smallest;
		g->largest = size > g->largest ? size : g->largest;
		g->powers_of_two &= !(size & (size - 1));
		g->groups += !before;
		if (colors[r] != colors[self])
			continue;
		if (r == self)
			g->rank = g->nranks;
		g->members[g->nranks++] = r;
	}
}

/* A rank that does not know the rule, or has another one, would wait for the wrong ranks. */
static int compare(const struct team *g, const struct split *split, const int *colors)
{
	for (int r = 0; r < oob_nranks(g->oob); r++) {
		if (colors[r] == split_color(split, r))
			continue;
		fprintf(stderr, "rank %d has colour %d by its NCCL_TESTS_SPLIT, and %d by that of rank %d\n", r,
			colors[r], split_color(split, r), oob_rank(g->oob));
		return -EINVAL;
	}
	return 0;
}

int team_open(struct oob *oob, const struct split *split, struct team **out_team)
{
	size_t n = (size_t)oob_nranks(oob);
	struct team *g = calloc(1, sizeof(*g));
	int *colors = calloc(n, sizeof(*colors)), err = 0;

	*out_team = NULL;
	if (g) {
		*g = (struct team){.oob = oob, .color = split_color(split, oob_rank(oob))};
		g->members = calloc(n, sizeof(*g->members));
	}
	if (!g || !g->members || !colors)
		err = -ENOMEM;
	if (!err)
		err = oob_allgather(oob, &g->color, sizeof(g->color), colors);
	if (!err)
		err = compare(g, split, colors);
	if (!err)
		count(g, colors);
	free(colors);
	if (err)
		team_close(g);
	else
		*out_team = g;
	return err;
}

void team_close(struct team *g)
{
	if (g)
		free(g->members);
	free(g);
}

/* Brings together what all ranks of the job have, at most `most` bytes each, and keeps the team's. */
static int gather_all(const struct team *g, const void *mine, size_t bytes, size_t most, void *all)
{
	char *padded = calloc(1, most), *everything = calloc((size_t)oob_nranks(g->oob), most);
	int err = padded && everything ? 0 : -ENOMEM;

	if (!err) {
		memcpy(padded, mine, bytes);
		err = oob_allgather(g->oob, padded, most, everything);
	}
	for (int r = 0; !err && r < g->nranks; r++)
		memcpy((char *)all + (size_t)r * bytes, everything + (size_t)g->members[r] * most, bytes);
	free(padded);
	free(everything);
	return err;
}

int team_allgather(const struct team *g, const void *mine, size_t bytes, void *all)
{
	size_t n = (size_t)oob_nranks(g->oob), *lengths, most = 1;
	int err;

	if (g->groups == 1)
		return oob_allgather(g->oob, mine, bytes, all);
	lengths = calloc(n, sizeof(*lengths));
	err = lengths ? oob_allgather(g->oob, &bytes, sizeof(bytes), lengths) : -ENOMEM;
	for (size_t r = 0; !err && r < n; r++)
		most = lengths[r] > most ? lengths[r] : most;
	free(lengths);
	return err ? err : gather_all(g, mine, bytes, most, all);
}

int team_job_rank(const struct team *g, int rank)
{
	return g->members[rank];
}

const struct oob_peer *team_peer(const struct team *g, int rank)
{
	return oob_peer(g->oob, g->members[rank]);
}

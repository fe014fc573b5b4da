/* SPDX-License-Identifier: Apache-2.0 */
/* Teams: who is in them, what they gather, and ranks that do not agree. */
#include "unit/unit.h"

#include <errno.h>
#include <unistd.h>

#include "all_reduce/team.h"
#include "play.h"

/* Every member says its rank as often as its team has ranks; so the lengths of unequal teams differ. */
static bool gathers(const struct team *t)
{
	int mine[NRANKS] = {0}, all[NRANKS * NRANKS], n = t->nranks;

	for (int i = 0; i < n; i++)
		mine[i] = oob_rank(t->oob);
	if (team_allgather(t, mine, (size_t)n * sizeof(*mine), all))
		return false;
	for (int i = 0; i < n * n; i++)
		if (all[i] != team_job_rank(t, i / n))
			return false;
	return true;
}

static int split_in_half(struct oob *o)
{
	const struct split split = {SPLIT_MOD, 2, 1};
	int rank = oob_rank(o);
	struct team *t;
	bool good;

	if (team_open(o, &split, &t))
		return WRONG;
	good = t->color == rank % 2 && t->rank == rank / 2 && t->nranks == 2 && t->groups == 2 && t->smallest == 2 &&
	       t->largest == 2 && t->powers_of_two && team_job_rank(t, 0) == rank % 2 &&
	       team_job_rank(t, 1) == rank % 2 + 2 && team_peer(t, t->rank)->pid == getpid() && gathers(t) &&
	       gathers(t);
	team_close(t);
	return good ? GOOD : WRONG;
}

/* Ranks 0 to 2, and rank 3 alone. */
static int split_unequally(struct oob *o)
{
	const struct split split = {SPLIT_DIV, 3, 1};
	struct team *t;
	bool good;

	if (team_open(o, &split, &t))
		return WRONG;
	good = t->nranks == (oob_rank(o) < 3 ? 3 : 1) && t->rank == oob_rank(o) % 3 && t->smallest == 1 &&
	       t->largest == 3 && !t->powers_of_two && gathers(t);
	team_close(t);
	return good ? GOOD : WRONG;
}

static int all_together(struct oob *o)
{
	const struct split split = {SPLIT_NONE, 0, 1};
	struct team *t;
	bool good;

	if (team_open(o, &split, &t))
		return WRONG;
	good = t->nranks == NRANKS && t->rank == oob_rank(o) && t->groups == 1 && t->powers_of_two && gathers(t);
	team_close(t);
	return good ? GOOD : WRONG;
}

/* The variable is missing on rank 3. */
static int disagree(struct oob *o)
{
	const struct split split = {oob_rank(o) == 3 ? SPLIT_NONE : SPLIT_MOD, 2, 1};
	struct team *t;

	return team_open(o, &split, &t) == -EINVAL && !t ? GOOD : WRONG;
}

static void teams(void **state)
{
	(void)state;
	assert_int_equal(play_start(split_in_half), GOOD);
	assert_int_equal(play_start(split_unequally), GOOD);
	assert_int_equal(play_start(all_together), GOOD);
}

static void ranks_that_do_not_agree(void **state)
{
	(void)state;
	assert_int_equal(play_start(disagree), GOOD);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(teams),
		cmocka_unit_test(ranks_that_do_not_agree),
	};

	return unit_run("bench/team", tests);
}

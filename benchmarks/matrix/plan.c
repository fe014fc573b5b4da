/* SPDX-License-Identifier: Apache-2.0 */
/* See plan.h. */
#include "plan.h"

int plan_rounds(int nranks, bool alone)
{
	int even = nranks + nranks % 2;

	return alone ? nranks * (nranks - 1) / 2 : even - 1;
}

static int partner_alone(int nranks, int round, int rank)
{
	int low = 0, row = nranks - 1; /* number of pairs whose lower rank is `low` */

	for (; round >= row; low++)
		round -= row--;
	if (rank == low)
		return low + 1 + round;
	return rank == low + 1 + round ? low : -1;
}

/*
 * A tournament: i and j meet in round (i + j) mod (n - 1), where n is even. The rank that would meet itself meets the last one,
 * which for an odd number of ranks does not exist.
 */
int plan_partner(int nranks, bool alone, int round, int rank)
{
	int rounds = plan_rounds(nranks, false), last = rounds, other;

	if (alone)
		return partner_alone(nranks, round, rank);
	if (rank == last) {
		for (other = 0; 2 * other % rounds != round; other++)
			;
		return other;
	}
	other = (round - rank % rounds + rounds) % rounds;
	if (other == rank)
		other = last;
	return other < nranks ? other : -1;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* See curve.h. */
#include "curve.h"

#include "sweep.h"

struct progress {
	double resident_kib, first_kib;
};

unsigned curve_next(unsigned pairs, unsigned most)
{
	unsigned power = 1, next;

	while (pairs >= 10 * power)
		power *= 10;
	next = pairs < power ? power : pairs < 2 * power ? 2 * power : pairs < 5 * power ? 5 * power : 10 * power;
	return next < most ? next : most;
}

static double mean_kib(const struct answer answers[2])
{
	return ((double)answers[0].links.resident_bytes + (double)answers[1].links.resident_bytes) / 2 / 1024;
}

static int step(struct pair *p, unsigned before, unsigned after, struct progress *at, struct curve_step *out,
		uint64_t *wrong)
{
	struct order order = {.kind = after ? ORDER_LINKS : ORDER_CLOSE_LINKS, .links = after};
	unsigned changed = after > before ? after - before : before - after;
	struct answer answers[2];
	double kib;

	if (pair_order(p, &order, answers))
		return -1;
	kib = mean_kib(answers);
	out->us_per_pair = answers[0].links.seconds * 1e6 / changed;
	out->kib_per_pair = (kib - at->resident_kib) / changed;
	out->total_kib = kib - at->first_kib;
	at->resident_kib = kib;
	*wrong += answers[0].links.wrong + answers[1].links.wrong;
	return 0;
}

int curve(const struct cli *c, struct pair *sides, int nsides, curve_show show, void *arg, uint64_t *out_wrong)
{
	struct progress at[SIDES_MAX];
	struct curve_step steps[SIDES_MAX];
	unsigned most = (unsigned)c->pairs, before = 0, after;
	int i;

	*out_wrong = 0;
	for (i = 0; i < nsides; i++) {
		at[i].first_kib = (double)sides[i].hello[0].idle.resident_bytes / 2 / 1024 +
				  (double)sides[i].hello[1].idle.resident_bytes / 2 / 1024;
		at[i].resident_kib = at[i].first_kib;
	}
	do {
		after = before < most ? curve_next(before, most) : 0;
		for (i = 0; i < nsides; i++)
			if (step(&sides[i], before, after, &at[i], &steps[i], out_wrong))
				return -1;
		show(arg, after, steps);
		before = after;
	} while (after);
	return 0;
}

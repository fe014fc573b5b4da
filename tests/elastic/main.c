/* SPDX-License-Identifier: Apache-2.0 */
/* The command line, the rounds, the verdict: one TAP line. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "elastic.h"
#include "options.h"
#include "plugin_path.h"
#include "seconds.h"
#include "seeded.h"

/*
 * The first places are never killed: they live through all rounds. Fewer than ENOUGH do not show whether what they use
 * grows.
 */
enum { OLDEST = 2, ENOUGH = 15, ROUNDS_MAX = 10000 };

static const char *plugin;
static int64_t seed = 1, procs = 4, rounds = 50, messages = 12, limit_s = 60;
static bool between_calls;
static struct usage used[OLDEST][ROUNDS_MAX];

static const char summary[] =
	"An elastic job on a NCCL net plugin (interface version 12): in each round a rank is killed while data moves, the\n"
	"others close everything and go on as a smaller ring in the same processes, and a new process joins. Every byte is\n"
	"verified; what the oldest processes use must not grow. Prints one TAP line.\n";

static const struct option_row options[] = {
	{'p', "plugin", "PATH", OPTION_TEXT, &plugin, 0, 0, "the plugin's shared object (default: the built Weft)"},
	{'s', "seed", "N", OPTION_INT, &seed, 0, INT64_MAX, "seed of orders, victims, sizes and content (1)"},
	{'P', "processes", "N", OPTION_INT, &procs, OLDEST + 1, PROCS_MAX, "ranks of the whole ring (4)"},
	{'r', "rounds", "N", OPTION_INT, &rounds, 1, ROUNDS_MAX, "deaths (50)"},
	{'m', "messages", "N", OPTION_INT, &messages, 1, INT64_MAX, "messages of each lane of the smaller ring (12)"},
	{'b', "between-calls", NULL, OPTION_FLAG, &between_calls, 0, 0,
	 "a rank dies outside of the plugin's calls only"},
	{0, "limit", "S", OPTION_INT, &limit_s, 1, 100000,
	 "a step that lasts longer is a hang, later on a busy machine (60)"},
};

static uint64_t roll(uint64_t *dice, uint64_t below)
{
	*dice = seeded_mix(*dice + 0x9e3779b97f4a7c15ull);
	return *dice % below;
}

static void shuffle(int *order, int n, uint64_t *dice)
{
	int i, j, swap;

	for (i = n - 1; i > 0; i--) {
		j = (int)roll(dice, (uint64_t)i + 1);
		swap = order[i];
		order[i] = order[j];
		order[j] = swap;
	}
}

/* Places in a random order, without one of them (-1: all). */
static int places(const struct group *g, int without, int *out, uint64_t *dice)
{
	int i, n = 0;

	for (i = 0; i < g->n; i++)
		if (i != without)
			out[n++] = i;
	shuffle(out, n, dice);
	return n;
}

/* The neighbours in the ring get an error that names the dead process; nobody else gets one before its ring is closed. */
static void expect_errors(struct group *g, const int *order, int n, int victim, int pid)
{
	int beside[2], i, at = 0;
	char name[32];

	while (order[at] != victim)
		at++;
	beside[0] = order[(at + 1) % n];
	beside[1] = order[(at + n - 1) % n];
	group_await(g, beside, 2, member_failed, "an error after the death of its neighbour");
	snprintf(name, sizeof(name), "pid %d", pid);
	for (i = 0; i < 2; i++)
		if (!strstr(g->members[beside[i]].error, name))
			group_fail(g, "the error at place %d does not name %s: %s", beside[i], name,
				   g->members[beside[i]].error);
	for (i = 0; i < n; i++)
		if (order[i] != victim && order[i] != beside[0] && order[i] != beside[1] &&
		    g->members[order[i]].error[0])
			group_fail(g, "place %d got an error although its neighbours live", order[i]);
}

static void run_round(struct group *g, int round, uint64_t *dice)
{
	int order[PROCS_MAX], n, victim = OLDEST + (int)roll(dice, (uint64_t)(g->n - OLDEST)), i;
	int pid = (int)g->members[victim].pid;

	group_start(g, PROCS_MAX);
	n = places(g, -1, order, dice);
	group_ring(g, order, n, 0);
	group_await(g, order, n, member_moves, "data");
	usleep((useconds_t)roll(dice, 5000));
	group_kill(g, victim);
	expect_errors(g, order, n, victim, pid);

	n = places(g, victim, order, dice);
	group_close(g, order, n);
	group_ring(g, order, n, messages);
	group_await(g, order, n, member_done, "all of the smaller ring's data");
	group_close(g, order, n);
	for (i = 0; i < OLDEST; i++)
		group_measure(g, i, &used[i][round]);
	group_replace(g, victim);
}

int main(int argc, char **argv)
{
	struct group g = {0};
	double began = seconds_now();
	uint64_t dice;
	bool good = true;
	char who[32];
	int i, parsed = options_parse(argc, argv, summary, options, sizeof(options) / sizeof(options[0]));

	if (parsed)
		return parsed > 0 ? 0 : OPTIONS_EXIT_USAGE;
	g = (struct group){.n = (int)procs,
			   .plugin = plugin ? plugin : bench_default_plugin(),
			   .limit_s = (int)limit_s};
	g.between_calls = between_calls;
	g.key = seeded_mix((uint64_t)seed);
	dice = g.key;
	for (i = 0; i < g.n; i++)
		group_start(&g, i);
	for (i = 0; i < rounds; i++)
		run_round(&g, i, &dice);
	group_end(&g);
	for (i = 0; i < OLDEST && rounds >= ENOUGH; i++) {
		snprintf(who, sizeof(who), "place %d", i);
		good &= usage_steady(used[i], (int)rounds, who);
	}
	printf("%sok 1 - seed %" PRId64 ": %" PRId64 " deaths among %d ranks, %d rings, %.1f s%s\n1..1\n",
	       good ? "" : "not ", seed, rounds, g.n, g.rings, seconds_now() - began, good ? "" : ": usage has grown");
	return good ? 0 : 1;
}

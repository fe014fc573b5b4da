/* SPDX-License-Identifier: Apache-2.0 */
/* Long cases for --soak N: N times as many messages, connections and seeds. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cases.h"
#include "flow.h"

/* Resident memory of this process. */
static long resident_kib(void)
{
	char line[256];
	long kib = 0;
	FILE *f = fopen("/proc/self/status", "r");

	check(f != NULL, "cannot read /proc/self/status");
	while (fgets(line, sizeof(line), f))
		if (!strncmp(line, "VmRSS:", 6))
			kib = atol(line + 6);
	fclose(f);
	return kib;
}

/* 10,000 connections, 100 at a time, with data on each; memory does not grow with their number. */
static void run_connections(struct side *s)
{
	enum { BATCH = 50, ROUNDS = 100 };
	void *out[BATCH], *in[BATCH];
	int round, i, rounds = ROUNDS * s->opt->soak;
	long warm = 0;

	for (round = 0; round < rounds; round++) {
		if (round == ROUNDS / 4)
			warm = resident_kib();
		drive_links(s, side_peer(s), BATCH, out, BATCH, in);
		side_step("round %d of %d", round, rounds);
		for (i = 0; i < BATCH; i++) {
			if (s->rank == A)
				drive_say(s, out[i], (uint64_t)i);
			drive_hear(s, in[i], (uint64_t)i);
			if (s->rank == B)
				drive_say(s, out[i], (uint64_t)i);
		}
		drive_close_links(s, BATCH, out, BATCH, in);
	}
	check(resident_kib() < warm + 32 * 1024, "memory grew from %ld to %ld KiB over %d connections", warm,
	      resident_kib(), rounds * 2 * BATCH);
}

/* Random numbers of comms, depths, sizes and slacks, for many seeds. */
static void run_random(struct side *s)
{
	enum { MOST = 12, ROUNDS = 20 };
	struct flow flows[2 * MOST];
	void *comms[2 * MOST];
	uint64_t rng;
	int round, i, n;

	for (round = 0; round < ROUNDS * s->opt->soak; round++) {
		rng = s->seed + (uint64_t)round;
		n = 1 + (int)rng_below(&rng, MOST);
		side_step("round %d: %d comms each way", round, n);
		drive_links(s, side_peer(s), n, comms, n, comms + n);
		for (i = 0; i < n; i++) {
			flows[i] = (struct flow){.count = 1 + (int)rng_below(&rng, 600),
						 .depth = 1 + (int)rng_below(&rng, 40),
						 .max_size = 1 << rng_below(&rng, 21),
						 .max_slack = (int)rng_below(&rng, 5000),
						 .unaligned = rng_below(&rng, 2)};
			flows[i + n] = flows[i];
		}
		for (i = 0; i < 2 * n; i++) {
			flows[i].comm = comms[i];
			flows[i].sends = i < n;
			flows[i].key = rng + (uint64_t)(i % n) * 2 + ((i < n) == (s->rank == A));
		}
		flows_run(s, flows, 2 * n);
		drive_close_links(s, n, comms, n, comms + n);
	}
}

/* Far more messages on one comm than any 16-bit counter, ring or credit scheme holds. */
static void run_messages(struct side *s)
{
	struct flow f = {.sends = s->rank == A, .key = 1, .depth = 32, .max_size = 600, .max_slack = 10};

	f.count = 200000 * s->opt->soak;
	f.comm = drive_one(s);
	flows_run(s, &f, 1);
	drive_close_one(s, f.comm);
}

const struct suite_case soak_cases[] = {
	{.name = "soak/connections", .run = run_connections, .flags = SUITE_LONG},
	{.name = "soak/random", .run = run_random, .flags = SUITE_LONG},
	{.name = "soak/messages", .run = run_messages, .flags = SUITE_LONG},
	{.name = NULL},
};

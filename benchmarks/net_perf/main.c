/* SPDX-License-Identifier: Apache-2.0 */
/*
 * weft_net_perf measures messages of a NCCL net plugin between two processes, and compares them with another plugin and
 * with raw libfabric.
 *
 *   main ── pair A ──┬─ rank 0, rank 1 ── plugin engine
 *        ── pair B ──┘
 *        ── pair raw ── rank 0, rank 1 ── libfabric engines
 *
 * This process loads no plugin: it starts the pairs, lets them work in turn, and reports. Started by a launcher as two ranks,
 * it runs at each, and each has one process of each pair (far.h).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "complain.h"
#include "curve.h"
#include "far.h"
#include "options.h"
#include "pair.h"
#include "report.h"
#include "sweep.h"
#include "worker.h"

static void add_side(const struct cli *c, struct pair *p, const char *label, const char *plugin, const char *env)
{
	struct pair_config *config = &p->config;

	memset(p, 0, sizeof(*p));
	snprintf(config->label, sizeof(config->label), "%s", label);
	config->plugin = plugin;
	config->env = env;
	config->timeout_s = (int)c->timeout_s;
	memcpy(config->cores, c->cores, sizeof(config->cores));
	config->setup.dev = (int)c->device;
	config->setup.abi = (int)c->abi;
	config->setup.yield = c->yield;
	config->setup.instructions = c->instructions;
	config->setup.comms = (unsigned)c->comms;
	config->setup.threads = (unsigned)c->threads;
	config->setup.links = (unsigned)(c->workload ? c->workload : c->pairs);
	sweep_needs(c, &config->setup);
}

static int list_sides(const struct cli *c, struct pair *sides)
{
	int n = 0;

	add_side(c, &sides[n++], "A", c->plugin, c->env_a);
	if (c->versus)
		add_side(c, &sides[n++], "B", c->versus, c->env_b);
	if (c->raw)
		add_side(c, &sides[n++], "raw", NULL, c->env_a);
	return n;
}

static void show_point(void *report, const struct point *p, const struct measured *m)
{
	report_point(report, p, m);
}

static void show_curve(void *report, unsigned pairs, const struct curve_step *steps)
{
	report_curve(report, pairs, steps);
}

static int measure(const struct cli *c, struct pair *sides, int nsides, uint64_t *out_wrong)
{
	struct workload_result mixed[SIDES_MAX];
	struct report *report;
	int i, ret;

	for (i = 0; i < nsides; i++)
		if (pair_start(&sides[i]))
			return -1;
	report = report_open(c, sides, nsides);
	if (!report)
		return -1;
	if (c->pairs)
		ret = curve(c, sides, nsides, show_curve, report, out_wrong);
	else if (c->workload)
		ret = workload(c, sides, nsides, mixed, out_wrong);
	else
		ret = sweep(c, sides, nsides, show_point, report, out_wrong);
	if (c->workload && !ret)
		report_workload(report, mixed);
	for (i = 0; i < nsides && !ret; i++)
		ret = pair_end(&sides[i]);
	/* After a failure the report would be incomplete. */
	if (!ret)
		ret = report_finish(report, *out_wrong);
	report_close(report);
	return ret;
}

/* Learns whether a launcher has started this process as one of two ranks. 0: *f is filled in if so. -1: exit status 2. */
static int find_other(struct cli *c, struct far *f, bool *out_far)
{
	int found = far_find(f);
	const struct place *p = &f->place;

	*out_far = found > 0;
	if (found <= 0)
		return found;
	if (p->nranks > 2) {
		fprintf(stderr, "%s: this is rank %d of %d (%s), but two are measured; weft-pair measures all pairs\n",
			options_program(), p->rank, p->nranks, p->origin);
		return -1;
	}
	if (c->workload && !p->all_local) {
		fprintf(stderr, "%s: --workload compares times of both processes, so both must be on one host\n",
			options_program());
		return -1;
	}
	if (!p->all_local)
		c->yield = c->cores_allowed < c->threads || (c->cores[0] >= 0 && c->threads > 1);
	if (p->rank) {
		c->json = NULL;
		if (!freopen("/dev/null", "w", stdout))
			return -1;
	}
	return 0;
}

static int measure_with(struct cli *c, struct far *far, uint64_t *out_wrong)
{
	static struct pair sides[SIDES_MAX];
	int nsides = list_sides(c, sides), i, ret;

	if (!far)
		return measure(c, sides, nsides, out_wrong);
	if (far_meet(far, (int)c->meet_timeout_s))
		return -1;
	for (i = 0; i < nsides; i++) {
		sides[i].config.far = far;
		sides[i].config.mine = far->place.rank;
		sides[i].config.peer = !far->place.rank;
	}
	ret = measure(c, sides, nsides, out_wrong);
	if (ret)
		far_fail(far, "it could not measure");
	far_close(far);
	return ret;
}

int main(int argc, char **argv)
{
	uint64_t wrong = 0;
	struct far far = {.oob = NULL};
	bool is_far;
	struct cli c;
	int ret;

	if (worker_ran(argc, argv, &ret))
		return ret;
	ret = cli_parse(&c, argc, argv);
	if (ret)
		return ret < 0 ? OPTIONS_EXIT_USAGE : 0;
	if (find_other(&c, &far, &is_far))
		return OPTIONS_EXIT_USAGE;
	if (c.provider)
		setenv("WEFT_PROVIDER", c.provider, 1);
	if (measure_with(&c, is_far ? &far : NULL, &wrong))
		return 1;
	return wrong ? 1 : 0;
}

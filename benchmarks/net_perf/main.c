/* SPDX-License-Identifier: Apache-2.0 */
/*
 * weft_net_perf: what a NCCL net plugin does with messages between two processes, and how that
 * compares with another plugin and with bare libfabric.
 *
 *   main ── pair A ──┬─ rank 0, rank 1 ── plugin engine
 *        ── pair B ──┘
 *        ── pair raw ── rank 0, rank 1 ── libfabric engines
 *
 * This process loads no plugin: it starts the pairs, lets them work in turn, and reports.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "complain.h"
#include "curve.h"
#include "launch.h"
#include "options.h"
#include "pair.h"
#include "report.h"
#include "size_text.h"
#include "sweep.h"
#include "worker.h"

static void add_side(const struct cli *c, struct pair *p, const char *label, const char *plugin,
		     const char *env)
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
	/* Half a report is none. */
	if (!ret)
		ret = report_finish(report, *out_wrong);
	report_close(report);
	return ret;
}

/* How pair.c starts this program again: --worker CONTROL_FD PEER_FD NAME */
static int as_worker(char **argv)
{
	int64_t control, peer;

	if (int_parse(argv[2], &control) || int_parse(argv[3], &peer))
		return OPTIONS_EXIT_USAGE;
	return worker_main((int)control, (int)peer);
}

int main(int argc, char **argv)
{
	static struct pair sides[SIDES_MAX];
	uint64_t wrong = 0;
	struct cli c;
	int ret;

	if (argc == 5 && !strcmp(argv[1], "--worker"))
		return as_worker(argv);
	ret = cli_parse(&c, argc, argv);
	if (ret)
		return ret < 0 ? OPTIONS_EXIT_USAGE : 0;
	launch_keep_local();
	if (c.provider)
		setenv("WEFT_PROVIDER", c.provider, 1);
	if (measure(&c, sides, list_sides(&c, sides), &wrong))
		return 1;
	return wrong ? 1 : 0;
}

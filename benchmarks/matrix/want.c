/* SPDX-License-Identifier: Apache-2.0 */
/* See want.h. */
#include "want.h"

#include <stdio.h>
#include <stdlib.h>

#include "launch.h"
#include "net_perf/crew.h"
#include "net_perf/flow.h"
#include "net_perf/net_engine.h"
#include "options.h"
#include "plugin_abi.h"
#include "plugin_path.h"

static const char summary[] =
	"Measures latency and bandwidth of a NCCL net plugin between all pairs of ranks, and names\n"
	"ranks, hosts and pairs that are slower than the others. The ranks are those of mpirun, srun,\n"
	"torchrun or RANK, WORLD_SIZE and MASTER_ADDR; or --ranks on this host.\n"
	"Exit status: 0 all is well, 1 it could not run, 2 usage, 3 a pair is not connected or a rank is\n"
	"lost, 5 there is an outlier, 7 wrong bytes; of several, 7 before 3 before 5.\n"
	"The default of each option is given in parentheses.\n";

static int bad(const char *what)
{
	fprintf(stderr, "%s: %s\n", options_program(), what);
	return -1;
}

#define LEAST "0.7"

/* Ranks on one host compete for its cores, which says nothing of a network. */
static const char *default_least(const struct want *w)
{
	return w->ranks ? "0" : LEAST;
}

static int check(struct want *w, const char *least)
{
	char *end;

	if (!least)
		least = default_least(w);
	w->least = strtod(least, &end);
	if (end == least || *end || !(w->least >= 0 && w->least < 1))
		return bad("--least: not a number from 0 to below 1");
	if (w->threads > w->comms)
		return bad("--threads needs as many --comms: each thread has its own");
	if (w->ranks == 1)
		return bad("--ranks: a pair needs two");
	return 0;
}

int want_parse(struct want *w, int argc, char **argv)
{
	const char *least = NULL;
	const struct option_row rows[] = {
		{0, "ranks", "N", OPTION_INT, &w->ranks, 0, LAUNCH_MAX_RANKS,
		 "start N ranks on this host (0: this process is one of a launcher's)"},
		{'b', "bytes", "SIZE", OPTION_SIZE, &w->bytes, 1, 1 << 30, "size of the messages for bandwidth (1M)"},
		{0, "depth", "N", OPTION_INT, &w->depth, 1, FLOW_DEPTH, "outstanding messages of each comm (8)"},
		{0, "comms", "N", OPTION_INT, &w->comms, 1, NET_ROUND, "comms of each pair, at once (1)"},
		{0, "threads", "N", OPTION_INT, &w->threads, 1, CREW_MAX,
		 "threads of each process, each with its own part of the comms (1)"},
		{0, "time-ms", "MS", OPTION_INT, &w->time_ms, 1, 3600000,
		 "milliseconds for latency, and for bandwidth in each direction (100)"},
		{0, "reps", "N", OPTION_INT, &w->repetitions, 1, 1000,
		 "repetitions in that time; medians are shown (3)"},
		{0, "alone", NULL, OPTION_FLAG, &w->alone, 0, 0,
		 "one pair at a time; otherwise as many as share no rank"},
		{0, "duplex", NULL, OPTION_FLAG, &w->duplex, 0, 0,
		 "bandwidth in both directions at once; otherwise one after the other"},
		{0, "rails", NULL, OPTION_FLAG, &w->rails, 0, 0,
		 "also measure each NIC of the device alone, and name slow ones (Weft only)"},
		{0, "roof", NULL, OPTION_FLAG, &w->roof, 0, 0,
		 "also measure raw libfabric between each pair, as the most that is possible, and show the ratio"},
		{0, "least", "RATIO", OPTION_TEXT, &least, 0, 0,
		 "outliers are below so much of the others' median bandwidth (" LEAST "; with --ranks 0: none)"},
		{0, "plugin", "PATH", OPTION_TEXT, &w->plugin, 0, 0,
		 "plugin to use (the Weft plugin that was built or installed with this program)"},
		{0, "abi", "N", OPTION_INT, &w->abi, PLUGIN_ABI_MIN, PLUGIN_ABI_MAX,
		 "version of the plugin's interface, 8 to 12 (its newest)"},
		{0, "device", "N", OPTION_INT, &w->device, 0, 1023, "device of the plugin (0)"},
		{0, "provider", "NAME", OPTION_TEXT, &w->provider, 0, 0,
		 "libfabric provider of Weft: sets WEFT_PROVIDER"},
		{0, "timeout", "S", OPTION_INT, &w->timeout_s, 1, 86400,
		 "seconds after which a step of a pair has failed (30)"},
		{0, "meet_timeout", "S", OPTION_INT, &w->meet_timeout_s, 1, 1 << 20,
		 "seconds that ranks wait for each other at the start (300)"},
		{0, "json", "FILE", OPTION_TEXT, &w->json, 0, 0, "also write everything as JSON"},
		{0, "csv", "FILE", OPTION_TEXT, &w->csv, 0, 0, "also write the pairs as CSV"},
		{0, "svg", "FILE", OPTION_TEXT, &w->svg, 0, 0, "also draw the bandwidths as a heat map"},
	};
	int ret;

	*w = (struct want){.plugin = bench_default_plugin(),
			   .bytes = 1 << 20,
			   .depth = 8,
			   .comms = 1,
			   .threads = 1,
			   .time_ms = 100,
			   .repetitions = 3,
			   .timeout_s = 30,
			   .meet_timeout_s = 300};
	ret = options_parse(argc, argv, summary, rows, sizeof(rows) / sizeof(rows[0]));
	if (ret)
		return ret;
	return check(w, least);
}

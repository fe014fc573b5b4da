/* SPDX-License-Identifier: Apache-2.0 */
/* See cli.h. */
#include "cli.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "crew.h"
#include "net_engine.h"
#include "options.h"
#include "plugin_abi.h"
#include "plugin_path.h"
#include "size_text.h"
#include "sweep.h"

static const char summary[] = "Measures a NCCL net plugin between two processes, calling it as NCCL does, and\n"
			      "compares it with another plugin or with raw libfabric in the same run. The processes\n"
			      "are on this host, or two ranks that mpirun, srun, torchrun or RANK, WORLD_SIZE and\n"
			      "MASTER_ADDR name.\n"
			      "The default of each option is given in parentheses.\n";

int cli_patterns(const char *text, bool out[PATTERNS])
{
	char copy[128], *rest = copy, *item;
	bool found;
	int p;

	memset(out, 0, PATTERNS * sizeof(*out));
	if ((size_t)snprintf(copy, sizeof(copy), "%s", text) >= sizeof(copy))
		return -EINVAL;
	while ((item = strsep(&rest, ","))) {
		found = !strcmp(item, "all");
		for (p = 0; p < PATTERNS; p++) {
			bool named = !strcmp(item, pattern_name((enum pattern)p));

			out[p] |= named || (!strcmp(item, "all") && !pattern_is_mutual((enum pattern)p));
			found |= named;
		}
		if (!found)
			return -EINVAL;
	}
	return 0;
}

static int allowed_cores(cpu_set_t *out)
{
	CPU_ZERO(out);
	if (sched_getaffinity(0, sizeof(*out), out))
		return 1;
	return CPU_COUNT(out);
}

static int two_numbers(const char *text, int out[2])
{
	char first[16];
	const char *comma = strchr(text, ',');
	int64_t v[2];

	if (!comma || (size_t)(comma - text) >= sizeof(first))
		return -EINVAL;
	snprintf(first, sizeof(first), "%.*s", (int)(comma - text), text);
	if (int_parse(first, &v[0]) || int_parse(comma + 1, &v[1]))
		return -EINVAL;
	if (v[0] < 0 || v[0] >= CPU_SETSIZE || v[1] < 0 || v[1] >= CPU_SETSIZE)
		return -EINVAL;
	out[0] = (int)v[0];
	out[1] = (int)v[1];
	return 0;
}

int cli_cores(const char *text, int out[2])
{
	cpu_set_t set;
	int count = allowed_cores(&set), core, n = 0;

	out[0] = out[1] = -1;
	if (!strcmp(text, "off") || (!strcmp(text, "auto") && count < 2))
		return 0;
	if (strcmp(text, "auto")) {
		if (two_numbers(text, out))
			return -EINVAL;
		return CPU_ISSET((size_t)out[0], &set) && CPU_ISSET((size_t)out[1], &set) ? 0 : -EINVAL;
	}
	for (core = 0; core < CPU_SETSIZE && n < 2; core++)
		if (CPU_ISSET((size_t)core, &set))
			out[n++] = core;
	return 0;
}

bool cli_env_valid(const char *text)
{
	const char *item = text + strspn(text, " \t");

	while (*item) {
		size_t len = strcspn(item, " \t"), name = strcspn(item, "=");

		if (!name || name >= len)
			return false;
		item += len;
		item += strspn(item, " \t");
	}
	return true;
}

static int bad(const char *option, const char *value, const char *expected)
{
	fprintf(stderr, "%s: --%s: '%s' is not %s\n", options_program(), option, value, expected);
	return -1;
}

static int interpret(struct cli *c, const char *pattern, const char *pin, const char *raw_op)
{
	cpu_set_t set;

	if (cli_patterns(pattern, c->patterns))
		return bad("pattern", pattern, "a list of latency, bandwidth, rate, bidir, birate or all");
	if (cli_cores(pin, c->cores))
		return bad("pin", pin, "auto, off, or two cores that this process may use (C0,C1)");
	if (!strcmp(raw_op, "tagged"))
		c->raw_op = RAW_TAGGED;
	else if (!strcmp(raw_op, "writedata"))
		c->raw_op = RAW_WRITEDATA;
	else if (strcmp(raw_op, "best"))
		return bad("raw-op", raw_op, "best, tagged or writedata");
	if (c->env_a && !cli_env_valid(c->env_a))
		return bad("env-a", c->env_a, "a list of NAME=VALUE with blanks between them");
	if (c->env_b && !cli_env_valid(c->env_b))
		return bad("env-b", c->env_b, "a list of NAME=VALUE with blanks between them");
	c->cores_allowed = allowed_cores(&set);
	if (c->threads > 1 && !strcmp(pin, "auto"))
		c->cores[0] = c->cores[1] = -1;
	c->yield = c->cores_allowed < 2 * c->threads ||
		   (c->cores[0] >= 0 && (c->cores[0] == c->cores[1] || c->threads > 1));
	return 0;
}

static bool has_points(const struct cli *c)
{
	int p;

	for (p = 0; p < PATTERNS; p++)
		if (sweep_has(c, (enum pattern)p, (size_t)c->min_bytes))
			return true;
	return false;
}

static int consistent(const struct cli *c)
{
	const char *wrong = NULL;

	if (c->min_bytes > c->max_bytes)
		wrong = "--minbytes is larger than --maxbytes";
	else if (c->env_b && !c->versus)
		wrong = "--env-b needs --versus";
	else if (c->raw_op && !c->raw)
		wrong = "--raw-op needs --raw";
	else if (c->pairs && c->raw)
		wrong = "--pairs measures a plugin's connections; libfabric has none, so not with "
			"--raw";
	else if (c->workload && (c->raw || c->pairs))
		wrong = "--workload measures plugins: not with --raw or --pairs";
	else if ((c->comms > 1 || c->threads > 1) && (c->pairs || c->workload))
		wrong = "--comms and --threads are for patterns: not with --pairs or --workload";
	else if (c->threads > c->comms)
		wrong = "--threads needs as many --comms: each thread has its own";
	else if (c->instructions && c->threads > 1)
		wrong = "--instructions counts one thread: not with --threads";
	else if (!c->pairs && !c->workload && !has_points(c))
		wrong = "nothing to measure: rate is for messages of up to 8K";
	if (!wrong)
		return 0;
	fprintf(stderr, "%s: %s\n", options_program(), wrong);
	return -1;
}

int cli_parse(struct cli *c, int argc, char **argv)
{
	const char *pattern = "all", *pin = "auto", *raw_op = "best";
	const int64_t gib = 1 << 30;
	const struct option_row rows[] = {
		{'b', "minbytes", "SIZE", OPTION_SIZE, &c->min_bytes, 0, gib, "smallest message (8)"},
		{'e', "maxbytes", "SIZE", OPTION_SIZE, &c->max_bytes, 0, gib, "largest message (4M)"},
		{'f', "stepfactor", "N", OPTION_INT, &c->step_factor, 2, 1 << 20,
		 "factor from one size to the next (2)"},
		{'n', "iters", "N", OPTION_INT, &c->iterations, 0, 1000000,
		 "messages per repetition (0: as many as fit into --time-ms)"},
		{'w', "warmup", "N", OPTION_INT, &c->warm, -1, 1000000,
		 "untimed messages before each repetition\n(-1: chosen by pattern and "
		 "size)"},
		{0, "time-ms", "MS", OPTION_INT, &c->time_ms, 1, 3600000,
		 "milliseconds for all repetitions of one point, for each side (200)"},
		{0, "reps", "N", OPTION_INT, &c->repetitions, 1, 1000,
		 "repetitions of each point, sides in turn; medians are shown (5)"},
		{0, "fresh", NULL, OPTION_FLAG, &c->fresh, 0, 0,
		 "start new processes for each repetition: on some networks the speed\n"
		 "differs from connection to connection, but stays the same for each"},
		{0, "depth", "N", OPTION_INT, &c->depth, 0, FLOW_DEPTH,
		 "outstanding messages of each comm, at most 32\n(0: 8 for bandwidth and bidir, 32 for rate)"},
		{0, "pattern", "LIST", OPTION_TEXT, &pattern, 0, 0,
		 "latency, bandwidth, rate (up to 8K); bidir, birate: the latter two in both\n"
		 "directions at once; all: the first three (all)"},
		{0, "comms", "N", OPTION_INT, &c->comms, 1, NET_ROUND,
		 "comms in each direction at once; results are those of all together (1)"},
		{0, "threads", "N", OPTION_INT, &c->threads, 1, CREW_MAX,
		 "threads of each process, each with its own part of the comms (1)"},
		{'c', "check", "0|1", OPTION_INT, &c->check, 0, 1,
		 "verify: every byte before timing, the first and last bytes while timing (1)"},
		{0, "plugin", "PATH", OPTION_TEXT, &c->plugin, 0, 0,
		 "side A (the Weft plugin that was built or installed with this program)"},
		{0, "abi", "N", OPTION_INT, &c->abi, PLUGIN_ABI_MIN, PLUGIN_ABI_MAX,
		 "version of the plugins' interface, 8 to 12 (the newest of each)"},
		{0, "versus", "PATH", OPTION_TEXT, &c->versus, 0, 0, "side B: another plugin"},
		{0, "raw", NULL, OPTION_FLAG, &c->raw, 0, 0,
		 "side raw: the same patterns, programmed directly on libfabric"},
		{0, "provider", "NAME", OPTION_TEXT, &c->provider, 0, 0,
		 "libfabric provider of raw and Weft: sets WEFT_PROVIDER; tcp is the\n"
		 "native provider, whatever its name in the libfabric release"},
		{0, "raw-op", "OP", OPTION_TEXT, &raw_op, 0, 0,
		 "tagged, writedata (RMA write with immediate data), or best: both are\n"
		 "measured, the better one is shown at each point (best)"},
		{0, "env-a", "LIST", OPTION_TEXT, &c->env_a, 0, 0,
		 "'NAME=VALUE NAME=VALUE': environment of side A and of raw"},
		{0, "env-b", "LIST", OPTION_TEXT, &c->env_b, 0, 0, "the same for side B"},
		{0, "device", "N", OPTION_INT, &c->device, 0, 1023, "device of the plugins (0)"},
		{0, "pin", "CORES", OPTION_TEXT, &pin, 0, 0,
		 "off, C0,C1 (a core per process), or auto: the first two, if there\nare two and no --threads (auto)"},
		{0, "instructions", NULL, OPTION_FLAG, &c->instructions, 0, 0,
		 "count user-space instructions per message, waiting included"},
		{0, "pairs", "N", OPTION_INT, &c->pairs, 0, 100000,
		 "instead: open up to N connection pairs; report set-up time and memory"},
		{0, "workload", "COMMS", OPTION_INT, &c->workload, 0, 64,
		 "instead: bursts of messages of 64 B to 8 MiB over COMMS comms each\n"
		 "way, some unexpected; report their rate and the latency of small\n"
		 "ones; messages of each comm: as --iters says (400)"},
		{0, "seed", "N", OPTION_INT, &c->seed, 0, 1 << 30, "seed of the workload (1)"},
		{0, "timeout", "S", OPTION_INT, &c->timeout_s, 0, 86400,
		 "seconds after which a step that has not ended fails; 0: no limit (60)"},
		{0, "meet_timeout", "S", OPTION_INT, &c->meet_timeout_s, 1, 1 << 20,
		 "seconds that ranks which a launcher has started wait for each other (300)"},
		{0, "json", "FILE", OPTION_TEXT, &c->json, 0, 0, "also write everything as JSON"},
	};
	int ret;

	*c = (struct cli){.plugin = bench_default_plugin(),
			  .min_bytes = 8,
			  .max_bytes = 4 << 20,
			  .step_factor = 2,
			  .warm = -1,
			  .comms = 1,
			  .threads = 1,
			  .repetitions = 5,
			  .time_ms = 200,
			  .check = 1,
			  .seed = 1,
			  .timeout_s = 60,
			  .meet_timeout_s = 300};
	ret = options_parse(argc, argv, summary, rows, sizeof(rows) / sizeof(rows[0]));
	if (ret)
		return ret;
	return interpret(c, pattern, pin, raw_op) || consistent(c) ? -1 : 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The conformance suite for NCCL net plugins, for any version of their interface: runs a plugin's shared object in two
 * real processes and reports in TAP the cases that it passes and fails. See pair.h for the way cases run.
 */
#include <fnmatch.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cases.h"
#include "plugin_path.h"

#define MAX_CASES    256
#define MAX_PATTERNS 64
#define MAX_JOBS     8

/* Patterns, each with a reason after '=' for --known. */
struct patterns {
	char *list[MAX_PATTERNS];
	int count;
};

struct job {
	const struct suite_case *c;
	struct pair_run *run; /* NULL: skipped by the command line, or not started */
	const char *skip;     /* reason of such a skip */
};

static const struct suite_case *const all_lists[] = {
	table_cases,  abi_cases,    profile_cases, conn_cases,	 handle_cases, data_cases, timing_cases,
	memory_cases, thread_cases, close_cases,   killed_cases, error_cases,  life_cases, soak_cases,
};

static struct suite_options options = {.seed = 1, .timeout_s = 120};
static struct patterns only, skip, known;
static int njobs = 1;
static bool provider_only;

static void usage(FILE *out)
{
	fprintf(out,
		"usage: conformance [OPTION]...\n"
		"Runs the conformance cases on a NCCL net plugin and prints TAP.\n"
		"\n"
		"  --plugin PATH         the plugin's shared object (default: the built Weft)\n"
		"  --abi N               version of its interface, 8 to 12 (default: its newest)\n"
		"  --list                print the names of the cases and end\n"
		"  --only PATTERN        run only cases whose name matches (shell pattern; "
		"repeatable)\n"
		"  --skip PATTERN        leave out cases whose name matches (repeatable)\n"
		"  --known PATTERN=WHY   report matching cases as skipped, with this reason "
		"(repeatable)\n"
		"  --seed N              start of all random choices (default 1)\n"
		"  --timeout S           seconds until a case counts as hung (default 120)\n"
		"  --device N            device used by cases that use one (default 0)\n"
		"  --jobs N              cases that run at the same time (default 1, at most 8)\n"
		"  --memory KIND         where buffers are: host (default), cuda, or dmabuf; cuda-a, cuda-b: cuda on\n"
		"                        that side only; all but host on the fake CUDA driver of tests/cuda\n"
		"  --soak N              long cases too, and N times the messages\n"
		"  --provider-only       leave out cases for which the provider makes no "
		"difference\n"
		"  --strict              hold any plugin to what only Weft promises\n"
		"  --verbose             show each case's time, and its processes' output\n"
		"  --help                this text\n"
		"\n"
		"Unless they are set, WEFT_NICS, FI_TCP_IFACE, FI_NET_IFACE and NCCL_SOCKET_IFNAME "
		"are set\n"
		"to lo: nothing leaves this machine. Exit status: 0 all passed, 1 some failed, 2 "
		"wrong use.\n");
}

static void wrong_use(const char *what, const char *value)
{
	fprintf(stderr, "conformance: %s%s%s; --help lists the options\n", what, value ? ": " : "", value ? value : "");
	exit(2);
}

static long number(const char *option, const char *text, long min, long max)
{
	char *end;
	long n = strtol(text, &end, 0);

	if (end == text || *end || n < min || n > max) {
		fprintf(stderr, "conformance: %s takes a number from %ld to %ld, not \"%s\"\n", option, min, max, text);
		exit(2);
	}
	return n;
}

static enum suite_memory memory(const char *text)
{
	if (!strcmp(text, "host"))
		return SUITE_HOST;
	if (!strcmp(text, "cuda"))
		return SUITE_CUDA;
	if (!strcmp(text, "cuda-a"))
		return SUITE_CUDA_A;
	if (!strcmp(text, "cuda-b"))
		return SUITE_CUDA_B;
	if (strcmp(text, "dmabuf"))
		wrong_use("--memory takes host, cuda, cuda-a, cuda-b or dmabuf, not", text);
	return SUITE_DMABUF;
}

static void add_pattern(struct patterns *p, char *text)
{
	if (p->count == MAX_PATTERNS)
		wrong_use("too many patterns", text);
	p->list[p->count++] = text;
}

static bool matches(const struct patterns *p, const char *name)
{
	int i;

	for (i = 0; i < p->count; i++)
		if (!fnmatch(p->list[i], name, 0))
			return true;
	return false;
}

/* The reason why this case is known to fail here, or NULL. */
static const char *known_reason(const char *name)
{
	char pattern[128];
	const char *eq;
	int i;

	for (i = 0; i < known.count; i++) {
		eq = strchr(known.list[i], '=');
		snprintf(pattern, sizeof(pattern), "%.*s", (int)(eq - known.list[i]), known.list[i]);
		if (!fnmatch(pattern, name, 0))
			return eq + 1;
	}
	return NULL;
}

/* Selects the cases of the command line. Returns their number. */
static int select_cases(struct job *jobs)
{
	const struct suite_case *c;
	size_t i;
	int n = 0;

	for (i = 0; i < sizeof(all_lists) / sizeof(all_lists[0]); i++) {
		for (c = all_lists[i]; c->name; c++) {
			if ((c->flags & SUITE_LONG && !options.soak) || (c->flags & SUITE_ONCE && provider_only) ||
			    matches(&skip, c->name) || (only.count && !matches(&only, c->name)))
				continue;
			jobs[n].c = c;
			jobs[n++].skip = known_reason(c->name);
		}
	}
	return n;
}

/* Prints the result line of a finished case. True unless it failed. */
static bool report(struct job *j, int number)
{
	enum pair_outcome outcome = PAIR_FAILED;
	const char *why = j->skip;

	if (j->skip)
		outcome = PAIR_SKIPPED;
	else if (j->run)
		outcome = pair_outcome(j->run, &why);
	printf("%s %d - %s", outcome == PAIR_FAILED ? "not ok" : "ok", number, j->c->name);
	if (outcome == PAIR_SKIPPED)
		printf(" # SKIP %s", why);
	printf("\n");
	if (j->run && (outcome == PAIR_FAILED || options.verbose))
		pair_explain(j->run);
	fflush(stdout);
	if (j->run)
		pair_free(j->run);
	return outcome != PAIR_FAILED;
}

/* Runs up to njobs cases at once and reports them in order. Returns the number of failed cases. */
static int run_all(struct job *jobs, int n)
{
	bool over[MAX_CASES] = {false};
	int i, running = 0, started = 0, reported = 0, failed = 0;

	while (reported < n) {
		while (started < n && running < njobs) {
			if (!jobs[started].skip)
				jobs[started].run = pair_start(jobs[started].c, &options);
			over[started] = !jobs[started].run;
			running += !over[started];
			started++;
		}
		for (i = reported; i < started; i++) {
			if (!over[i] && pair_over(jobs[i].run)) {
				over[i] = true;
				running--;
			}
		}
		for (; reported < started && over[reported]; reported++)
			failed += !report(&jobs[reported], reported + 1);
		usleep(2000);
	}
	return failed;
}

static void parse(int argc, char **argv, bool *out_list)
{
	static const struct option table[] = {
		{"plugin", required_argument, NULL, 'p'},
		{"abi", required_argument, NULL, 'a'},
		{"list", no_argument, NULL, 'l'},
		{"only", required_argument, NULL, 'o'},
		{"skip", required_argument, NULL, 'x'},
		{"known", required_argument, NULL, 'k'},
		{"seed", required_argument, NULL, 's'},
		{"timeout", required_argument, NULL, 't'},
		{"device", required_argument, NULL, 'd'},
		{"jobs", required_argument, NULL, 'j'},
		{"memory", required_argument, NULL, 'm'},
		{"soak", required_argument, NULL, 'S'},
		{"strict", no_argument, NULL, 'w'},
		{"provider-only", no_argument, NULL, 'P'},
		{"verbose", no_argument, NULL, 'v'},
		{"help", no_argument, NULL, 'h'},
		{NULL, 0, NULL, 0},
	};
	int c;

	while ((c = getopt_long(argc, argv, "", table, NULL)) != -1) {
		switch (c) {
		case 'p': options.plugin_path = optarg; break;
		case 'a': options.abi = (int)number("--abi", optarg, PLUGIN_ABI_MIN, PLUGIN_ABI_MAX); break;
		case 'l': *out_list = true; break;
		case 'o': add_pattern(&only, optarg); break;
		case 'x': add_pattern(&skip, optarg); break;
		case 'k':
			if (!strchr(optarg, '='))
				wrong_use("--known takes PATTERN=WHY, not", optarg);
			add_pattern(&known, optarg);
			break;
		case 's': options.seed = (uint64_t)number("--seed", optarg, 0, LONG_MAX); break;
		case 't': options.timeout_s = (int)number("--timeout", optarg, 1, 86400); break;
		case 'd': options.dev = (int)number("--device", optarg, 0, 1023); break;
		case 'j': njobs = (int)number("--jobs", optarg, 1, MAX_JOBS); break;
		case 'm': options.memory = memory(optarg); break;
		case 'S': options.soak = (int)number("--soak", optarg, 1, 100000); break;
		case 'P': provider_only = true; break;
		case 'w': options.strict = true; break;
		case 'v': options.verbose = true; break;
		case 'h': usage(stdout); exit(0);
		default: exit(2); /* getopt has printed the error */
		}
	}
	if (optind < argc)
		wrong_use("unexpected argument", argv[optind]);
}

static void stay_on_loopback(void)
{
	setenv("WEFT_NICS", "lo", 0);
	setenv("FI_TCP_IFACE", "lo", 0);
	setenv("FI_NET_IFACE", "lo", 0);
	setenv("NCCL_SOCKET_IFNAME", "lo", 0);
}

int main(int argc, char **argv)
{
	static struct job jobs[MAX_CASES];
	bool list = false;
	int i, n, failed;

	parse(argc, argv, &list);
	n = select_cases(jobs);
	if (list) {
		for (i = 0; i < n; i++)
			printf("%s\n", jobs[i].c->name);
		return 0;
	}
	if (!options.plugin_path)
		options.plugin_path = bench_default_plugin();
	if (!n)
		wrong_use("no case matches", NULL);
	stay_on_loopback();
	printf("1..%d\n# plugin %s, seed %llu\n", n, options.plugin_path, (unsigned long long)options.seed);
	failed = run_all(jobs, n);
	printf("# %d of %d failed\n", failed, n);
	return failed ? 1 : 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * all_reduce_perf and its sister programs: counterparts of nccl-tests' programs of these names, on any NCCL net plugin, with
 * NCCL and GPUs or without. This file covers the command line, the start of the ranks and the exit status; measure.c
 * measures, table.c and report.c report.
 */
#include "main.h"
#include "expected.h"
#include "team.h"
#include "launch.h"
#include "measure.h"
#include "net_perf/worker.h"
#include "nccl.h"
#include "observe.h"
#include "oob.h"
#include "options.h"
#include "place.h"
#include "plugin.h"
#include "plugin_path.h"
#include "progress.h"
#include "report.h"
#include "ring.h"
#include "roof.h"
#include "settings.h"
#include "table.h"

#ifdef HAVE_MPI
#include "place_mpi.h"
#endif

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* nccl-tests' exit statuses; usage errors have OPTIONS_EXIT_USAGE. */
enum { EXIT_INTERNAL = 1, EXIT_GPU = 2, EXIT_NCCL = LAUNCH_STATUS_LOST, EXIT_TIMEOUT = 4, EXIT_CHECK = 7 };

enum { DEFAULT_RANKS = 2, CAUSE_WAIT_MS = 2000 };

/* The run of one rank. */
struct run {
	struct settings settings;
	struct place place;
	int argc;
	char **argv;
	const char *plugin_path;
	char note[2048]; /* lines "# ..." for the preamble */
	struct oob *oob;
	struct team *team;
	struct bench_plugin plugin;
	struct engine *engine;
	struct measure *measure;
	struct report *report; /* rank 0; else NULL */
	struct expected expected;
	struct roof roof;
	struct totals totals;
};

__attribute__((format(printf, 2, 3))) static void add_note(struct run *run, const char *fmt, ...)
{
	size_t used = strlen(run->note);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(run->note + used, sizeof(run->note) - used, fmt, ap);
	va_end(ap);
}

/* Finds the address of rank 0, by MPI if possible, else in the environment. */
static int find_root(struct place *p)
{
#ifdef HAVE_MPI
	if (p->mpi) {
		int found = place_mpi_open(p);

		if (found)
			return found < 0 ? -1 : 0;
	}
#endif
	return place_root_from_env(p);
}

/* Takes the rank that a launcher gave to this process, or starts several ranks in its place. Returns like take_place. */
static int take_given_place(struct run *run, int more, int *out_status)
{
	struct place *p = &run->place;

	if (find_root(p))
		return 1;
	if (more == 1)
		return 0;
	*out_status = EXIT_INTERNAL;
	return launch_in_place(more, p, out_status);
}

/*
 * Finds the rank of this process, or starts the ranks. 0: this process is a rank. Otherwise *out_status is the exit status
 * for this process.
 */
static int take_place(struct run *run, int *out_status)
{
	struct place *p = &run->place;
	const struct settings *s = &run->settings;
	int found = place_rank_from_env(p), ranks = (int)s->ranks, more = (int)(s->threads * s->gpus);

	*out_status = OPTIONS_EXIT_USAGE;
	if (found < 0)
		return 1;
	if (more > 1)
		add_note(run, "# --nthreads %d --ngpus %d: %d ranks instead of one, each a process\n", (int)s->threads,
			 (int)s->gpus, more);
	add_note(run, "%s", s->ignored);
	if (found && p->nranks > 1 && ranks) {
		fprintf(stderr, "%s: --ranks %d, but %s says that this is rank %d of %d\n", options_program(), ranks,
			p->origin, p->rank, p->nranks);
		return 1;
	}
	if (found && !ranks)
		return take_given_place(run, more, out_status);
	if (!ranks && more > 1) {
		ranks = 1;
	} else if (!ranks) {
		ranks = DEFAULT_RANKS;
		add_note(run, "# Not told otherwise: %d ranks on this host (--ranks N)\n", ranks);
	}
	*out_status = EXIT_INTERNAL;
	return launch_ranks(ranks * more, p, out_status);
}

/* All ranks of a job exit with the same status, whichever one the launcher sees first. */
static int exit_status(const struct run *run, int failure)
{
	if (failure == FAIL_PEER && oob_error_status(run->oob))
		return oob_error_status(run->oob);
	if (failure == FAIL_TIMEOUT)
		return EXIT_TIMEOUT;
	if (failure == FAIL_GPU)
		return EXIT_GPU;
	return failure == FAIL_SYSTEM ? EXIT_INTERNAL : EXIT_NCCL;
}

/*
 * Reports the failure to the user and to the other ranks, and ends the process. The plugin stays open, because closing might
 * wait for a peer that has ended.
 */
static _Noreturn void fail(struct run *run, int failure)
{
	const struct oob_peer *self = oob_peer(run->oob, run->place.rank);
	const char *error = run->engine ? run->engine->calls->error(run->engine) : "";
	char text[2048];
	int status;

	progress_clear();
	/* The usual cause of a failed transfer is the death of a rank: wait for its name. */
	if (failure == FAIL_ENGINE)
		(void)oob_await_cause(run->oob, CAUSE_WAIT_MS);
	status = exit_status(run, failure);
	if (failure == FAIL_PEER)
		snprintf(text, sizeof(text), "%s: Test failure: %s", self->host, oob_error(run->oob));
	else if (failure == FAIL_ENGINE)
		snprintf(text, sizeof(text), "%s: Test NCCL failure %s", self->host, error);
	else if (failure == FAIL_GPU)
		snprintf(text, sizeof(text), "%s: Test CUDA failure %s", self->host, error);
	else if (failure == FAIL_TIMEOUT)
		snprintf(text, sizeof(text), "%s: Test timeout (%llds) %s", self->host,
			 (long long)run->settings.timeout_s, error);
	else
		snprintf(text, sizeof(text), "%s: Test failure: %s", self->host,
			 *error				? error
			 : *measure_error(run->measure) ? measure_error(run->measure)
							: "out of memory");
	printf("\n%s\n .. %s pid %d: Test failure rank %d", text, self->host, self->pid, run->place.rank);
	if (failure != FAIL_PEER && *oob_error(run->oob))
		printf(": %s", oob_error(run->oob));
	printf("\n");
	fflush(stdout);
	oob_fail(run->oob, status, text);
	report_close(run->report, &run->totals, text);
	oob_close(run->oob);
	_exit(status);
}

static void describe_self(const struct run *run, struct rank_info *info)
{
	const struct oob_peer *self = oob_peer(run->oob, run->place.rank);

	memset(info, 0, sizeof(*info));
	info->pid = self->pid;
	info->group = run->team->color;
	memcpy(info->host, self->host, sizeof(info->host));
	run->engine->calls->describe(run->engine, info);
}

/* Writes everything above the rows, in the table and in JSON. */
static void introduce(struct run *run, bool lowered)
{
	size_t n = (size_t)run->place.nranks;
	struct rank_info mine, *all = calloc(n, sizeof(*all));

	if (!all)
		fail(run, FAIL_SYSTEM);
	describe_self(run, &mine);
	if (oob_allgather(run->oob, &mine, sizeof(mine), all))
		fail(run, FAIL_PEER);
	if (!run->place.rank) {
		const struct report_head head = {.argc = run->argc,
						 .argv = run->argv,
						 .program = options_program(),
						 .plugin = run->plugin_path ? run->plugin_path : "",
						 .abi = run->plugin.abi,
						 .ranks = all,
						 .nranks = (int)n};

		run->report = report_open(&run->settings, &head);
		table_preamble(stdout, options_program(), &run->settings, run->note, all, (int)n);
		if (lowered)
			printf("#\n# Reducing maxBytes to %lld due to memory limitation\n",
			       (long long)run->settings.max_bytes);
	}
	free(all);
}

static int ranks_on_this_host(const struct run *run)
{
	const char *self = oob_peer(run->oob, run->place.rank)->host;
	int n = 0;

	for (int r = 0; r < run->place.nranks; r++)
		n += !strcmp(oob_peer(run->oob, r)->host, self);
	return n;
}

static void prepare(struct run *run)
{
	const struct settings *s = &run->settings;
	const struct ring_config config = {
		.plugin = &run->plugin,
		.team = run->team,
		.what = s->what,
		.traffic = &s->traffic,
		.channels = (int)s->channels,
		.slot_bytes = (size_t)s->chunk_bytes,
		.device = (int)s->device,
		.timeout_s = (int)s->timeout_s,
	};
	const struct nccl_config gpu = {run->team, s->what, &s->traffic, (int)s->device, (int)s->timeout_s};
	int failure = s->nccl ? nccl_open(&gpu, &run->engine) : ring_open(&config, &run->engine);
	bool lowered = false;

	if (!failure)
		failure = measure_open(&run->settings, run->team, run->engine, ranks_on_this_host(run), &run->measure,
				       &lowered);
	if (failure)
		fail(run, failure);
	introduce(run, lowered);
}

static int join_team(struct run *run)
{
	const struct team *g;
	int err = team_open(run->oob, &run->settings.split, &run->team);

	if (err == -EPIPE || err == -ENOMEM)
		fail(run, err == -EPIPE ? FAIL_PEER : FAIL_SYSTEM);
	if (err) {
		oob_fail(run->oob, EXIT_INTERNAL, "the ranks' NCCL_TESTS_SPLIT differ");
		oob_close(run->oob);
		return -1;
	}
	g = run->team;
	if (g->smallest < g->largest)
		add_note(run, "# %d groups of %d to %d ranks at once; sizes and bandwidths are those of rank 0's\n",
			 g->groups, g->smallest, g->largest);
	else if (g->groups > 1)
		add_note(run, "# %d groups of %d ranks at once; the bandwidth is that of each\n", g->groups, g->nranks);
	return 0;
}

static int meet(struct run *run)
{
	const struct place *p = &run->place;
	const struct oob_config config = {
		p->rank, p->nranks, p->root, p->root_from, p->port, p->listen_fd, (int)run->settings.meet_timeout_s};

	if (p->all_local && p->nranks > 1 && (run->settings.nccl || run->settings.device < 0) && launch_keep_local())
		add_note(run, "# All ranks share this host: traffic stays on loopback (--device, or "
			      "WEFT_NICS, WEFT_PROVIDER, FI_TCP_IFACE, FI_NET_IFACE choose otherwise)\n");
	if (run->settings.all_types || run->settings.all_ops)
		add_note(run, "# all: without f8e4m3, f8e5m2 and mulsum, which this program does not "
			      "have\n");
	if (p->nranks == 1)
		add_note(run, "# One rank: nothing crosses the network, busbw is 0\n");
	return oob_open(&config, &run->oob) ? -1 : join_team(run);
}

static int use_plugin(struct run *run)
{
	if (bench_plugin_open(&run->plugin, run->plugin_path, (int)run->settings.abi))
		return -1;
	add_note(run, "# Net plugin: %s, interface v%d\n", run->plugin.net->name, run->plugin.abi);
	return 0;
}

/* Sets environment variables for NCCL; variables set by the user are kept. */
static int use_nccl(struct run *run)
{
	const struct settings *s = &run->settings;
	bool ours = !s->plugin && !getenv("NCCL_NET_PLUGIN") && !getenv("NCCL_NET");
	char host[32];

	if (s->plugin || ours)
		setenv("NCCL_NET_PLUGIN", run->plugin_path, 1);
	/* Makes NCCL fail where Weft is unusable; otherwise it would silently use its own sockets. */
	if (ours && run->place.nranks > 1)
		setenv("NCCL_NET", "weft", 1);
	/* NCCL accepts ranks that share a GPU only if it sees them on different hosts; they then use the network. */
	if (s->device >= 0 && run->place.nranks > 1 && !getenv("NCCL_HOSTID")) {
		snprintf(host, sizeof(host), "weft-rank-%d", run->place.rank);
		setenv("NCCL_HOSTID", host, 1);
		add_note(run, "# Ranks may share a GPU: NCCL takes each for a host of its own (NCCL_HOSTID)\n");
	}
	if (nccl_load())
		return -1;
	run->plugin_path = getenv("NCCL_NET_PLUGIN");
	add_note(run, "# nccl-library=%d cuda-driver=%d NCCL_NET_PLUGIN=%s NCCL_NET=%s\n", nccl_version(),
		 nccl_cuda_version(), run->plugin_path ? run->plugin_path : "",
		 getenv("NCCL_NET") ? getenv("NCCL_NET") : "");
	return 0;
}

static void observe(struct run *run)
{
	json_t *observed;

	if (observe_ranks(run->oob, &observed))
		fail(run, FAIL_PEER);
	report_add(run->report, "observed", observed);
}

/* Finds what the NICs and, if wanted, libfabric without the plugin could do, and begins the table. */
static void find_limits(struct run *run)
{
	int failure = expected_find(&run->settings, run->team, &run->expected);

	if (!failure && run->settings.roof)
		failure = roof_measure(&run->settings, &run->place, run->team, &run->roof);
	if (failure)
		fail(run, failure == -EPIPE ? FAIL_PEER : FAIL_SYSTEM);
	if (run->place.rank)
		return;
	expected_print_head(stdout, &run->expected);
	if (run->settings.roof)
		roof_print_head(stdout, &run->roof, run->team);
	table_head(stdout, &run->settings);
}

static void judge(struct run *run)
{
	if (run->place.rank)
		return;
	expected_print_end(stdout, &run->expected, &run->totals);
	if (run->expected.nics)
		report_add(run->report, "expected", expected_json(&run->expected, &run->totals));
	if (!run->settings.roof)
		return;
	roof_print_verdict(stdout, &run->roof, run->team, &run->totals.roof);
	report_add(run->report, "roof", roof_json(&run->roof, &run->totals.roof));
}

static int work(struct run *run)
{
	int failure;
	bool good;

	if (meet(run))
		return EXIT_INTERNAL;
	if (run->settings.nccl ? use_nccl(run) : use_plugin(run)) {
		oob_fail(run->oob, EXIT_NCCL, run->settings.nccl ? "cannot use NCCL" : "cannot use the plugin");
		oob_close(run->oob);
		return EXIT_NCCL;
	}
	progress_init(!run->place.rank);
	prepare(run);
	find_limits(run);
	failure = measure_run(run->measure, run->settings.roof ? &run->roof : NULL, run->report, &run->totals);
	if (failure)
		fail(run, failure);
	judge(run);
	if (!run->place.rank)
		table_footer(stdout, options_program(), &run->totals, NULL);
	if (run->settings.observe)
		observe(run);
	good = !run->totals.failed_checks && totals_fast_enough(&run->totals);
	report_close(run->report, &run->totals, NULL);
	measure_close(run->measure);
	roof_close(&run->roof);
	run->engine->calls->close(run->engine);
	if (!run->settings.nccl)
		bench_plugin_close(&run->plugin);
	team_close(run->team);
	oob_close(run->oob);
	return good ? EXIT_SUCCESS : EXIT_CHECK;
}

int collective_main(enum collective what, int argc, char **argv)
{
	static struct run run;
	int status, result;

	if (worker_ran(argc, argv, &status))
		return status;
	result = settings_parse(what, argc, argv, &run.settings);
	if (result)
		return result > 0 ? EXIT_SUCCESS : OPTIONS_EXIT_USAGE;
	run.argc = argc;
	run.argv = argv;
	run.plugin_path = run.settings.plugin ? run.settings.plugin : bench_default_plugin();
	if (take_place(&run, &status))
		return status;
	if (settings_check_ranks(&run.settings, run.place.nranks))
		return OPTIONS_EXIT_USAGE;
	status = work(&run);
	return status;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * all_reduce_perf and its like: nccl-tests' programs of these names on any NCCL net plugin, without NCCL or GPUs, or with.
 * From the command line to the exit status; what is measured and how it is shown is done elsewhere.
 */
#include "main.h"
#include "json.h"
#include "launch.h"
#include "measure.h"
#include "nccl.h"
#include "oob.h"
#include "options.h"
#include "place.h"
#include "plugin.h"
#include "plugin_path.h"
#include "progress.h"
#include "ring.h"
#include "settings.h"
#include "table.h"

#ifdef HAVE_MPI
#include "place_mpi.h"
#endif

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* nccl-tests' statuses; usage errors have OPTIONS_EXIT_USAGE. */
enum { EXIT_INTERNAL = 1, EXIT_GPU = 2, EXIT_NCCL = LAUNCH_STATUS_LOST, EXIT_TIMEOUT = 4, EXIT_CHECK = 7 };

enum { DEFAULT_RANKS = 2, MEET_TIMEOUT_S = 60, CAUSE_WAIT_MS = 2000 };

/* One rank at work. */
struct run {
	struct settings settings;
	struct place place;
	int argc;
	char **argv;
	const char *plugin_path;
	char note[2048]; /* "# ..." lines for the preamble */
	struct oob *oob;
	struct bench_plugin plugin;
	struct engine *engine;
	struct measure *measure;
	struct json_report *json; /* rank 0, if wanted */
	struct totals totals;
};

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

__attribute__((format(printf, 2, 3))) static void add_note(struct run *run, const char *fmt, ...)
{
	size_t used = strlen(run->note);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(run->note + used, sizeof(run->note) - used, fmt, ap);
	va_end(ap);
}

/*
 * Finds this process' rank, or starts the ranks. 0: this is a rank; else *out_status is what the
 * process ends with.
 */
static int take_place(struct run *run, int *out_status)
{
	struct place *p = &run->place;
	int found = place_from_env(p), ranks = (int)run->settings.ranks, gpus = (int)run->settings.gpus;

	*out_status = OPTIONS_EXIT_USAGE;
	if (found < 0)
		return 1;
	if (gpus > 1)
		add_note(run, "# --ngpus %d: so many ranks instead of one, each a process\n", gpus);
	if (found && p->nranks > 1 && ranks) {
		fprintf(stderr,
			"%s: --ranks %d, but %s says that this is rank %d of %d\n",
			collective_facts[run->settings.what].program, ranks, p->origin, p->rank, p->nranks);
		return 1;
	}
	if (found && !ranks && gpus > 1) {
		*out_status = EXIT_INTERNAL;
		return launch_in_place(gpus, p, out_status);
	}
	if (found && !ranks) {
#ifdef HAVE_MPI
		if (strncmp(p->origin, "RANK", 4)) {
			*out_status = EXIT_INTERNAL;
			return place_mpi_open(p);
		}
#endif
		return 0;
	}
	if (!ranks && gpus > 1) {
		ranks = 1;
	} else if (!ranks) {
		ranks = DEFAULT_RANKS;
		add_note(run, "# Not told otherwise: %d ranks on this host (--ranks N)\n", ranks);
	}
	*out_status = EXIT_INTERNAL;
	return launch_ranks(ranks * gpus, p, out_status);
}

/* All ranks of a job end alike, so that it does not matter which one the launcher sees first. */
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
 * Says what failed, tells the other ranks, and ends the process. Without closing the plugin: with a
 * peer gone that might not end.
 */
static _Noreturn void fail(struct run *run, int failure)
{
	const struct oob_peer *self = oob_peer(run->oob, run->place.rank);
	const char *error = run->engine ? run->engine->calls->error(run->engine) : "out of memory";
	char text[2048];
	int status;

	progress_clear();
	/* A failing transfer is most often the echo of a death: wait for the name. */
	if (failure == FAIL_ENGINE)
		(void)oob_await_cause(run->oob, CAUSE_WAIT_MS);
	status = exit_status(run, failure);
	if (failure == FAIL_PEER)
		snprintf(text, sizeof(text), "%s: Test failure: %s", self->host,
			 oob_error(run->oob));
	else if (failure == FAIL_ENGINE)
		snprintf(text, sizeof(text), "%s: Test NCCL failure %s", self->host,
			 error);
	else if (failure == FAIL_GPU)
		snprintf(text, sizeof(text), "%s: Test CUDA failure %s", self->host, error);
	else if (failure == FAIL_TIMEOUT)
		snprintf(text, sizeof(text), "%s: Test timeout (%llds) %s", self->host,
			 (long long)run->settings.timeout_s, error);
	else
		snprintf(text, sizeof(text), "%s: Test failure: out of memory", self->host);
	printf("\n%s\n .. %s pid %d: Test failure rank %d", text, self->host, self->pid,
	       run->place.rank);
	if (failure != FAIL_PEER && *oob_error(run->oob))
		printf(": %s", oob_error(run->oob));
	printf("\n");
	fflush(stdout);
	oob_fail(run->oob, status, text);
	json_close(run->json, &run->totals, text);
	oob_close(run->oob);
	_exit(status);
}

static void describe_self(const struct run *run, struct rank_info *info)
{
	const struct oob_peer *self = oob_peer(run->oob, run->place.rank);

	memset(info, 0, sizeof(*info));
	info->pid = self->pid;
	memcpy(info->host, self->host, sizeof(info->host));
	run->engine->calls->describe(run->engine, info);
}

/* Everything that stands above the rows, in the table and in JSON. */
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
		if (run->settings.json)
			run->json = json_open(&run->settings, run->argc, run->argv,
					      run->plugin_path ? run->plugin_path : "",
					      run->plugin.abi, all, (int)n);
		table_preamble(stdout, base_name(run->argv[0]), &run->settings, run->note, all,
			       (int)n);
		if (lowered)
			printf("#\n# Reducing maxBytes to %lld due to memory limitation\n",
			       (long long)run->settings.max_bytes);
		table_head(stdout, &run->settings);
	}
	free(all);
}

static void prepare(struct run *run)
{
	const struct settings *s = &run->settings;
	const struct ring_config config = {
		.plugin = &run->plugin,
		.oob = run->oob,
		.what = s->what,
		.channels = (int)s->channels,
		.slot_bytes = (size_t)s->chunk_bytes,
		.device = (int)s->device,
		.timeout_s = (int)s->timeout_s,
	};
	const struct nccl_config gpu = {run->oob, s->what, (int)s->device, (int)s->timeout_s};
	int failure = s->nccl ? nccl_open(&gpu, &run->engine) : ring_open(&config, &run->engine);
	bool lowered = false;

	if (!failure)
		failure = measure_open(&run->settings, run->oob, run->engine,
				       run->place.all_local ? run->place.nranks : 1, &run->measure,
				       &lowered);
	if (failure)
		fail(run, failure);
	introduce(run, lowered);
}

static int meet(struct run *run)
{
	const struct place *p = &run->place;
	const struct oob_config config = {p->rank, p->nranks,    p->root,
					  p->port, p->listen_fd, MEET_TIMEOUT_S};

	if (p->all_local && p->nranks > 1 && (run->settings.nccl || run->settings.device < 0) && launch_keep_local())
		add_note(
			run,
			"# All ranks share this host: traffic stays on loopback (--device, or "
			"WEFT_NICS, WEFT_PROVIDER, FI_TCP_IFACE, FI_NET_IFACE choose otherwise)\n");
	if (run->settings.all_types || run->settings.all_ops)
		add_note(run, "# all: without f8e4m3, f8e5m2 and mulsum, which this program does not "
			      "have\n");
	if (p->nranks == 1)
		add_note(run, "# One rank: nothing crosses the network, busbw is 0\n");
	return oob_open(&config, &run->oob);
}

static int use_plugin(struct run *run)
{
	if (bench_plugin_open(&run->plugin, run->plugin_path, (int)run->settings.abi))
		return -1;
	add_note(run, "# Net plugin: %s, interface v%d\n", run->plugin.net->name, run->plugin.abi);
	return 0;
}

/* What NCCL reads from the environment: the user's own settings stand. */
static int use_nccl(struct run *run)
{
	const struct settings *s = &run->settings;
	bool ours = !s->plugin && !getenv("NCCL_NET_PLUGIN") && !getenv("NCCL_NET");
	char host[32];

	if (s->plugin || ours)
		setenv("NCCL_NET_PLUGIN", run->plugin_path, 1);
	/* Without this, NCCL would use its own sockets in silence where Weft can't be used. */
	if (ours && run->place.nranks > 1)
		setenv("NCCL_NET", "weft", 1);
	/* Ranks that share a GPU must be of different hosts for NCCL, and then talk over the network. */
	if (s->device >= 0 && run->place.nranks > 1 && !getenv("NCCL_HOSTID")) {
		snprintf(host, sizeof(host), "weft-rank-%d", run->place.rank);
		setenv("NCCL_HOSTID", host, 1);
		add_note(run, "# Ranks may share a GPU: NCCL takes each for a host of its own (NCCL_HOSTID)\n");
	}
	if (nccl_load())
		return -1;
	run->plugin_path = getenv("NCCL_NET_PLUGIN");
	add_note(run, "# nccl-library=%d cuda-driver=%d NCCL_NET_PLUGIN=%s NCCL_NET=%s\n", nccl_version(),
		 nccl_cuda_version(), run->plugin_path ? run->plugin_path : "", getenv("NCCL_NET") ? getenv("NCCL_NET") : "");
	return 0;
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
	failure = measure_run(run->measure, run->json, &run->totals);
	if (failure)
		fail(run, failure);
	if (!run->place.rank)
		table_footer(stdout, base_name(run->argv[0]), &run->totals, NULL);
	good = !run->totals.failed_checks && totals_fast_enough(&run->totals);
	json_close(run->json, &run->totals, NULL);
	measure_close(run->measure);
	run->engine->calls->close(run->engine);
	if (!run->settings.nccl)
		bench_plugin_close(&run->plugin);
	oob_close(run->oob);
	return good ? EXIT_SUCCESS : EXIT_CHECK;
}

int collective_main(enum collective what, int argc, char **argv)
{
	static struct run run;
	int status, result = settings_parse(what, argc, argv, &run.settings);

	if (result)
		return result > 0 ? EXIT_SUCCESS : OPTIONS_EXIT_USAGE;
	run.argc = argc;
	run.argv = argv;
	run.plugin_path = run.settings.plugin ? run.settings.plugin : bench_default_plugin();
	if (take_place(&run, &status))
		return status;
	if (run.settings.root >= run.place.nranks) {
		fprintf(stderr, "%s: --root %lld: there are %d ranks\n", collective_facts[what].program,
			(long long)run.settings.root, run.place.nranks);
		return OPTIONS_EXIT_USAGE;
	}
	status = work(&run);
#ifdef HAVE_MPI
	place_mpi_close();
#endif
	return status;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* The command line, the processes, the verdict: one TAP line. */
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/wait.h>
#include <unistd.h>

#include "options.h"
#include "patience.h"
#include "plugin.h"
#include "plugin_path.h"
#include "stress.h"

enum { FIRST_PORT = 31000 };

struct settings settings = {.seed = 1,
			    .procs = 3,
			    .worlds = 2,
			    .lanes = 4,
			    .seconds = 10,
			    .largest = 16 << 20,
			    .abrupt_percent = 15,
			    .group_percent = 40,
			    .stall_s = 60};
const struct weft_nccl_net_v12 *net;
int me;
static struct world worlds[WORLDS_MAX];

static const char summary[] =
	"Drives a NCCL net plugin (interface version 12) with a random mixed load, as NCCL's proxy would: several\n"
	"processes, communicators and threads; groups, equal tags, tests in any order, abrupt closes, reconnects,\n"
	"registrations under traffic. Verifies every byte. Prints one TAP line; STRESS_ABORT=1 leaves a core.\n";

static const struct option_row options[] = {
	{'p', "plugin", "PATH", OPTION_TEXT, &settings.plugin, 0, 0,
	 "the plugin's shared object (default: the built Weft)"},
	{'s', "seed", "N", OPTION_INT, &settings.seed, 0, INT64_MAX, "seed of the load (1)"},
	{'t', "seconds", "S", OPTION_INT, &settings.seconds, 0, 1000000, "no new round begins after that time (10)"},
	{'r', "rounds", "N", OPTION_INT, &settings.rounds, 0, 1000000, "that many rounds instead"},
	{'P', "processes", "N", OPTION_INT, &settings.procs, 2, PROCS_MAX, "processes (3)"},
	{'G', "communicators", "N", OPTION_INT, &settings.worlds, 1, WORLDS_MAX, "communicators of each process (2)"},
	{'C', "channels", "N", OPTION_INT, &settings.lanes, 1, LANES_MAX,
	 "connections each way between each two processes, per communicator (4)"},
	{'m', "largest", "BYTES", OPTION_SIZE, &settings.largest, 1, 64 << 20, "largest message (16M)"},
	{'a', "abrupt", "PERCENT", OPTION_INT, &settings.abrupt_percent, 0, 100,
	 "connections that are closed with operations outstanding (15)"},
	{'g', "groups", "PERCENT", OPTION_INT, &settings.group_percent, 0, 100,
	 "connections with grouped receives or changing tags (40)"},
	{0, "ports", "N", OPTION_INT, &settings.ports, 0, 1000,
	 "libfabric's tcp gets only N ports of each process, so that they are used again"},
	{0, "stall", "S", OPTION_INT, &settings.stall_s, 1, 100000,
	 "no progress in any process for that long counts as a hang, later on a busy machine (60)"},
};

__attribute__((format(printf, 5, 6))) static void logger(weft_nccl_log_level level, unsigned long flags,
							 const char *file, int line, const char *format, ...)
{
	const char *debug = getenv("NCCL_DEBUG");
	char text[1024];
	va_list args;

	(void)flags, (void)file, (void)line;
	if (level != WEFT_NCCL_LOG_WARN && !(debug && !strcasecmp(debug, "INFO")))
		return;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	fprintf(stderr, "# [%d] %s\n", me, text);
}

static void set_ports(void)
{
	int64_t first = FIRST_PORT + me * settings.ports;
	char text[32];

	if (!settings.ports)
		return;
	snprintf(text, sizeof(text), "%" PRId64, first);
	setenv("FI_TCP_PORT_LOW_RANGE", text, 1);
	setenv("FI_NET_PORT_LOW_RANGE", text, 1);
	snprintf(text, sizeof(text), "%" PRId64, first + settings.ports - 1);
	setenv("FI_TCP_PORT_HIGH_RANGE", text, 1);
	setenv("FI_NET_PORT_HIGH_RANGE", text, 1);
}

static void open_worlds(void)
{
	struct weft_nccl_comm_config config = {.traffic_class = -1};
	struct bench_plugin plugin;
	int64_t i;
	int devices = 0;

	if (bench_plugin_load(&plugin, settings.plugin, 12))
		fail("the plugin can't be loaded");
	net = plugin.native;
	for (i = 0; i < settings.worlds; i++) {
		worlds[i].number = (int)i;
		check_call(net->init(&worlds[i].context, (uint64_t)(settings.seed + i), &config, logger, NULL), "init");
	}
	check_call(net->devices(&devices), "devices");
	if (devices < 1)
		fail("the plugin has no device");
}

/* Where every comm stands; the threads still run, so a line may be a moment old. */
static void report_stall(void)
{
	int64_t i;
	int k;

	for (i = 0; i < settings.worlds; i++)
		for (k = 0; !atomic_load(&worlds[i].ended) && k < worlds[i].count; k++)
			if (!worlds[i].comms[k].comm || !comm_over(&worlds[i].comms[k]))
				comm_report(&worlds[i].comms[k]);
	_exit(4);
}

static bool all_ended(void)
{
	int64_t i;

	for (i = 0; i < settings.worlds; i++)
		if (!atomic_load(&worlds[i].ended))
			return false;
	return true;
}

static void process_run(void)
{
	pthread_t threads[WORLDS_MAX];
	int64_t i;

	set_ports();
	open_worlds();
	for (i = 0; i < settings.worlds; i++)
		if (pthread_create(&threads[i], NULL, world_run, &worlds[i]))
			fail("no thread");
	while (!all_ended()) {
		if (atomic_load(&shared->stalled))
			report_stall();
		relax();
		usleep(20000);
	}
	for (i = 0; i < settings.worlds; i++)
		pthread_join(threads[i], NULL);
	exit(0);
}

/* ---- the parent ---- */

/* Grows with every step of any process. */
static long progress_so_far(void)
{
	return shared->rounds + shared->comms + shared->messages + shared->visits + shared->abrupt_errors;
}

static bool report_end(int number, int status)
{
	if (WIFSIGNALED(status))
		printf("# process %d was ended by signal %d (%s)\n", number, WTERMSIG(status),
		       strsignal(WTERMSIG(status)));
	else if (WEXITSTATUS(status))
		printf("# process %d ended with exit status %d\n", number, WEXITSTATUS(status));
	else
		return true;
	shared->failed = true;
	return false;
}

/* One process that has ended is taken off; a bad end ends all. */
static bool reap(pid_t *pids, int *left)
{
	bool good = true;
	int status;
	int64_t i;

	for (i = 0; i < settings.procs; i++) {
		if (!pids[i] || waitpid(pids[i], &status, WNOHANG) != pids[i])
			continue;
		pids[i] = 0;
		(*left)--;
		good &= report_end((int)i, status);
	}
	return good;
}

/* What does not end by itself after a failure. */
static void put_down(pid_t *pids)
{
	int64_t i;

	for (i = 0; i < settings.procs; i++)
		if (pids[i])
			kill(pids[i], SIGKILL);
}

static bool await(pid_t *pids)
{
	uint64_t moved_at = patience_ms(), failed_at = 0;
	int left = (int)settings.procs;
	long before = -1, now;
	bool good = true;

	while (left) {
		good &= reap(pids, &left);
		now = progress_so_far();
		if (now != before)
			before = now, moved_at = patience_ms();
		if (good && patience_ms() - moved_at > (uint64_t)settings.stall_s * 1000) {
			printf("# no progress in any process for %" PRId64 " s\n", settings.stall_s);
			good = false;
			atomic_store(&shared->stalled, true);
		}
		if (!good && !failed_at)
			failed_at = patience_ms() + 1;
		if (failed_at && patience_ms() > failed_at + 10000)
			put_down(pids);
		usleep(10000);
	}
	return good;
}

int main(int argc, char **argv)
{
	pid_t pids[PROCS_MAX];
	bool good;
	int r;

	settings.plugin = bench_default_plugin();
	r = options_parse(argc, argv, summary, options, sizeof(options) / sizeof(options[0]));
	if (r)
		return r < 0 ? OPTIONS_EXIT_USAGE : 0;
	shared_open();
	fflush(stdout);
	for (me = 0; me < settings.procs; me++) {
		pids[me] = fork();
		if (!pids[me])
			process_run();
		if (pids[me] < 0)
			fail("fork failed");
	}
	good = await(pids);
	printf("%s 1 - seed %" PRId64
	       ": %ld rounds, %ld comms, %ld messages, %ld groups, %.2f GB, %ld abrupt connections "
	       "with %ld errors, %ld messages of visits\n1..1\n",
	       good ? "ok" : "not ok", settings.seed, shared->rounds, shared->comms, shared->messages, shared->groups,
	       (double)shared->bytes / 1e9, shared->abrupt, shared->abrupt_errors, shared->visits);
	return !good;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * weft_self_perf connects a plugin with itself. Each thread has both ends of its connections and moves messages over them,
 * which shows the cost of additional threads. With --turns, the two ends of one connection are on two threads that take
 * turns, and instructions.sh counts the instructions of each. weft_net_perf measures latency and bandwidth.
 *
 * Prints one line: milliseconds from loading the plugin until its devices are known, and messages per second. With --init
 * the line has two times in milliseconds: loading libfabric and its first query, and loading the plugin afterwards.
 */
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>

#include "ends.h"
#include "options.h"
#include "plugin_path.h"
#include "seconds.h"
#include "turns.h"

#define COMMS_MAX   64
#define THREADS_MAX 64

static struct load load = {.bytes = 64, .messages = 10000};
static int64_t threads = 1, comms = 1, abi;
static pthread_barrier_t connected, finished;

/* Both ends of one connection. */
struct loop {
	struct end from, to;
};

static void open_loop(struct loop *l)
{
	unsigned char handle[WEFT_NCCL_HANDLE_BYTES] __attribute__((aligned(8))) = {0};
	bool here, there;

	l->from.load = NULL;
	end_listen(&l->to, &load, handle);
	do {
		there = end_connect(&l->from, &load, handle);
		here = end_accept(&l->to);
	} while (!here || !there);
}

static void *work(void *arg)
{
	static _Thread_local struct loop loops[COMMS_MAX];
	int64_t i, left = 1;

	(void)arg;
	for (i = 0; i < comms; i++)
		open_loop(&loops[i]);
	pthread_barrier_wait(&connected);
	while (left) {
		for (i = left = 0; i < comms; i++) {
			end_post(&loops[i].to);
			end_post(&loops[i].from);
			end_test(&loops[i].to);
			end_test(&loops[i].from);
			left += !end_finished(&loops[i].to) || !end_finished(&loops[i].from);
		}
	}
	pthread_barrier_wait(&finished);
	for (i = 0; i < comms; i++) {
		end_close(&loops[i].from);
		end_close(&loops[i].to);
	}
	return NULL;
}

/* Seconds from the time when all ends are connected until all are done. */
static double loops(void)
{
	pthread_t ids[THREADS_MAX];
	double start, took;
	int64_t i;

	pthread_barrier_init(&connected, NULL, (unsigned)threads + 1);
	pthread_barrier_init(&finished, NULL, (unsigned)threads + 1);
	for (i = 0; i < threads; i++)
		if (pthread_create(&ids[i], NULL, work, NULL))
			ends_quit("starting a thread");
	pthread_barrier_wait(&connected);
	start = seconds_now();
	pthread_barrier_wait(&finished);
	took = seconds_now() - start;
	for (i = 0; i < threads; i++)
		pthread_join(ids[i], NULL);
	return took;
}

/* Seconds that libfabric needs to start, once per process. */
static double wake_libfabric(void)
{
	double start = seconds_now();
	void *dl = dlopen("libfabric.so.1", RTLD_NOW | RTLD_GLOBAL), *all = NULL;
	uint32_t (*version)(void) = dl ? dlsym(dl, "fi_version") : NULL;
	int (*getinfo)(uint32_t, const char *, const char *, uint64_t, const void *, void **) =
		dl ? dlsym(dl, "fi_getinfo") : NULL;

	if (!version || !getinfo || getinfo(version(), NULL, NULL, 0, NULL, &all))
		ends_quit("asking libfabric for its providers");
	return seconds_now() - start;
}

static void open_plugin(struct bench_plugin *plugin, const char *path)
{
	if (bench_plugin_open(plugin, path, (int)abi))
		ends_quit("loading the plugin");
	load.net = plugin->net;
}

int main(int argc, char **argv)
{
	const char *path = bench_default_plugin();
	bool take_turns = false, init_only = false;
	const struct option_row rows[] = {
		{0, "plugin", "PATH", OPTION_TEXT, &path, 0, 0, "plugin to use (the Weft plugin that was built)"},
		{0, "abi", "N", OPTION_INT, &abi, PLUGIN_ABI_MIN, PLUGIN_ABI_MAX,
		 "version of the plugin's interface (its newest)"},
		{0, "device", "N", OPTION_INT, &load.device, 0, 1023, "device of the plugin (0)"},
		{0, "threads", "N", OPTION_INT, &threads, 1, THREADS_MAX, "number of threads (1)"},
		{0, "comms", "N", OPTION_INT, &comms, 1, COMMS_MAX, "connections of each thread (1)"},
		{0, "turns", NULL, OPTION_FLAG, &take_turns, 0, 0,
		 "use one connection whose ends are polled by two threads in turn"},
		{0, "init", NULL, OPTION_FLAG, &init_only, 0, 0,
		 "only report how long libfabric and then the plugin take to start, in ms"},
		{'b', "bytes", "SIZE", OPTION_SIZE, &load.bytes, 0, 1 << 28, "size of a message (64)"},
		{'n', "messages", "N", OPTION_INT, &load.messages, 1, 1000000000,
		 "messages of each connection (10000)"},
	};
	struct bench_plugin plugin;
	double start, fabric_s;
	int ret = options_parse(argc, argv, "Moves messages over connections of a NCCL net plugin with itself.\n", rows,
				sizeof(rows) / sizeof(rows[0]));

	if (ret)
		return ret < 0 ? OPTIONS_EXIT_USAGE : 0;
	fabric_s = init_only ? wake_libfabric() : 0;
	start = seconds_now();
	open_plugin(&plugin, path);
	if (init_only) {
		printf("%.1f %.1f\n", fabric_s * 1e3, (seconds_now() - start) * 1e3);
		return 0;
	}
	printf("init %.1f ms", (seconds_now() - start) * 1e3);
	if (take_turns)
		turns(&load);
	else
		printf(", %.0f messages/s", (double)(threads * comms * load.messages) / loops());
	printf("\n");
	return 0;
}

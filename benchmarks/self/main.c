/* SPDX-License-Identifier: Apache-2.0 */
/*
 * weft_self_perf: a plugin with itself. Each thread has both ends of its connections and moves messages over
 * them, so the work is the same in every run: for counting instructions with callgrind, and for what more
 * threads cost. Not a measure of latency or bandwidth: weft_net_perf is.
 *
 * Prints one line: milliseconds from loading the plugin to knowing its devices, and messages per second.
 */
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "options.h"
#include "plugin.h"
#include "plugin_path.h"
#include "seconds.h"

#define DEPTH 8 /* messages outstanding on each connection */
#define COMMS_MAX 64

static const struct weft_nccl_net_v8 *net;
static int64_t threads = 1, comms = 1, bytes = 64, messages = 10000, device;
static pthread_barrier_t connected, finished;

/* Both ends of one connection. */
struct loop {
	void *send, *recv, *send_mr, *recv_mr;
	unsigned char *from, *to;
	void *sends[DEPTH], *recvs[DEPTH];
	int64_t send_posted, send_done, recv_posted, recv_done;
};

static _Noreturn void quit(const char *what)
{
	fprintf(stderr, "weft_self_perf: %s failed: %s\n", what, bench_last_warn());
	exit(1);
}

static void must(weft_nccl_result r, const char *call)
{
	if (r)
		quit(call);
}

static void open_loop(struct loop *l)
{
	unsigned char handle[WEFT_NCCL_HANDLE_BYTES] __attribute__((aligned(8))) = {0};
	size_t area = DEPTH * (size_t)bytes;
	void *listener;

	memset(l, 0, sizeof(*l));
	must(net->listen((int)device, handle, &listener), "listen");
	while (!l->send || !l->recv) {
		if (!l->send)
			must(net->connect((int)device, handle, &l->send, NULL), "connect");
		if (!l->recv)
			must(net->accept(listener, &l->recv, NULL), "accept");
	}
	must(net->close_listen(listener), "closeListen");
	l->from = calloc(1, area + 1);
	l->to = calloc(1, area + 1);
	if (!l->from || !l->to)
		quit("allocating memory");
	must(net->reg_mr(l->send, l->from, area, WEFT_NCCL_PTR_HOST, &l->send_mr), "regMr");
	must(net->reg_mr(l->recv, l->to, area, WEFT_NCCL_PTR_HOST, &l->recv_mr), "regMr");
}

static void close_loop(struct loop *l)
{
	net->dereg_mr(l->send, l->send_mr);
	net->dereg_mr(l->recv, l->recv_mr);
	net->close_send(l->send);
	net->close_recv(l->recv);
	free(l->from);
	free(l->to);
}

static void post(struct loop *l)
{
	int size = (int)bytes, tag = 0;
	void *to;

	if (l->recv_posted < messages && l->recv_posted - l->recv_done < DEPTH) {
		to = l->to + l->recv_posted % DEPTH * bytes;
		must(net->irecv(l->recv, 1, &to, &size, &tag, &l->recv_mr, &l->recvs[l->recv_posted % DEPTH]), "irecv");
		l->recv_posted += l->recvs[l->recv_posted % DEPTH] != NULL;
	}
	if (l->send_posted < messages && l->send_posted - l->send_done < DEPTH) {
		must(net->isend(l->send, l->from + l->send_posted % DEPTH * bytes, size, tag, l->send_mr,
				&l->sends[l->send_posted % DEPTH]),
		     "isend");
		l->send_posted += l->sends[l->send_posted % DEPTH] != NULL;
	}
}

static void test(struct loop *l)
{
	int done = 0, size;

	if (l->recv_done < l->recv_posted) {
		must(net->test(l->recvs[l->recv_done % DEPTH], &done, &size), "test");
		l->recv_done += done;
	}
	if (l->send_done < l->send_posted) {
		must(net->test(l->sends[l->send_done % DEPTH], &done, &size), "test");
		l->send_done += done;
	}
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
			post(&loops[i]);
			test(&loops[i]);
			left += loops[i].recv_done < messages || loops[i].send_done < messages;
		}
	}
	pthread_barrier_wait(&finished);
	for (i = 0; i < comms; i++)
		close_loop(&loops[i]);
	return NULL;
}

int main(int argc, char **argv)
{
	const char *path = bench_default_plugin();
	const struct option_row rows[] = {
		{0, "plugin", "PATH", OPTION_TEXT, &path, 0, 0, "default: the Weft plugin that was built"},
		{0, "device", "N", OPTION_INT, &device, 0, 1023, "default 0"},
		{0, "threads", "N", OPTION_INT, &threads, 1, 64, "default 1"},
		{0, "comms", "N", OPTION_INT, &comms, 1, COMMS_MAX, "connections of each thread (1)"},
		{'b', "bytes", "SIZE", OPTION_SIZE, &bytes, 0, 1 << 28, "of a message (64)"},
		{'n', "messages", "N", OPTION_INT, &messages, 1, 1000000000, "of each connection (10000)"},
	};
	struct bench_plugin plugin;
	pthread_t ids[64];
	double start = seconds_now(), init_s, took;
	int64_t i;
	int ret = options_parse(argc, argv, "Moves messages over connections of a NCCL net plugin with itself.\n",
				rows, sizeof(rows) / sizeof(rows[0]));

	if (ret)
		return ret < 0 ? OPTIONS_EXIT_USAGE : 0;
	if (bench_plugin_open(&plugin, path))
		quit("loading the plugin");
	init_s = seconds_now() - start;
	net = plugin.net;
	pthread_barrier_init(&connected, NULL, (unsigned)threads + 1);
	pthread_barrier_init(&finished, NULL, (unsigned)threads + 1);
	for (i = 0; i < threads; i++)
		if (pthread_create(&ids[i], NULL, work, NULL))
			quit("starting a thread");
	pthread_barrier_wait(&connected);
	start = seconds_now();
	pthread_barrier_wait(&finished);
	took = seconds_now() - start;
	for (i = 0; i < threads; i++)
		pthread_join(ids[i], NULL);
	printf("init %.1f ms, %.0f messages/s\n", init_s * 1e3, (double)(threads * comms * messages) / took);
	return 0;
}

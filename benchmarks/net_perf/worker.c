/* SPDX-License-Identifier: Apache-2.0 */
/* See worker.h. */
#include "worker.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "complain.h"
#include "crew.h"
#include "effort.h"
#include "net_engine.h"
#include "options.h"
#include "protocol.h"
#include "size_text.h"

struct worker {
	int control_fd;
	struct setup setup;
	struct crew *crew;
	struct side *sides; /* by comm */
	struct net *nets;
	struct raw **raws;
	struct share *shares; /* by thread */
	struct links *links;
	struct hello *hello;
	const struct order *order;
};

/* 0, or -1 if the coordinator has ended. A message is not needed: the coordinator has reported the cause, or was killed. */
static int hear(const struct worker *w, void *msg, size_t bytes)
{
	ssize_t n;

	do {
		n = recv(w->control_fd, msg, bytes, 0);
	} while (n < 0 && errno == EINTR);
	return n == (ssize_t)bytes ? 0 : -1;
}

static int tell(const struct worker *w, const void *msg, size_t bytes)
{
	return send(w->control_fd, msg, bytes, MSG_NOSIGNAL) == (ssize_t)bytes ? 0 : -1;
}

/* Pins this thread, and all threads that it starts from now on, to a core; -1: no pinning. */
static int run_on(int core)
{
	cpu_set_t set;

	if (core < 0)
		return 0;
	CPU_ZERO(&set);
	CPU_SET((size_t)core, &set);
	if (!sched_setaffinity(0, sizeof(set), &set))
		return 0;
	complain("cannot run on core %d: %s", core, strerror(errno));
	return -1;
}

/* Plugins may need several descriptors per connection. */
static void raise_file_limit(void)
{
	struct rlimit limit;

	if (!getrlimit(RLIMIT_NOFILE, &limit)) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
}

/* Allocates the memory on the core that will use it. */
static int set_up_memory(struct worker *w)
{
	const struct setup *u = &w->setup;
	cpu_set_t all;
	unsigned i;

	if (sched_getaffinity(0, sizeof(all), &all)) {
		complain("cannot read the cores allowed: %s", strerror(errno));
		return -1;
	}
	if (run_on(u->core))
		return -1;
	for (i = 0; i < u->comms; i++)
		if (side_map(&w->sides[i], u->tx_bytes, u->rx_bytes))
			return -1;
	return sched_setaffinity(0, sizeof(all), &all);
}

static unsigned first_of(const struct worker *w, unsigned thread)
{
	return w->setup.comms * thread / w->setup.threads;
}

/* The NIC of a comm of raw libfabric; "": any. */
static const char *nic_of(const struct setup *u, unsigned comm, char *buf, size_t bytes)
{
	const char *at = u->nics;
	unsigned n = 1, i;

	for (i = 0; u->nics[i]; i++)
		n += u->nics[i] == ',';
	for (i = comm % n; i; i--)
		at = strchr(at, ',') + 1;
	snprintf(buf, bytes, "%.*s", (int)strcspn(at, ","), at);
	return buf;
}

/* A job: opens a thread's comms. The threads take turns, since all use the socket to the other process. */
static int open_share(void *arg, unsigned thread)
{
	struct worker *w = arg;
	unsigned i = first_of(w, thread), end = first_of(w, thread + 1);
	char nic[64];

	if (*w->setup.plugin)
		return net_open(&w->sides[i], &w->nets[i], end - i);
	for (; i < end; i++)
		if (raw_open(&w->sides[i], w->setup.raw_ops, nic_of(&w->setup, i, nic, sizeof(nic)), &w->raws[i],
			     &w->hello->raw))
			return -1;
	return 0;
}

/* A job. The threads of the plugin or provider, which exist already, do not share this thread's core. */
static int pin_share(void *arg, unsigned thread)
{
	const struct worker *w = arg;

	(void)thread;
	return run_on(w->setup.core);
}

/* A job. */
static int run_share(void *arg, unsigned thread)
{
	struct worker *w = arg;

	return pattern_share(&w->shares[thread]);
}

/* A job: closes a thread's comms. */
static int close_share(void *arg, unsigned thread)
{
	struct worker *w = arg;
	unsigned i = first_of(w, thread), end = first_of(w, thread + 1);

	for (; i < end; i++) {
		if (*w->setup.plugin)
			net_close(&w->nets[i]);
		else if (w->raws[i])
			raw_close(w->raws[i]);
	}
	return 0;
}

static int set_up_engine(struct worker *w)
{
	struct setup *u = &w->setup;
	struct hello *hello = w->hello;
	unsigned i;

	if (!*u->plugin)
		return crew_do_in_turn(w->crew, open_share, w);
	if (net_load(w->sides, w->nets, u->plugin, u->abi, u->dev, hello->name, hello->device))
		return -1;
	hello->abi = w->nets->plugin.abi;
	for (i = 1; i < u->comms; i++)
		net_share(w->nets, &w->sides[i], &w->nets[i]);
	if (!u->links)
		return crew_do_in_turn(w->crew, open_share, w);
	w->links = links_open(w->sides, w->nets, u->links);
	return w->links ? links_grow(w->links, 0, &hello->idle) : -1;
}

static int allocate(struct worker *w, int peer_fd)
{
	struct setup *u = &w->setup;
	unsigned i;

	w->sides = calloc(u->comms, sizeof(*w->sides));
	w->nets = calloc(u->comms, sizeof(*w->nets));
	w->raws = calloc(u->comms, sizeof(struct raw *));
	w->shares = calloc(u->threads, sizeof(*w->shares));
	w->crew = crew_open(u->threads);
	if (!w->sides || !w->nets || !w->raws || !w->shares || !w->crew)
		return -1;
	for (i = 0; i < u->comms; i++) {
		w->sides[i].rank = u->rank;
		w->sides[i].yield = u->yield;
		w->sides[i].peer_fd = peer_fd;
		/* Messages of two comms differ, so that one in the place of another is noticed. */
		w->sides[i].tx_seq = w->sides[i].rx_seq = (uint64_t)i << 40;
	}
	return 0;
}

static int set_up(struct worker *w, int peer_fd)
{
	complain_as(w->setup.who);
	raise_file_limit();
	if (allocate(w, peer_fd) || set_up_memory(w) || set_up_engine(w) || crew_do(w->crew, pin_share, w))
		return -1;
	w->hello->counts_instructions = w->setup.instructions && !effort_count_instructions();
	return 0;
}

/* Executes a run on all comms, and all threads. */
static int run_all(struct worker *w, const struct run *r, struct run_result *out)
{
	unsigned comms = w->setup.comms, threads = w->setup.threads, t, i;
	bool rounds = pattern_times_rounds(r, w->setup.rank);
	double *round_s = rounds ? pattern_rounds(r, comms) : NULL;
	atomic_uint gate = 0;
	int ret;

	if (rounds && !round_s)
		return -1;
	for (i = 0; i < comms && w->raws[i]; i++)
		raw_use(&w->sides[i], w->raws[i], w->order->op);
	for (t = 0; t < threads; t++) {
		i = first_of(w, t);
		w->shares[t] = (struct share){.run = r,
					      .sides = &w->sides[i],
					      .count = first_of(w, t + 1) - i,
					      .round_s = rounds ? round_s + i * r->timed : NULL,
					      .gate = &gate,
					      .threads = threads};
	}
	ret = crew_do(w->crew, run_share, w);
	if (!ret)
		pattern_sum(w->shares, threads, round_s, out);
	free(round_s);
	return ret;
}

static int obey(struct worker *w, const struct order *o, struct answer *a)
{
	w->order = o;
	switch (o->kind) {
	case ORDER_RUN: return run_all(w, &o->run, &a->run);
	case ORDER_LINKS: return links_grow(w->links, o->links, &a->links);
	case ORDER_MIX: return mix_run(w->links, &o->mix, &a->mix);
	case ORDER_CLOSE_LINKS: return links_shrink(w->links, &a->links);
	case ORDER_END: break;
	}
	return 0;
}

static void tear_down(struct worker *w)
{
	unsigned i;

	crew_do_in_turn(w->crew, close_share, w);
	crew_close(w->crew);
	if (*w->setup.plugin)
		bench_plugin_close(&w->nets->plugin);
	links_close(w->links);
	for (i = 0; i < w->setup.comms; i++)
		side_unmap(&w->sides[i]);
	free(w->sides);
	free(w->nets);
	free(w->raws);
	free(w->shares);
}

int worker_main(int control_fd, int peer_fd)
{
	struct worker *w = calloc(1, sizeof(*w));
	struct hello hello = {.counts_instructions = false};
	struct order order = {.kind = ORDER_RUN};
	int ret;

	if (!w)
		return 1;
	w->control_fd = control_fd;
	w->hello = &hello;
	ret = hear(w, &w->setup, sizeof(w->setup));
	if (!ret)
		ret = set_up(w, peer_fd);
	if (!ret)
		ret = tell(w, &hello, sizeof(hello));
	while (!ret && order.kind != ORDER_END) {
		struct answer answer = {.run.wrong = 0};

		ret = hear(w, &order, sizeof(order));
		if (!ret)
			ret = obey(w, &order, &answer);
		if (!ret)
			ret = tell(w, &answer, sizeof(answer));
	}
	if (ret)
		_exit(1); /* the kernel closes half-open connections; the peer may be dead */
	tear_down(w);
	free(w);
	return 0;
}

bool worker_ran(int argc, char **argv, int *out_status)
{
	int64_t control, peer;

	if (argc != 5 || strcmp(argv[1], "--worker"))
		return false;
	if (int_parse(argv[2], &control) || int_parse(argv[3], &peer))
		*out_status = OPTIONS_EXIT_USAGE;
	else
		*out_status = worker_main((int)control, (int)peer);
	return true;
}

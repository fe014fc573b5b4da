/* SPDX-License-Identifier: Apache-2.0 */
/* See worker.h. */
#include "worker.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "complain.h"
#include "effort.h"
#include "net_engine.h"
#include "protocol.h"

struct worker {
	int control_fd;
	struct setup setup;
	struct side side;
	struct net net;
	struct links *links;
	struct raw *raw;
};

/* 0, or -1 when the coordinator is gone: it has said why, or nobody is left to read. */
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

/* Runs this thread, and those that it starts from now on, on one core; nothing to do if that is -1.
 */
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

/* Plugins may take several descriptors per connection. */
static void raise_file_limit(void)
{
	struct rlimit limit;

	if (!getrlimit(RLIMIT_NOFILE, &limit)) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
}

/* The memory comes from the core where it will be used. */
static int set_up_memory(struct side *s, const struct setup *u)
{
	cpu_set_t all;

	if (sched_getaffinity(0, sizeof(all), &all)) {
		complain("cannot read the cores allowed: %s", strerror(errno));
		return -1;
	}
	if (run_on(u->core) || side_map(s, u->tx_bytes, u->rx_bytes))
		return -1;
	return sched_setaffinity(0, sizeof(all), &all);
}

static int set_up_engine(struct worker *w, struct hello *hello)
{
	struct setup *u = &w->setup;
	struct side *s = &w->side;

	if (!*u->plugin)
		return raw_open(s, u->raw_ops, &w->raw, &hello->raw);
	if (net_load(s, &w->net, u->plugin, u->abi, u->dev, hello->name, hello->device))
		return -1;
	hello->abi = w->net.plugin.abi;
	if (!u->links)
		return net_open(s, &w->net);
	w->links = links_open(s, &w->net, u->links);
	return w->links ? links_grow(w->links, 0, &hello->idle) : -1;
}

static int set_up(struct worker *w, struct hello *hello)
{
	struct setup *u = &w->setup;

	complain_as(u->who);
	w->side.rank = u->rank;
	w->side.yield = u->yield;
	raise_file_limit();
	/* Threads of a plugin or provider are not pinned: they would have to share this one's core.
	 */
	if (set_up_memory(&w->side, u) || set_up_engine(w, hello) || run_on(u->core))
		return -1;
	hello->counts_instructions = u->instructions && !effort_count_instructions();
	return 0;
}

static int obey(struct worker *w, const struct order *o, struct answer *a)
{
	switch (o->kind) {
	case ORDER_RUN:
		if (w->raw)
			raw_use(&w->side, w->raw, o->op);
		return pattern_run(&w->side, &o->run, &a->run);
	case ORDER_LINKS: return links_grow(w->links, o->links, &a->links);
	case ORDER_MIX: return mix_run(w->links, &o->mix, &a->mix);
	case ORDER_CLOSE_LINKS: return links_shrink(w->links, &a->links);
	case ORDER_END: break;
	}
	return 0;
}

static void tear_down(struct worker *w)
{
	if (w->raw)
		raw_close(w->raw);
	else
		net_close(&w->net);
	links_close(w->links);
	side_unmap(&w->side);
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
	w->side.peer_fd = peer_fd;
	ret = hear(w, &w->setup, sizeof(w->setup));
	if (!ret)
		ret = set_up(w, &hello);
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
		_exit(1); /* what is half open is left to the kernel: the peer may be dead */
	tear_down(w);
	free(w);
	return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* The plugin in its process: fork, unload and reload, a missing init, an exit in the middle of operations. */
#include <dlfcn.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cases.h"
#include "flow.h"

static void prove(struct side *s)
{
	struct flow f = {.sends = s->rank == A, .key = 8, .count = 60, .depth = 8, .max_size = 50000};

	f.comm = drive_one(s);
	flows_run(s, &f, 1);
	drive_close_one(s, f.comm);
}

/* NCCL 2.28 and later unload the plugin with the last communicator and load it again with the next. */
static void run_reload(struct side *s)
{
	int i;

	for (i = 0; i < 3; i++) {
		side_step("loading number %d", i);
		side_load(s);
		prove(s);
		bench_plugin_close(&s->plugin);
	}
}

/* NCCL 2.22 and 2.23 use a reloaded library without calling init again. */
static void run_reload_without_init(struct side *s)
{
	side_load(s);
	side_weft_only(s);
	prove(s);
	bench_plugin_close(&s->plugin);
	side_step("after loading again, without init");
	check(!bench_plugin_load(&s->plugin, s->opt->plugin_path, s->opt->abi), "cannot load the plugin again");
	s->net = s->plugin.net;
	prove(s);
}

/* Without init, every entry that can be called without a comm fails or works. */
static void run_without_init(struct side *s)
{
	struct weft_nccl_props_v8 p;
	struct drive_handle h;
	weft_nccl_result r;
	void *comm = NULL;
	int ndev = -1;

	check(!bench_plugin_load(&s->plugin, s->opt->plugin_path, s->opt->abi), "cannot load the plugin");
	s->net = s->plugin.net;
	check(s->net->name != NULL, "the table has no name");
	s->is_weft = s->opt->strict || !strcmp(s->net->name, "weft");
	side_weft_only(s);
	side_step("devices without init");
	r = s->net->devices(&ndev);
	check(r || ndev >= 0, "devices says %d", ndev);
	side_step("getProperties without init");
	s->net->get_properties(0, &p);
	side_step("listen without init");
	r = s->net->listen(0, h.bytes, &comm);
	check(r || comm, "listen succeeds without a comm");
	side_step("connect without init");
	memset(&h, 0, sizeof(h));
	check(s->net->connect(0, h.bytes, &comm, NULL) || !comm, "connect to zeros succeeds");
	side_step("the rest without init");
	check(s->net->accept(NULL, &comm, NULL) != WEFT_NCCL_SUCCESS, "accept on nothing succeeds");
	check_ok(s->net->close_send(NULL), "closeSend(NULL)");
	check_ok(s->net->close_recv(NULL), "closeRecv(NULL)");
	check_ok(s->net->close_listen(NULL), "closeListen(NULL)");
}

/* True in the child of a fork; in the parent, after the child has ended, false. */
static bool in_child(void)
{
	pid_t pid = fork();
	int status;

	check(pid >= 0, "cannot fork");
	if (!pid)
		return true;
	waitpid(pid, &status, 0);
	check(WIFEXITED(status) && !WEXITSTATUS(status), "the forked child failed: status %#x", status);
	return false;
}

/* The process loads the plugin and forks, and only the child continues. */
static void run_fork_before_init(struct side *s)
{
	void *dl = dlopen(s->opt->plugin_path, RTLD_NOW | RTLD_LOCAL);

	check(dl != NULL, "cannot load the plugin: %s", dlerror());
	if (in_child()) {
		side_step("init in the child of a fork");
		side_load(s);
		prove(s);
		bench_plugin_close(&s->plugin);
		exit(0);
	}
	dlclose(dl);
}

/* The same after init: NCCL remembers in the child that it has called it. */
static void run_fork_after_init(struct side *s)
{
	side_load(s);
	if (in_child()) {
		side_step("listen and connect in the child of a fork, without init");
		prove(s);
		_exit(0); /* it has forgotten its parent's devices, which a search for leaks would find */
	}
	bench_plugin_close(&s->plugin);
}

/* A data loader's child ends, through all destructors, while the parent's connections stay in use. */
static void run_fork_after_connect(struct side *s)
{
	struct flow f = {.sends = s->rank == A, .key = 9, .count = 200, .depth = 8, .max_size = 50000};

	f.comm = drive_one(s);
	flow_open(s, &f);
	while (f.finished < 50)
		flow_step(&f);
	if (in_child())
		exit(0);
	side_step("going on after a forked child has ended");
	flows_drive(&f, 1);
	flow_close(&f);
	drive_close_one(s, f.comm);
	prove(s);
}

static void *poll_connect(void *arg)
{
	struct side *s = arg;
	struct drive_handle h;
	void *listen_comm = drive_listen(s, &h);

	for (;;) {
		drive_connect(s, &h);
		(void)listen_comm;
	}
	return NULL;
}

/*
 * libfabric 1.17's shm frees the names of its endpoints at exit, although another thread may read them: one that opens a
 * connection does, one that waits for an answer does not. ThreadSanitizer sees it, and slows the opening down.
 */
#ifdef __SANITIZE_THREAD__
#define CONNECT_OPENS_MS 5000
#else
#define CONNECT_OPENS_MS 100
#endif

/* The process ends with comms open, receives posted and a thread inside the plugin. */
static void run_exit_in_the_middle(struct side *s)
{
	static unsigned char data[4096];
	void *comm = drive_one(s), *mhandle = drive_reg(s, comm, data, sizeof(data));
	pthread_t thread;
	int i;

	for (i = 0; i < 8; i++) {
		if (s->rank == A)
			drive_try_isend(s, comm, data, sizeof(data), mhandle);
		else
			drive_irecv(s, comm, data, sizeof(data), mhandle);
	}
	check(!pthread_create(&thread, NULL, poll_connect, s), "cannot start a thread");
	pthread_detach(thread);
	sleep_ms(CONNECT_OPENS_MS);
	side_barrier(s, side_peer(s));
	side_step("ending with everything open");
	s->plugin.dl = NULL; /* a process that ends at once does not unload */
}

const struct suite_case life_cases[] = {
	{.name = "life/reload", .run = run_reload, .flags = SUITE_UNLOADED},
	{.name = "life/reload-without-init", .run = run_reload_without_init, .flags = SUITE_UNLOADED | SUITE_ONCE},
	{.name = "life/without-init", .run = run_without_init, .nprocs = 1, .flags = SUITE_UNLOADED | SUITE_ONCE},
	{.name = "life/fork-before-init", .run = run_fork_before_init, .flags = SUITE_UNLOADED | SUITE_ONCE},
	{.name = "life/fork-after-init", .run = run_fork_after_init, .flags = SUITE_UNLOADED | SUITE_ONCE},
	{.name = "life/fork-after-connect", .run = run_fork_after_connect},
	{.name = "life/exit-in-the-middle", .run = run_exit_in_the_middle},
	{.name = NULL},
};

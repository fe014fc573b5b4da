/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two processes, one of which sends messages to the other until they are killed, with a fault of the
 * application's: pair [--late-send MS] [--late-receive MS] [--bytes N] [--receive-in NETNS]. A side that is late does
 * nothing for so long before each message. The receiver may live in another network namespace (ip netns). Prints both process numbers once they are connected. A side whose connection fails
 * stays, and does nothing.
 */
#include <getopt.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "plugin.h"
#include "plugin_path.h"

#define DEPTH 8

static int late_ms[2], bytes = 262144;

static void quit(const char *what)
{
	fprintf(stderr, "pair: %s failed: %s\n", what, bench_last_warn());
	for (;;)
		pause();
}

static void must(weft_nccl_result r, const char *call)
{
	if (r)
		quit(call);
}

static void *open_comm(const struct weft_nccl_net_v8 *net, bool sender, int other)
{
	unsigned char handle[WEFT_NCCL_HANDLE_BYTES] __attribute__((aligned(8))) = {0};
	void *listener, *comm = NULL;

	if (sender) {
		if (recv(other, handle, sizeof(handle), MSG_WAITALL) != sizeof(handle))
			quit("the handle");
		while (!comm)
			must(net->connect(0, handle, &comm, NULL), "connect");
		return comm;
	}
	must(net->listen(0, handle, &listener), "listen");
	if (send(other, handle, sizeof(handle), MSG_NOSIGNAL) != sizeof(handle))
		quit("the handle");
	while (!comm)
		must(net->accept(listener, &comm, NULL), "accept");
	return comm;
}

static void move(const struct weft_nccl_net_v8 *net, bool sender, void *comm)
{
	int late = late_ms[sender ? 0 : 1], depth = late ? 1 : DEPTH, tag = 0, done, size, slot;
	unsigned char *memory = calloc(DEPTH, (size_t)bytes);
	void *mr, *reqs[DEPTH] = {0};
	unsigned long posted = 0, finished = 0;

	if (!memory)
		quit("memory");
	must(net->reg_mr(comm, memory, DEPTH * (size_t)bytes, WEFT_NCCL_PTR_HOST, &mr), "regMr");
	for (;;) {
		void *at = memory + posted % DEPTH * (size_t)bytes, **req = &reqs[posted % DEPTH];

		if (posted - finished < (unsigned long)depth) {
			if (late && posted == finished && !*req)
				usleep((unsigned)late * 1000);
			if (sender)
				must(net->isend(comm, at, bytes, tag, mr, req), "isend");
			else
				must(net->irecv(comm, 1, &at, &bytes, &tag, &mr, req), "irecv");
			while (sender && late && !*req)
				must(net->isend(comm, at, bytes, tag, mr, req), "isend");
			posted += *req != NULL;
		}
		slot = (int)(finished % DEPTH);
		if (finished == posted)
			continue;
		must(net->test(reqs[slot], &done, &size), "test");
		if (done)
			reqs[slot] = NULL;
		finished += done != 0;
	}
}

static void run(bool sender, int other)
{
	struct bench_plugin plugin;
	void *comm;
	char c = 0;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (bench_plugin_open(&plugin, bench_default_plugin(), 0))
		quit("the plugin");
	comm = open_comm(plugin.net, sender, other);
	if (send(other, &c, 1, MSG_NOSIGNAL) != 1 || recv(other, &c, 1, 0) != 1)
		quit("the other side");
	if (sender) {
		printf("connected\n");
		fflush(stdout);
	}
	move(plugin.net, sender, comm);
}

/* The receiver again, as a program in the namespace, with the same process number. */
static void run_in(const char *netns, int other)
{
	char program[4096] = "", late[16], size[16], fd[16];

	if (readlink("/proc/self/exe", program, sizeof(program) - 1) < 0)
		quit("readlink");
	snprintf(late, sizeof(late), "%d", late_ms[1]);
	snprintf(size, sizeof(size), "%d", bytes);
	snprintf(fd, sizeof(fd), "%d", other);
	execlp("ip", "ip", "netns", "exec", netns, program, "--late-receive", late, "--bytes", size, "--receiver", fd,
	       (char *)NULL);
	quit("ip netns exec");
}

int main(int argc, char **argv)
{
	enum { BYTES = 2, RECEIVE_IN, RECEIVER };
	static const struct option table[] = {
		{"late-send", required_argument, NULL, 0},	 {"late-receive", required_argument, NULL, 1},
		{"bytes", required_argument, NULL, BYTES},	 {"receive-in", required_argument, NULL, RECEIVE_IN},
		{"receiver", required_argument, NULL, RECEIVER}, {NULL, 0, NULL, 0},
	};
	const char *netns = NULL;
	int c, i, fds[2];
	pid_t pids[2];

	while ((c = getopt_long(argc, argv, "", table, NULL)) != -1) {
		switch (c) {
		case 0:
		case 1: late_ms[c] = atoi(optarg); break;
		case BYTES: bytes = atoi(optarg); break;
		case RECEIVE_IN: netns = optarg; break;
		case RECEIVER: run(false, atoi(optarg)); break;
		default: return 2;
		}
	}
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, fds))
		return 1;
	for (i = 0; i < 2; i++) {
		pids[i] = fork();
		if (!pids[i] && i && netns)
			run_in(netns, fds[i]);
		if (!pids[i])
			run(!i, fds[i]);
	}
	printf("sender=%d receiver=%d\n", (int)pids[0], (int)pids[1]);
	fflush(stdout);
	while (wait(NULL) > 0)
		;
	return 0;
}

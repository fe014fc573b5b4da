/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A small NCCL-like scenario for a plugin under faults: A connects to B and sends some messages, each in a process of
 * its own; environment variables can be set for one of them only. Whatever fails inside, each process must end with all
 * data delivered, or with an error explained by the plugin: no crash, no hang, no wrong byte, no unexplained failure.
 *
 * One line on stdout reports the end of each. Exit status: 0 as required, 1 not, 2 wrong usage.
 */
#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "patience.h"
#include "plugin.h"
#include "plugin_path.h"

#define DEPTH	  4
#define MOST	  100000
#define LINGER_MS 300 /* a side gives up this long after its partner has left, as with NCCL's abort */

enum { DONE = 0, ERROR = 3, BROKEN = 4 };

static const int sizes[] = {0, 8, 5000, MOST, 1, 64, 3000};
enum { COUNT = sizeof(sizes) / sizeof(sizes[0]) };

struct report {
	char text[1200];
};

/* One process of the scenario. */
struct party {
	bool sender;
	int other; /* socket to the other process */
	int left_since_ms;
	struct bench_plugin plugin;
	const struct weft_nccl_net_v8 *net;
	void *listen, *comm, *mhandle;
	unsigned char *data; /* DEPTH slots */
	void *reqs[DEPTH];
	struct report *report;
};

static const char *plugin_path;
static int timeout_s = 60;

static int now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int)(t.tv_sec * 1000 + t.tv_nsec / 1000000);
}

static unsigned char byte_of(int number, int at)
{
	return (unsigned char)(number * 41 + at * 3 + (at >> 9) + 1);
}

static int say(struct party *p, int status, const char *what, const char *why)
{
	snprintf(p->report->text, sizeof(p->report->text), "%.100s: %.1000s", what, why);
	return status;
}

/* A call has failed: the plugin must have logged the reason. */
static int failed(struct party *p, const char *call)
{
	const char *why = bench_last_warn();

	return *why ? say(p, ERROR, call, why) : say(p, BROKEN, call, "an error without a warning");
}

/* True once the other process has been gone for LINGER_MS: the point at which a real one would stop waiting. */
static bool alone(struct party *p)
{
	struct pollfd fd = {.fd = p->other, .events = POLLIN};

	usleep(20);
	if (!p->left_since_ms) {
		if (poll(&fd, 1, 0) > 0 && fd.revents & POLLHUP)
			p->left_since_ms = now_ms();
		return false;
	}
	return now_ms() - p->left_since_ms > LINGER_MS;
}

static int open_comm(struct party *p)
{
	unsigned char handle[WEFT_NCCL_HANDLE_BYTES] __attribute__((aligned(8))) = {0};
	weft_nccl_result r = 0;

	if (p->sender) {
		if (recv(p->other, handle, sizeof(handle), MSG_WAITALL) != sizeof(handle))
			return say(p, ERROR, "handle", "the other side has none");
	} else {
		if (p->net->listen(0, handle, &p->listen))
			return failed(p, "listen");
		if (send(p->other, handle, sizeof(handle), MSG_NOSIGNAL) != sizeof(handle))
			return say(p, ERROR, "handle", "the other side has gone");
	}
	while (!r && !p->comm) {
		r = p->sender ? p->net->connect(0, handle, &p->comm, NULL) : p->net->accept(p->listen, &p->comm, NULL);
		if (!r && !p->comm && alone(p))
			return say(p, ERROR, "connecting", "the other side has gone");
	}
	return r ? failed(p, p->sender ? "connect" : "accept") : DONE;
}

static int check_message(struct party *p, int number, int size)
{
	const unsigned char *data = p->data + number % DEPTH * MOST;
	int i;

	if (size != sizes[number])
		return say(p, BROKEN, "test", "a message has the wrong size");
	for (i = 0; i < size; i++)
		if (data[i] != byte_of(number, i))
			return say(p, BROKEN, "test", "a message has the wrong content");
	return DONE;
}

static int start(struct party *p, int number)
{
	unsigned char *data = p->data + number % DEPTH * MOST;
	void *buf = data, **req = &p->reqs[number % DEPTH];
	int i, tag = 0, room = MOST;

	for (i = 0; i < sizes[number]; i++)
		data[i] = p->sender ? byte_of(number, i) : 0;
	if (p->sender)
		return p->net->isend(p->comm, data, sizes[number], 0, p->mhandle, req) ? failed(p, "isend") : DONE;
	return p->net->irecv(p->comm, 1, &buf, &room, &tag, &p->mhandle, req) ? failed(p, "irecv") : DONE;
}

static int move(struct party *p)
{
	int started = 0, finished = 0, done, size, status = DONE;

	while (finished < COUNT && !status) {
		if (started < COUNT && started - finished < DEPTH) {
			status = start(p, started);
			started += !status && p->reqs[started % DEPTH];
		}
		if (status || finished == started)
			continue;
		size = -1;
		if (p->net->test(p->reqs[finished % DEPTH], &done, &size))
			return failed(p, "test");
		if (done) {
			if (!p->sender)
				status = check_message(p, finished, size);
			p->reqs[finished % DEPTH] = NULL;
			finished++;
		} else if (alone(p)) {
			return say(p, ERROR, "moving", "the other side has gone");
		}
	}
	return status;
}

static int run(struct party *p)
{
	int status;
	char c = 0;

	if (bench_plugin_open(&p->plugin, plugin_path, 0))
		return say(p, ERROR, "devices", bench_last_warn());
	p->net = p->plugin.net;
	status = open_comm(p);
	if (!status && p->net->reg_mr(p->comm, p->data, DEPTH * MOST, WEFT_NCCL_PTR_HOST, &p->mhandle))
		status = failed(p, "regMr");
	if (!status)
		status = move(p);
	/* Both stay until both have everything: a sent message may still be on its way. */
	if (!status) {
		say(p, DONE, "all", "delivered");
		if (send(p->other, &c, 1, MSG_NOSIGNAL) == 1)
			recv(p->other, &c, 1, 0);
	}
	if (p->mhandle)
		p->net->dereg_mr(p->comm, p->mhandle);
	if (p->comm && p->sender)
		p->net->close_send(p->comm);
	if (p->comm && !p->sender)
		p->net->close_recv(p->comm);
	if (p->listen)
		p->net->close_listen(p->listen);
	return status;
}

/* ---- the parent ---- */

static pid_t spawn(bool sender, int own, int others, struct report *report, char **vars, int nvars)
{
	struct party p = {.sender = sender, .other = own, .report = report};
	pid_t pid;
	int i;

	fflush(stdout);
	pid = fork();
	if (pid)
		return pid;
	close(others);
	for (i = 0; i < nvars; i++)
		putenv(vars[i]);
	p.data = malloc(DEPTH * MOST);
	if (!p.data)
		_exit(BROKEN);
	exit(run(&p)); /* not _exit: the shutdown of the plugin and the provider is part of the test */
}

static bool tell(const char *name, int ws, const struct report *report)
{
	bool good = WIFEXITED(ws) && (WEXITSTATUS(ws) == DONE || WEXITSTATUS(ws) == ERROR);

	if (WIFSIGNALED(ws))
		printf("%s %s (signal %d) at %s; ", name, WTERMSIG(ws) == SIGKILL ? "HUNG" : "CRASHED", WTERMSIG(ws),
		       report->text);
	else
		printf("%s exit %d, %s; ", name, WEXITSTATUS(ws), report->text);
	return good;
}

/* Waits for both, up to a limit. */
static void await(const pid_t *pids, int *ws)
{
	int i, left = 2;
	uint64_t until = patience_ms() + (uint64_t)timeout_s * 1000;
	bool over[2] = {false, false}, killed = false;

	while (left) {
		for (i = 0; i < 2; i++) {
			if (!over[i] && waitpid(pids[i], &ws[i], WNOHANG) == pids[i]) {
				over[i] = true;
				left--;
			}
		}
		if (left && !killed && patience_ms() > until) {
			killed = true;
			for (i = 0; i < 2; i++)
				if (!over[i])
					kill(pids[i], SIGKILL);
		}
		usleep(1000);
	}
}

static void usage(FILE *out)
{
	fprintf(out, "usage: survive [OPTION]... [NAME=VALUE]...\n"
		     "A sends some messages to B through a NCCL net plugin; NAME=VALUE is set for one of them.\n"
		     "\n"
		     "  --plugin PATH   the plugin's shared object (default: the built Weft)\n"
		     "  --victim A|B    whose environment gets the variables (default A, the sender)\n"
		     "  --timeout S     seconds until a process counts as hung (default 60), more on a busy machine\n"
		     "  --help          this text\n");
}

int main(int argc, char **argv)
{
	static const struct option table[] = {
		{"plugin", required_argument, NULL, 'p'},
		{"victim", required_argument, NULL, 'v'},
		{"timeout", required_argument, NULL, 't'},
		{"help", no_argument, NULL, 'h'},
		{NULL, 0, NULL, 0},
	};
	struct report *reports;
	int c, fds[2], ws[2] = {0, 0}, victim = 0;
	bool good;
	pid_t pids[2];

	plugin_path = bench_default_plugin();
	while ((c = getopt_long(argc, argv, "", table, NULL)) != -1) {
		switch (c) {
		case 'p': plugin_path = optarg; break;
		case 'v': victim = !strcmp(optarg, "B"); break;
		case 't': timeout_s = atoi(optarg); break;
		case 'h': usage(stdout); return 0;
		default: return 2;
		}
	}
	reports = mmap(NULL, 2 * sizeof(*reports), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (reports == MAP_FAILED || socketpair(AF_UNIX, SOCK_STREAM, 0, fds)) {
		fprintf(stderr, "survive: %s\n", strerror(errno));
		return 2;
	}
	for (c = 0; c < 2; c++)
		pids[c] = spawn(!c, fds[c], fds[!c], &reports[c], argv + optind, victim == c ? argc - optind : 0);
	close(fds[0]);
	close(fds[1]);
	await(pids, ws);
	good = tell("A", ws[0], &reports[0]);
	good &= tell("B", ws[1], &reports[1]);
	printf("\n");
	return good ? 0 : 1;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* See pair.h. */
#include "pair.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "complain.h"
#include "far.h"
#include "launch.h"
#include "oob.h"
#include "options.h"
#include "seconds.h"

#define SAY_S	0.3 /* time for both processes to end after a failure, so that their statuses can be reported */
#define LOOK_MS 200 /* far: time between looks for failures of other ranks */
#define CLOSE_S 5.0 /* while closing: time for one process to end after the other one has failed */

static struct pair *started[PAIRS_MAX];
static int nstarted;

/* The name of a process, valid until the next call but one. */
static const char *role(const struct pair *p, int i)
{
	static char text[2][24];
	int number = i;

	if (p->config.far)
		number = i == p->config.mine ? p->config.far->place.rank : p->config.peer;
	snprintf(text[i], sizeof(text[i]), "rank %d", number);
	return text[i];
}

/* Sets "NAME=VALUE NAME=VALUE" in the environment of this process. */
static void set_environment(const char *env)
{
	char *copy = env ? strdup(env) : NULL, *rest = copy, *item;

	while (rest && (item = strsep(&rest, " \t"))) {
		char *eq = strchr(item, '=');

		if (!eq)
			continue;
		*eq = '\0';
		setenv(item, eq + 1, 1);
	}
	free(copy);
}

/* Executes the program again instead of only forking, so that an LD_LIBRARY_PATH takes effect. */
static void become_worker(const struct pair *p, int control_fd, int peer_fd, pid_t parent)
{
	char control[16], peer[16];
	char *argv[] = {
		(char *)options_program(), (char *)"--worker", control, peer, (char *)p->config.setup.who, NULL};

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1);
	set_environment(p->config.env);
	/* After the user's variables, which may choose a NIC. */
	if (!p->config.far || p->config.far->place.all_local)
		launch_keep_local();
	snprintf(control, sizeof(control), "%d", control_fd);
	snprintf(peer, sizeof(peer), "%d", peer_fd);
	fcntl(control_fd, F_SETFD, 0);
	fcntl(peer_fd, F_SETFD, 0);
	execv("/proc/self/exe", argv);
	complain("cannot start %s: %s", p->config.setup.who, strerror(errno));
	_exit(1);
}

static int start_one(struct pair *p, int rank, int peer_fd)
{
	struct setup *u = &p->config.setup;
	pid_t self = getpid();
	int fds[2];

	snprintf(u->who, sizeof(u->who), "%s %s, %s", p->config.plugin ? "plugin" : "side", p->config.label,
		 role(p, rank));
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds))
		return -1;
	p->pids[rank] = fork();
	if (!p->pids[rank])
		become_worker(p, fds[1], peer_fd, self);
	close(fds[1]);
	p->fds[rank] = fds[0];
	u->rank = rank;
	u->core = p->config.cores[rank];
	snprintf(u->plugin, sizeof(u->plugin), "%s", p->config.plugin ? p->config.plugin : "");
	if (p->pids[rank] < 0 || send(fds[0], u, sizeof(*u), MSG_NOSIGNAL) != sizeof(*u))
		return -1;
	return 0;
}

/* Reaps a process that may have ended, and reports a failure. True: the process has failed. */
static bool reap(struct pair *p, int rank)
{
	pid_t pid = p->pids[rank];
	int status;

	if (!pid || waitpid(pid, &status, WNOHANG) != pid)
		return false;
	p->pids[rank] = 0;
	if (WIFSIGNALED(status))
		complain("side %s: %s (process %d) was killed by signal %d (%s)", p->config.label, role(p, rank),
			 (int)pid, WTERMSIG(status), strsignal(WTERMSIG(status)));
	else if (WEXITSTATUS(status))
		complain("side %s: %s (process %d) ended with status %d", p->config.label, role(p, rank), (int)pid,
			 WEXITSTATUS(status));
	return status;
}

/* Waits until both processes have ended; after a failure, for a shorter time. True: both succeeded. */
static bool await_end(struct pair *p, double patience_s)
{
	const struct timespec nap = {.tv_nsec = 2000000};
	double deadline = seconds_now() + patience_s;
	bool well = true;
	int rank;

	while (p->pids[0] || p->pids[1]) {
		for (rank = 0; rank < 2; rank++) {
			if (!reap(p, rank))
				continue;
			if (well && seconds_now() + CLOSE_S < deadline)
				deadline = seconds_now() + CLOSE_S;
			well = false;
		}
		if (seconds_now() > deadline)
			return false;
		nanosleep(&nap, NULL);
	}
	return well;
}

static void kill_both(struct pair *p)
{
	int rank;

	for (rank = 0; rank < 2; rank++) {
		if (p->pids[rank]) {
			kill(p->pids[rank], SIGKILL);
			waitpid(p->pids[rank], NULL, 0);
			p->pids[rank] = 0;
		}
	}
}

/* After a failure: reports how the processes ended, then kills those that remain. Returns -1. */
static int give_up(struct pair *p)
{
	await_end(p, SAY_S);
	kill_both(p);
	return -1;
}

/* Lists the sockets to poll while `p` works: those of `p`, then those of the other pairs, polled for their end only. */
static nfds_t list_sockets(struct pair *p, struct pollfd *fds, struct pair **owners)
{
	nfds_t n = 0;
	int i, rank;

	for (rank = 0; rank < 2; rank++, n++) {
		fds[n] = (struct pollfd){.fd = p->fds[rank], .events = POLLIN};
		owners[n] = p;
	}
	for (i = 0; i < nstarted; i++) {
		for (rank = 0; rank < 2 && started[i] != p; rank++, n++) {
			fds[n] = (struct pollfd){.fd = started[i]->fds[rank]};
			owners[n] = started[i];
		}
	}
	return n;
}

/* Waits for one packet from each of the two processes. Fails if a process of any pair ends. */
static int hear_both(struct pair *p, void *out_first, void *out_second, size_t bytes)
{
	void *out[2] = {out_first, out_second};
	struct pollfd fds[2 * PAIRS_MAX];
	struct pair *owners[2 * PAIRS_MAX];
	nfds_t n = list_sockets(p, fds, owners), i;
	int timeout_ms = p->config.timeout_s ? p->config.timeout_s * 1000 : -1;
	int missing = 2, ready;

	while (missing) {
		ready = poll(fds, n, timeout_ms);
		if (ready < 0 && errno == EINTR)
			continue;
		if (ready <= 0) {
			complain("side %s: %s%s%s did not answer within %d s", p->config.label,
				 fds[0].fd >= 0 ? role(p, 0) : "", missing == 2 ? " and " : "",
				 fds[1].fd >= 0 ? role(p, 1) : "", p->config.timeout_s);
			kill_both(p);
			return -1;
		}
		for (i = 0; i < n; i++) {
			if (!fds[i].revents)
				continue;
			if (i >= 2 || recv(fds[i].fd, out[i], bytes, 0) != (ssize_t)bytes)
				return give_up(owners[i]);
			fds[i].fd = -1; /* poll ignores it */
			missing--;
		}
	}
	return 0;
}

static bool is_started(const struct pair *p)
{
	int i;

	for (i = 0; i < nstarted && started[i] != p; i++)
		;
	return i < nstarted;
}

/* Starts the processes that belong to this program: both, or that of this rank. */
static int start_processes(struct pair *p)
{
	bool far = p->config.far;
	int peer[2], i, ret = 0;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, peer)) {
		complain("cannot make a socket: %s", strerror(errno));
		return -1;
	}
	for (i = 0; i < 2 && !ret; i++) {
		p->pids[i] = 0;
		p->fds[i] = -1;
		if (!far || i == p->config.mine)
			ret = start_one(p, i, peer[far ? 0 : i]);
	}
	if (ret)
		complain("cannot start the processes of side %s: %s", p->config.label, strerror(errno));
	close(peer[0]);
	if (far)
		p->relay_fd = peer[1];
	else
		close(peer[1]);
	return ret;
}

static int hear(struct pair *p, void *first, void *second, size_t bytes)
{
	void *const out[2] = {first, second};

	return p->config.far ? far_hear(p->config.far, p, out, bytes) : hear_both(p, first, second, bytes);
}

int pair_start(struct pair *p)
{
	p->failed = false;
	if (start_processes(p)) {
		if (!p->config.far || !p->config.far->tolerant)
			return -1;
		pair_abandon(p);
	}
	if (!is_started(p))
		started[nstarted++] = p;
	return hear(p, &p->hello[0], &p->hello[1], sizeof(p->hello[0]));
}

int pair_order(struct pair *p, const struct order *order, struct answer out[2])
{
	int i;

	for (i = 0; i < 2; i++) {
		if (p->fds[i] < 0 || send(p->fds[i], order, sizeof(*order), MSG_NOSIGNAL) == sizeof(*order))
			continue;
		if (!p->config.far)
			return give_up(p);
		pair_abandon(p);
	}
	return hear(p, &out[0], &out[1], sizeof(out[0]));
}

static void close_sockets(struct pair *p)
{
	int i;

	for (i = 0; i < 2; i++) {
		if (p->fds[i] >= 0)
			close(p->fds[i]);
		p->fds[i] = -1;
	}
	if (p->config.far && p->relay_fd >= 0)
		close(p->relay_fd);
	p->relay_fd = -1;
}

int pair_end(struct pair *p)
{
	const struct order end = {.kind = ORDER_END};
	struct answer answers[2];
	int ret = pair_order(p, &end, answers);

	if (ret)
		return ret;
	close_sockets(p);
	if (await_end(p, p->config.timeout_s ? p->config.timeout_s : HUGE_VAL))
		return 0;
	if (p->pids[0] || p->pids[1])
		complain("side %s: closing did not end in time", p->config.label);
	kill_both(p);
	return -1;
}

void pair_abandon(struct pair *p)
{
	if (!p->failed)
		give_up(p);
	p->failed = true;
	close_sockets(p);
}

int pair_relay(struct pair *p, const void *data, size_t bytes)
{
	return send(p->relay_fd, data, bytes, MSG_NOSIGNAL) == (ssize_t)bytes ? 0 : -1;
}

/* Reads what has arrived from this rank's process. Returns like pair_listen. */
static int take(struct pair *p, void *out, size_t *bytes)
{
	/* The process that has said something to the other one waits for it, so an answer is later than that. */
	ssize_t n = recv(p->relay_fd, out, PAIR_SWAP_MAX, MSG_DONTWAIT);

	if (n > 0) {
		*bytes = (size_t)n;
		return 1;
	}
	if (recv(p->fds[p->config.mine], out, *bytes, MSG_DONTWAIT) == (ssize_t)*bytes)
		return 0;
	pair_abandon(p);
	return -1;
}

int pair_listen(struct pair *p, void *out, size_t *bytes)
{
	double deadline = p->config.timeout_s ? seconds_now() + p->config.timeout_s : HUGE_VAL;
	struct pollfd fds[2 * PAIRS_MAX + 1];
	struct pair *owners[2 * PAIRS_MAX + 1];
	nfds_t n = list_sockets(p, fds, owners), i;

	fds[n] = (struct pollfd){.fd = p->relay_fd, .events = POLLIN};
	while (!oob_check(p->config.far->oob)) {
		if (seconds_now() > deadline) {
			complain("side %s: %s did not answer within %d s", p->config.label, role(p, p->config.mine),
				 p->config.timeout_s);
			pair_abandon(p);
			return -1;
		}
		if (poll(fds, n + 1, LOOK_MS) <= 0)
			continue;
		if (fds[n].revents || fds[p->config.mine].revents)
			return take(p, out, bytes);
		for (i = 2; i < n; i++)
			if (fds[i].revents)
				return give_up(owners[i]);
	}
	return -1;
}

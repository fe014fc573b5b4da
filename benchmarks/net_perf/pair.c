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
#include "seconds.h"

#define SAY_S   0.3 /* after a failure: for both processes to say how they ended */
#define CLOSE_S 5.0 /* while closing: for one process, after the other ended badly */

static struct pair *started[PAIRS_MAX];
static int nstarted;

static const char *const role[2] = {"rank 0", "rank 1"};

/* "NAME=VALUE NAME=VALUE" into the environment of this process. */
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

/* A fresh image rather than a bare fork: an LD_LIBRARY_PATH in the environment takes effect. */
static void become_worker(const struct pair *p, int control_fd, int peer_fd, pid_t parent)
{
	char control[16], peer[16];
	char *argv[] = {(char *)"weft_net_perf",
			(char *)"--worker",
			control,
			peer,
			(char *)p->config.setup.who,
			NULL};

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1);
	set_environment(p->config.env);
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

	snprintf(u->who, sizeof(u->who), "%s %s, %s", p->config.plugin ? "plugin" : "side",
		 p->config.label, role[rank]);
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

/* Looks after a process that may have ended; says how, unless it ended well. True if it did badly.
 */
static bool reap(struct pair *p, int rank)
{
	pid_t pid = p->pids[rank];
	int status;

	if (!pid || waitpid(pid, &status, WNOHANG) != pid)
		return false;
	p->pids[rank] = 0;
	if (WIFSIGNALED(status))
		complain("side %s: %s (process %d) was killed by signal %d (%s)", p->config.label,
			 role[rank], (int)pid, WTERMSIG(status), strsignal(WTERMSIG(status)));
	else if (WEXITSTATUS(status))
		complain("side %s: %s (process %d) ended with status %d", p->config.label,
			 role[rank], (int)pid, WEXITSTATUS(status));
	return status;
}

/* Waits until both have ended, for a shorter time once one did badly. True when both ended well. */
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

/* After a failure: lets both say how they ended, then ends what is left. Always -1. */
static int give_up(struct pair *p)
{
	await_end(p, SAY_S);
	kill_both(p);
	return -1;
}

/* Sockets to poll while `p` works: its own first, then the others', of which only the end is heard.
 */
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

/* Waits for one packet from each of the two processes, while no process of any pair may end. */
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
				 fds[0].fd >= 0 ? role[0] : "", missing == 2 ? " and " : "",
				 fds[1].fd >= 0 ? role[1] : "", p->config.timeout_s);
			kill_both(p);
			return -1;
		}
		for (i = 0; i < n; i++) {
			if (!fds[i].revents)
				continue;
			if (i >= 2 || recv(fds[i].fd, out[i], bytes, 0) != (ssize_t)bytes)
				return give_up(owners[i]);
			fds[i].fd = -1; /* poll leaves it out */
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

int pair_start(struct pair *p)
{
	int peer[2], ret;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, peer)) {
		complain("cannot make a socket: %s", strerror(errno));
		return -1;
	}
	ret = start_one(p, 0, peer[0]) || start_one(p, 1, peer[1]);
	if (ret)
		complain("cannot start the processes of side %s: %s", p->config.label,
			 strerror(errno));
	close(peer[0]);
	close(peer[1]);
	if (ret)
		return -1;
	if (!is_started(p))
		started[nstarted++] = p;
	return hear_both(p, &p->hello[0], &p->hello[1], sizeof(p->hello[0]));
}

int pair_order(struct pair *p, const struct order *order, struct answer out[2])
{
	int rank;

	for (rank = 0; rank < 2; rank++)
		if (send(p->fds[rank], order, sizeof(*order), MSG_NOSIGNAL) != sizeof(*order))
			return give_up(p);
	return hear_both(p, &out[0], &out[1], sizeof(out[0]));
}

int pair_end(struct pair *p)
{
	const struct order end = {.kind = ORDER_END};
	struct answer answers[2];
	int rank;

	if (pair_order(p, &end, answers))
		return -1;
	for (rank = 0; rank < 2; rank++) {
		close(p->fds[rank]);
		p->fds[rank] = -1;
	}
	if (await_end(p, p->config.timeout_s ? p->config.timeout_s : HUGE_VAL))
		return 0;
	if (p->pids[0] || p->pids[1])
		complain("side %s: closing did not end in time", p->config.label);
	kill_both(p);
	return -1;
}

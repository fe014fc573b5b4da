/* SPDX-License-Identifier: Apache-2.0 */
#include "launch.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { TERM_AFTER_MS = 5000, KILL_AFTER_MS = 2000, LOOK_EVERY_MS = 200 };

/*
 * The state of the launching process while ranks run. Phases only advance:
 *	RUNNING -> FAILED (one rank failed, the others may end by themselves) -> TERM sent -> KILL sent
 */
struct herd {
	pid_t *pids; /* by rank; 0: the rank has ended */
	int nranks, alive;
	enum { RUNNING, FAILED, TERM_SENT, KILL_SENT } phase;
	int64_t phase_end_ms;
	int status; /* exit status of the launcher, from the first failure */
	int failed_rank, failed_pid;
};

static int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static void signal_all(const struct herd *h, int sig)
{
	for (int r = 0; r < h->nranks; r++)
		if (h->pids[r])
			(void)kill(h->pids[r], sig);
}

static void enter(struct herd *h, int phase)
{
	h->phase = phase;
	h->phase_end_ms = now_ms() + (phase == FAILED ? TERM_AFTER_MS : KILL_AFTER_MS);
	if (phase == TERM_SENT)
		signal_all(h, SIGTERM);
	else if (phase == KILL_SENT)
		signal_all(h, SIGKILL);
}

static bool is_request(int sig)
{
	return sig == SIGTERM || sig == SIGKILL || sig == SIGINT || sig == SIGHUP || sig == SIGQUIT;
}

static void note_end(struct herd *h, int rank, pid_t pid, int wstatus)
{
	int sig = WIFSIGNALED(wstatus) ? WTERMSIG(wstatus) : 0;
	int status = sig ? 128 + sig : WEXITSTATUS(wstatus);
	/* Signals that this process sent, or that the terminal sent to all processes, are not reported. */
	bool ours = h->phase >= TERM_SENT && is_request(sig);

	h->pids[rank] = 0;
	h->alive--;
	if (sig && !ours)
		fprintf(stderr, "rank %d (pid %d) killed by signal %d (%s)\n", rank, (int)pid, sig, strsignal(sig));
	/* A rank that fails because of the end of another one may be reaped first. */
	if (status && !ours && (!h->status || h->status == LAUNCH_STATUS_LOST || (sig && h->status < 128)))
		h->status = status;
	if (status && h->phase == RUNNING) {
		h->failed_rank = rank;
		h->failed_pid = (int)pid;
		enter(h, FAILED);
	}
}

static void reap(struct herd *h)
{
	for (int r = 0; r < h->nranks; r++) {
		pid_t pid = h->pids[r];
		int wstatus;

		if (pid && waitpid(pid, &wstatus, WNOHANG) == pid)
			note_end(h, r, pid, wstatus);
	}
}

static void press_on(struct herd *h)
{
	if (h->phase == RUNNING || h->phase == KILL_SENT || now_ms() < h->phase_end_ms)
		return;
	if (h->phase == FAILED) {
		fprintf(stderr, "rank %d (pid %d) ended with status %d; ending the %d that remain\n", h->failed_rank,
			h->failed_pid, h->status, h->alive);
		enter(h, TERM_SENT);
	} else {
		enter(h, KILL_SENT);
	}
}

static void fill_watched(sigset_t *set)
{
	static const int watched[] = {SIGCHLD, SIGINT, SIGTERM, SIGHUP, SIGQUIT};

	sigemptyset(set);
	for (size_t i = 0; i < sizeof(watched) / sizeof(watched[0]); i++)
		sigaddset(set, watched[i]);
}

static void tend(struct herd *h)
{
	const struct timespec look = {.tv_nsec = LOOK_EVERY_MS * 1000000L};
	sigset_t watched;

	fill_watched(&watched);
	while (h->alive) {
		int sig = sigtimedwait(&watched, NULL, &look);

		if (sig > 0 && sig != SIGCHLD) {
			/* A second Ctrl-C kills the ranks. */
			enter(h, h->phase < TERM_SENT ? TERM_SENT : KILL_SENT);
			if (!h->status)
				h->status = 128 + sig;
		}
		reap(h);
		press_on(h);
	}
}

/* Listens on a port that the kernel chooses, from the start, so that no other process can take it. */
static int listen_locally(int *out_port)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
	socklen_t bytes = sizeof(a);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd >= 0 && !bind(fd, (struct sockaddr *)&a, bytes) && !listen(fd, SOMAXCONN) &&
	    !getsockname(fd, (struct sockaddr *)&a, &bytes)) {
		*out_port = ntohs(a.sin_port);
		return fd;
	}
	if (fd >= 0)
		close(fd);
	return -1;
}

static void become_rank(int rank, pid_t launcher, const sigset_t *mask, struct place *p)
{
	/* The ranks end with the launcher, however it ends; it may have ended before this call. */
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != launcher)
		_exit(128 + SIGKILL);
	(void)sigprocmask(SIG_SETMASK, mask, NULL);
	p->rank += rank;
	if (rank && p->listen_fd >= 0) {
		close(p->listen_fd);
		p->listen_fd = -1;
	}
}

/* p: the place of the first rank. */
static int start(int nranks, struct place p, struct place *out, int *out_status)
{
	struct herd h = {.nranks = nranks, .pids = calloc((size_t)nranks, sizeof(pid_t))};
	pid_t launcher = getpid();
	sigset_t watched, mask;
	int r;

	if (!h.pids) {
		fprintf(stderr, "cannot start %d ranks: %s\n", nranks, strerror(errno));
		return -1;
	}
	fflush(NULL);
	fill_watched(&watched);
	(void)sigprocmask(SIG_BLOCK, &watched, &mask);
	for (r = 0; r < nranks; r++) {
		h.pids[r] = fork();
		if (h.pids[r] < 0)
			break;
		if (!h.pids[r]) {
			become_rank(r, launcher, &mask, &p);
			free(h.pids);
			*out = p;
			return 0;
		}
		h.alive++;
	}
	if (r < nranks) {
		fprintf(stderr, "cannot start rank %d of %d: %s\n", r, nranks, strerror(errno));
		h.pids[r] = 0;
		h.status = -1;
		enter(&h, KILL_SENT);
	}
	if (p.listen_fd >= 0)
		close(p.listen_fd);
	tend(&h);
	(void)sigprocmask(SIG_SETMASK, &mask, NULL);
	free(h.pids);
	*out_status = h.status;
	return h.status < 0 ? -1 : 1;
}

int launch_ranks(int nranks, struct place *out, int *out_status)
{
	struct place p = {.nranks = nranks, .all_local = true, .root = "127.0.0.1", .origin = "--ranks"};

	p.listen_fd = listen_locally(&p.port);
	if (p.listen_fd < 0) {
		fprintf(stderr, "cannot start %d ranks: %s\n", nranks, strerror(errno));
		return -1;
	}
	return start(nranks, p, out, out_status);
}

int launch_in_place(int each, struct place *p, int *out_status)
{
	struct place first = *p;

	first.rank *= each;
	first.nranks *= each;
	return start(each, first, p, out_status);
}

/* Does the variable name another interface than loopback? */
static bool chooses(const char *name)
{
	const char *v = getenv(name);

	return v && *v && strcmp(v, "lo");
}

bool launch_keep_local(void)
{
	static const char *const ip_providers[] = {"tcp", "net", "sockets", "udp"};
	const char *provider = getenv("WEFT_PROVIDER");
	bool ip = !provider, set = false;

	/* If the user chose by one variable, loopback in the others would exclude every NIC. */
	if (chooses("WEFT_NICS") || chooses("FI_TCP_IFACE") || chooses("FI_NET_IFACE"))
		return false;
	/* The NICs of a provider without IP have other names than "lo", and the user chose that provider. */
	for (size_t i = 0; provider && i < sizeof(ip_providers) / sizeof(ip_providers[0]); i++)
		ip |= !strncmp(provider, ip_providers[i], strlen(ip_providers[i]));
	if (ip && !getenv("WEFT_NICS")) {
		/* Without this, a machine with better hardware would use its provider, which has no NIC "lo". */
		set |= !provider && !setenv("WEFT_PROVIDER", "tcp", 0);
		set |= !setenv("WEFT_NICS", "lo", 0);
	}
	if (!getenv("FI_TCP_IFACE"))
		set |= !setenv("FI_TCP_IFACE", "lo", 0);
	if (!getenv("FI_NET_IFACE"))
		set |= !setenv("FI_NET_IFACE", "lo", 0);
	return set;
}

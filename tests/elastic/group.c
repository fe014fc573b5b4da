/* SPDX-License-Identifier: Apache-2.0 */
/* The parent's side of the processes. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "elastic.h"
#include "patience.h"
#include "seeded.h"

static void put_down(struct group *g)
{
	int i;

	for (i = 0; i <= PROCS_MAX; i++) {
		if (g->members[i].pid <= 0)
			continue;
		kill(g->members[i].pid, SIGKILL);
		waitpid(g->members[i].pid, NULL, 0);
	}
}

static void show(const struct group *g, int place)
{
	const struct member *m = &g->members[place];

	printf("# place %d, pid %d:%s%s%s %s\n", place, (int)m->pid, m->moving ? " moving" : "", m->done ? " done" : "",
	       m->closed ? " closed" : "", m->error);
}

void group_fail(struct group *g, const char *format, ...)
{
	va_list args;
	int i;

	printf("not ok 1 - ");
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	printf("\n1..1\n");
	for (i = 0; i < g->n; i++)
		show(g, i);
	put_down(g);
	exit(1);
}

void group_start(struct group *g, int place)
{
	int i, pair[2];
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
		group_fail(g, "no socket: %s", strerror(errno));
	fflush(NULL);
	pid = fork();
	if (pid < 0)
		group_fail(g, "no process: %s", strerror(errno));
	if (!pid) {
		close(pair[0]);
		for (i = 0; i <= PROCS_MAX; i++)
			if (g->members[i].pid > 0)
				close(g->members[i].socket);
		worker_run(pair[1], g->plugin);
	}
	close(pair[1]);
	g->members[place] = (struct member){.pid = pid, .socket = pair[0]};
}

static void tell(struct group *g, int place, const struct message *m)
{
	if (send(g->members[place].socket, m, sizeof(*m), MSG_NOSIGNAL) != sizeof(*m))
		group_fail(g, "place %d takes no command: %s", place, strerror(errno));
}

void group_kill(struct group *g, int place)
{
	const struct message die = {.say = SAY_DIE};
	struct member *m = &g->members[place];
	int status;

	if (g->between_calls)
		tell(g, place, &die);
	else
		kill(m->pid, SIGKILL);
	if (waitpid(m->pid, &status, 0) != m->pid || !WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL)
		group_fail(g, "place %d had ended before it was killed", place);
	close(m->socket);
	m->pid = 0;
}

void group_replace(struct group *g, int place)
{
	g->members[place] = g->members[PROCS_MAX];
	g->members[PROCS_MAX].pid = 0;
}

static void ended_early(struct group *g, int place)
{
	struct member *m = &g->members[place];
	int status = 0;

	waitpid(m->pid, &status, 0);
	m->pid = 0;
	if (WIFSIGNALED(status))
		group_fail(g, "place %d was ended by signal %d (%s)", place, WTERMSIG(status),
			   strsignal(WTERMSIG(status)));
	group_fail(g, "place %d ended with exit status %d", place, WEXITSTATUS(status));
}

/* Takes in one message; what concerns an earlier ring means nothing any more. */
static void hear(struct group *g, int place)
{
	struct member *m = &g->members[place];
	struct message *h = &m->heard;

	if (recv(m->socket, h, sizeof(*h), 0) != sizeof(*h))
		ended_early(g, place);
	if (h->say == SAY_BROKEN)
		group_fail(g, "place %d: %s", place, h->text);
	if (h->say != SAY_MEASURED && h->ring != g->rings)
		return;
	m->moving |= h->say == SAY_MOVING;
	m->done |= h->say == SAY_DONE;
	m->closed |= h->say == SAY_CLOSED;
	if (h->say == SAY_ERROR)
		snprintf(m->error, sizeof(m->error), "%s", h->text);
}

/* Takes in what has come, for up to a moment. */
static void hear_all(struct group *g)
{
	struct pollfd polls[PROCS_MAX];
	int i;

	for (i = 0; i < g->n; i++)
		polls[i] = (struct pollfd){.fd = g->members[i].pid > 0 ? g->members[i].socket : -1, .events = POLLIN};
	if (poll(polls, (nfds_t)g->n, 20) <= 0)
		return;
	for (i = 0; i < g->n; i++)
		if (polls[i].revents)
			hear(g, i);
}

void group_await(struct group *g, const int *places, int n, bool (*what)(const struct member *m), const char *text)
{
	uint64_t until = patience_ms() + (uint64_t)g->limit_s * 1000;
	int i = 0;

	while (i < n) {
		if (what(&g->members[places[i]])) {
			i++;
			continue;
		}
		if (patience_ms() > until)
			group_fail(g, "ring %d: %s is waited for in vain at place %d", g->rings, text, places[i]);
		hear_all(g);
	}
}

bool member_moves(const struct member *m)
{
	return m->moving;
}

bool member_done(const struct member *m)
{
	return m->done;
}

bool member_failed(const struct member *m)
{
	return m->error[0];
}

static bool member_closed(const struct member *m)
{
	return m->closed;
}

static bool member_listens(const struct member *m)
{
	return m->heard.say == SAY_LISTENING;
}

static bool member_measured(const struct member *m)
{
	return m->heard.say == SAY_MEASURED;
}

void group_ring(struct group *g, const int *order, int n, int64_t count)
{
	struct message m = {.say = SAY_RING, .plan = {.members = n, .count = count}};
	int i;

	m.plan.number = ++g->rings;
	m.plan.key = seeded_mix(g->key + (uint64_t)g->rings);
	for (i = 0; i < n; i++) {
		struct member *to = &g->members[order[i]];

		to->moving = to->done = to->closed = false;
		to->error[0] = '\0';
		to->heard.say = SAY_RING;
		m.plan.position = i;
		tell(g, order[i], &m);
	}
	group_await(g, order, n, member_listens, "a handle");
	for (i = 0; i < n; i++) {
		m = (struct message){.say = SAY_HANDLES};
		memcpy(m.handles, g->members[order[(i + 1) % n]].heard.handles, sizeof(m.handles));
		tell(g, order[i], &m);
	}
}

void group_close(struct group *g, const int *places, int n)
{
	const struct message m = {.say = SAY_CLOSE};
	int i;

	for (i = 0; i < n; i++)
		tell(g, places[i], &m);
	group_await(g, places, n, member_closed, "the end of the close");
}

void group_measure(struct group *g, int place, struct usage *out)
{
	const struct message m = {.say = SAY_MEASURE};

	tell(g, place, &m);
	group_await(g, &place, 1, member_measured, "the usage");
	*out = g->members[place].heard.usage;
}

static bool member_ended(const struct member *m)
{
	siginfo_t info = {0};

	return !waitid(P_PID, (id_t)m->pid, &info, WEXITED | WNOHANG | WNOWAIT) && info.si_pid;
}

/* All end as after a job; a bad end is a failure. */
void group_end(struct group *g)
{
	const struct message m = {.say = SAY_END};
	uint64_t until;
	int i, status;

	for (i = 0; i < g->n; i++)
		tell(g, i, &m);
	for (i = 0; i < g->n; i++) {
		for (until = patience_ms() + (uint64_t)g->limit_s * 1000; !member_ended(&g->members[i]); usleep(1000))
			if (patience_ms() > until)
				group_fail(g, "place %d does not end", i);
		waitpid(g->members[i].pid, &status, 0);
		g->members[i].pid = 0;
		if (!WIFEXITED(status) || WEXITSTATUS(status))
			group_fail(g, "place %d ended with wait status 0x%x", i, (unsigned)status);
	}
}

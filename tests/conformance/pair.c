/* SPDX-License-Identifier: Apache-2.0 */
/* The parent's half: starts, watches and judges the processes of a case. */
#include "pair.h"

#include <errno.h>
#include <glob.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "patience.h"
#include "side.h"

#define GRACE_MS	3000 /* life of the others after one process has failed */
#define SHOW_MS		500  /* time for a hung process to print its stacks */
#define LOG_LINES_BYTES 6000 /* shown tail of a failed process's output */

enum watch { WATCHING, SHOWING, KILLED };

struct pair_run {
	const struct suite_case *c;
	const struct suite_options *opt;
	int nprocs;
	pid_t pids[PAIR_MAX];
	bool ended[PAIR_MAX];
	bool hung[PAIR_MAX];
	int wait_status[PAIR_MAX];
	int log_fds[PAIR_MAX];
	struct side_status *status; /* one per process, shared with them */
	uint64_t start_ms;
	uint64_t end_ms;
	uint64_t deadline_ms;
	uint64_t show_deadline_ms;
	enum watch watch;
	bool failed;
};

static uint64_t seed_of(const struct suite_options *opt, const char *name)
{
	uint64_t h = opt->seed;

	for (; *name; name++) {
		h ^= (unsigned char)*name;
		rng_next(&h);
	}
	return h;
}

/* Sets up a child before the case begins; runs in the child. */
static void become_side(struct pair_run *r, int rank, int fds[PAIR_MAX][PAIR_MAX], int start_fd)
{
	struct side s = {.rank = rank, .nprocs = r->nprocs, .opt = r->opt, .dev = r->opt->dev};
	int i, j;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	dup2(r->log_fds[rank], STDOUT_FILENO);
	dup2(r->log_fds[rank], STDERR_FILENO);
	for (i = 0; i < r->nprocs; i++) {
		for (j = 0; j < r->nprocs; j++) {
			if (i == rank)
				s.fds[j] = fds[i][j];
			else if (i != j)
				close(fds[i][j]);
		}
	}
	/* The parent knows all pids only after the last fork. */
	if (read(start_fd, s.pids, sizeof(s.pids)) != sizeof(s.pids))
		_exit(1);
	close(start_fd);
	s.seed = seed_of(r->opt, r->c->name);
	side_main(&s, r->c, r->status);
}

static int open_channels(int nprocs, int fds[PAIR_MAX][PAIR_MAX])
{
	int i, j, pair[2];

	for (i = 0; i < nprocs; i++) {
		for (j = i + 1; j < nprocs; j++) {
			if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair))
				return -1;
			fds[i][j] = pair[0];
			fds[j][i] = pair[1];
		}
	}
	return 0;
}

static void close_channels(int nprocs, int fds[PAIR_MAX][PAIR_MAX])
{
	int i, j;

	for (i = 0; i < nprocs; i++)
		for (j = 0; j < nprocs; j++)
			if (i != j)
				close(fds[i][j]);
}

/* Forks all processes; each waits on a pipe for the list of pids. */
static int fork_all(struct pair_run *r)
{
	int fds[PAIR_MAX][PAIR_MAX], start[PAIR_MAX][2];
	int i;

	if (open_channels(r->nprocs, fds))
		return -1;
	fflush(NULL);
	for (i = 0; i < r->nprocs; i++) {
		r->log_fds[i] = memfd_create("log", MFD_CLOEXEC);
		if (r->log_fds[i] < 0 || pipe(start[i]))
			return -1;
		r->pids[i] = fork();
		if (r->pids[i] < 0)
			return -1;
		if (!r->pids[i]) {
			close(start[i][1]);
			become_side(r, i, fds, start[i][0]);
		}
		close(start[i][0]);
	}
	close_channels(r->nprocs, fds);
	for (i = 0; i < r->nprocs; i++) {
		if (write(start[i][1], r->pids, sizeof(r->pids)) != sizeof(r->pids))
			return -1;
		close(start[i][1]);
	}
	return 0;
}

struct pair_run *pair_start(const struct suite_case *c, const struct suite_options *opt)
{
	struct pair_run *r = calloc(1, sizeof(*r));

	if (!r)
		return NULL;
	r->c = c;
	r->opt = opt;
	r->nprocs = c->nprocs ? c->nprocs : 2;
	r->status =
		mmap(NULL, PAIR_MAX * sizeof(*r->status), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (r->status == MAP_FAILED || fork_all(r)) {
		fprintf(stderr, "cannot start the processes of a case: %s\n", strerror(errno));
		free(r);
		return NULL;
	}
	r->start_ms = now_ms();
	r->deadline_ms = patience_ms() + (uint64_t)opt->timeout_s * 1000;
	return r;
}

static bool process_ok(const struct pair_run *r, int i)
{
	const struct side_status *st = &r->status[i];

	if (atomic_load(&st->doomed))
		return WIFSIGNALED(r->wait_status[i]) && WTERMSIG(r->wait_status[i]) == SIGKILL;
	return WIFEXITED(r->wait_status[i]) && !WEXITSTATUS(r->wait_status[i]) &&
	       atomic_load(&st->verdict) != SIDE_FAILED && atomic_load(&st->verdict) != SIDE_RUNNING;
}

static void signal_living(struct pair_run *r, int sig)
{
	int i;

	for (i = 0; i < r->nprocs; i++) {
		if (!r->ended[i]) {
			r->hung[i] = true;
			kill(r->pids[i], sig);
		}
	}
}

/* The watchdog: first requests the stacks of hung processes, then kills them. */
static void watch(struct pair_run *r)
{
	uint64_t now = patience_ms();

	if (r->watch == WATCHING && now > r->deadline_ms) {
		r->failed = true;
		r->watch = SHOWING;
		r->show_deadline_ms = now + SHOW_MS;
		signal_living(r, SIGUSR1);
	} else if (r->watch == SHOWING && now > r->show_deadline_ms) {
		r->watch = KILLED;
		signal_living(r, SIGKILL);
	}
}

bool pair_over(struct pair_run *r)
{
	bool over = true;
	int i;

	for (i = 0; i < r->nprocs; i++) {
		if (r->ended[i])
			continue;
		if (waitpid(r->pids[i], &r->wait_status[i], WNOHANG) != r->pids[i]) {
			over = false;
			continue;
		}
		r->ended[i] = true;
		if (!process_ok(r, i) && !r->failed) {
			r->failed = true;
			if (r->deadline_ms > patience_ms() + GRACE_MS)
				r->deadline_ms = patience_ms() + GRACE_MS;
		}
	}
	if (!over)
		watch(r);
	else if (!r->end_ms)
		r->end_ms = now_ms();
	return over;
}

static void show_log(const struct pair_run *r, int i)
{
	off_t end = lseek(r->log_fds[i], 0, SEEK_END);
	off_t from = end > LOG_LINES_BYTES ? end - LOG_LINES_BYTES : 0;
	char *text, *line, *save;
	ssize_t n;

	text = malloc(LOG_LINES_BYTES + 1);
	if (!text)
		return;
	n = pread(r->log_fds[i], text, LOG_LINES_BYTES, from);
	if (n > 0) {
		text[n] = 0;
		for (line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
			printf("#   %c| %s\n", 'A' + i, line);
	}
	free(text);
}

static void show_process(const struct pair_run *r, int i)
{
	const struct side_status *st = &r->status[i];
	int ws = r->wait_status[i];

	printf("# %c (pid %d): ", 'A' + i, r->pids[i]);
	if (r->hung[i])
		printf("did not end, was stopped by the watchdog");
	else if (atomic_load(&st->doomed))
		printf("was to be killed; %s", process_ok(r, i) ? "was" : "ended otherwise");
	else if (atomic_load(&st->verdict) == SIDE_FAILED)
		printf("failed: %s", st->text);
	else if (WIFSIGNALED(ws))
		printf("died of signal %d (%s)", WTERMSIG(ws), strsignal(WTERMSIG(ws)));
	else if (WEXITSTATUS(ws))
		printf("exit status %d", WEXITSTATUS(ws));
	else
		printf("ended well");
	printf("; at: %s\n", st->where[0] ? st->where : "start");
	show_log(r, i);
}

enum pair_outcome pair_outcome(const struct pair_run *r, const char **out_why)
{
	enum pair_outcome outcome = PAIR_PASSED;
	int i;

	*out_why = "";
	for (i = 0; i < r->nprocs; i++) {
		if (r->hung[i] || !process_ok(r, i))
			outcome = PAIR_FAILED;
		else if (outcome == PAIR_PASSED && !atomic_load(&r->status[i].doomed) &&
			 atomic_load(&r->status[i].verdict) == SIDE_SKIPPED) {
			outcome = PAIR_SKIPPED;
			*out_why = r->status[i].text;
		}
	}
	return outcome;
}

void pair_explain(const struct pair_run *r)
{
	int i;

	printf("# took %.1f s\n", (double)(r->end_ms - r->start_ms) / 1000);
	for (i = 0; i < r->nprocs; i++)
		show_process(r, i);
}

/*
 * libfabric's shm provider names its files in /dev/shm by pid. A killed process leaves them behind, and they would
 * obstruct a later process with the same pid.
 */
static void remove_shm_files(pid_t pid)
{
	char pattern[64];
	glob_t found;
	size_t i;

	snprintf(pattern, sizeof(pattern), "/dev/shm/%d:*", pid);
	if (!glob(pattern, 0, NULL, &found))
		for (i = 0; i < found.gl_pathc; i++)
			unlink(found.gl_pathv[i]);
	globfree(&found);
}

void pair_free(struct pair_run *r)
{
	int i;

	for (i = 0; i < r->nprocs; i++) {
		close(r->log_fds[i]);
		remove_shm_files(r->pids[i]);
	}
	munmap(r->status, PAIR_MAX * sizeof(*r->status));
	free(r);
}

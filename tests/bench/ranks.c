/* SPDX-License-Identifier: Apache-2.0 */
/* The start of ranks, their exchange out of band, and the reports to the others when a rank ends. */
#include "unit/unit.h"

#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "launch.h"
#include "oob_link.h"
#include "play.h"

enum { VICTIM = 2, TOLD = 5 };

/* Prints the failure that was reported to this rank on stderr. */
static int told(struct oob *o)
{
	fprintf(stderr, "rank %d was told: %s\n", oob_rank(o), oob_error(o));
	return TOLD;
}

static int exchange(struct oob *o)
{
	int32_t all[NRANKS], mine;
	static char big[NRANKS][17 << 20], mine_big[17 << 20]; /* all together are longer than a frame */

	for (int round = 0; round < 100; round++) {
		mine = oob_rank(o) * 1000 + round;
		if (oob_allgather(o, &mine, sizeof(mine), all) || oob_check(o))
			return WRONG;
		for (int r = 0; r < NRANKS; r++)
			if (all[r] != r * 1000 + round)
				return WRONG;
	}
	memset(mine_big, 'a' + oob_rank(o), sizeof(mine_big));
	if (oob_allgather(o, mine_big, sizeof(mine_big), big) || oob_barrier(o))
		return WRONG;
	for (int r = 0; r < NRANKS; r++)
		if (big[r][0] != 'a' + r || memcmp(big[r], big[r] + 1, sizeof(big[r]) - 1))
			return WRONG;
	return oob_nranks(o) == NRANKS && oob_peer(o, oob_rank(o))->pid == getpid() ? GOOD : WRONG;
}

static void ranks_exchange(void **state)
{
	(void)state;
	assert_int_equal(play_start(exchange), 0);
}

/* Polls like a rank that waits for data. */
static int poll_until_told(struct oob *o)
{
	for (int i = 0; i < 60000; i++) {
		if (oob_check(o))
			return told(o);
		usleep(1000);
	}
	return WRONG;
}

static int killed_while_polling(struct oob *o)
{
	if (oob_barrier(o))
		return told(o); /* the end of the barrier and the death of the victim may arrive together */
	if (oob_rank(o) == VICTIM)
		raise(SIGKILL);
	return poll_until_told(o);
}

static int killed_before_a_barrier(struct oob *o)
{
	if (oob_rank(o) == VICTIM)
		raise(SIGKILL);
	return oob_barrier(o) ? told(o) : WRONG;
}

static int root_killed(struct oob *o)
{
	if (oob_rank(o) == 0)
		raise(SIGKILL);
	return oob_barrier(o) ? told(o) : WRONG;
}

static void a_killed_rank_is_named(play act, int rank)
{
	char part[64];
	const char *said;
	int status;

	unit_stderr_begin();
	status = play_start(act);
	said = unit_stderr_end();
	assert_int_equal(status, 128 + SIGKILL);
	snprintf(part, sizeof(part), "was told: rank %d (", rank);
	assert_int_equal(unit_occurrences(said, part), NRANKS - 1);
	assert_int_equal(unit_occurrences(said, ") died\n"), NRANKS - 1);
	snprintf(part, sizeof(part), "rank %d (pid ", rank);
	assert_int_equal(unit_occurrences(said, part), 1);
	assert_int_equal(unit_occurrences(said, "killed by signal 9 (Killed)\n"), 1);
}

static void killed_ranks_are_named(void **state)
{
	(void)state;
	a_killed_rank_is_named(killed_while_polling, VICTIM);
	a_killed_rank_is_named(killed_before_a_barrier, VICTIM);
	a_killed_rank_is_named(root_killed, 0);
}

static int gives_up(struct oob *o)
{
	if (oob_rank(o) == VICTIM) {
		oob_fail(o, 3, "no more paper");
		return 3;
	}
	return oob_barrier(o) && oob_error_status(o) == 3 ? (told(o), 3) : WRONG;
}

static int leaves_early(struct oob *o)
{
	if (oob_rank(o) == VICTIM)
		return GOOD;
	return oob_barrier(o) ? told(o) : WRONG;
}

static void reasons_travel(void **state)
{
	const char *said;

	(void)state;
	unit_stderr_begin();
	assert_int_equal(play_start(gives_up), 3);
	said = unit_stderr_end();
	assert_int_equal(unit_occurrences(said, "was told: rank 2 ("), NRANKS - 1);
	assert_int_equal(unit_occurrences(said, "failed: no more paper\n"), NRANKS - 1);

	unit_stderr_begin();
	assert_int_equal(play_start(leaves_early), TOLD);
	said = unit_stderr_end();
	assert_int_equal(unit_occurrences(said, "left early\n"), NRANKS - 1);
}

/* The others detect its loss before it has ended. */
static int ends_last(struct oob *o)
{
	if (oob_rank(o) != VICTIM)
		return LAUNCH_STATUS_LOST;
	usleep(300000);
	return 4;
}

static int all_lose_others(struct oob *o)
{
	(void)o;
	return LAUNCH_STATUS_LOST;
}

static void the_cause_counts(void **state)
{
	(void)state;
	assert_int_equal(play_start(ends_last), 4);
	assert_int_equal(play_start(all_lose_others), LAUNCH_STATUS_LOST);
}

static int ignores_everything(struct oob *o)
{
	if (oob_rank(o) == VICTIM)
		return 6;
	signal(SIGTERM, SIG_IGN);
	for (;;)
		pause();
}

/* Lasts 7 s: the launcher's limits until SIGTERM and SIGKILL. */
static void stubborn_ranks_are_ended(void **state)
{
	const char *said;
	int status;

	(void)state;
	unit_stderr_begin();
	status = play_start(ignores_everything);
	said = unit_stderr_end();
	assert_int_equal(status, 6);
	assert_int_equal(unit_occurrences(said, "rank 2 (pid "), 1);
	assert_int_equal(unit_occurrences(said, "ended with status 6"), 1);
}

/* All ranks hold the write end, so reading reports the end of file when the last rank has ended. */
static int lifeline[2];

static int waits(struct oob *o)
{
	char c = 'r';

	if (write(lifeline[1], &c, 1) != 1)
		return WRONG;
	return poll_until_told(o);
}

/* Ends the launcher by a signal while its ranks wait. Returns its wait status. */
static int signal_launcher(int sig)
{
	int wstatus, ready;
	pid_t pid;
	char c;

	assert_int_equal(pipe(lifeline), 0);
	pid = play_begin(waits);
	close(lifeline[1]);
	for (ready = 0; ready < NRANKS && read(lifeline[0], &c, 1) == 1; ready++)
		;
	assert_int_equal(ready, NRANKS);
	kill(pid, sig);
	assert_int_equal(waitpid(pid, &wstatus, 0), pid);
	assert_int_equal(read(lifeline[0], &c, 1), 0); /* no rank is left */
	close(lifeline[0]);
	return wstatus;
}

static void no_rank_outlives_the_launcher(void **state)
{
	int wstatus;

	(void)state;
	unit_stderr_begin();
	wstatus = signal_launcher(SIGINT);
	assert_true(WIFEXITED(wstatus) && WEXITSTATUS(wstatus) == 128 + SIGINT);
	wstatus = signal_launcher(SIGTERM);
	assert_true(WIFEXITED(wstatus) && WEXITSTATUS(wstatus) == 128 + SIGTERM);
	wstatus = signal_launcher(SIGKILL);
	assert_true(WIFSIGNALED(wstatus));
	(void)unit_stderr_end();
}

/* Plays a rank 0 whose first two frames arrive together. */
static void answer_at_once(int listen_fd)
{
	struct {
		struct oob_frame welcome, peers;
		struct oob_peer list[2];
	} reply = {.welcome = {OOB_FRAME_MAGIC, OOB_WELCOME, 0},
		   .peers = {OOB_FRAME_MAGIC, OOB_PEERS, sizeof(reply.list)},
		   .list = {{.pid = 4711, .host = "alpha"}, {.pid = 4712, .host = "beta"}}};
	char hello[512];
	int fd = accept(listen_fd, NULL, NULL);

	if (fd >= 0 && recv(fd, hello, sizeof(hello), 0) > 0 && write(fd, &reply, sizeof(reply)) == sizeof(reply))
		(void)!recv(fd, hello, sizeof(hello), 0);
	_exit(0);
}

static void frames_that_arrive_together(void **state)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
	struct oob_config config = {1, 2, "127.0.0.1", NULL, 0, -1, 60};
	int fd = socket(AF_INET, SOCK_STREAM, 0), wstatus;
	socklen_t bytes = sizeof(a);
	struct oob *o;
	pid_t pid;

	(void)state;
	assert_int_equal(bind(fd, (struct sockaddr *)&a, bytes), 0);
	assert_int_equal(listen(fd, 4), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &bytes), 0);
	config.port = ntohs(a.sin_port);
	pid = fork();
	if (!pid)
		answer_at_once(fd);
	close(fd);
	alarm(120); /* limits a wait that would otherwise be endless */
	assert_int_equal(oob_open(&config, &o), 0);
	alarm(0);
	assert_string_equal(oob_peer(o, 0)->host, "alpha");
	assert_int_equal(oob_peer(o, 1)->pid, 4712);
	oob_close(o);
	assert_int_equal(waitpid(pid, &wstatus, 0), pid);
}

/* Messages of rank 1 if rank 0 is unreachable, or unknown under this name. */
static void lost_roots(void **state)
{
	struct oob_config config = {1, 2, "no-such-host.invalid", "MASTER_ADDR", 1, -1, 1};
	const char *said;
	struct oob *o;

	(void)state;
	unit_stderr_begin();
	assert_int_equal(oob_open(&config, &o), -1);
	said = unit_stderr_end();
	assert_int_equal(unit_occurrences(said, "cannot reach rank 0 at no-such-host.invalid: "), 1);
	assert_int_equal(unit_occurrences(said, "the host is from MASTER_ADDR"), 1);
	/* All hosts are tried; no process listens on port 1. */
	config.host = "no-such-host.invalid,127.0.0.1";
	unit_stderr_begin();
	assert_int_equal(oob_open(&config, &o), -1);
	said = unit_stderr_end();
	assert_int_equal(unit_occurrences(said, "rank 0 at 127.0.0.1 (127.0.0.1) port 1: Connection refused"), 1);
}

/* Frames that nobody waits for, as fast as the socket takes them, for ever. */
static void *flood(void *arg)
{
	static struct {
		struct oob_frame f;
		char data[65536];
	} frame = {{OOB_FRAME_MAGIC, OOB_WELCOME, 65536}, {0}};

	while (send(*(int *)arg, &frame, sizeof(frame), MSG_NOSIGNAL) > 0)
		;
	return NULL;
}

static void a_flood_is_bounded(void **state)
{
	enum { MOST = 40 << 20 };
	struct oob_link l;
	pthread_t thread;
	int ends[2], err = 0, calls = 0;

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
	oob_link_init(&l, ends[0]);
	assert_true(l.most < (size_t)1 << 30);
	l.most = MOST;
	assert_int_equal(pthread_create(&thread, NULL, flood, &ends[1]), 0);
	alarm(300); /* limits a call that would otherwise be endless */
	while (!err) {
		size_t before = l.rx_bytes;

		err = oob_link_fill(&l);
		calls += l.rx_bytes > before;
		assert_true(l.rx_bytes <= MOST);
	}
	alarm(0);
	assert_int_equal(err, -EPIPE);
	assert_int_equal(l.error, EMSGSIZE);
	assert_int_equal(l.rx_bytes, MOST);
	assert_true(calls > 1); /* the caller had its turn meanwhile */
	oob_link_fini(&l);
	pthread_join(thread, NULL);
	close(ends[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ranks_exchange),
		cmocka_unit_test(killed_ranks_are_named),
		cmocka_unit_test(reasons_travel),
		cmocka_unit_test(the_cause_counts),
		cmocka_unit_test(stubborn_ranks_are_ended),
		cmocka_unit_test(no_rank_outlives_the_launcher),
		cmocka_unit_test(frames_that_arrive_together),
		cmocka_unit_test(lost_roots),
		cmocka_unit_test(a_flood_is_bounded),
	};

	return unit_run("bench/ranks", tests);
}

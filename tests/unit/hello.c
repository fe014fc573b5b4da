/* SPDX-License-Identifier: Apache-2.0 */
/* peer: hellos at the lifeline port: strangers have a bounded cost, and peers get through. */
#include "unit/unit.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "peer/line.h"

#define SILENCE_US 30000000
#define SECRET	   0x1122334455667788ull

static struct lifeline_addr addr;

static int begin(void **state)
{
	static const uint8_t loopback[16] = {127, 0, 0, 1};

	(void)state;
	unit_log_catch();
	return lifeline_listen(4, loopback, &addr);
}

static int call(void)
{
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(addr.port)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	memcpy(&in.sin_addr, addr.ip, 4);
	assert_true(fd >= 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&in, sizeof(in)), 0);
	return fd;
}

static int say_hello(uint64_t id, uint64_t secret)
{
	struct hello hello = {0x324c4557u, 1, id, secret};
	int fd = call();

	assert_int_equal(send(fd, &hello, sizeof(hello), MSG_NOSIGNAL), sizeof(hello));
	return fd;
}

static struct lifeline *find(uint64_t id)
{
	int64_t since = clock_us();
	struct lifeline *l;

	while (!(l = lifeline_find(id, SILENCE_US))) {
		unit_not_late(since, "a line that has said hello");
		usleep(1000);
	}
	return l;
}

/* Reads from the other end of a lifeline: a byte, 0 at its end, -1 if there is neither. */
static int hear(int fd)
{
	unsigned char byte;
	ssize_t n = recv(fd, &byte, 1, MSG_DONTWAIT);

	return n == 1 ? byte : n == 0 || errno != EAGAIN ? 0 : -1;
}

static int hear_something(int fd)
{
	int64_t since = clock_us();
	int heard;

	while ((heard = hear(fd)) < 0) {
		lifeline_find(1, SILENCE_US);
		unit_not_late(since, "a word on a line");
	}
	return heard;
}

static void close_peer(struct lifeline *l, int fd)
{
	close(fd);
	lifeline_put(l);
	lifeline_find(1, SILENCE_US);
}

static void the_right_secret_is_welcome_at_once(void **state)
{
	int fd = say_hello(77, SECRET);

	(void)state;
	assert_int_equal(hear_something(fd), LINE_WELCOME);
	close_peer(find(77), fd);
}

/* A connect request with its listen's secret names a lifeline: a hello for that one is then welcome with any secret. */
static void who_is_named_is_welcome(void **state)
{
	int fd = say_hello(78, SECRET + 1), i;
	struct lifeline *l;

	(void)state;
	for (i = 0; i < 20; i++) {
		assert_null(lifeline_find(1, SILENCE_US));
		assert_int_equal(hear(fd), -1);
		usleep(1000);
	}
	l = find(78);
	assert_int_equal(hear_something(fd), LINE_WELCOME);
	close_peer(l, fd);
}

static void a_secret_that_was_forgotten_is_none(void **state)
{
	int fd, i;

	(void)state;
	assert_int_equal(lifeline_expect(99), 0);
	assert_int_equal(lifeline_expect(98), 0);
	lifeline_forget(99);
	fd = say_hello(79, 99);
	for (i = 0; i < 20; i++) {
		assert_null(lifeline_find(1, SILENCE_US));
		assert_int_equal(hear(fd), -1);
		usleep(1000);
	}
	close(fd);
	lifeline_forget(98);
}

static void nonsense_is_dropped_at_its_first_byte(void **state)
{
	int fd = call();

	(void)state;
	assert_int_equal(send(fd, "G", 1, MSG_NOSIGNAL), 1);
	assert_int_equal(hear_something(fd), 0);
	close(fd);
}

/* This holds for a peer with the secret, too. */
static void nonsense_after_hello_ends_the_line(void **state)
{
	int fd = say_hello(80, SECRET);
	struct lifeline *l = find(80);
	char text[LIFELINE_EVIDENCE_BYTES];
	int64_t since = clock_us();

	(void)state;
	assert_int_equal(lifeline_check(l), LIFELINE_ALIVE);
	assert_int_equal(send(fd, "?", 1, MSG_NOSIGNAL), 1);
	while (lifeline_check(l) == LIFELINE_ALIVE)
		unit_not_late(since, "the end of a line with nonsense");
	assert_int_equal(lifeline_check(l), LIFELINE_DEAD);
	assert_non_null(strstr(lifeline_evidence(l, text, sizeof(text)), "not Weft's"));
	close_peer(l, fd);
}

static atomic_bool enough;

static void *flood(void *arg)
{
	static char wakes[65536];
	int fd = *(int *)arg;

	memset(wakes, LINE_WAKE, sizeof(wakes));
	while (!enough && send(fd, wakes, sizeof(wakes), MSG_NOSIGNAL | MSG_DONTWAIT) != 0)
		if (errno != EAGAIN)
			break;
	return NULL;
}

/* An endless stream of bytes: each poll reads a bounded amount and returns. */
static void a_flood_holds_nobody_up(void **state)
{
	static const uint64_t secret_of[] = {SECRET, SECRET + 1};
	struct lifeline *mine;
	pthread_t thread;
	int fd, own, i, k;

	(void)state;
	for (k = 0; k < 2; k++) {
		enough = false;
		fd = say_hello(81, secret_of[k]);
		assert_int_equal(pthread_create(&thread, NULL, flood, &fd), 0);
		own = say_hello(82, SECRET);
		mine = find(82);
		for (i = 0; i < 1000; i++) {
			lifeline_find(1, SILENCE_US);
			assert_int_equal(lifeline_check(mine), LIFELINE_ALIVE);
		}
		enough = true;
		pthread_join(thread, NULL);
		close(fd);
		close_peer(mine, own);
	}
}

static void limit_descriptors(rlim_t limit)
{
	struct rlimit r;

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &r), 0);
	r.rlim_cur = limit;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &r), 0);
}

/*
 * Strangers send well-formed hellos: only a few stay open, the oldest is closed first, and our peer's is served in
 * time.
 */
static void strangers_leave_the_descriptors(void **state)
{
	enum { MANY = 200 };
	int fds[MANY], before = unit_descriptors(), i, k, own, gone = 0;
	struct lifeline *mine;
	struct rlimit r;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &r), 0);
	limit_descriptors(512); /* strangers may have 32 of these */
	for (i = 0; i < MANY; i++)
		fds[i] = say_hello(1000 + (uint64_t)i, SECRET + 1);
	own = say_hello(83, SECRET);
	mine = find(83);
	for (k = 0; k < 20; k++)
		lifeline_find(1, SILENCE_US);
	assert_in_range(unit_descriptors(), before + MANY + 2, before + MANY + 2 + 32);
	for (i = 0; i < MANY; i++)
		gone += hear(fds[i]) == 0;
	assert_in_range(gone, MANY - 32, MANY - 1);
	assert_int_equal(hear(fds[0]), 0);
	assert_int_equal(hear(fds[MANY - 1]), -1);
	for (i = 0; i < MANY; i++)
		close(fds[i]);
	close_peer(mine, own);
	limit_descriptors(r.rlim_cur);
}

/* A connection that sends no data gets no descriptor; it stays in the kernel's queue. */
static void the_silent_cost_nothing(void **state)
{
	enum { MANY = 100 };
	int fds[MANY], before = unit_descriptors(), i, own;
	struct lifeline *mine;

	(void)state;
	for (i = 0; i < MANY; i++)
		fds[i] = call();
	own = say_hello(84, SECRET);
	mine = find(84);
	assert_in_range(unit_descriptors(), before + MANY + 2, before + MANY + 2 + MANY / 2);
	for (i = 0; i < MANY; i++)
		close(fds[i]);
	close_peer(mine, own);
}

/* No descriptor is left: this is reported once, no lifeline is lost, and no call blocks. */
static void without_descriptors(void **state)
{
	int fd, next, i;
	struct rlimit r;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &r), 0);
	for (i = 0; i < 20; i++) /* strangers from earlier tests would free theirs */
		lifeline_find(1, SILENCE_US);
	fd = say_hello(85, SECRET);
	next = dup(fd);
	close(next);
	limit_descriptors((rlim_t)next);
	for (i = 0; i < 20; i++) {
		assert_null(lifeline_find(85, SILENCE_US));
		usleep(1000);
	}
	limit_descriptors(r.rlim_cur);
	assert_int_equal(unit_log_count(LOG_LEVEL_WARN), 1);
	assert_true(unit_log_has(LOG_LEVEL_WARN, "ulimit -n"));
	close_peer(find(85), fd);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup(f, begin)
	static const struct CMUnitTest tests[] = {
		TEST(the_right_secret_is_welcome_at_once),
		TEST(who_is_named_is_welcome),
		TEST(a_secret_that_was_forgotten_is_none),
		TEST(nonsense_is_dropped_at_its_first_byte),
		TEST(nonsense_after_hello_ends_the_line),
		TEST(a_flood_holds_nobody_up),
		TEST(strangers_leave_the_descriptors),
		TEST(the_silent_cost_nothing),
		TEST(without_descriptors),
	};

	lifeline_expect(SECRET);
	return unit_run("hello", tests);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* peer: lifelines between real processes over 127.0.0.1. */
#include "unit/unit.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "peer/lifeline.h"
#include "unit/other.h"

#define SILENCE_US 30000000

static const uint8_t loopback[16] = {127, 0, 0, 1};
static const struct other_ask ask_listen = {.what = OTHER_LISTEN};
static const struct other_ask ask_check = {.what = OTHER_CHECK};
static const struct other_ask ask_put = {.what = OTHER_PUT};
static const struct other_ask ask_fork = {.what = OTHER_FORK};
static struct other other;

static int begin(void **state)
{
	(void)state;
	other_start(&other);
	return 0;
}

static int end(void **state)
{
	(void)state;
	other_kill(&other);
	return 0;
}

static enum lifeline_state wait_while(struct lifeline *l, enum lifeline_state state)
{
	int64_t since = clock_us();
	enum lifeline_state now;

	while ((now = lifeline_check(l)) == state) {
		unit_not_late(since, "a change of the lifeline's state");
		usleep(1000);
	}
	return now;
}

/* Passes through the doubtful state if the end was a reset. */
static void wait_until_dead(struct lifeline *l)
{
	enum lifeline_state state = wait_while(l, LIFELINE_ALIVE);

	if (state == LIFELINE_CONNECTING)
		state = wait_while(l, LIFELINE_CONNECTING);
	assert_int_equal(state, LIFELINE_DEAD);
}

static enum lifeline_state others_state_after(enum lifeline_state state)
{
	int64_t since = clock_us(), now;

	while ((now = other_do(&other, &ask_check).value) == (int64_t)state) {
		unit_not_late(since, "a change of the lifeline's state in the other process");
		usleep(1000);
	}
	return (enum lifeline_state)now;
}

/* We dial the other process, which accepts the lifeline. */
static struct lifeline *dial_other(void)
{
	struct lifeline_addr addr = other_do(&other, &ask_listen).addr;
	struct other_ask find = {.what = OTHER_FIND};
	struct lifeline *l;

	assert_int_equal(addr.family, 4);
	assert_int_not_equal(addr.port, 0);
	assert_memory_equal(addr.ip, loopback, sizeof(addr.ip));
	assert_int_equal(lifeline_dial(other.ident.uuid, &addr, OTHER_SECRET, SILENCE_US, &l), 0);
	assert_int_equal(wait_while(l, LIFELINE_CONNECTING), LIFELINE_ALIVE);
	find.id = lifeline_id(l);
	assert_true(find.id != 0);
	assert_int_equal(other_do(&other, &find).value, 1);
	return l;
}

/* The other process dials us, and we accept the lifeline. */
static struct lifeline *dialled_by_other(void)
{
	struct other_ask dial = {.what = OTHER_DIAL};
	struct other_answer answer;
	struct lifeline *l;
	int64_t since;

	assert_int_equal(lifeline_listen(4, loopback, &dial.addr), 0);
	memcpy(dial.uuid, peer_self()->uuid, sizeof(dial.uuid));
	answer = other_do(&other, &dial);
	assert_int_equal(answer.value, LIFELINE_ALIVE);
	for (since = clock_us(); !(l = lifeline_find(answer.id, SILENCE_US)); usleep(1000))
		unit_not_late(since, "the lifeline's arrival");
	assert_true(lifeline_id(l) == answer.id);
	return l;
}

static void lives_and_ends_in_order(void **state)
{
	struct lifeline *l = dial_other();

	(void)state;
	assert_int_equal(lifeline_check(l), LIFELINE_ALIVE);
	assert_int_equal(other_do(&other, &ask_check).value, LIFELINE_ALIVE);
	lifeline_put(l);
	assert_int_equal(others_state_after(LIFELINE_ALIVE), LIFELINE_CLOSED);
	assert_int_equal(other_do(&other, &ask_check).value, LIFELINE_CLOSED); /* and it stays closed */
	other_do(&other, &ask_put);
	lifeline_put(NULL);
}

static void lives_and_ends_in_order_when_dialled(void **state)
{
	struct lifeline *l = dialled_by_other();

	(void)state;
	assert_int_equal(lifeline_check(l), LIFELINE_ALIVE);
	other_do(&other, &ask_put);
	assert_int_equal(wait_while(l, LIFELINE_ALIVE), LIFELINE_CLOSED);
	lifeline_put(l);
}

static void sees_the_death_of_the_listener(void **state)
{
	struct lifeline *l = dial_other(), *again;
	struct lifeline_addr addr = other_do(&other, &ask_listen).addr;

	(void)state;
	other_kill(&other);
	assert_int_equal(wait_while(l, LIFELINE_ALIVE), LIFELINE_DEAD);
	assert_int_equal(lifeline_check(l), LIFELINE_DEAD);
	/* a dead lifeline is not handed out again */
	assert_int_equal(lifeline_dial(other.ident.uuid, &addr, OTHER_SECRET, SILENCE_US, &again), 0);
	assert_ptr_not_equal(again, l);
	assert_int_equal(wait_while(again, LIFELINE_CONNECTING), LIFELINE_REFUSED);
	lifeline_put(again);
	lifeline_put(l);
}

static void sees_the_death_of_the_dialler(void **state)
{
	struct lifeline *l = dialled_by_other();

	(void)state;
	other_kill(&other);
	wait_until_dead(l);
	lifeline_put(l);
}

/* A child forked by the peer must not keep the peer alive. */
static void sees_deaths_past_forked_children(void **state)
{
	struct lifeline *l;
	pid_t child;
	int role;

	(void)state;
	for (role = 0; role < 2; role++) {
		l = role ? dial_other() : dialled_by_other();
		child = (pid_t)other_do(&other, &ask_fork).value;
		assert_true(child > 0);
		assert_int_equal(lifeline_check(l), LIFELINE_ALIVE);
		assert_int_equal(other_do(&other, &ask_check).value,
				 LIFELINE_ALIVE); /* the fork has no effect on the lifeline */
		other_kill(&other);
		assert_int_equal(kill(child, 0), 0);
		wait_until_dead(l);
		assert_int_equal(kill(child, SIGKILL), 0);
		lifeline_put(l);
		other_start(&other);
	}
}

static void is_refused_where_nobody_listens(void **state)
{
	struct lifeline_addr addr = other_do(&other, &ask_listen).addr;
	struct lifeline *l;

	(void)state;
	other_kill(&other);
	assert_int_equal(lifeline_dial(other.ident.uuid, &addr, OTHER_SECRET, SILENCE_US, &l), 0);
	assert_int_equal(wait_while(l, LIFELINE_CONNECTING), LIFELINE_REFUSED);
	assert_int_equal(lifeline_check(l), LIFELINE_REFUSED);
	lifeline_put(l);
}

static void is_one_per_process_and_counted(void **state)
{
	struct lifeline *l = dial_other(), *same;
	struct lifeline_addr addr = other_do(&other, &ask_listen).addr;
	struct other_ask find = {.what = OTHER_FIND, .id = lifeline_id(l)};
	int i;

	(void)state;
	for (i = 0; i < 10; i++) {
		assert_int_equal(lifeline_dial(other.ident.uuid, &addr, OTHER_SECRET, SILENCE_US, &same), 0);
		assert_ptr_equal(same, l);
	}
	for (i = 0; i < 10; i++) {
		lifeline_put(l);
		assert_int_equal(lifeline_check(l), LIFELINE_ALIVE);
	}
	/* the accepting side counts references too, and keeps its end for a further connect */
	other_do(&other, &ask_put);
	assert_int_equal(other_do(&other, &find).value, 1);
	assert_int_equal(other_do(&other, &ask_check).value, LIFELINE_ALIVE);
	lifeline_put(l);
	assert_int_equal(others_state_after(LIFELINE_ALIVE), LIFELINE_CLOSED);
}

static void many_at_once(void **state)
{
	enum { MANY = 200 };
	struct lifeline_addr addr = other_do(&other, &ask_listen).addr;
	struct lifeline *lines[MANY];
	uint8_t uuid[PEER_UUID_BYTES] = {1};
	int i, j;

	(void)state;
	for (i = 0; i < MANY; i++) {
		uuid[1] = (uint8_t)i; /* simulates different processes */
		assert_int_equal(lifeline_dial(uuid, &addr, OTHER_SECRET, SILENCE_US, &lines[i]), 0);
		for (j = 0; j < i; j++)
			assert_true(lifeline_id(lines[j]) != lifeline_id(lines[i]));
	}
	for (i = MANY; i-- > 0;) { /* accepted in reverse order */
		struct other_ask find = {.what = OTHER_FIND, .id = lifeline_id(lines[i])};

		assert_int_equal(wait_while(lines[i], LIFELINE_CONNECTING), LIFELINE_ALIVE);
		assert_int_equal(other_do(&other, &find).value, 1);
	}
	other_kill(&other);
	for (i = 0; i < MANY; i++) {
		assert_int_equal(wait_while(lines[i], LIFELINE_ALIVE), LIFELINE_DEAD);
		lifeline_put(lines[i]);
	}
}

/* Lifelines that were dialled and closed before they were accepted leave no sockets behind. */
static void leaves_no_sockets_behind(void **state)
{
	struct lifeline_addr addr;
	struct lifeline *l;
	int64_t since;
	int i, before;

	(void)state;
	assert_int_equal(lifeline_listen(4, loopback, &addr), 0);
	lifeline_find(1, SILENCE_US);
	before = unit_descriptors();
	for (i = 0; i < 50; i++) {
		assert_int_equal(lifeline_dial(peer_self()->uuid, &addr, OTHER_SECRET, SILENCE_US, &l), 0);
		assert_int_equal(wait_while(l, LIFELINE_CONNECTING), LIFELINE_ALIVE);
		lifeline_put(l);
	}
	for (since = clock_us(); unit_descriptors() > before; usleep(1000)) {
		unit_not_late(since, "the end of forgotten lifelines");
		assert_null(lifeline_find(1, SILENCE_US));
	}
}

static void listens_once_per_address(void **state)
{
	static const uint8_t second[16] = {127, 0, 0, 2};
	static const uint8_t elsewhere[16] = {192, 0, 2, 1}; /* an address reserved for documentation */
	struct lifeline_addr a, b, c;

	(void)state;
	assert_int_equal(lifeline_listen(4, loopback, &a), 0);
	assert_int_equal(lifeline_listen(4, loopback, &b), 0);
	assert_memory_equal(&a, &b, sizeof(a));
	assert_int_equal(lifeline_listen(4, second, &c), 0);
	assert_memory_equal(c.ip, second, sizeof(second));
	assert_int_equal(lifeline_listen(4, elsewhere, &c), -EADDRNOTAVAIL);
}

static void works_over_ipv6(void **state)
{
	static const uint8_t loopback6[16] = {[15] = 1};
	struct lifeline_addr addr;
	struct lifeline *l, *found;
	int64_t since;

	(void)state;
	if (lifeline_listen(6, loopback6, &addr))
		skip(); /* IPv6 is unavailable here */
	assert_int_equal(addr.family, 6);
	assert_int_equal(lifeline_dial(other.ident.uuid, &addr, OTHER_SECRET, SILENCE_US, &l), 0);
	assert_int_equal(wait_while(l, LIFELINE_CONNECTING), LIFELINE_ALIVE);
	for (since = clock_us(); !(found = lifeline_find(lifeline_id(l), SILENCE_US)); usleep(1000))
		unit_not_late(since, "the lifeline's arrival");
	lifeline_put(l);
	assert_int_equal(wait_while(found, LIFELINE_ALIVE), LIFELINE_CLOSED);
	lifeline_put(found);
}

/* --- strangers at the port --- */

static int stranger(uint16_t port, const void *text, size_t len)
{
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(port)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	memcpy(&in.sin_addr, loopback, 4);
	assert_true(fd >= 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&in, sizeof(in)), 0);
	if (len)
		assert_int_equal(send(fd, text, len, MSG_NOSIGNAL), (ssize_t)len);
	return fd;
}

static void strangers_do_no_harm(void **state)
{
	static char junk[65536];
	struct lifeline_addr addr;
	struct lifeline *mine;
	uint64_t seed = 4;
	int fds[40];
	size_t i;

	(void)state;
	assert_int_equal(lifeline_listen(4, loopback, &addr), 0);
	for (i = 0; i < sizeof(junk); i++)
		junk[i] = (char)unit_random(&seed);
	for (i = 0; i < COUNT(fds); i++)
		switch (i % 5) {
		case 0: fds[i] = stranger(addr.port, junk, 0); break;
		case 1: fds[i] = stranger(addr.port, junk + i, 3); break;
		case 2: fds[i] = stranger(addr.port, junk + i, 16); break;
		case 3: fds[i] = stranger(addr.port, "GET / HTTP/1.0\r\n\r\n", 18); break;
		default: fds[i] = stranger(addr.port, junk, sizeof(junk)); break;
		}
	mine = dialled_by_other(); /* finds its own lifeline among them */
	assert_int_equal(lifeline_check(mine), LIFELINE_ALIVE);
	for (i = 0; i < COUNT(fds); i++) {
		if (i % 2) { /* half of them end by a reset */
			struct linger hard = {.l_onoff = 1};

			setsockopt(fds[i], SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
		}
		close(fds[i]);
		assert_null(lifeline_find(1, SILENCE_US));
	}
	assert_int_equal(lifeline_check(mine), LIFELINE_ALIVE);
	other_do(&other, &ask_put);
	assert_int_equal(wait_while(mine, LIFELINE_ALIVE), LIFELINE_CLOSED);
	lifeline_put(mine);
}

/* The right number in a malformed message still counts as a stranger. */
static void wrong_hellos_are_nobody(void **state)
{
	struct {
		uint32_t magic, pid;
		uint64_t id;
	} hello = {0x21212121, 1, 4711};
	struct lifeline_addr addr;
	int i, fd;

	(void)state;
	assert_int_equal(lifeline_listen(4, loopback, &addr), 0);
	fd = stranger(addr.port, &hello, sizeof(hello));
	for (i = 0; i < 50; i++) {
		assert_null(lifeline_find(hello.id, SILENCE_US));
		usleep(1000);
	}
	close(fd);
}

/*
 * In a forked child the parent's lifelines have ended: using them must not touch new files that got their descriptor
 * numbers.
 */
static void children_keep_their_hands_off(void **state)
{
	struct lifeline *l = dial_other();
	int status = 0;
	pid_t pid = fork();

	(void)state;
	if (!pid) {
		int mine[16][2], i; /* enough to reuse all descriptor numbers that the fork has freed */
		bool good = true;
		char byte;

		alarm(60);
		for (i = 0; i < 16; i++) {
			good &= !socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, mine[i]);
			good &= send(mine[i][0], "x", 1, 0) == 1 && send(mine[i][1], "y", 1, 0) == 1;
		}
		good &= lifeline_check(l) != LIFELINE_ALIVE;
		lifeline_put(l);
		for (i = 0; i < 16; i++) {
			good &= recv(mine[i][1], &byte, 1, 0) == 1 && byte == 'x';
			good &= recv(mine[i][0], &byte, 1, 0) == 1 && byte == 'y';
			good &= recv(mine[i][1], &byte, 1, 0) < 0 && recv(mine[i][0], &byte, 1, 0) < 0;
		}
		_exit(good ? 0 : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(lifeline_check(l), LIFELINE_ALIVE); /* the parent is unaffected */
	assert_int_equal(other_do(&other, &ask_check).value, LIFELINE_ALIVE);
	lifeline_put(l);
	assert_int_equal(others_state_after(LIFELINE_ALIVE), LIFELINE_CLOSED);
}

/* --- threads --- */

static struct lifeline_addr own_addr;

static void *dial_and_put(void *arg)
{
	struct lifeline *l;
	int i, failures = 0;

	for (i = 0; i < 200; i++) {
		uint8_t uuid[PEER_UUID_BYTES] = {(uint8_t)(i % 3)}; /* shared with the other threads */

		if (lifeline_dial(uuid, &own_addr, OTHER_SECRET, SILENCE_US, &l)) {
			failures++;
			continue;
		}
		lifeline_check(l);
		lifeline_find(lifeline_id(l) + 1, SILENCE_US);
		lifeline_put(l);
	}
	*(int *)arg = failures;
	return NULL;
}

static void threads_share_them(void **state)
{
	pthread_t threads[4];
	int failures[4];
	size_t i;

	(void)state;
	assert_int_equal(lifeline_listen(4, loopback, &own_addr), 0);
	for (i = 0; i < COUNT(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, dial_and_put, &failures[i]), 0);
	for (i = 0; i < COUNT(threads); i++) {
		pthread_join(threads[i], NULL);
		assert_int_equal(failures[i], 0);
	}
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, begin, end)
	static const struct CMUnitTest tests[] = {
		TEST(lives_and_ends_in_order),
		TEST(lives_and_ends_in_order_when_dialled),
		TEST(sees_the_death_of_the_listener),
		TEST(sees_the_death_of_the_dialler),
		TEST(sees_deaths_past_forked_children),
		TEST(is_refused_where_nobody_listens),
		TEST(is_one_per_process_and_counted),
		TEST(many_at_once),
		TEST(leaves_no_sockets_behind),
		TEST(listens_once_per_address),
		TEST(works_over_ipv6),
		TEST(strangers_do_no_harm),
		TEST(wrong_hellos_are_nobody),
		TEST(children_keep_their_hands_off),
		TEST(threads_share_them),
	};

	lifeline_expect(OTHER_SECRET);
	return unit_run("lifeline", tests);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * peer: lifelines cut by a device between two living processes, and the resulting reports. A relay on the loopback
 * stands for the network: the test moves its bytes, and resets both sides as a firewall does.
 */
#include "unit/unit.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "peer/line.h"
#include "peer/wakeup.h"

#define SILENCE_US 30000000
#define SECRET	   0x1122334455667788ull

static const uint8_t loopback[16] = {127, 0, 0, 1};
static struct lifeline_addr real; /* of this process's own listening socket */
static uint8_t uuid[PEER_UUID_BYTES] = {1};

static struct relay {
	struct lifeline_addr addr;
	int listening, near, far; /* near: the dialler's side */
} relay;

static void relay_listen(void)
{
	struct sockaddr_in in = {.sin_family = AF_INET};
	socklen_t len = sizeof(in);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	memcpy(&in.sin_addr, loopback, 4);
	assert_int_equal(bind(fd, (struct sockaddr *)&in, sizeof(in)), 0);
	assert_int_equal(listen(fd, 8), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&in, &len), 0);
	relay = (struct relay){{4, ntohs(in.sin_port), {127, 0, 0, 1}}, fd, -1, -1};
}

static void relay_end(void)
{
	if (relay.near >= 0)
		close(relay.near);
	if (relay.far >= 0)
		close(relay.far);
	relay.near = relay.far = -1;
}

/* Its close will be a reset. */
static void hard_end(int fd)
{
	struct linger hard = {.l_onoff = 1};

	setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
}

static void reset(int *fd)
{
	if (*fd < 0)
		return;
	hard_end(*fd);
	close(*fd);
	*fd = -1;
}

static void relay_cut(void)
{
	reset(&relay.near);
	reset(&relay.far);
}

static void pass_on(int from, int to)
{
	char bytes[256];
	ssize_t n = from < 0 ? -1 : recv(from, bytes, sizeof(bytes), MSG_DONTWAIT);

	if (n > 0)
		assert_int_equal(send(to, bytes, (size_t)n, MSG_NOSIGNAL), n);
	else if (!n)
		relay_end();
}

static void relay_turn(void)
{
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(real.port)};

	if (relay.near < 0 && relay.listening >= 0)
		relay.near = accept4(relay.listening, NULL, NULL, SOCK_CLOEXEC);
	if (relay.near >= 0 && relay.far < 0) {
		memcpy(&in.sin_addr, loopback, 4);
		relay.far = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		assert_int_equal(connect(relay.far, (struct sockaddr *)&in, sizeof(in)), 0);
	}
	pass_on(relay.near, relay.far);
	pass_on(relay.far, relay.near);
}

static int begin(void **state)
{
	(void)state;
	unit_log_catch();
	relay_listen();
	uuid[1]++; /* gives each test lifelines of its own */
	return lifeline_listen(4, loopback, &real);
}

static int end(void **state)
{
	(void)state;
	relay_end();
	close(relay.listening);
	return 0;
}

static void wait_for(struct lifeline *l, enum lifeline_state state)
{
	int64_t since = clock_us();

	while (lifeline_check(l) != state) {
		relay_turn();
		if (clock_us() - since > UNIT_PATIENCE_US) {
			char text[LIFELINE_EVIDENCE_BYTES];

			fail_msg("not state %d: %s", state, lifeline_evidence(l, text, sizeof(text)));
		}
	}
}

/* Opens both ends of a lifeline through the relay. */
static void dial_through(struct lifeline **dialled, struct lifeline **accepted)
{
	int64_t since = clock_us();

	assert_int_equal(lifeline_dial(uuid, &relay.addr, SECRET, SILENCE_US, dialled), 0);
	wait_for(*dialled, LIFELINE_ALIVE);
	while (!(*accepted = lifeline_find(lifeline_id(*dialled), SILENCE_US))) {
		relay_turn();
		unit_not_late(since, "a line through the relay");
	}
	while (!(*dialled)->proven) {
		relay_turn();
		lifeline_check(*dialled);
		unit_not_late(since, "a welcome through the relay");
	}
}

static void put_both(struct lifeline *dialled, struct lifeline *accepted)
{
	lifeline_put(dialled);
	lifeline_put(accepted);
}

static void check_evidence(struct lifeline *l, const char *part)
{
	char text[LIFELINE_EVIDENCE_BYTES];

	if (!strstr(lifeline_evidence(l, text, sizeof(text)), part))
		fail_msg("no \"%s\" in: %s", part, text);
}

/* A lifeline that is cut repeatedly is dialled again each time: both ends go on and no peer is reported dead. */
static void a_cut_is_no_death(void **state)
{
	struct lifeline *dialled, *accepted;
	int64_t since = clock_us();
	int round;

	(void)state;
	dial_through(&dialled, &accepted);
	for (round = 0; round < 5; round++) {
		relay_cut();
		wait_for(accepted, LIFELINE_CONNECTING);
		wait_for(dialled, LIFELINE_ALIVE);
		wait_for(accepted, LIFELINE_ALIVE);
		while (dialled->cuts) { /* until the new connection is accepted */
			relay_turn();
			lifeline_check(dialled);
			unit_not_late(since, "a second welcome");
		}
	}
	check_evidence(dialled, "its process lives");
	check_evidence(accepted, "its process lives");
	lifeline_put(dialled); /* and the goodbye takes the new connection */
	wait_for(accepted, LIFELINE_CLOSED);
	check_evidence(accepted, "goodbye");
	lifeline_put(accepted);
}

static void poll_nothing(void)
{
}

/*
 * The dialler's application makes no calls, so that only the wakeup thread dials again; the new socket gets the number
 * of the old one, because no lower one is free.
 */
static void a_new_socket_of_the_same_number_is_watched(void **state)
{
	struct lifeline *dialled, *accepted;
	int64_t since = clock_us();
	int fill[64], n = 0, was;

	(void)state;
	assert_int_equal(wakeup_open(poll_nothing), 0);
	dial_through(&dialled, &accepted);
	was = dialled->fd;
	while ((fill[n] = open("/dev/null", O_RDONLY | O_CLOEXEC)) < was)
		assert_true(++n < (int)COUNT(fill));
	hard_end(relay.near);
	hard_end(relay.far);
	assert_true(dup3(fill[n], relay.near, O_CLOEXEC) >= 0 && dup3(fill[n], relay.far, O_CLOEXEC) >= 0);
	fill[++n] = relay.near;
	fill[++n] = relay.far;
	relay.near = relay.far = -1;
	while (lifeline_check(accepted) == LIFELINE_ALIVE)
		unit_not_late(since, "the cut");
	while (lifeline_check(accepted) != LIFELINE_ALIVE) {
		relay_turn();
		if (lifeline_check(accepted) == LIFELINE_DEAD)
			fail_msg("dead; the dialler's socket was %d and is %d", was, dialled->fd);
		unit_not_late(since, "a line that lives again");
	}
	assert_int_equal(dialled->fd, was);
	put_both(dialled, accepted);
	while (n >= 0)
		close(fill[n--]);
}

/* The lifeline is cut and the peer refuses the new connection. */
static void a_cut_and_a_refusal_are_a_death(void **state)
{
	struct lifeline *dialled, *accepted;

	(void)state;
	dial_through(&dialled, &accepted);
	close(relay.listening);
	relay.listening = -1;
	relay_cut();
	wait_for(dialled, LIFELINE_DEAD);
	check_evidence(dialled, "Connection refused");
	check_evidence(dialled, "127.0.0.1");
	check_evidence(dialled, "last heard of");
	wait_for(accepted, LIFELINE_DEAD); /* the peer has not dialled again */
	check_evidence(accepted, "Connection reset by peer");
	put_both(dialled, accepted);
}

/* The close by the kernel when a process ends is a certain death at once, without a second check. */
static void an_end_without_goodbye_is_a_death(void **state)
{
	struct lifeline *dialled, *accepted;

	(void)state;
	dial_through(&dialled, &accepted);
	relay_end();
	while (lifeline_check(dialled) == LIFELINE_ALIVE)
		;
	assert_int_equal(lifeline_check(dialled), LIFELINE_DEAD);
	check_evidence(dialled, "no goodbye");
	check_evidence(dialled, "the process has ended");
	wait_for(accepted, LIFELINE_DEAD);
	put_both(dialled, accepted);
}

/* Another process has the address, accepts every connection and closes it: this says nothing about our peer. */
static void another_at_that_address_proves_nothing(void **state)
{
	struct lifeline *l;
	int64_t since = clock_us();
	int fd;

	(void)state;
	assert_int_equal(lifeline_dial(uuid, &relay.addr, SECRET, SILENCE_US, &l), 0);
	while (lifeline_check(l) != LIFELINE_REFUSED) {
		assert_int_not_equal(lifeline_check(l), LIFELINE_DEAD);
		fd = accept4(relay.listening, NULL, NULL, SOCK_CLOEXEC);
		if (fd >= 0)
			close(fd);
		unit_not_late(since, "the end of an attempt");
	}
	check_evidence(l, "can't be opened");
	lifeline_put(l);
}

static void evidence_of_nothing(void **state)
{
	struct lifeline *l;

	(void)state;
	check_evidence(NULL, "no liveness connection");
	close(relay.listening);
	assert_int_equal(lifeline_dial(uuid, &relay.addr, SECRET, SILENCE_US, &l), 0);
	wait_for(l, LIFELINE_REFUSED);
	check_evidence(l, "Connection refused");
	lifeline_put(l);
	relay.listening = -1;
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, begin, end)
	static const struct CMUnitTest tests[] = {
		TEST(a_cut_is_no_death),
		TEST(a_cut_and_a_refusal_are_a_death),
		TEST(a_new_socket_of_the_same_number_is_watched),
		TEST(an_end_without_goodbye_is_a_death),
		TEST(another_at_that_address_proves_nothing),
		TEST(evidence_of_nothing),
	};

	lifeline_expect(SECRET);
	return unit_run("cut", tests);
}

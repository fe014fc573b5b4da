/* SPDX-License-Identifier: Apache-2.0 */
/*
 * xfer: devices with several rails, both halves in one process: how a message is divided, that its stripes
 * arrive whole, and that sides with different numbers of rails meet.
 */
#include "unit/unit.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "unit/net.h"

#define KIB   ((size_t)1024)
#define BYTES (8 * 1024 * KIB)

/* --- how a message is divided; nothing moves here --- */

static struct xfer_port port;
static struct rail *const rails = port.rails;
static struct xfer_peer peer;

static void make_paths(int n, const double *speed)
{
	int i;

	memset(&port, 0, sizeof(port));
	memset(&peer, 0, sizeof(peer));
	port.rail_count = n;
	for (i = 0; i < n; i++) {
		rails[i].port = &port;
		rails[i].index = i;
		rails[i].nominal = rails[i].speed = speed ? speed[i] : 1000;
		peer.paths[i] = (struct path){.rail = &rails[i], .sharing = 1};
	}
	peer.path_count = peer.rails = n;
}

/* Checks what must hold of every division, and how many stripes there are. */
static int divide(size_t len, struct stripe out[DEV_RAILS_MAX])
{
	int i, n = rail_stripes(&peer, len, out);
	size_t at = 0;

	assert_in_range(n, 1, peer.path_count);
	for (i = 0; i < n; i++) {
		assert_int_equal(out[i].at, at);
		assert_int_equal(out[i].at % 128, 0);
		if (n > 1)
			assert_true(out[i].len + 256 > 128 * KIB);
		at += out[i].len;
		if (i)
			assert_true(out[i].path > out[i - 1].path);
	}
	assert_int_equal(at, len);
	return n;
}

static void small_messages_stay_whole(void **state)
{
	struct stripe s[DEV_RAILS_MAX];

	(void)state;
	make_paths(4, NULL);
	assert_int_equal(divide(0, s), 1);
	assert_int_equal(divide(1, s), 1);
	assert_int_equal(divide(256 * KIB - 1, s), 1);
	assert_int_equal(divide(256 * KIB, s), 2);
	assert_int_equal(divide(384 * KIB, s), 3);
	assert_int_equal(divide(8 * 1024 * KIB + 1, s), 4);
}

static void equal_rails_get_equal_parts(void **state)
{
	struct stripe s[DEV_RAILS_MAX];
	int i, n;

	(void)state;
	make_paths(8, NULL);
	n = divide(8 * 1024 * KIB, s);
	assert_int_equal(n, 8);
	for (i = 0; i < n; i++)
		assert_int_equal(s[i].len, 1024 * KIB);
}

static void slow_rails_get_less(void **state)
{
	static const double speed[] = {1000, 1000, 250, 1000};
	struct stripe s[DEV_RAILS_MAX];

	(void)state;
	make_paths(4, speed);
	assert_int_equal(divide(13 * 256 * KIB, s), 4);
	assert_int_equal(s[2].len, 256 * KIB);
	assert_int_equal(s[0].len, 4 * 256 * KIB);
	assert_int_equal(divide(512 * KIB, s), 3); /* its part would be too small to be worth it */
	assert_ptr_equal(s[2].path, &peer.paths[3]);
}

static void busy_rails_get_less(void **state)
{
	struct stripe s[DEV_RAILS_MAX];

	(void)state;
	make_paths(2, NULL);
	rail_posted(&rails[0], 512 * KIB);
	assert_int_equal(divide(1024 * KIB, s), 2);
	assert_in_range(s[0].len, 256 * KIB + 1, 256 * KIB + 20000); /* but for what is too little to count */
	assert_int_equal(divide(64, s), 1);
	assert_ptr_equal(s[0].path, &peer.paths[1]);
	rail_posted(&rails[0], 4096 * KIB);
	assert_int_equal(divide(1024 * KIB, s), 1);
	assert_ptr_equal(s[0].path, &peer.paths[1]);
}

/* How many of n messages of so many bytes each rail is given. */
static void give(int n, size_t len, int out[DEV_RAILS_MAX])
{
	memset(out, 0, DEV_RAILS_MAX * sizeof(*out));
	while (n--)
		out[rail_best(&peer, len)->rail->index]++;
}

/* Announcements among messages must not make the messages meet on some rails. */
static void whole_messages_take_turns(void **state)
{
	int data[4] = {0}, small[4] = {0}, i;

	(void)state;
	make_paths(4, NULL);
	for (i = 0; i < 400; i++) {
		data[rail_best(&peer, 16 * KIB)->rail->index]++;
		small[rail_best(&peer, 64)->rail->index]++;
	}
	for (i = 0; i < 4; i++) {
		assert_in_range(data[i], 90, 110);
		assert_in_range(small[i], 90, 110);
	}
}

/* Of more rails than a message has stripes, all get their share. */
static void stripes_take_turns(void **state)
{
	struct stripe s[DEV_RAILS_MAX];
	int got[4] = {0}, i;

	(void)state;
	make_paths(4, NULL);
	for (i = 0; i < 100; i++) {
		assert_int_equal(divide(256 * KIB, s), 2);
		got[s[0].path->rail->index]++;
		got[s[1].path->rail->index]++;
	}
	for (i = 0; i < 4; i++)
		assert_in_range(got[i], 49, 51);
}

static void turns_are_as_long_as_rails_are_fast(void **state)
{
	static const double speed[] = {1000, 1000, 250, 1000};
	int got[DEV_RAILS_MAX];

	(void)state;
	make_paths(4, speed);
	give(1300, 32 * KIB, got);
	assert_in_range(got[2], 98, 102);
	assert_in_range(got[3], 396, 404);
}

/* One that gets stuck is left out, and has not all that it missed to catch up when it moves again. */
static void stuck_rails_lose_their_turns(void **state)
{
	int got[DEV_RAILS_MAX];

	(void)state;
	make_paths(4, NULL);
	rail_posted(&rails[1], 64 * KIB);
	give(300, 32 * KIB, got);
	assert_int_equal(got[1], 0);
	assert_in_range(got[3], 99, 101);
	rail_completed(&rails[1], 64 * KIB);
	give(400, 32 * KIB, got);
	assert_in_range(got[1], 99, 101);
}

static void move(struct rail *r, size_t bytes, int64_t took_us)
{
	rail_posted(r, bytes);
	r->since_us -= took_us;
	rail_completed(r, bytes);
	assert_int_equal(r->outstanding, 0);
}

/* What was thought of a rail's speed gives way to what is seen. */
static void speed_is_what_is_seen(void **state)
{
	int i;

	(void)state;
	make_paths(2, NULL);
	rails[0].nominal = rails[0].speed = 50000;
	for (i = 0; i < 10; i++)
		move(&rails[0], 2048 * KIB, 1000);
	assert_true(rails[0].speed > 500 && rails[0].speed < 2100);
}

/* Messages that are alone, each too short to time, are timed together; not where latency is what would be seen. */
static void short_stripes_are_timed(void **state)
{
	struct stripe s[DEV_RAILS_MAX];
	int i;

	(void)state;
	make_paths(2, NULL);
	for (i = 0; i < 50; i++) {
		move(&rails[0], 128 * KIB, 300);
		move(&rails[1], 128 * KIB, 100);
	}
	assert_int_equal(divide(4096 * KIB, s), 2);
	assert_in_range(s[0].len, 960 * KIB, 1088 * KIB);
	make_paths(2, NULL);
	for (i = 0; i < 500; i++) {
		move(&rails[0], 32 * KIB, 20);
		move(&rails[1], 32 * KIB, 10);
	}
	assert_int_equal(divide(4096 * KIB, s), 2);
	assert_in_range(s[0].len, 2048 * KIB - 128, 2048 * KIB);
}

/* Speeds that differ by less than each scatters are equal; one beyond that is not. */
static void scatter_is_no_difference(void **state)
{
	struct stripe s[DEV_RAILS_MAX];
	uint64_t seed = 5;
	int i, k;

	(void)state;
	make_paths(4, NULL);
	for (i = 0; i < 500; i++)
		for (k = 0; k < 4; k++)
			move(&rails[k], 1024 * KIB, (k == 2 ? 4 : 1) * (700 + (int64_t)(unit_random(&seed) % 600)));
	assert_int_equal(divide(13 * 1024 * KIB, s), 4);
	assert_int_equal(s[0].len, s[1].len);
	assert_in_range(s[2].len, 700 * KIB, 1350 * KIB);
	assert_in_range(s[0].len, s[3].len - 4 * 128, s[3].len); /* what rounding left is the last's */
	for (i = 0; i < 100; i++)
		for (k = 0; k < 4; k++)
			move(&rails[k], 1024 * KIB, k == 0 ? 1100 : 1000); /* steady now */
	assert_int_equal(divide(13 * 1024 * KIB, s), 4);
	assert_true(s[0].len < s[1].len * 95 / 100);
	assert_in_range(s[2].len, s[3].len - 4 * 128, s[3].len);
}

/* A slow rail whose part would be too small is asked again later. */
static void slow_rails_are_asked_again(void **state)
{
	struct stripe s[DEV_RAILS_MAX];
	int i, k;

	(void)state;
	make_paths(4, NULL);
	for (i = 0; i < 50; i++)
		for (k = 0; k < 4; k++)
			move(&rails[k], 256 * KIB, k == 2 ? 1000 : 250);
	assert_int_equal(divide(512 * KIB, s), 3);
	rails[2].seen_us -= 1000 * 1000;
	divide(512 * KIB, s);
	assert_int_equal(divide(512 * KIB, s), 4);
	move(&rails[2], 256 * KIB, 1000);
	assert_int_equal(divide(512 * KIB, s), 3);
	rails[2].seen_us -= 1000 * 1000;
	divide(512 * KIB, s);
	for (i = 0; i < 5; i++)
		move(&rails[2], 256 * KIB, 250); /* it has recovered */
	assert_int_equal(divide(512 * KIB, s), 4);
}

/* Any speeds and backlogs: see divide for what must hold. */
static void any_rails_any_load(void **state)
{
	struct stripe s[DEV_RAILS_MAX];
	uint64_t seed = 12;
	int round, i;

	(void)state;
	for (round = 0; round < 20000; round++) {
		make_paths(1 + (int)(unit_random(&seed) % DEV_RAILS_MAX), NULL);
		for (i = 0; i < peer.path_count; i++) {
			rails[i].speed = 1 + unit_random(&seed) % 50000;
			rails[i].outstanding = unit_random(&seed) >> unit_random(&seed) % 32;
			peer.paths[i].sharing = (uint8_t)(1 + unit_random(&seed) % 8);
		}
		divide(unit_random(&seed) >> unit_random(&seed) % 32, s);
	}
}

/* --- bytes that move --- */

static struct wire_handle handle;
static struct conn_listen *listening;
static struct net_link link;
static struct dev other; /* the receiver's: the same NIC, other rails */

static void *listen_on_other(void *arg)
{
	(void)arg;
	assert_int_equal(conn_listen(&other, &net.conf, &handle, &listening), 0);
	return NULL;
}

static void begin(int here, int there)
{
	int64_t since = clock_us();
	pthread_t thread;
	int i;

	xfer_port_put(net.home); /* it has the rails of before */
	net.home = NULL;
	while (net_users(net.dev))
		unit_not_late(since, "the end of the ports before");
	net.dev->rail_count = here;
	for (i = 0; i < DEV_RAILS_MAX; i++)
		net.dev->rails[i] = net.dev->nic;
	other = *net.dev;
	other.rail_count = there;
	pthread_mutex_init(&other.lock, NULL);
	assert_int_equal(xfer_port_get(net.dev, &net.conf, &conn_ops, &net.home), 0);
	assert_int_equal(pthread_create(&thread, NULL, listen_on_other, NULL), 0);
	pthread_join(thread, NULL);
	net_link_open(&link, listening, &handle, BYTES);
	assert_int_equal(link.send->peer->path_count, here > there ? here : there);
	assert_int_equal(link.recv->peer->path_count, here > there ? here : there);
}

static void end(void)
{
	int64_t since = clock_us();

	net_link_close(&link);
	net_listen_close(listening);
	while (net_users(&other))
		unit_not_late(since, "the end of the receiver's port");
}

static void random_message(uint64_t *seed)
{
	size_t len = unit_random(seed) % BYTES >> unit_random(seed) % 20, posted = len, got, i;
	struct xfer_req *s, *r;

	posted += unit_random(seed) % (BYTES - len + 1);
	for (i = 0; i < len; i++)
		link.from[i] = (unsigned char)(i * 7 + i / 251 + *seed);
	memset(link.to, 0xee, BYTES);
	assert_int_equal(net_recv(&link, 0, posted, &r), 0);
	assert_int_equal(net_send(&link, 0, len, &s), 0);
	assert_int_equal(net_wait(&link, r, &got), 1);
	assert_int_equal(got, len);
	assert_int_equal(memcmp(link.from, link.to, len), 0);
	for (i = len; i < BYTES; i++)
		if (link.to[i] != 0xee)
			fail_msg("a byte behind the message has changed");
	assert_int_equal(net_wait(&link, s, &got), 1);
}

static void any_numbers_of_rails(void **state)
{
	static const int counts[][2] = {{1, 1}, {2, 2}, {4, 4}, {8, 8}, {1, 4}, {4, 1}, {3, 2}, {2, 8}, {8, 3}};
	uint64_t seed = 3;
	size_t row;
	int i;

	(void)state;
	NET_NEEDED();
	for (row = 0; row < COUNT(counts); row++) {
		begin(counts[row][0], counts[row][1]);
		for (i = 0; i < 12; i++)
			random_message(&seed);
		end();
	}
}

/* Each rail moves its part of a large message. */
static void all_rails_take_part(void **state)
{
	uint64_t moved[4] = {0};
	struct xfer_req *s, *r;
	size_t got;
	int i, round;

	(void)state;
	NET_NEEDED();
	begin(4, 4);
	for (round = 0; round < 4; round++) {
		assert_int_equal(net_recv(&link, 0, BYTES, &r), 0);
		assert_int_equal(net_send(&link, 0, BYTES, &s), 0);
		for (i = 0; i < 4; i++)
			moved[i] += net.home->rails[i].outstanding + net.home->rails[i].moved;
		assert_int_equal(net_wait(&link, r, &got), 1);
		assert_int_equal(net_wait(&link, s, &got), 1);
	}
	for (i = 0; i < 4; i++)
		assert_true(moved[i] >= 128 * KIB);
	end();
}

/* The sender's half only: nothing that arrives is taken. */
static void push(void)
{
	struct xfer_port *sender = link.send->port;
	int i;

	xfer_port_lock(sender);
	for (i = 0; i < sender->rail_count; i++)
		assert_true(fab_ep_poll(sender->rails[i].ep) >= 0);
	ctrl_progress(sender);
	xfer_port_unlock(sender);
}

/* Small messages that find no receive take the rails in turn. */
static void eager_messages_take_all_rails(void **state)
{
	struct xfer_req *s[8], *r;
	int i, missing = 4, came[4] = {0};
	int64_t since;
	size_t got;

	(void)state;
	NET_NEEDED();
	begin(4, 4);
	net_message(&link, BYTES); /* all rails are connected, and the sender knows the tag */
	for (i = 0; i < 4; i++) {
		struct rail *rail = &link.send->port->rails[i];

		rail->samples = 0; /* a slow one would rightly get none */
		rail->slow = false;
		rail->speed = rail->nominal;
	}
	since = clock_us();
	for (i = 0; i < 8; i++) {
		memset(link.from + i * 64, i, 64);
		while (net_isend(link.send, link.from + i * 64, 64, link.from_region, &s[i]) == -EAGAIN) {
			unit_not_late(since, "an eager send");
			push();
		}
		assert_non_null(s[i]);
	}
	while (missing) {
		unit_not_late(since, "an eager message on every rail");
		push();
		for (i = 0, missing = 0; i < 4; i++) {
			came[i] += fab_ep_poll(link.recv->port->rails[i].ep);
			missing += !came[i];
		}
	}
	for (i = 0; i < 8; i++) {
		assert_int_equal(net_recv(&link, 0, 64, &r), 0);
		assert_int_equal(net_wait(&link, r, &got), 1);
		assert_int_equal(got, 64);
		assert_int_equal(link.to[0], i);
		assert_int_equal(link.to[63], i);
		assert_int_equal(net_wait(&link, s[i], &got), 1);
	}
	end();
}

/* The room that receives hold in every rail's queue comes back. */
static void queues_are_not_used_up(void **state)
{
	struct xfer_req *s, *r;
	size_t got;
	int i;

	(void)state;
	NET_NEEDED();
	net.conf.cq_depth = 512;
	begin(3, 2);
	for (i = 0; i < 2000; i++) {
		assert_int_equal(net_recv(&link, 0, 64, &r), 0);
		assert_int_equal(net_send(&link, 0, 64, &s), 0);
		assert_int_equal(net_wait(&link, r, &got), 1);
		assert_int_equal(net_wait(&link, s, &got), 1);
	}
	end();
}

/* A receiver that closes amid stripes: the memory is its own again, and the ports go on. */
static void closing_amid_stripes(void **state)
{
	struct net_link second;
	struct xfer_req *s, *r;
	int i;

	(void)state;
	NET_NEEDED();
	for (i = 0; i < 20; i++) {
		begin(4, 4);
		net_link_open(&second, listening, &handle, 64 * KIB);
		assert_int_equal(net_recv(&link, 0, BYTES, &r), 0);
		assert_int_equal(net_send(&link, 0, BYTES, &s), 0);
		xfer_chan_close(link.recv);
		link.recv = NULL;
		memset(link.to, 0xab, BYTES);
		net_message(&second, 64 * KIB);
		assert_int_equal(link.to[0], 0xab);
		assert_int_equal(memcmp(link.to, link.to + 1, BYTES - 1), 0);
		xfer_chan_close(link.send);
		link.send = NULL;
		net_message(&second, 64 * KIB);
		net_link_close(&second);
		end();
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(small_messages_stay_whole),
		cmocka_unit_test(equal_rails_get_equal_parts),
		cmocka_unit_test(slow_rails_get_less),
		cmocka_unit_test(busy_rails_get_less),
		cmocka_unit_test(whole_messages_take_turns),
		cmocka_unit_test(stripes_take_turns),
		cmocka_unit_test(turns_are_as_long_as_rails_are_fast),
		cmocka_unit_test(stuck_rails_lose_their_turns),
		cmocka_unit_test(speed_is_what_is_seen),
		cmocka_unit_test(short_stripes_are_timed),
		cmocka_unit_test(scatter_is_no_difference),
		cmocka_unit_test(slow_rails_are_asked_again),
		cmocka_unit_test(any_rails_any_load),
		NET_TEST(any_numbers_of_rails, NET_RMA),
		NET_TEST(any_numbers_of_rails, "tcp"),
		NET_TEST(any_numbers_of_rails, "shm"),
		NET_TEST(all_rails_take_part, NET_RMA),
		NET_TEST(eager_messages_take_all_rails, NET_RMA),
		NET_TEST(queues_are_not_used_up, NET_RMA),
		NET_TEST(closing_amid_stripes, NET_RMA),
	};

	return unit_run("rails", tests);
}

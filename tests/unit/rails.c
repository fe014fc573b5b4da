/* SPDX-License-Identifier: Apache-2.0 */
/*
 * xfer: devices with several rails, both halves in one process: division of messages, complete arrival of their
 * stripes, and connections between sides with different numbers of rails.
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

/* --- division of messages; no data is sent here --- */

static struct xfer_ep ep;
static struct rail *const rails = ep.rails;
static struct xfer_peer peer;

static void make_paths(int n, const double *speed)
{
	int i;

	memset(&ep, 0, sizeof(ep));
	memset(&peer, 0, sizeof(peer));
	ep.rail_count = ep.nic_count = n;
	ep.stripe_min = STRIPE_MIN;
	ep.eager_max = WIRE_EAGER_MAX;
	peer.ep = &ep;
	for (i = 0; i < n; i++) {
		rails[i].ep = &ep;
		rails[i].nic = i;
		rails[i].measured = true;
		rails[i].nominal = rails[i].speed = speed ? speed[i] : 1000;
		peer.paths[i] = (struct path){.rail = &rails[i], .sharing = 1};
	}
	peer.path_count = peer.rails = peer.nics = n;
}

/* Checks the invariants of every division; returns the number of stripes. */
static int divide(size_t len, struct stripe out[DEV_RAILS_MAX])
{
	int i, n = rail_stripes(&peer, 0, len, out);
	size_t at = 0;

	assert_in_range(n, 1, peer.path_count);
	for (i = 0; i < n; i++) {
		assert_int_equal(out[i].at, at);
		assert_int_equal(out[i].at % 128, 0);
		if (n > 1)
			assert_true(out[i].len + 256 >= 128 * KIB); /* 0.999 of it, rounded down to 128 bytes */
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
	assert_int_equal(divide(512 * KIB, s), 3); /* its stripe would be too small to be worth it */
	assert_ptr_equal(s[2].path, &peer.paths[3]);
}

static void busy_rails_get_less(void **state)
{
	struct stripe s[DEV_RAILS_MAX];

	(void)state;
	make_paths(2, NULL);
	rail_posted(&rails[0], 512 * KIB);
	assert_int_equal(divide(1024 * KIB, s), 2);
	assert_in_range(s[0].len, 256 * KIB + 1, 256 * KIB + 20000); /* except for an amount too small to count */
	assert_int_equal(divide(64, s), 1);
	assert_ptr_equal(s[0].path, &peer.paths[1]);
	rail_posted(&rails[0], 4096 * KIB);
	assert_int_equal(divide(1024 * KIB, s), 1);
	assert_ptr_equal(s[0].path, &peer.paths[1]);
}

/* Counts the messages that each rail gets, of n messages of `len` bytes. */
static void give(int n, size_t len, int out[DEV_RAILS_MAX])
{
	memset(out, 0, DEV_RAILS_MAX * sizeof(*out));
	while (n--)
		out[rail_best(&peer, 0, len)->rail->nic]++;
}

/* Clear-to-sends between messages must not make the messages meet on a few rails. */
static void whole_messages_take_turns(void **state)
{
	int data[4] = {0}, small[4] = {0}, i;

	(void)state;
	make_paths(4, NULL);
	for (i = 0; i < 400; i++) {
		data[rail_best(&peer, 0, 16 * KIB)->rail->nic]++;
		small[rail_best(&peer, 0, 64)->rail->nic]++;
	}
	for (i = 0; i < 4; i++) {
		assert_in_range(data[i], 90, 110);
		assert_in_range(small[i], 90, 110);
	}
}

/* Where control messages have a rail of their own, small messages use it, and large ones never. */
static void control_messages_have_their_rail(void **state)
{
	struct stripe s[WIRE_STRIPES_MAX];
	size_t len;
	int i, n, got[3] = {0};

	(void)state;
	make_paths(3, NULL);
	ep.control_alone = true;
	for (len = 0; len <= WIRE_EAGER_MAX; len += 512)
		assert_ptr_equal(rail_best(&peer, 0, len), peer.paths);
	for (i = 0; i < 100; i++)
		got[rail_best(&peer, 0, WIRE_EAGER_MAX + 1)->rail->nic]++;
	assert_int_equal(got[0], 0);
	assert_in_range(got[1], 45, 55);
	for (len = 256 * KIB; len < 64 * 1024 * KIB; len *= 2) {
		n = divide(len, s);
		assert_int_equal(n, 2);
		for (i = 0; i < n; i++)
			assert_true(s[i].path != peer.paths);
	}
}

/* The comms of one NIC's streams spread over them, but leave a backlogged one. */
static void comms_have_their_streams(void **state)
{
	int got[8] = {0}, i;

	(void)state;
	make_paths(8, NULL);
	ep.nic_count = 1;
	for (i = 0; i < 16; i++)
		got[rail_best(&peer, (uint32_t)i, 16 * KIB)->rail->nic]++;
	for (i = 0; i < 8; i++)
		assert_int_equal(got[i], 2);
	assert_ptr_equal(rail_best(&peer, 0, 16 * KIB), peer.paths);
	rail_posted(&rails[0], 4096 * KIB);
	assert_true(rail_best(&peer, 0, 16 * KIB) != peer.paths);
}

/* If a device has more rails than a message has stripes, every rail gets its share. */
static void stripes_take_turns(void **state)
{
	struct stripe s[DEV_RAILS_MAX];
	int got[4] = {0}, i;

	(void)state;
	make_paths(4, NULL);
	for (i = 0; i < 100; i++) {
		assert_int_equal(divide(256 * KIB, s), 2);
		got[s[0].path->rail->nic]++;
		got[s[1].path->rail->nic]++;
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

/* A stuck rail is left out, and does not have to catch up on the missed messages when it moves again. */
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

/* The assumed speed of a rail is replaced by its measured speed. */
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

/* Single messages, each too short to measure, are measured together, except where latency would dominate. */
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

/* Speeds that differ by less than their own scatter are equal; a larger difference counts. */
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
	assert_in_range(s[0].len, s[3].len - 4 * 128, s[3].len); /* the last stripe takes the rounding remainder */
	for (i = 0; i < 100; i++)
		for (k = 0; k < 4; k++)
			move(&rails[k], 1024 * KIB, k == 0 ? 1100 : 1000); /* steady now */
	assert_int_equal(divide(13 * 1024 * KIB, s), 4);
	assert_true(s[0].len < s[1].len * 95 / 100);
	assert_in_range(s[2].len, s[3].len - 4 * 128, s[3].len);
}

/* Rail 2 is a quarter as fast as the others, and after two tries with twice the bytes as fast as they are. */
static void retry_slow(void)
{
	struct stripe s[WIRE_STRIPES_MAX];
	int i;

	for (i = 0; i < 2; i++) {
		assert_int_equal(divide(512 * KIB, s), 3);
		rails[2].seen_us -= 1000 * 1000;
		divide(512 * KIB, s);
	}
}

/* A slow rail whose stripe would be too small is tried again later. */
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
	retry_slow();
	assert_int_equal(divide(512 * KIB, s), 4);
	move(&rails[2], 256 * KIB, 1000);
	assert_int_equal(divide(512 * KIB, s), 3);
	retry_slow();
	for (i = 0; i < 5; i++)
		move(&rails[2], 256 * KIB, 250); /* it has recovered */
	assert_int_equal(divide(512 * KIB, s), 4);
}

/*
 * While a large message waits for its receiver, messages of few or no bytes complete: they say nothing about the speed.
 */
static void few_bytes_are_no_speed(void **state)
{
	static const size_t few[] = {0, 1, 64};
	struct stripe s[DEV_RAILS_MAX];
	unsigned k;
	int i;

	(void)state;
	for (k = 0; k < 3; k++) {
		make_paths(2, NULL);
		rail_posted(&rails[0], 8 * 1024 * KIB);
		for (i = 0; i < 20; i++) {
			rail_posted(&rails[0], few[k]);
			rails[0].since_us -= 1000;
			rail_completed(&rails[0], few[k]);
		}
		assert_int_equal(rails[0].samples, 0);
		rail_completed(&rails[0], 8 * 1024 * KIB);
		assert_true(rails[0].speed > 0);
		divide(64, s);
		divide(8 * 1024 * KIB, s);
	}
}

/* Every history of posts and completions, with any sizes and times, yields a speed that is a valid divisor. */
static void any_history_leaves_speeds(void **state)
{
	size_t held[DEV_RAILS_MAX][16], bytes;
	struct stripe s[DEV_RAILS_MAX];
	int count[DEV_RAILS_MAX] = {0}, round, i, n = 4;
	uint64_t seed = 15;

	(void)state;
	make_paths(n, NULL);
	for (round = 0; round < 50000; round++) {
		i = (int)(unit_random(&seed) % (unsigned)n);
		if (count[i] < 16 && unit_random(&seed) % 2) {
			bytes = unit_random(&seed) % 3
					? (unit_random(&seed) >> unit_random(&seed) % 32) % (16 * 1024 * KIB)
					: 0;
			rail_posted(&rails[i], held[i][count[i]++] = bytes);
		} else if (count[i]) {
			if (rails[i].since_us)
				rails[i].since_us -= (int64_t)(unit_random(&seed) % 100000);
			rail_completed(&rails[i], held[i][--count[i]]);
		}
		assert_true(rails[i].speed > 0 && rails[i].speed < 1e12);
		divide(unit_random(&seed) >> unit_random(&seed) % 32, s);
	}
}

/* Any speeds and backlogs: see divide for the invariants. */
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

/* --- transfers --- */

static struct wire_handle handle;
static struct cm_listen *listening;
static struct net_link link;
static struct dev other; /* the receiver's device: the same NIC, different rails */

static void *listen_on_other(void *arg)
{
	(void)arg;
	assert_int_equal(cm_listen(&other, &net.conf, &handle, &listening), 0);
	return NULL;
}

static void begin(int here, int there)
{
	int64_t since = clock_us();
	pthread_t thread;
	int i, n;

	xfer_ep_put(net.home); /* it still has the earlier rails */
	net.home = NULL;
	while (net_users(net.dev))
		unit_not_late(since, "the end of the ports before");
	net.dev->rail_count = here;
	for (i = 0; i < DEV_RAILS_MAX; i++)
		net.dev->rails[i] = net.dev->nic;
	other = *net.dev;
	other.rail_count = there;
	pthread_mutex_init(&other.lock, NULL);
	list_init(&other.accesses);
	assert_int_equal(xfer_ep_get(net.dev, &net.conf, &net.home), 0);
	assert_int_equal(pthread_create(&thread, NULL, listen_on_other, NULL), 0);
	pthread_join(thread, NULL);
	net_link_open(&link, listening, &handle, BYTES);
	n = link.send->ep->rail_count;
	if (n < link.recv->ep->rail_count)
		n = link.recv->ep->rail_count;
	assert_int_equal(link.send->peer->path_count, n);
	assert_int_equal(link.recv->peer->path_count, n);
}

static void end(void)
{
	int64_t since = clock_us();

	net_link_close(&link);
	net_listen_close(listening);
	while (net_users(&other))
		unit_not_late(since, "the end of the receiver's endpoint");
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

/* Each rail carries its stripe of a large message. */
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
		assert_int_equal(net.home->rails[0].outstanding, 0); /* left to control messages */
		for (i = 0; i < 4; i++)
			moved[i] += net.home->rails[i + 1].outstanding + net.home->rails[i + 1].moved;
		assert_int_equal(net_wait(&link, r, &got), 1);
		assert_int_equal(net_wait(&link, s, &got), 1);
	}
	for (i = 0; i < 4; i++)
		assert_true(moved[i] >= 128 * KIB);
	end();
}

/* Receives give back the room that they hold in every rail's queue. */
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

/* The receiver closes in the middle of stripes: the memory is its own again, and the endpoints go on. */
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
		xfer_comm_close(link.recv);
		link.recv = NULL;
		memset(link.to, 0xab, BYTES);
		net_message(&second, 64 * KIB);
		assert_int_equal(link.to[0], 0xab);
		assert_int_equal(memcmp(link.to, link.to + 1, BYTES - 1), 0);
		xfer_comm_close(link.send);
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
		cmocka_unit_test(control_messages_have_their_rail),
		cmocka_unit_test(comms_have_their_streams),
		cmocka_unit_test(turns_are_as_long_as_rails_are_fast),
		cmocka_unit_test(stuck_rails_lose_their_turns),
		cmocka_unit_test(speed_is_what_is_seen),
		cmocka_unit_test(short_stripes_are_timed),
		cmocka_unit_test(scatter_is_no_difference),
		cmocka_unit_test(slow_rails_are_asked_again),
		cmocka_unit_test(few_bytes_are_no_speed),
		cmocka_unit_test(any_history_leaves_speeds),
		cmocka_unit_test(any_rails_any_load),
		NET_TEST(any_numbers_of_rails, NET_RMA),
		NET_TEST(any_numbers_of_rails, "tcp"),
		NET_TEST(any_numbers_of_rails, "shm"),
		NET_TEST(all_rails_take_part, NET_RMA),
		NET_TEST(queues_are_not_used_up, NET_RMA),
		NET_TEST(closing_amid_stripes, NET_RMA),
	};

	return unit_run("rails", tests);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* xfer: messages on a comm, their order, their bounds, the wrap of their numbers; endpoints and regions. */
#include "unit/unit.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "unit/net.h"

static struct wire_handle handle;
static struct cm_listen *listening;
static struct net_link pair;

static void open_link(size_t bytes)
{
	net_listen(&handle, &listening);
	net_link_open(&pair, listening, &handle, bytes);
}

static void close_link(void)
{
	net_link_close(&pair);
	net_listen_close(listening);
}

static void every_size(void **state)
{
	static const size_t sizes[] = {0,    1,	   2,	  63,	 64,	65,	 255,		4095,
				       4096, 4097, 16384, 65536, 65537, 1 << 20, (2 << 20) + 3, 4 << 20};
	size_t i;

	(void)state;
	NET_NEEDED();
	open_link(4 << 20);
	for (i = 0; i < COUNT(sizes); i++)
		net_message(&pair, sizes[i]);
	for (i = COUNT(sizes); i-- > 0;)
		net_message(&pair, sizes[i]);
	close_link();
}

/* A window full of messages: the k-th send matches the k-th receive in any order of tests. */
static void order_in_a_full_window(void **state)
{
	struct xfer_req *s[WIRE_WINDOW], *r[WIRE_WINDOW];
	size_t got, i, k;
	int round;

	(void)state;
	NET_NEEDED();
	open_link(WIRE_WINDOW * 1024);
	for (round = 0; round < 5; round++) {
		memset(pair.to, 0, pair.bytes);
		for (i = 0; i < WIRE_WINDOW; i++)
			memset(pair.from + i * 1024, (int)(i + 1 + (size_t)round), 1024);
		for (i = 0; i < WIRE_WINDOW; i++)
			assert_int_equal(net_recv(&pair, i * 1024, 1024, &r[i]), 0);
		for (i = 0; i < WIRE_WINDOW; i++)
			assert_int_equal(net_send(&pair, i * 1024, 1024 - i, &s[i]), 0);
		for (i = WIRE_WINDOW; i-- > 0;) { /* the last first */
			assert_int_equal(net_wait(&pair, r[i], &got), 1);
			assert_int_equal(got, 1024 - i);
		}
		for (i = 0; i < WIRE_WINDOW; i++) {
			assert_int_equal(net_wait(&pair, s[i], &got), 1);
			for (k = 0; k < 1024 - i; k++)
				assert_int_equal(pair.to[i * 1024 + k], i + 1 + (size_t)round);
		}
	}
	close_link();
}

static void window_ends_at_its_limit(void **state)
{
	struct xfer_req *s[WIRE_WINDOW], *r[WIRE_WINDOW], *more, *late;
	size_t got;
	int i, turns;

	(void)state;
	NET_NEEDED();
	open_link(4096);
	for (turns = 0; turns < 100; turns++) { /* no send is done before its receive is posted */
		assert_int_equal(net_isend(pair.send, pair.from, 8, pair.from_region, &more), -EAGAIN);
		assert_null(more);
		net_turn(&pair);
	}
	for (i = 0; i < WIRE_WINDOW; i++)
		assert_int_equal(net_recv(&pair, 0, 64, &r[i]), 0);
	for (turns = 0; turns < 100; turns++) {
		assert_int_equal(net_irecv(pair.recv, pair.to, 64, pair.to_region, &more), -EAGAIN);
		assert_null(more);
		net_turn(&pair);
	}
	for (i = 0; i < WIRE_WINDOW; i++)
		assert_int_equal(net_send(&pair, 0, 8, &s[i]), 0);
	assert_int_equal(net_wait(&pair, r[0], &got), 1);
	assert_int_equal(net_recv(&pair, 0, 64, &late), 0); /* one was taken, so one more fits */
	for (turns = 0; turns < 100; turns++) {
		/* its clear-to-send has arrived, but test has not yet freed any of 32 sends */
		assert_int_equal(net_isend(pair.send, pair.from, 8, pair.from_region, &more), -EAGAIN);
		net_turn(&pair);
	}
	assert_int_equal(net_wait(&pair, s[0], &got), 1);
	assert_int_equal(net_send(&pair, 0, 8, &more), 0);
	assert_int_equal(net_wait(&pair, more, &got), 1);
	for (i = 1; i < WIRE_WINDOW; i++) {
		assert_int_equal(net_wait(&pair, s[i], &got), 1);
		assert_int_equal(net_wait(&pair, r[i], &got), 1);
	}
	assert_int_equal(net_wait(&pair, late, &got), 1);
	close_link();
}

/* Moves the counters of both halves close to their wrap. */
static void near_the_end(void)
{
	pair.send->next_seq = pair.recv->next_seq = UINT32_MAX - 50;
}

static void numbers_wrap_around(void **state)
{
	struct xfer_req *s[WIRE_WINDOW], *r[WIRE_WINDOW];
	size_t got;
	int round, i;

	(void)state;
	NET_NEEDED();
	open_link(WIRE_WINDOW * 64);
	near_the_end();
	for (round = 0; round < 4; round++) { /* windows before, across and after the wrap */
		for (i = 0; i < WIRE_WINDOW; i++)
			assert_int_equal(net_recv(&pair, (size_t)i * 64, 64, &r[i]), 0);
		for (i = 0; i < WIRE_WINDOW; i++) {
			memset(pair.from + i * 64, round * WIRE_WINDOW + i, 64);
			assert_int_equal(net_send(&pair, (size_t)i * 64, 64, &s[i]), 0);
		}
		for (i = 0; i < WIRE_WINDOW; i++) {
			assert_int_equal(net_wait(&pair, s[i], &got), 1);
			assert_int_equal(net_wait(&pair, r[i], &got), 1);
			assert_int_equal(got, 64);
			assert_int_equal(pair.to[i * 64], round * WIRE_WINDOW + i);
			assert_int_equal(pair.to[i * 64 + 63], round * WIRE_WINDOW + i);
		}
	}
	assert_int_equal(pair.send->next_seq, (uint32_t)(UINT32_MAX - 50 + 4 * WIRE_WINDOW));
	assert_int_equal(pair.recv->next_seq, pair.send->next_seq);
	close_link();
}

/* The sender closes while more receives are posted, with a number before or after the wrap. */
static void close_across_the_wrap(void **state)
{
	static const int sent[] = {2, 4, 6};
	struct xfer_req *s, *r[8];
	size_t got, row;
	int i;

	(void)state;
	NET_NEEDED();
	for (row = 0; row < COUNT(sent); row++) {
		open_link(4096);
		pair.send->next_seq = pair.recv->next_seq = UINT32_MAX - 3;
		for (i = 0; i < 8; i++)
			assert_int_equal(net_recv(&pair, 0, 64, &r[i]), 0);
		for (i = 0; i < sent[row]; i++) {
			assert_int_equal(net_send(&pair, 0, 8, &s), 0);
			assert_int_equal(net_wait(&pair, s, &got), 1);
		}
		xfer_comm_close(pair.send);
		pair.send = NULL;
		for (i = 0; i < sent[row]; i++) /* the sent messages still arrive */
			assert_int_equal(net_wait(&pair, r[i], &got), 1);
		for (; i < 8; i++)
			assert_int_equal(net_wait(&pair, r[i], &got), -ECONNRESET);
		/* reported by the sender's close itself, not by the end of the lifeline that follows it */
		assert_true(unit_log_has(LOG_LEVEL_WARN, "closed its half"));
		unit_log_catch();
		close_link();
	}
}

static void too_long_a_send(void **state)
{
	struct xfer_req *s, *r;
	size_t got;

	(void)state;
	NET_NEEDED();
	open_link(4096);
	net_message(&pair, 100);
	assert_int_equal(net_recv(&pair, 0, 99, &r), 0);
	unit_log_catch();
	assert_int_equal(net_send(&pair, 0, 100, &s), -EMSGSIZE);
	assert_null(s);
	assert_int_equal(unit_log_count(LOG_LEVEL_WARN), 1);
	assert_true(unit_log_has(LOG_LEVEL_WARN, "100 bytes"));
	assert_true(unit_log_has(LOG_LEVEL_WARN, "99"));
	assert_int_equal(net_failed_send(pair.send, NULL), -EMSGSIZE); /* fails again, without a second log line */
	assert_int_equal(unit_log_count(LOG_LEVEL_WARN), 1);
	xfer_comm_close(pair.send);
	pair.send = NULL;
	assert_int_equal(net_wait(&pair, r, &got), -ECONNRESET); /* and its end is reported */
	close_link();
}

/*
 * A failed comm accepts further sends and fails them. Its close must not count them: the receiver would wait for them,
 * and as long as other comms keep the lifeline, that wait would never end.
 */
static void sends_in_vain_are_not_counted(void **state)
{
	struct net_link other;
	struct xfer_req *s, *r[4];
	size_t got;
	int i;

	(void)state;
	NET_NEEDED();
	open_link(4096);
	net_link_open(&other, listening, &handle, 64);
	net_message(&pair, 100);
	for (i = 0; i < 4; i++)
		assert_int_equal(net_recv(&pair, 0, 99, &r[i]), 0);
	assert_int_equal(net_send(&pair, 0, 100, &s), -EMSGSIZE);
	for (i = 0; i < 3; i++)
		assert_int_equal(net_failed_send(pair.send, NULL), -EMSGSIZE);
	xfer_comm_close(pair.send);
	pair.send = NULL;
	for (i = 0; i < 4; i++) {
		int64_t since = clock_us();
		int ret;

		while (!(ret = xfer_test(r[i], &got)) && clock_us() - since < 10000000)
			net_turn(&other);
		if (ret != -ECONNRESET)
			fail_msg("receive %d after a close: %d", i, ret);
	}
	net_message(&other, 64);
	net_link_close(&other);
	close_link();
}

static void memory_must_be_registered(void **state)
{
	struct xfer_region *foreign;
	struct xfer_req *req;
	unsigned char stack[64];

	(void)state;
	NET_NEEDED();
	open_link(4096);
	unit_log_catch();
	assert_int_equal(net_irecv(pair.recv, pair.to + 1, 4096, pair.to_region, &req), -EINVAL);
	assert_int_equal(net_irecv(pair.recv, pair.to - 1, 8, pair.to_region, &req), -EINVAL);
	assert_int_equal(net_irecv(pair.recv, pair.to + 4096, 1, pair.to_region, &req), -EINVAL);
	assert_int_equal(net_irecv(pair.recv, pair.to, SIZE_MAX, pair.to_region, &req), -EINVAL);
	assert_int_equal(net_irecv(pair.recv, stack, 8, NULL, &req), -EINVAL);
	assert_int_equal(net_irecv(pair.recv, pair.from, 8, pair.from_region, &req), -EINVAL);
	assert_int_equal(net_isend(pair.send, pair.to, 8, pair.to_region, &req), -EINVAL);
	assert_int_equal(net_isend(pair.send, stack, 8, pair.from_region, &req), -EINVAL);
	assert_null(req);
	assert_int_equal(unit_log_count(LOG_LEVEL_WARN), 8);
	net_message(&pair, 4096); /* the comm is unaffected */
	/* a region of another comm is refused, a second one of the same memory is fine */
	assert_int_equal(xfer_region_open(pair.send, pair.from, 4096, &foreign), 0);
	xfer_region_close(foreign);
	net_message(&pair, 100);
	close_link();
}

static void no_bytes_need_no_memory(void **state)
{
	struct xfer_req *s, *r;
	size_t got = 1;
	int i;

	(void)state;
	NET_NEEDED();
	open_link(64);
	for (i = 0; i < 100; i++) {
		assert_int_equal(net_irecv(pair.recv, NULL, 0, NULL, &r), 0);
		while (net_isend(pair.send, NULL, 0, NULL, &s) == -EAGAIN)
			net_turn(&pair);
		assert_non_null(s);
		assert_int_equal(net_wait(&pair, r, &got), 1);
		assert_int_equal(got, 0);
		assert_int_equal(net_wait(&pair, s, &got), 1);
		assert_int_equal(got, 0);
	}
	close_link();
}

static void the_receiver_may_close_first(void **state)
{
	(void)state;
	NET_NEEDED();
	open_link(64);
	net_message(&pair, 8);
	xfer_comm_close(pair.recv);
	pair.recv = NULL;
	unit_log_catch();
	assert_int_equal(net_failed_send(pair.send, listening->ep), -ECONNRESET);
	assert_int_equal(unit_log_count(LOG_LEVEL_WARN), 1);
	assert_true(unit_log_has(LOG_LEVEL_WARN, "closed"));
	close_link();
}

static void errors_name_the_peer(void **state)
{
	struct xfer_req *r;
	char pid[32];
	size_t got;

	(void)state;
	NET_NEEDED();
	open_link(64);
	assert_int_equal(net_recv(&pair, 0, 64, &r), 0);
	unit_log_catch();
	xfer_comm_close(pair.send);
	pair.send = NULL;
	assert_int_equal(net_wait(&pair, r, &got), -ECONNRESET);
	assert_int_equal(unit_log_count(LOG_LEVEL_WARN), 1);
	snprintf(pid, sizeof(pid), "pid %u", peer_self()->pid);
	assert_true(unit_log_has(LOG_LEVEL_WARN, pid));
	assert_true(unit_log_has(LOG_LEVEL_WARN, peer_self()->host));
	assert_true(unit_log_has(LOG_LEVEL_WARN, net.dev->nic->name));
	assert_true(unit_log_has(LOG_LEVEL_WARN, "1 receive outstanding"));
	close_link();
}

/* The last close of an endpoint delivers its CLOSE messages although the application no longer polls that endpoint. */
static void the_last_farewell_arrives(void **state)
{
	struct xfer_req *r;
	size_t got;

	(void)state;
	NET_NEEDED();
	open_link(64);
	net_message(&pair, 8);
	assert_int_equal(net_recv(&pair, 0, 64, &r), 0);
	net_turn(&pair);
	xfer_ep_put(net.home);
	net.home = NULL;
	xfer_comm_close(pair.send); /* closes its endpoint, too */
	pair.send = NULL;
	assert_int_equal(net_users(net.dev), 1);
	assert_int_equal(net_wait(&pair, r, &got), -ECONNRESET);
	assert_true(unit_log_has(LOG_LEVEL_WARN, "closed its half after 1 messages"));
	xfer_comm_close(pair.recv);
	free(pair.from);
	free(pair.to);
	cm_listen_close(listening);
}

/* --- endpoints --- */

static void *other_threads_port(void *arg)
{
	xfer_ep_get(net.dev, &net.conf, arg);
	return NULL;
}

static void ports_belong_to_threads(void **state)
{
	struct xfer_ep *a, *b = NULL;
	pthread_t thread;

	(void)state;
	NET_NEEDED();
	assert_int_equal(xfer_ep_get(net.dev, &net.conf, &a), 0);
	assert_ptr_equal(a, net.home);
	assert_int_equal(net_users(net.dev), 1);
	assert_int_equal(pthread_create(&thread, NULL, other_threads_port, &b), 0);
	pthread_join(thread, NULL);
	assert_non_null(b);
	assert_ptr_not_equal(b, a);
	assert_int_equal(b->domain != a->domain, net.dev->nic->serial_domain);
	assert_int_equal(net_users(net.dev), 2);
	xfer_ep_put(b);
	xfer_ep_put(a);
	assert_int_equal(net_users(net.dev), 1);
	xfer_ep_put(net.home); /* the last reference */
	net.home = NULL;
	assert_int_equal(net_users(net.dev), 0);
	assert_true(list_empty(&net.dev->accesses));
	xfer_ep_put(NULL);
}

/* Memory is registered with the domains of its comm's endpoint, and not with those of another thread. */
static void memory_belongs_to_its_port(void **state)
{
	struct xfer_region *same;

	(void)state;
	NET_NEEDED();
	open_link(64);
	assert_int_equal(pair.send->ep->access != pair.recv->ep->access, net.dev->nic->serial_domain);
	assert_ptr_equal(pair.from_region->mr->access, pair.send->ep->access);
	assert_ptr_equal(pair.to_region->mr->access, pair.recv->ep->access);
	assert_int_equal(xfer_region_open(pair.recv, pair.from, 64, &same), 0);
	assert_int_equal(same->mr != pair.from_region->mr, net.dev->nic->serial_domain);
	net_message(&pair, 64);
	close_link();
}

static void a_broken_port_is_not_given_again(void **state)
{
	struct xfer_ep *fresh;

	(void)state;
	NET_NEEDED();
	xfer_ep_lock(net.home);
	ep_break(net.home, -EIO, "the test says so");
	assert_int_equal(xfer_ep_poll(net.home), -EIO);
	xfer_ep_unlock(net.home);
	assert_true(unit_log_has(LOG_LEVEL_WARN, "the test says so"));
	assert_int_equal(xfer_ep_get(net.dev, &net.conf, &fresh), 0);
	assert_ptr_not_equal(fresh, net.home);
	xfer_ep_put(fresh);
}

static void many_channels_on_one_port(void **state)
{
	enum { MANY = 40 };
	static struct net_link links[MANY];
	int i, round;

	(void)state;
	NET_NEEDED();
	net_listen(&handle, &listening);
	for (i = 0; i < MANY; i++)
		net_link_open(&links[i], listening, &handle, 4096);
	for (i = 1; i < MANY; i++) {
		assert_ptr_equal(links[i].send->ep, links[0].send->ep);
		assert_ptr_equal(links[i].send->peer, links[0].send->peer);
		assert_int_not_equal(links[i].send->id, links[0].send->id);
		assert_int_equal(links[i].send->home, links[0].send->home + i); /* so that they spread over streams */
		assert_int_equal(links[i].recv->home, links[0].recv->home + i);
	}
	for (round = 0; round < 3; round++)
		for (i = 0; i < MANY; i++)
			net_message(&links[(i * 7 + round) % MANY], (size_t)(i * 100));
	for (i = 0; i < MANY; i += 2)
		net_link_close(&links[i]);
	for (i = 1; i < MANY; i += 2)
		net_message(&links[i], 4096);
	for (i = 1; i < MANY; i += 2)
		net_link_close(&links[i]);
	net_listen_close(listening);
}

/* --- two threads, as in NCCL --- */

struct side {
	struct net_link *link;
	int messages;
	int wrong;
};

static void *receive_all(void *arg)
{
	struct side *side = arg;
	struct net_link *l = side->link;
	int64_t since = clock_us();
	struct xfer_req *req;
	size_t got = 0;
	int i, ret;

	for (i = 0; i < side->messages; i++) {
		while ((ret = net_irecv(l->recv, l->to, l->bytes, l->to_region, &req)) == -EAGAIN)
			;
		while (!ret && !(ret = xfer_test(req, &got)) && clock_us() - since < UNIT_PATIENCE_US)
			;
		if (ret != 1 || got != (size_t)i % l->bytes + 1 || l->to[0] != (unsigned char)i ||
		    l->to[got - 1] != (unsigned char)i)
			side->wrong++;
	}
	return NULL;
}

static void *send_all(void *arg)
{
	struct side *side = arg;
	struct net_link *l = side->link;
	int64_t since = clock_us();
	struct xfer_req *req;
	size_t got;
	int i, ret;

	for (i = 0; i < side->messages; i++) {
		size_t len = (size_t)i % l->bytes + 1;

		memset(l->from, i, len);
		do
			ret = net_isend(l->send, l->from, len, l->from_region, &req);
		while (ret == -EAGAIN && clock_us() - since < UNIT_PATIENCE_US);
		while (!ret && !(ret = xfer_test(req, &got)) && clock_us() - since < UNIT_PATIENCE_US)
			;
		if (ret != 1)
			side->wrong++;
	}
	return NULL;
}

/* Registers and deregisters other memory of the same comm all the time. */
static void *register_memory(void *arg)
{
	static char memory[4096];
	struct side *side = arg;
	struct xfer_region *region;
	int i;

	for (i = 0; i < side->messages; i++) {
		if (xfer_region_open(side->link->recv, memory, sizeof(memory), &region))
			side->wrong++;
		else
			xfer_region_close(region);
	}
	return NULL;
}

/* Two comms share both endpoints; their four ends run on four threads, and a fifth registers memory. */
static void threads_run_beside_each_other(void **state)
{
	static struct net_link links[2];
	static void *(*const jobs[])(void *) = {send_all, receive_all, send_all, receive_all, register_memory};
	struct side sides[COUNT(jobs)];
	pthread_t threads[COUNT(jobs)];
	size_t i;

	(void)state;
	NET_NEEDED();
	net_listen(&handle, &listening);
	net_link_open(&links[0], listening, &handle, 5000);
	net_link_open(&links[1], listening, &handle, 70);
	for (i = 0; i < COUNT(jobs); i++) {
		sides[i] = (struct side){.link = &links[i / 2 % 2], .messages = 300};
		assert_int_equal(pthread_create(&threads[i], NULL, jobs[i], &sides[i]), 0);
	}
	for (i = 0; i < COUNT(jobs); i++) {
		pthread_join(threads[i], NULL);
		assert_int_equal(sides[i].wrong, 0);
	}
	net_link_close(&links[0]);
	net_link_close(&links[1]);
	net_listen_close(listening);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		NET_TESTS(every_size),
		NET_TESTS(order_in_a_full_window),
		NET_TESTS(window_ends_at_its_limit),
		NET_TESTS(numbers_wrap_around),
		NET_TESTS(close_across_the_wrap),
		NET_TESTS(too_long_a_send),
		NET_TESTS(sends_in_vain_are_not_counted),
		NET_TESTS(memory_must_be_registered),
		NET_TESTS(no_bytes_need_no_memory),
		NET_TESTS(the_receiver_may_close_first),
		NET_TESTS(errors_name_the_peer),
		NET_TEST(the_last_farewell_arrives, "tcp"), /* see net.h for shm */
		NET_TESTS(ports_belong_to_threads),
		NET_TESTS(memory_belongs_to_its_port),
		NET_TESTS(a_broken_port_is_not_given_again),
		NET_TESTS(many_channels_on_one_port),
		NET_TESTS(threads_run_beside_each_other),
	};

	return unit_run("xfer", tests);
}

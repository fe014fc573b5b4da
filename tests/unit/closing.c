/* SPDX-License-Identifier: Apache-2.0 */
/*
 * xfer: closing comms and registrations with messages outstanding. Two properties must hold each time: the memory
 * belongs to the caller afterwards, and other comms of the same endpoints go on.
 */
#include "unit/unit.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "unit/net.h"

static struct wire_handle handle;
static struct cm_listen *listening;
static struct net_link first, second; /* both on the same two endpoints */

/* Without lifelines no wakeup polls an end behind the test's back. */
static void open_links(size_t bytes)
{
	net.conf.lifeline = 0;
	net_listen(&handle, &listening);
	net_link_open(&first, listening, &handle, bytes);
	net_link_open(&second, listening, &handle, 65536);
	assert_ptr_equal(first.recv->ep, second.recv->ep);
	assert_ptr_equal(first.send->ep, second.send->ep);
}

static void close_links(void)
{
	net_link_close(&second);
	net_link_close(&first);
	net_listen_close(listening);
}

static void post_receives(int n, size_t len)
{
	struct xfer_req *r;
	int i;

	for (i = 0; i < n; i++)
		assert_int_equal(net_recv(&first, (size_t)i * len, len, &r), 0);
}

/* Polls until the sender knows the n-th receive from now. */
static void let_clears_arrive(int n)
{
	uint32_t seq = first.send->next_seq + (uint32_t)n - 1;
	int64_t since = clock_us();

	while (!first.send->cts_at[seq % WIRE_WINDOW].valid) {
		net_turn(&first);
		unit_not_late(since, "a clear-to-send");
	}
}

/* Closes the first link's receiving half; its memory must not change afterwards. */
static void close_receiver(void)
{
	xfer_comm_close(first.recv);
	first.recv = NULL;
	memset(first.to, 0xab, first.bytes);
}

static void memory_is_untouched(void)
{
	size_t i;

	for (i = 0; i < first.bytes; i++)
		if (first.to[i] != 0xab)
			fail_msg("byte %zu was written after the close", i);
}

static void no_port_is_broken(void)
{
	assert_int_equal(second.send->ep->err, 0);
	assert_int_equal(second.recv->ep->err, 0);
	assert_false(unit_log_has(LOG_LEVEL_WARN, "shut down"));
}

static void wait_for_no_orphans(void)
{
	struct xfer_ep *ep = second.recv->ep;
	int64_t since = clock_us();

	while (!list_empty(&ep->discards)) {
		net_turn(&second);
		unit_not_late(since, "the end of receives that nobody waits for");
	}
}

/* The sender knows the receives but not yet the receiver's close, and sends. */
static void messages_after_the_close(void **state)
{
	static const struct {
		int messages;
		size_t len;
	} rows[] = {{1, 100}, {1, 0}, {8, 4096}, {WIRE_WINDOW, 65536}};
	struct xfer_req *s = NULL, *next;
	size_t row, got;
	int i, ret;

	(void)state;
	NET_NEEDED();
	for (row = 0; row < COUNT(rows); row++) {
		size_t len = rows[row].len;

		open_links(WIRE_WINDOW * 65536);
		post_receives(rows[row].messages, len);
		let_clears_arrive(rows[row].messages);
		close_receiver();
		assert_false(list_empty(&second.recv->ep->discards));
		for (i = 0; i < rows[row].messages; i++) {
			ret = net_isend(first.send, first.from, len, first.from_region, &next);
			if (ret == -EAGAIN && i)
				break; /* the provider's queue is full; polling would show the close to the sender */
			assert_int_equal(ret, 0);
			s = next;
		}
		net_message(&second, 65536); /* not held up */
		assert_int_equal(net_wait(&second, s, &got), 1);
		xfer_comm_close(first.send);
		first.send = NULL;
		net_message(&second, 65536);
		wait_for_no_orphans();
		net_message(&second, 65536);
		memory_is_untouched();
		no_port_is_broken();
		close_links();
	}
}

/* Some of the expected messages arrive; the sender's close says that the rest never will. */
static void some_messages_after_the_close(void **state)
{
	static const uint32_t starts[] = {0, UINT32_MAX - 1,
					  UINT32_MAX - 4}; /* the numbers wrap in the second and third case */
	struct xfer_req *s;
	size_t i, k;

	(void)state;
	NET_NEEDED();
	for (i = 0; i < COUNT(starts); i++) {
		open_links(8 * 4096);
		first.send->next_seq = first.recv->next_seq = starts[i];
		post_receives(8, 4096);
		let_clears_arrive(8);
		close_receiver();
		for (k = 0; k < 3; k++)
			assert_int_equal(net_isend(first.send, first.from, 4096, first.from_region, &s), 0);
		xfer_comm_close(first.send);
		first.send = NULL;
		wait_for_no_orphans();
		net_message(&second, 65536);
		memory_is_untouched();
		no_port_is_broken();
		close_links();
	}
}

static void nothing_is_ever_sent(void **state)
{
	int with_clears;

	(void)state;
	NET_NEEDED();
	for (with_clears = 0; with_clears < 2; with_clears++) {
		open_links(WIRE_WINDOW * 64);
		post_receives(WIRE_WINDOW, 64);
		if (with_clears)
			let_clears_arrive(WIRE_WINDOW);
		close_receiver();
		/* the sender's answer to the receiver's close is enough */
		wait_for_no_orphans();
		net_message(&second, 65536);
		xfer_comm_close(first.send);
		first.send = NULL;
		memory_is_untouched();
		no_port_is_broken();
		close_links();
	}
}

static void the_sender_has_closed_before(void **state)
{
	struct xfer_comm *recv;
	int64_t since;

	(void)state;
	NET_NEEDED();
	open_links(WIRE_WINDOW * 64);
	post_receives(4, 64);
	xfer_comm_close(first.send);
	first.send = NULL;
	recv = first.recv;
	for (since = clock_us(); !recv->close.peer_closed;) {
		net_turn(&second);
		unit_not_late(since, "the news of the sender's close");
	}
	close_receiver();
	assert_true(list_empty(&second.recv->ep->discards));
	net_message(&second, 65536);
	close_links();
}

static void deregistering_below_a_receive(void **state)
{
	struct xfer_region *spare;
	struct xfer_req *s, *r;
	size_t got;

	(void)state;
	NET_NEEDED();
	open_links(65536);
	assert_int_equal(xfer_region_open(first.recv, first.to, 4096, &spare), 0);
	xfer_region_close(spare); /* no operation is outstanding on it: harmless */
	net_message(&first, 65536);
	assert_int_equal(net_recv(&first, 0, 65536, &r), 0);
	let_clears_arrive(1);
	xfer_region_close(first.to_region);
	memset(first.to, 0xab, first.bytes);
	/* the sender does not know the close yet */
	assert_int_equal(net_isend(first.send, first.from, 65536, first.from_region, &s), 0);
	net_message(&second, 65536);
	assert_int_equal(net_wait(&first, r, &got), -ECANCELED);
	assert_int_equal(net_vain_recv(first.recv, NULL), -ECANCELED);
	assert_int_equal(net_wait(&first, s, &got), 1);
	xfer_comm_close(first.send);
	first.send = NULL;
	wait_for_no_orphans();
	memory_is_untouched();
	no_port_is_broken();
	close_links();
}

static void deregistering_one_of_two_regions(void **state)
{
	struct xfer_region *other;
	struct xfer_req *a, *b;
	size_t got;

	(void)state;
	NET_NEEDED();
	open_links(65536);
	assert_int_equal(xfer_region_open(first.recv, first.to, 4096, &other), 0);
	assert_int_equal(net_irecv(first.recv, first.to, 64, first.to_region, &a), 0);
	assert_int_equal(net_irecv(first.recv, first.to + 64, 64, other, &b), 0);
	let_clears_arrive(2);
	xfer_region_close(other);
	assert_true(net_wait(&first, b, &got) < 0);
	assert_true(net_wait(&first, a, &got) < 0); /* the whole comm has failed */
	close_receiver();
	xfer_comm_close(first.send);
	first.send = NULL;
	wait_for_no_orphans();
	memory_is_untouched();
	no_port_is_broken();
	close_links();
}

static atomic_bool stop_polling;

static void *poll_sender(void *arg)
{
	while (!atomic_load(&stop_polling))
		net_poll(arg);
	return NULL;
}

/* Bytes already flow into the buffer: the close waits for the sender to complete the write. */
static void closing_a_receive_that_has_begun(void **state)
{
	enum { BIG = 16 << 20 };
	struct xfer_req *s, *r;
	pthread_t thread;
	size_t got;
	int i;

	(void)state;
	NET_NEEDED();
	net.conf.close_timeout_us = UNIT_PATIENCE_US;
	open_links(BIG);
	memset(first.from, 1, BIG);
	assert_int_equal(net_recv(&first, 0, BIG, &r), 0);
	let_clears_arrive(1);
	assert_int_equal(net_isend(first.send, first.from, BIG, first.from_region, &s), 0);
	for (i = 0; i < 10; i++)
		net_turn(&first);
	atomic_store(&stop_polling, false);
	assert_int_equal(pthread_create(&thread, NULL, poll_sender, first.send->ep), 0);
	close_receiver();
	net_message(&second, 65536);
	assert_int_equal(net_wait(&second, s, &got), 1);
	atomic_store(&stop_polling, true);
	pthread_join(thread, NULL);
	xfer_comm_close(first.send);
	first.send = NULL;
	wait_for_no_orphans();
	memory_is_untouched();
	no_port_is_broken();
	close_links();
}

/*
 * A send that can't complete because the receiving side is not polled: after WEFT_CLOSE_TIMEOUT the endpoint is shut
 * down with all its comms, and a new one can be opened at once. The receiving side has a domain of its own, since a
 * provider may drive all endpoints of one domain together.
 */
static void closing_a_send_that_cannot_end(void **state)
{
	enum { BIG = 256 << 20 };
	struct dev_table elsewhere;
	struct xfer_ep *broken;
	struct xfer_req *s, *r;
	size_t got;

	(void)state;
	NET_NEEDED();
	net.conf.close_timeout_us = 100000;
	net.conf.lifeline = 0; /* the receiver is not polled */
	assert_int_equal(dev_table_load(&elsewhere), 0);
	assert_int_equal(cm_listen(&elsewhere.devs[0], &net.conf, &handle, &listening), 0);
	net_link_open(&first, listening, &handle, BIG);
	net_link_open(&second, listening, &handle, 65536);
	broken = first.send->ep;
	assert_ptr_not_equal(first.recv->ep, broken);
	assert_int_equal(net_recv(&first, 0, BIG, &r), 0);
	let_clears_arrive(1);
	assert_int_equal(net_isend(first.send, first.from, BIG, first.from_region, &s), 0);
	unit_log_catch();
	xfer_comm_close(first.send);
	first.send = NULL;
	free(first.from); /* no operation reads it any more */
	first.from = NULL;
	assert_int_equal(broken->err, -ECANCELED);
	assert_null(broken->fab);
	assert_int_equal(unit_log_count(LOG_LEVEL_WARN), 1);
	assert_true(unit_log_has(LOG_LEVEL_WARN, "WEFT_CLOSE_TIMEOUT"));
	assert_int_equal(net_failed_send(second.send, NULL), -ECANCELED);
	assert_true(net_wait(&second, r, &got) < 0); /* the receiver is informed, one way or the other */
	net_link_close(&first);
	net_link_close(&second);

	net_link_open(&second, listening, &handle, 65536);
	assert_ptr_not_equal(second.send->ep, broken);
	net_message(&second, 65536);
	net_link_close(&second);
	cm_listen_close(listening);
	dev_table_fini(&elsewhere);
}

static void closing_sends_that_are_done_but_not_tested(void **state)
{
	struct xfer_req *s, *r;
	size_t got;
	int i;

	(void)state;
	NET_NEEDED();
	open_links(65536);
	for (i = 0; i < WIRE_WINDOW; i++) {
		assert_int_equal(net_recv(&first, 0, 1000, &r), 0);
		assert_int_equal(net_send(&first, 0, 1000, &s), 0);
	}
	assert_int_equal(net_wait(&first, r, &got), 1);
	xfer_comm_close(first.send);
	xfer_comm_close(first.recv);
	first.send = first.recv = NULL;
	assert_int_equal(second.send->ep->req_pool.in_use, 0); /* requests that are never tested do not pile up */
	assert_int_equal(second.recv->ep->req_pool.in_use, 0);
	net_message(&second, 65536);
	no_port_is_broken();
	close_links();
}

static void closing_again_and_again(void **state)
{
	struct xfer_req *r;
	int i;

	(void)state;
	NET_NEEDED();
	net_listen(&handle, &listening);
	net_link_open(&second, listening, &handle, 65536);
	for (i = 0; i < 60; i++) {
		net_link_open(&first, listening, &handle, 4096);
		if (i % 3)
			net_message(&first, 4096);
		if (i % 2)
			assert_int_equal(net_recv(&first, 0, 64, &r), 0);
		if (i % 4 < 2) {
			xfer_comm_close(first.recv);
			first.recv = NULL;
		}
		net_link_close(&first);
		net_message(&second, 100);
	}
	wait_for_no_orphans();
	assert_int_equal(second.send->ep->comms.count, 1);
	assert_int_equal(second.recv->ep->comms.count, 1);
	no_port_is_broken();
	net_link_close(&second);
	net_listen_close(listening);
	xfer_comm_close(NULL);
}

/*
 * Sends that complete by an acknowledgement of the receiver's libfabric: the sender answers a close once its last send
 * has completed. Until then the receiver's endpoint keeps the peer and stays open.
 */
static void a_receiver_waits_until_sends_have_ended(void **state)
{
	struct xfer_ep *ep;
	struct xfer_req *held;
	int64_t since;
	uint32_t id;

	(void)state;
	NET_NEEDED();
	open_links(65536);
	ep = first.recv->ep;
	((struct fab_nic *)ep->dev->nic)->silent_dead = true;
	net_message(&first, 65536);
	held = req_new(first.send, NULL, 0, NULL); /* as if the provider still held it */
	id = first.recv->id;
	close_receiver();
	assert_int_equal(ep->peers_awaited, 1);
	for (since = clock_us(); !first.send->close.peer_closed;) {
		net_turn(&second);
		unit_not_late(since, "the receiver's close");
	}
	assert_false(first.send->close.sent);
	lingering_remind(ep, 0, false);
	assert_int_equal(ep->peers_awaited, 1); /* because the peer lives */
	req_finish(held, 0, 0);
	net_poll(first.send->ep);
	assert_true(first.send->close.sent);
	for (since = clock_us(); ep->peers_awaited;) {
		net_turn(&second);
		unit_not_late(since, "the sender's answer");
	}
	assert_true(list_empty(&ep->lingering[IDMAP_SLOT(id) % LINGER_LISTS]));
	net_message(&second, 65536);
	close_links();
}

/* The receiver does not wait for a sender that has failed, or if no message has come. */
static void nobody_waits_in_vain(void **state)
{
	struct xfer_ep *ep;
	struct xfer_req *held;
	int64_t since;
	int failed;

	(void)state;
	NET_NEEDED();
	for (failed = 0; failed < 2; failed++) {
		open_links(65536);
		ep = first.recv->ep;
		((struct fab_nic *)ep->dev->nic)->silent_dead = true;
		if (failed) {
			net_message(&first, 65536);
			held = req_new(first.send, NULL, 0, NULL);
			comm_fail(first.send, -EIO, "for the test");
			req_finish(held, -EIO, 0);
		}
		close_receiver();
		assert_int_equal(ep->peers_awaited, failed);
		for (since = clock_us(); !first.send->close.sent || ep->peers_awaited;) {
			net_turn(&second);
			unit_not_late(since, "the sender's answer");
		}
		close_links();
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		NET_TESTS(messages_after_the_close),
		NET_TESTS(some_messages_after_the_close),
		NET_TESTS(nothing_is_ever_sent),
		NET_TESTS(the_sender_has_closed_before),
		NET_TESTS(deregistering_below_a_receive),
		NET_TESTS(deregistering_one_of_two_regions),
		NET_TESTS(closing_a_receive_that_has_begun),
		NET_TEST(closing_a_send_that_cannot_end, "tcp"), /* see net.h for shm */
		NET_TESTS(closing_sends_that_are_done_but_not_tested),
		NET_TESTS(closing_again_and_again),
		NET_TESTS(a_receiver_waits_until_sends_have_ended),
		NET_TEST(a_receiver_waits_until_sends_have_ended, NET_RMA),
		NET_TESTS(nobody_waits_in_vain),
	};

	return unit_run("closing", tests);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* comm: the watchdog names which of the waits a stalled message is in, once for each stall, and says when it goes on. */
#include "unit/unit.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "comm/stall.h"
#include "unit/net.h"

#define LIMIT_US 300000
#define BYTES	 ((size_t)64 << 20) /* more than any socket buffer holds */

static struct net_link l;
static struct cm_listen *listener;

static void begin(int64_t limit_us)
{
	struct wire_handle handle;

	net.conf.stall_warn_us = limit_us;
	net_listen(&handle, &listener);
	net_link_open(&l, listener, &handle, BYTES);
	unit_log_catch();
}

static void end(void)
{
	net_link_close(&l);
	net_listen_close(listener);
}

/* Asks for a send that nobody receives, for a while after the limit, or until a warning. */
static void ask(size_t len, int64_t for_us)
{
	int64_t until = clock_us() + for_us;
	struct xfer_req *req;

	while (clock_us() < until) {
		assert_int_equal(net_isend(l.send, l.from, len, l.from_region, &req), -EAGAIN);
		net_poll(l.recv->ep);
	}
}

static void deliver(size_t len, struct xfer_req *recv, struct xfer_req *send)
{
	size_t got;

	if (!recv)
		assert_int_equal(net_recv(&l, 0, len, &recv), 0);
	if (!send)
		assert_int_equal(net_send(&l, 0, len, &send), 0);
	assert_int_equal(net_wait(&l, recv, &got), 1);
	assert_int_equal(got, len);
	assert_int_equal(net_wait(&l, send, &got), 1);
}

/* Every warning names the peer, the NIC, the setting and the record. */
static void warned(struct xfer_comm *comm, const char *wait)
{
	const char *line = unit_log_last(LOG_LEVEL_WARN);

	assert_int_equal(unit_log_count(LOG_LEVEL_WARN), 1);
	assert_non_null(strstr(line, wait));
	assert_non_null(strstr(line, xfer_comm_peer_text(comm)));
	assert_non_null(strstr(line, "on NIC lo"));
	assert_non_null(strstr(line, "WEFT_STALL_WARN"));
	assert_non_null(strstr(line, "; record /"));
	assert_non_null(strstr(line, stats_path()));
}

static void a_receiver_that_has_not_posted(void **state)
{
	(void)state;
	NET_NEEDED();
	begin(LIMIT_US);
	deliver(BYTES / 64, NULL, NULL);
	ask(BYTES / 64, 4 * LIMIT_US);
	warned(l.send, "send number 1 (1048576 bytes) waits for the receiver for ");
	assert_int_equal(l.send->stats.at->stall, WEFT_STATS_WAIT_PEER);
	assert_false(unit_log_has(LOG_LEVEL_INFO, "goes on"));
	deliver(BYTES / 64, NULL, NULL);
	assert_true(unit_log_has(LOG_LEVEL_INFO, "goes on after "));
	assert_int_equal(l.send->stats.at->stall, WEFT_STATS_NO_WAIT);
	assert_int_equal(unit_log_count(LOG_LEVEL_WARN), 1);

	unit_log_catch(); /* the next stall is another one */
	ask(BYTES / 64, 4 * LIMIT_US);
	warned(l.send, "send number 2");
	assert_int_equal(l.send->stats.at->stalls, 2);
	deliver(BYTES / 64, NULL, NULL);
	end();
}

/* The sender gives up, and the end of its half waits for the receiver's answer, since a message went eagerly. */
static void closed_while_it_waits(void **state)
{
	struct xfer_req *send;
	size_t got;

	(void)state;
	NET_NEEDED();
	begin(LIMIT_US);
	deliver(BYTES / 64, NULL, NULL);
	assert_int_equal(net_send(&l, 0, 64, &send), 0);
	assert_int_equal(net_wait(&l, send, &got), 1);
	assert_true(l.send->tx.eager_sent);
	ask(BYTES / 64, 4 * LIMIT_US);
	warned(l.send, "send number 2 (1048576 bytes) waits for the receiver for ");
	xfer_comm_close(l.send);
	l.send = NULL;
	end();
}

static void a_sender_that_has_not_sent(void **state)
{
	int64_t until = clock_us() + 4 * LIMIT_US;
	struct xfer_req *recv = NULL;
	size_t len;

	(void)state;
	NET_NEEDED();
	begin(LIMIT_US);
	assert_int_equal(net_recv(&l, 0, 65536, &recv), 0);
	while (clock_us() < until)
		assert_int_equal(xfer_test(recv, &len), 0);
	warned(l.recv, "receive number 0 (65536 bytes) waits for the sender for ");
	assert_int_equal(l.recv->stats.at->stall, WEFT_STATS_WAIT_PEER);
	deliver(65536, recv, NULL);
	assert_true(unit_log_has(LOG_LEVEL_INFO, "receive comm to peer"));
	assert_true(unit_log_has(LOG_LEVEL_INFO, "goes on after "));
	assert_int_equal(l.recv->stats.at->stall, WEFT_STATS_NO_WAIT);
	end();
}

/* libfabric's tcp moves the bytes of all endpoints of a process, so the wait is made by moving its start back. */
static void a_network_that_does_not_deliver(void **state)
{
	struct xfer_req *recv = NULL, *send = NULL;

	(void)state;
	NET_NEEDED();
	begin(30000000);
	assert_int_equal(net_recv(&l, 0, BYTES, &recv), 0);
	assert_int_equal(net_send(&l, 0, BYTES, &send), 0);
	assert_false(send->done);
	stall_check(l.send, stats_now());
	assert_int_equal(unit_log_count(LOG_LEVEL_WARN), 0);
	send->since -= (uint64_t)(41e6 * 18446744073709551616.0 / (double)l.send->stats.ep->per_us);
	stall_check(l.send, stats_now());
	stall_check(l.send, stats_now());
	warned(l.send, "send number 0 (67108864 bytes) is on the wire for 4");
	assert_int_equal(l.send->stats.at->stall, WEFT_STATS_WAIT_WIRE);
	deliver(BYTES, recv, send);
	assert_true(unit_log_has(LOG_LEVEL_INFO, "goes on after 4"));
	assert_int_equal(l.send->stats.at->stall, WEFT_STATS_NO_WAIT);
	end();
}

static void nothing_is_said_below_the_limit(void **state)
{
	(void)state;
	NET_NEEDED();
	begin(UNIT_PATIENCE_US);
	ask(65536, 2 * LIMIT_US);
	deliver(65536, NULL, NULL);
	net.conf.stall_warn_us = 0; /* never */
	ask(65536, 2 * LIMIT_US);
	deliver(65536, NULL, NULL);
	assert_int_equal(unit_log_count(LOG_LEVEL_WARN), 0);
	assert_false(unit_log_has(LOG_LEVEL_INFO, "goes on"));
	end();
}

static void a_failure_says_what_was_waited_for(void **state)
{
	(void)state;
	NET_NEEDED();
	begin(0);
	ask(65536, 1500000);
	comm_fail(l.send, -EIO, "for the test");
	assert_true(unit_log_has(LOG_LEVEL_WARN, "for the test; 0 sends outstanding, number 0 is next; send number 0 "
						 "(65536 bytes) waits for the receiver for "));
	assert_true(unit_log_has(LOG_LEVEL_WARN, stats_path()));
	assert_int_equal(l.send->stats.at->err, EIO);
	assert_int_equal(l.send->stats.at->state, WEFT_STATS_FAILED);
	end();
}

#define BOTH(f) NET_TEST(f, NET_RMA), NET_TEST(f, "tcp")

int main(void)
{
	const struct CMUnitTest tests[] = {
		BOTH(a_receiver_that_has_not_posted),	  BOTH(a_sender_that_has_not_sent),
		BOTH(a_network_that_does_not_deliver),	  BOTH(nothing_is_said_below_the_limit),
		BOTH(a_failure_says_what_was_waited_for), NET_TEST(closed_while_it_waits, NET_RMA),
	};

	return unit_run("stall", tests);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * comm/status: conclusions of two halves that compare their counters. A message or clear-to-send is "lost" by a change
 * of its sender's counters. Waiting for an application, however long, is no loss.
 */
#include "unit/unit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "comm/req.h"
#include "comm/status.h"
#include "unit/net.h"

#define BYTES	   65536
#define TIMEOUT_US 500000
#define ASKS	   3 /* questions in a healthy wait: the last comes several TIMEOUT_US after the first */

static struct wire_handle handle;
static struct cm_listen *listening;
static struct net_link both;

static void begin(void)
{
	net_listen(&handle, &listening);
	net_link_open(&both, listening, &handle, BYTES);
	net.conf.peer_timeout_us = TIMEOUT_US; /* only now: lifelines keep the timeout of their start */
	assert_non_null(both.send->watch.line);
	assert_non_null(both.recv->watch.line);
	net_message(&both, 64);
	unit_log_catch();
}

static void end(void)
{
	net_link_close(&both);
	net_listen_close(listening);
}

/* Yields the CPU between two polls of a long wait. */
static void wait_a_little(int64_t since, const char *what)
{
	usleep(100);
	unit_not_late(since, what);
}

/* Posts a receive and waits until the sender knows it. */
static struct xfer_req *receive(void)
{
	struct xfer_req *recv;
	struct wire_cts cts;
	int64_t since = clock_us();

	assert_int_equal(net_recv(&both, 0, 64, &recv), 0);
	while (!both.send->proto->cts(both.send, &cts)) {
		net_turn(&both);
		unit_not_late(since, "a clear-to-send");
	}
	return recv;
}

/* The wakeup thread may fail the comm, too. */
static int error_of(struct xfer_comm *comm)
{
	int err;

	xfer_ep_lock(comm->ep);
	err = comm->err;
	xfer_ep_unlock(comm->ep);
	return err;
}

/* Both applications test their requests until each has failed. */
static void both_fail(struct xfer_req *send, struct xfer_req *recv)
{
	int64_t since = clock_us();
	size_t got;

	while (!error_of(both.send) || !error_of(both.recv)) {
		assert_true(xfer_test(recv, &got) <= 0);
		if (send)
			assert_true(xfer_test(send, &got) <= 0);
		else
			net_isend(both.send, both.from, 64, both.from_region, &(struct xfer_req *){NULL});
		wait_a_little(since, "the discovery of a loss");
	}
}

static void receive_fails(struct xfer_req *recv)
{
	int64_t since = clock_us();
	size_t got;
	int ret;

	while (!(ret = xfer_test(recv, &got))) {
		net_poll(both.send->ep);
		wait_a_little(since, "the discovery of a loss");
	}
	if (ret != -ETIMEDOUT)
		fail_msg("%d: %s", ret, unit_log_last(LOG_LEVEL_WARN));
}

static void the_network_is_blamed(const char *what)
{
	if (!unit_log_has(LOG_LEVEL_WARN, what) || !unit_log_has(LOG_LEVEL_WARN, "the network has lost it"))
		fail_msg("%s is not blamed: %s", what, unit_log_last(LOG_LEVEL_WARN));
	assert_true(unit_log_has(LOG_LEVEL_WARN, "WEFT_PEER_TIMEOUT"));
	assert_int_equal(both.send->ep->err, 0);
	assert_int_equal(both.recv->ep->err, 0);
}

/* The sender counts it as sent and has no record of it; its application keeps polling. */
static void a_message_that_was_sent_does_not_come(void **state)
{
	struct xfer_req *recv;

	(void)state;
	NET_NEEDED();
	begin();
	recv = receive();
	xfer_ep_lock(both.send->ep);
	both.send->next_seq++;
	xfer_ep_unlock(both.send->ep);
	receive_fails(recv);
	the_network_is_blamed("receive number 1 ");
	end();
}

/* The same, but the sender has closed. Another comm keeps the lifeline, so that nothing else tells. */
static void a_message_of_a_closed_half_does_not_come(void **state)
{
	int64_t since = clock_us();
	struct net_link other;
	struct xfer_req *recv;
	size_t got;
	int ret;

	(void)state;
	NET_NEEDED();
	begin();
	net_link_open(&other, listening, &handle, 64);
	recv = receive();
	xfer_ep_lock(both.send->ep);
	both.send->next_seq++;
	xfer_ep_unlock(both.send->ep);
	xfer_comm_close(both.send);
	both.send = NULL;
	while (!(ret = xfer_test(recv, &got))) {
		net_turn(&other);
		wait_a_little(since, "the discovery of a loss");
	}
	if (ret != -ETIMEDOUT || !unit_log_has(LOG_LEVEL_WARN, "receive number 1 has not arrived") ||
	    !unit_log_has(LOG_LEVEL_WARN, "2 messages when it closed its half"))
		fail_msg("%d: %s", ret, unit_log_last(LOG_LEVEL_WARN));
	assert_int_equal(both.recv->ep->err, 0);
	net_link_close(&other);
	end();
}

/* The sender's provider still holds it. Both sides notice. */
static void a_message_stays_with_the_network(void **state)
{
	struct xfer_req *send, *recv;

	(void)state;
	NET_NEEDED();
	begin();
	recv = receive();
	xfer_ep_lock(both.send->ep); /* the wakeup thread polls it, too */
	send = req_new(both.send, both.from, 64, both.from_region);
	assert_non_null(send);
	assert_int_equal(send->seq, 1);
	both.send->next_seq++;
	both.send->outstanding++;
	xfer_ep_unlock(both.send->ep);
	both_fail(send, recv);
	the_network_is_blamed(" number 1 has not moved"); /* reported by one of them, which informs the other */
	xfer_ep_lock(both.send->ep);
	req_finish(send, -ECANCELED, 0);
	xfer_ep_unlock(both.send->ep);
	end();
}

/* The receiver counts it as sent; the sender's application posts the message again and again. */
static void a_clear_to_send_does_not_come(void **state)
{
	struct xfer_req *recv;

	(void)state;
	NET_NEEDED();
	begin();
	recv = receive();
	xfer_ep_lock(both.send->ep);
	both.send->cts_at[1].valid = false;
	xfer_ep_unlock(both.send->ep);
	both_fail(NULL, recv);
	the_network_is_blamed(" number 1 has been missing");
	end();
}

/* True once this half has asked ASKS times. */
struct asked {
	int64_t at;
	int n;
};

static bool asked_enough(struct asked *a, const struct xfer_comm *comm)
{
	if (comm->watch.ask_us != a->at) {
		a->at = comm->watch.ask_us;
		a->n++;
	}
	return a->n > ASKS; /* the first one only schedules the question */
}

static void nobody_has_failed(void)
{
	char seen[LIFELINE_EVIDENCE_BYTES];

	if (unit_log_count(LOG_LEVEL_WARN))
		fail_msg("%s; %s", unit_log_last(LOG_LEVEL_WARN),
			 lifeline_evidence(both.send->watch.line, seen, sizeof(seen)));
	assert_int_equal(both.send->err, 0);
	assert_int_equal(both.recv->err, 0);
}

/* The receiver's application polls but posts no receive. */
static void a_receive_that_is_not_posted_is_waited_for(void **state)
{
	struct xfer_req *send, *recv;
	struct asked asked = {0};
	int64_t since = clock_us();
	size_t got;

	(void)state;
	NET_NEEDED();
	begin();
	do {
		assert_int_equal(net_isend(both.send, both.from, BYTES, both.from_region, &send), -EAGAIN);
		net_poll(both.recv->ep);
		wait_a_little(since, "some asks");
	} while (!asked_enough(&asked, both.send));
	nobody_has_failed();
	assert_int_equal(net_recv(&both, 0, BYTES, &recv), 0);
	assert_int_equal(net_send(&both, 0, BYTES, &send), 0);
	assert_int_equal(net_wait(&both, send, &got), 1);
	assert_int_equal(net_wait(&both, recv, &got), 1);
	end();
}

/* The sender's application sends nothing; over tcp it polls, with the RMA protocol it makes no calls at all. */
static void a_message_that_is_not_sent_is_waited_for(void **state)
{
	struct xfer_req *send, *recv;
	struct asked asked = {0};
	int64_t since = clock_us();
	size_t got;

	NET_NEEDED();
	begin();
	assert_int_equal(net_recv(&both, 0, BYTES, &recv), 0);
	while (!asked_enough(&asked, both.recv)) {
		if (xfer_test(recv, &got))
			nobody_has_failed();
		if (strcmp(*state, NET_RMA))
			net_poll(both.send->ep);
		wait_a_little(since, "some asks");
	}
	nobody_has_failed();
	assert_int_equal(net_send(&both, 0, BYTES, &send), 0);
	assert_int_equal(net_wait(&both, send, &got), 1);
	assert_int_equal(net_wait(&both, recv, &got), 1);
	end();
}

/*
 * A message too large for the kernel's buffers goes to a receiver that has posted its receive but makes no calls: it
 * moves once the receiver polls, and is not lost. The receiver has a domain of its own, since a provider may drive all
 * endpoints of a domain.
 */
static void a_receiver_that_does_not_poll_is_waited_for(void **state)
{
	enum { BIG = 256 << 20 };
	struct xfer_req *send, *recv;
	struct dev_table elsewhere;
	struct asked asked = {0};
	int64_t since;
	size_t got;

	(void)state;
	NET_NEEDED();
	assert_int_equal(dev_table_load(&elsewhere), 0);
	assert_int_equal(cm_listen(&elsewhere.devs[0], &net.conf, &handle, &listening), 0);
	net_link_open(&both, listening, &handle, BIG);
	net.conf.peer_timeout_us = TIMEOUT_US;
	memset(both.from, 7, BIG);
	unit_log_catch();
	assert_int_equal(net_recv(&both, 0, BIG, &recv), 0);
	assert_int_equal(net_send(&both, 0, BIG, &send), 0);
	for (since = clock_us(); !asked_enough(&asked, both.send) && !xfer_test(send, &got);)
		wait_a_little(since, "some asks");
	nobody_has_failed();
	if (!send->done)
		assert_int_equal(net_wait(&both, send, &got), 1);
	assert_int_equal(net_wait(&both, recv, &got), 1);
	assert_memory_equal(both.from, both.to, BIG);
	net_link_close(&both);
	cm_listen_close(listening);
	dev_table_fini(&elsewhere);
}

/*
 * Notes arrive for a lifeline whose last comm is being closed: they keep no dead lifeline and do not end the next one.
 */
static void notes_arrive_at_the_end_of_a_line(void **state)
{
	struct wire_note note = {.magic = WIRE_NOTE_MAGIC, .type = WIRE_NOTE_ASK};
	int round, i;

	(void)state;
	NET_NEEDED();
	for (round = 0; round < 100; round++) {
		begin();
		for (i = 0; i < 10; i++) {
			lifeline_tell(both.recv->watch.line, &note);
			lifeline_tell(both.send->watch.line, &note);
		}
		assert_int_equal(lifeline_check(both.send->watch.line), LIFELINE_ALIVE);
		assert_int_equal(lifeline_check(both.recv->watch.line), LIFELINE_ALIVE);
		end();
	}
}

/* The sender has closed and its answer is lost: its process says that this half is over. */
static void the_peer_of_a_closed_half_is_gone(void **state)
{
	struct xfer_ep *ep;
	int64_t since;

	(void)state;
	NET_NEEDED();
	begin();
	ep = both.recv->ep;
	((struct fab_nic *)ep->dev->nic)->silent_dead = true; /* the receiver's end must wait for the sender's CLOSE */
	net_message(&both, 64);
	both.send->close.sent = true; /* lost */
	xfer_comm_close(both.recv);
	both.recv = NULL;
	assert_int_equal(ep->peers_awaited, 1);
	lingering_remind(ep, 0, false);
	for (since = clock_us(); ep->peers_awaited && clock_us() - since < TIMEOUT_US; usleep(1000)) {
		xfer_ep_lock(ep);
		status_read_mail(ep);
		xfer_ep_unlock(ep);
	}
	assert_int_equal(ep->peers_awaited, 1); /* the half exists */
	xfer_comm_close(both.send);
	both.send = NULL;
	for (since = clock_us(); ep->peers_awaited; wait_a_little(since, "the news that the peer's half is gone")) {
		lingering_remind(ep, 1, false);
		xfer_ep_lock(ep);
		status_read_mail(ep);
		xfer_ep_unlock(ep);
	}
	end();
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		NET_TEST(notes_arrive_at_the_end_of_a_line, "tcp"),
		NET_TEST(a_message_that_was_sent_does_not_come, "tcp"),
		NET_TEST(a_message_that_was_sent_does_not_come, NET_RMA),
		NET_TEST(a_message_of_a_closed_half_does_not_come, "tcp"),
		NET_TEST(a_message_of_a_closed_half_does_not_come, NET_RMA),
		NET_TEST(a_message_stays_with_the_network, "shm"),
		NET_TEST(a_clear_to_send_does_not_come, "tcp"),
		NET_TEST(a_receive_that_is_not_posted_is_waited_for, "tcp"),
		NET_TEST(a_message_that_is_not_sent_is_waited_for, "tcp"),
		NET_TEST(a_message_that_is_not_sent_is_waited_for, NET_RMA),
		NET_TEST(a_receiver_that_does_not_poll_is_waited_for, "tcp"),
		NET_TEST(a_receiver_that_does_not_poll_is_waited_for, NET_RMA),
		NET_TEST(the_peer_of_a_closed_half_is_gone, "tcp"),
		NET_TEST(the_peer_of_a_closed_half_is_gone, NET_RMA),
	};

	return unit_run("status", tests);
}

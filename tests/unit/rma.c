/* SPDX-License-Identifier: Apache-2.0 */
/*
 * xfer: the RMA protocol and its eager messages, both halves in one process: times of clear-to-sends, counters of the
 * two sides, and waits of a recall.
 */
#include "unit/unit.h"

#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "unit/net.h"

#define SMALL 100
#define LARGE (WIRE_EAGER_MAX + 1)
#define BYTES (1 << 20)

static struct wire_handle handle;
static struct cm_listen *listening;
static struct net_link link;

static void begin(void)
{
	net_listen(&handle, &listening);
	net_link_open(&link, listening, &handle, BYTES);
	assert_ptr_equal(link.send->proto, &rma_proto);
}

/* The first message waits for its receive and gives the sender the tag for later eager messages. */
static void begin_with_a_message(void)
{
	begin();
	net_message(&link, 1);
}

static void end(void)
{
	net_link_close(&link);
	net_listen_close(listening);
}

static void wait_both(struct xfer_req *send, struct xfer_req *recv, size_t len)
{
	size_t got;

	assert_int_equal(net_wait(&link, send, &got), 1);
	assert_int_equal(net_wait(&link, recv, &got), 1);
	assert_int_equal(got, len);
	assert_memory_equal(link.to, link.from, len);
}

/* WEFT_CTRL_BUFFERS=auto: few buffers where the kernel copies each message into the next of them. */
static void buffers_stay_in_the_cache(void **state)
{
	const struct xfer_ep *ep;

	NET_NEEDED();
	net_listen(&handle, &listening);
	ep = listening->ep;
	assert_int_equal(ep->ctrl_bytes / ep->rx_bytes, !strcmp(*state, "shm") ? 128 : 32);
	net_listen_close(listening);
}

/* One message whose receive is posted before or after the send. */
static void message(size_t len, bool receive_first)
{
	struct xfer_req *send, *recv;

	memset(link.from, (int)(link.send->next_seq * 7 + len), len);
	memset(link.to, 0, len);
	if (receive_first)
		assert_int_equal(net_recv(&link, 0, len, &recv), 0);
	assert_int_equal(net_send(&link, 0, len, &send), 0);
	if (!receive_first)
		assert_int_equal(net_recv(&link, 0, len, &recv), 0);
	wait_both(send, recv, len);
}

static void turn_until(const bool *flag, const char *what)
{
	int64_t since = clock_us();

	while (!*flag) {
		net_turn(&link);
		unit_not_late(since, what);
	}
}

/* A send of a small message completes without a receive; a send of a larger one needs it. */
static void small_before_their_receives(void **state)
{
	struct xfer_req *send[20], *recv;
	size_t got;
	int i;

	(void)state;
	NET_NEEDED();
	begin_with_a_message();
	for (i = 0; i < 20; i++) {
		link.from[i * SMALL] = (unsigned char)(i + 1);
		assert_int_equal(net_send(&link, (size_t)i * SMALL, SMALL, &send[i]), 0);
		assert_int_equal(xfer_test(send[i], &got), 1);
	}
	assert_int_equal(net_isend(link.send, link.from, LARGE, link.from_region, &send[0]), -EAGAIN);
	for (i = 0; i < 20; i++) {
		assert_int_equal(net_recv(&link, (size_t)i * SMALL, SMALL, &recv), 0);
		assert_int_equal(net_wait(&link, recv, &got), 1);
		assert_int_equal(got, SMALL);
		assert_int_equal(link.to[i * SMALL], i + 1);
	}
	message(LARGE, true);
	end();
}

/* A message is sent again after a failure, and both copies arrive before the receive. */
static void a_copy_is_dropped(void **state)
{
	struct {
		struct wire_ctrl head;
		char data[SMALL];
	} m;
	struct xfer_req *send, *recv;
	const struct weft_stats_rail *nic;
	int64_t since = clock_us();
	uint64_t before;
	size_t got;

	(void)state;
	NET_NEEDED();
	begin_with_a_message();
	nic = link.recv->ep->stats.rails[0];
	before = nic->rx_messages;
	wire_ctrl_init(&m.head, WIRE_EAGER, link.recv->id, link.send->id);
	m.head.seq = link.recv->next_seq;
	m.head.len = wire_tagged_len(link.recv->tag, SMALL);
	memset(m.data, 7, SMALL);
	memset(link.from, 7, SMALL);
	xfer_ep_lock(link.recv->ep);
	eager_arrived(link.recv, &m.head, m.data);
	xfer_ep_unlock(link.recv->ep);
	assert_int_equal(net_send(&link, 0, SMALL, &send), 0);
	assert_int_equal(net_wait(&link, send, &got), 1);
	while (nic->rx_messages == before) {
		net_turn(&link);
		unit_not_late(since, "the second copy");
	}
	assert_int_equal(net_recv(&link, 0, SMALL, &recv), 0);
	assert_int_equal(net_wait(&link, recv, &got), 1);
	assert_int_equal(got, SMALL);
	assert_memory_equal(link.to, link.from, SMALL);
	message(SMALL, false);
	message(LARGE, true);
	assert_int_equal(link.recv->rx.rma->arrived, link.send->next_seq);
	end();
}

/* Exhausted credit stops eager sends until new credit arrives. */
static void eager_ends_at_the_window(void **state)
{
	struct xfer_req *req;
	size_t got;
	int i, n;

	(void)state;
	NET_NEEDED();
	begin_with_a_message();
	for (n = 0; n < 2 * WIRE_EAGER_WINDOW; n++) {
		int ret = -EAGAIN;

		for (i = 0; i < 50 && ret == -EAGAIN; i++) {
			ret = net_isend(link.send, link.from, 8, link.from_region, &req);
			net_turn(&link);
		}
		if (ret == -EAGAIN)
			break;
		assert_int_equal(ret, 0);
		assert_int_equal(xfer_test(req, &got), 1);
	}
	assert_int_equal(n, WIRE_EAGER_WINDOW);
	for (i = 0; i < n; i++) {
		assert_int_equal(net_recv(&link, 0, 8, &req), 0);
		assert_int_equal(net_wait(&link, req, &got), 1);
	}
	for (i = 0; i < 300; i++)
		message(8, i % 2);
	assert_int_equal(link.recv->ep->unexpected_pool.in_use, 0);
	end();
}

/* After a run of small messages, no clear-to-sends are sent. */
static void begin_quiet(void)
{
	int i;

	begin();
	for (i = 0; i < 40; i++)
		message(SMALL, true);
	assert_true(link.recv->rx.rma->cts_off);
	turn_until(&link.send->tx.peer_cts_off, "the word that the receiver is cts_off");
}

/* A large message requests one. */
static void quiet_until_wanted(void **state)
{
	int i;

	(void)state;
	NET_NEEDED();
	begin_quiet();
	message(LARGE, true);
	assert_false(link.recv->rx.rma->cts_off);
	assert_false(link.send->tx.peer_cts_off);
	for (i = 0; i < 40; i++)
		message(SMALL, i % 2);
	assert_true(link.recv->rx.rma->cts_off);
	message(LARGE, true);
	message(0, true);
	end();
}

/* Receives posted far ahead leave small messages eager. */
/* Messages without clear-to-sends do not let the numbers of the two drift apart: 2^31 of them would look like the future. */
static void quiet_for_long(void **state)
{
	const struct rma_recv *r;
	uint32_t open;
	int i;

	(void)state;
	NET_NEEDED();
	begin_quiet();
	r = link.recv->rx.rma;
	open = r->open;
	for (i = 0; i < 3 * EAGER_CREDIT_EVERY; i++)
		message(SMALL, true);
	assert_true(r->cts_off);
	assert_in_range(link.recv->next_seq - r->cts_posted, 0, WIRE_WINDOW + EAGER_CREDIT_EVERY);
	assert_int_equal(r->open, open);
	message(LARGE, true);
	end();
}

static void quiet_with_receives_ahead(void **state)
{
	struct xfer_req *send, *recv[WIRE_WINDOW];
	bool ahead = false;
	size_t got;
	int i;

	(void)state;
	NET_NEEDED();
	begin_quiet();
	for (i = 0; i < WIRE_WINDOW; i++)
		assert_int_equal(net_recv(&link, (size_t)i * SMALL, SMALL, &recv[i]), 0);
	for (i = 0; i < 200; i++) {
		int k = i % WIRE_WINDOW;

		assert_int_equal(net_send(&link, 0, SMALL, &send), 0);
		assert_int_equal(net_wait(&link, send, &got), 1);
		assert_int_equal(net_wait(&link, recv[k], &got), 1);
		assert_int_equal(net_recv(&link, (size_t)k * SMALL, SMALL, &recv[k]), 0);
		net_turn(&link); /* an eager sender need not poll */
		ahead |= !seq_at_or_after(link.send->next_seq, link.send->tx.credit_limit);
	}
	assert_true(ahead);
	assert_true(link.send->tx.peer_cts_off);
	assert_true(link.recv->rx.rma->cts_off);
	end();
}

/* Clear-to-sends of receives posted one by one are sent in groups, and all at once when no message comes. */
static void announced_together(void **state)
{
	struct xfer_req *send, *recv[8];
	uint32_t before, writes = 0;
	size_t got;
	int i;

	(void)state;
	NET_NEEDED();
	begin();
	for (i = 0; i < 8; i++)
		assert_int_equal(net_recv(&link, (size_t)i * LARGE, LARGE, &recv[i]), 0);
	assert_int_equal(link.recv->rx.rma->cts_posted, 8); /* 1, 1, 2, 4 */
	assert_int_equal(link.recv->rx.rma->open, 8);
	for (i = 0; i < 64; i++) {
		assert_int_equal(net_send(&link, 0, LARGE, &send), 0);
		assert_int_equal(net_wait(&link, send, &got), 1);
		assert_int_equal(net_wait(&link, recv[i % 8], &got), 1);
		before = link.recv->rx.rma->cts_posted;
		link.recv->rx.rma->coalesce_left = UINT32_MAX;
		assert_int_equal(net_recv(&link, (size_t)(i % 8) * LARGE, LARGE, &recv[i % 8]), 0);
		writes += link.recv->rx.rma->cts_posted != before;
	}
	assert_in_range(writes, 64 / 4 - 1, 64 / 4 + 1);
	link.recv->rx.rma->coalesce_left = 3;
	for (i = 0; i < 100; i++)
		net_turn(&link);
	assert_int_equal(link.recv->rx.rma->cts_posted, link.recv->next_seq);
	assert_true(list_empty(&link.recv->rx.rma->retry.link));
	end();
}

static void eager_off(void **state)
{
	struct xfer_req *req;
	int i;

	(void)state;
	NET_NEEDED();
	net.conf.eager = CONF_EAGER_OFF;
	begin();
	assert_int_equal(net_isend(link.send, link.from, 8, link.from_region, &req), -EAGAIN);
	for (i = 0; i < 100; i++)
		message(8, true);
	assert_false(link.send->tx.eager_sent);
	assert_false(link.recv->rx.rma->cts_off);
	end();
}

/* The longest eager message is the provider's: one more byte waits for its receive. */
static void ends_at(size_t queued, bool copies, size_t max)
{
	struct fab_nic *nic = (struct fab_nic *)net.dev->nic;
	struct xfer_req *send, *none, *recv;

	nic->queued = queued;
	nic->copies = copies;
	xfer_ep_put(net.home); /* an endpoint takes the size when it is opened */
	assert_int_equal(xfer_ep_get(net.dev, &net.conf, &net.home), 0);
	begin_with_a_message();
	assert_int_equal(link.send->tx.eager_end, max + 1);
	assert_int_equal(net_send(&link, 0, max, &send), 0);
	assert_int_equal(net_isend(link.send, link.from, max + 1, link.from_region, &none), -EAGAIN);
	assert_int_equal(net_recv(&link, 0, max, &recv), 0);
	wait_both(send, recv, max);
	message(max + 1, true);
	end();
}

static void eager_ends_at_the_providers_size(void **state)
{
	(void)state;
	NET_NEEDED();
	ends_at(0, true, 16384);			       /* tcp */
	ends_at(0, false, 8192);			       /* a NIC that moves the bytes itself */
	ends_at(4096, false, 4096 - sizeof(struct wire_ctrl)); /* shm: its queues carry 4 KiB */
}

/* A receive may be too small for its message: the receiver gets the error. */
static void eager_too_large(void **state)
{
	struct xfer_req *send, *recv;
	size_t got;

	(void)state;
	NET_NEEDED();
	begin_with_a_message();
	unit_log_catch();
	assert_int_equal(net_send(&link, 0, SMALL, &send), 0);
	assert_int_equal(net_recv(&link, 0, SMALL - 1, &recv), 0);
	assert_int_equal(net_wait(&link, recv, &got), -EMSGSIZE);
	assert_int_equal(unit_log_count(LOG_LEVEL_WARN), 1);
	end();
}

/* The number of a missing early message limits how far ahead the receiver can go. */
static void a_window_behind_the_oldest(void **state)
{
	struct xfer_req *req;
	int i;

	(void)state;
	NET_NEEDED();
	begin();
	for (i = 0; i < WIRE_WINDOW; i++)
		assert_int_equal(net_recv(&link, (size_t)i * 8, 8, &req), 0);
	assert_int_equal(net_irecv(link.recv, link.to, 8, link.to_region, &req), -EAGAIN);
	end();
}

/* The sender is not polled while the receiver closes: its wakeup thread has to do it. */
static void recall_from_an_idle_sender(void **state)
{
	struct xfer_req *req;
	int64_t began;
	int i;

	(void)state;
	NET_NEEDED();
	begin();
	for (i = 0; i < 8; i++)
		assert_int_equal(net_recv(&link, (size_t)i * LARGE, LARGE, &req), 0);
	net_turn(&link);
	began = clock_us();
	xfer_region_close(link.to_region);
	link.to_region = NULL;
	assert_int_equal(link.recv->ep->err, 0); /* the endpoint lives: the answer came */
	assert_true(clock_us() - began < net.conf.close_timeout_us);
	assert_int_equal(link.recv->err, -ECANCELED);
	end();
}

/*
 * A clear-to-send still in flight keeps its place in the ring: those from that place on wait, and receives are still
 * accepted.
 */
static void a_window_behind_one_in_flight(void **state)
{
	struct rma_recv *r;
	uint32_t first;
	struct xfer_req *req;
	int i;

	(void)state;
	NET_NEEDED();
	begin();
	r = link.recv->rx.rma;
	first = link.recv->next_seq;
	r->in_flight = 1u << (first + 5) % WIRE_WINDOW;
	r->coalesce_left = 0;
	for (i = 0; i < 8; i++) {
		assert_int_equal(net_recv(&link, (size_t)i * LARGE, LARGE, &req), 0);
		r->coalesce_left = 0;
	}
	assert_int_equal(r->cts_posted, first + 5);
	r->in_flight = 0;
	r->coalesce_left = 0;
	rma_post_cts(link.recv);
	assert_int_equal(r->cts_posted, first + 8);
	end();
}

/* A close that overtakes messages is answered after their arrival, before or behind their receives. */
static void fin_after_the_last_message(void **state)
{
	struct wire_ctrl close;
	int i;

	(void)state;
	NET_NEEDED();
	begin();
	message(SMALL, true);
	wire_ctrl_init(&close, WIRE_CLOSE, link.recv->id, link.send->id);
	close.seq = link.send->next_seq + 3;
	comm_peer_closed(link.recv, &close);
	for (i = 0; i < 3; i++) {
		assert_true(link.recv->close.ack_due);
		message(SMALL, i == 2);
	}
	assert_false(link.recv->close.ack_due);
	end();
}

/* After a failure, a close waits for nothing. */
static void fin_after_a_failure(void **state)
{
	struct wire_ctrl close;

	(void)state;
	NET_NEEDED();
	begin();
	message(SMALL, true);
	wire_ctrl_init(&close, WIRE_CLOSE, link.recv->id, link.send->id);
	close.seq = link.send->next_seq + 1;
	comm_peer_closed(link.recv, &close);
	assert_true(link.recv->close.ack_due);
	comm_fail(link.recv, -EIO, "a test");
	assert_false(link.recv->close.ack_due);
	end();
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		NET_TEST(buffers_stay_in_the_cache, NET_RMA),
		NET_TEST(buffers_stay_in_the_cache, "shm"),
		NET_TEST(small_before_their_receives, NET_RMA),
		NET_TEST(a_copy_is_dropped, NET_RMA),
		NET_TEST(eager_ends_at_the_window, NET_RMA),
		NET_TEST(quiet_until_wanted, NET_RMA),
		NET_TEST(quiet_for_long, NET_RMA),
		NET_TEST(quiet_with_receives_ahead, NET_RMA),
		NET_TEST(announced_together, NET_RMA),
		NET_TEST(eager_off, NET_RMA),
		NET_TEST(eager_ends_at_the_providers_size, NET_RMA),
		NET_TEST(eager_too_large, NET_RMA),
		NET_TEST(a_window_behind_the_oldest, NET_RMA),
		NET_TEST(recall_from_an_idle_sender, NET_RMA),
		NET_TEST(a_window_behind_one_in_flight, NET_RMA),
		NET_TEST(fin_after_the_last_message, NET_RMA),
		NET_TEST(fin_after_a_failure, NET_RMA),
	};

	return unit_run("rma", tests);
}

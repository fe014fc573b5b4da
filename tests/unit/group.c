/* SPDX-License-Identifier: Apache-2.0 */
/*
 * xfer: grouped receives, both halves in one process. Messages match sub-receives by tag in any order, including
 * messages sent before the first group, and groups that end early.
 */
#include "unit/unit.h"

#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "unit/net.h"

#define SLOT  20000 /* bytes of memory for each message */
#define BYTES (WIRE_WINDOW * WIRE_GROUP_MAX * SLOT)

static struct wire_handle handle;
static struct cm_listen *listening;
static struct net_link link;

static void begin(void)
{
	net_listen(&handle, &listening);
	net_link_open(&link, listening, &handle, BYTES);
	memset(link.to, 0xee, BYTES);
}

static void end(void)
{
	net_link_close(&link);
	net_listen_close(listening);
}

/* Fills in the bytes of message `what`. */
static void fill(unsigned char *at, size_t len, unsigned what)
{
	size_t i;

	for (i = 0; i < len; i++)
		at[i] = (unsigned char)(i * 13 + what * 7 + 1);
}

static void expect(const unsigned char *at, size_t len, unsigned what)
{
	size_t i;

	for (i = 0; i < len; i++)
		if (at[i] != (unsigned char)(i * 13 + what * 7 + 1))
			fail_msg("byte %zu of message %u is wrong", i, what);
	assert_int_equal(at[len], 0xee);
}

static struct xfer_req *send_at(size_t slot, size_t len, uint32_t tag, unsigned what)
{
	int64_t since = clock_us();
	struct xfer_req *req;
	int ret;

	fill(link.from + slot * SLOT, len, what);
	while ((ret = xfer_isend(link.send, link.from + slot * SLOT, len, tag, link.from_region, &req)) == -EAGAIN) {
		assert_null(req);
		net_turn(&link);
		unit_not_late(since, "posting a send");
	}
	assert_int_equal(ret, 0);
	return req;
}

/* Posts a receive of n buffers with these tags, beginning at this slot. */
static struct xfer_req *receive_at(size_t slot, int n, const uint32_t *tags)
{
	struct xfer_sub subs[WIRE_GROUP_MAX];
	int64_t since = clock_us();
	struct xfer_req *req;
	int i, ret;

	for (i = 0; i < n; i++)
		subs[i] = (struct xfer_sub){.buf = link.to + (slot + (size_t)i) * SLOT,
					    .len = SLOT - 1,
					    .tag = tags[i],
					    .region = link.to_region};
	while ((ret = xfer_irecv(link.recv, n, subs, &req)) == -EAGAIN) {
		assert_null(req);
		net_turn(&link);
		unit_not_late(since, "posting a receive");
	}
	assert_int_equal(ret, 0);
	assert_int_equal(req->parts, link.recv->rx.grp ? n : 0);
	return req;
}

static void sent(struct xfer_req *req)
{
	size_t got;

	assert_int_equal(net_wait(&link, req, &got), 1);
}

static void received(struct xfer_req *req, size_t lens[WIRE_GROUP_MAX])
{
	int n = req->parts ? req->parts : 1;

	assert_int_equal(net_wait(&link, req, lens), n);
}

/* All group sizes, in many orders. */
static void any_order(void **state)
{
	uint64_t seed = 5;
	unsigned what = 0;
	int round, i, n;

	(void)state;
	NET_NEEDED();
	begin();
	for (round = 0; round < 60; round++) {
		uint32_t tags[WIRE_GROUP_MAX];
		int order[WIRE_GROUP_MAX];
		struct xfer_req *recv, *send[WIRE_GROUP_MAX];
		size_t lens[WIRE_GROUP_MAX], len[WIRE_GROUP_MAX];

		n = 1 + round % WIRE_GROUP_MAX;
		for (i = 0; i < n; i++) {
			int with = (int)(unit_random(&seed) % (unsigned)(i + 1));

			tags[i] = 0x80000000u + (unsigned)i * 5;
			len[i] = unit_random(&seed) % 3 ? unit_random(&seed) % (SLOT - 1) : 0;
			order[i] = order[with];
			order[with] = i;
		}
		memset(link.to, 0xee, (size_t)n * SLOT);
		recv = receive_at(0, n, tags);
		for (i = 0; i < n; i++)
			send[i] = send_at((size_t)i, len[order[i]], tags[order[i]], what + (unsigned)order[i]);
		received(recv, lens);
		for (i = 0; i < n; i++) {
			assert_int_equal(lens[i], len[i]);
			expect(link.to + (size_t)i * SLOT, len[i], what + (unsigned)i);
			sent(send[i]);
		}
		what += (unsigned)n;
	}
	end();
}

/* A full window of the largest groups, posted before the first send. */
static void window_of_groups(void **state)
{
	static struct xfer_req *recv[WIRE_WINDOW];
	uint32_t tags[WIRE_GROUP_MAX];
	size_t lens[WIRE_GROUP_MAX];
	struct xfer_sub sub = {.len = 0};
	struct xfer_req *more;
	unsigned g, i;

	(void)state;
	NET_NEEDED();
	begin();
	for (i = 0; i < WIRE_GROUP_MAX; i++)
		tags[i] = i;
	for (g = 0; g < WIRE_WINDOW; g++)
		recv[g] = receive_at(g * WIRE_GROUP_MAX, WIRE_GROUP_MAX, tags);
	assert_int_equal(xfer_irecv(link.recv, 1, &sub, &more), -EAGAIN);
	for (g = 0; g < WIRE_WINDOW; g++)
		for (i = WIRE_GROUP_MAX; i-- > 0;)
			sent(send_at(i, 300 + g, i, g * 8 + i));
	for (g = 0; g < WIRE_WINDOW; g++) {
		received(recv[g], lens);
		for (i = 0; i < WIRE_GROUP_MAX; i++) {
			assert_int_equal(lens[i], 300 + g);
			expect(link.to + (g * WIRE_GROUP_MAX + i) * SLOT, 300 + g, g * 8 + i);
		}
	}
	end();
}

/* Equal tags match in order of the sub-receives; a tag without a match waits for the next group. */
static void equal_tags_keep_their_order(void **state)
{
	static const uint32_t tags[] = {7, 9, 7, 7};
	struct xfer_req *recv, *early, *more;
	size_t lens[WIRE_GROUP_MAX];
	int64_t since = clock_us();

	(void)state;
	NET_NEEDED();
	begin();
	recv = receive_at(0, 4, tags);
	sent(send_at(0, 10, 7, 0));
	sent(send_at(0, 11, 7, 1));
	sent(send_at(0, 12, 7, 2));
	while (clock_us() - since < 20000) {
		assert_int_equal(xfer_isend(link.send, link.from, 13, 7, link.from_region, &early), -EAGAIN);
		net_turn(&link);
	}
	sent(send_at(0, 14, 9, 4));
	received(recv, lens);
	assert_int_equal(lens[0], 10);
	assert_int_equal(lens[1], 14);
	assert_int_equal(lens[2], 11);
	assert_int_equal(lens[3], 12);
	expect(link.to + 2 * SLOT, 11, 1);
	more = receive_at(0, 1, tags);
	while (clock_us() - since < 40000) {
		assert_int_equal(xfer_isend(link.send, link.from, 5, 9, link.from_region, &early), -EAGAIN);
		net_turn(&link);
	}
	sent(send_at(0, 5, 7, 6));
	received(more, lens);
	assert_int_equal(lens[0], 5);
	end();
}

/*
 * Small messages that were sent eagerly before the sender knew of groups: they have already arrived, and others follow
 * by their tags.
 */
static void eager_before_the_first_group(void **state)
{
	static const uint32_t ab[] = {1, 2};
	struct xfer_req *recv[4], *b;
	size_t lens[WIRE_GROUP_MAX];
	unsigned early, i;

	(void)state;
	NET_NEEDED();
	for (early = 0; early <= 4; early++) {
		begin();
		recv[0] = receive_at(0, 1, ab); /* plain receives first */
		sent(send_at(0, 100, 1, 90));
		received(recv[0], lens);
		assert_null(link.recv->rx.grp);
		memset(link.to, 0xee, SLOT);
		for (i = 0; i < early; i++)
			sent(send_at(i, 20 + i, 1, i));
		for (i = 0; i < 4; i++)
			recv[i] = receive_at(2 * i, 2, ab);
		for (i = 0; i < 4; i++) {
			b = send_at(10, 50 + i, 2, 20 + i);
			if (i >= early)
				sent(send_at(11, 20 + i, 1, i));
			sent(b);
			received(recv[i], lens);
			assert_int_equal(lens[0], 20 + i);
			assert_int_equal(lens[1], 50 + i);
			expect(link.to + 2 * i * SLOT, 20 + i, i);
			expect(link.to + (2 * i + 1) * SLOT, 50 + i, 20 + i);
		}
		assert_true(link.send->tx.grouped);
		end();
	}
}

/* Single receives with different tags: each message, small or large, waits for its turn. */
/* Once groups are sent, nothing goes eagerly any more, not even after 2^31 of them. */
static void never_eager_after_groups(void **state)
{
	static const uint32_t tags[] = {0, 1};
	const uint32_t far = (1u << 31) + 300;
	size_t lens[WIRE_GROUP_MAX];
	struct xfer_req *group, *one, *two;
	int i;

	(void)state;
	NET_NEEDED();
	begin();
	net_message(&link, 8);
	memset(link.to, 0xee, BYTES);
	group = receive_at(0, 2, tags);
	one = send_at(0, 8, 0, 1);
	two = send_at(1, 8, 1, 2);
	received(group, lens);
	sent(one);
	sent(two);
	link.send->next_seq += far;
	for (i = 0; i < 100; i++) {
		assert_int_equal(xfer_isend(link.send, link.from, 8, 0, link.from_region, &one), -EAGAIN);
		net_turn(&link);
	}
	link.send->next_seq -= far;
	end();
}

static void single_receives_keep_tags(void **state)
{
	static const uint32_t tags[] = {5, 6, 5, 7};
	struct xfer_req *recv[4], *req;
	size_t lens[WIRE_GROUP_MAX];
	unsigned i, round;
	int64_t since;

	(void)state;
	NET_NEEDED();
	begin();
	for (round = 0; round < 3; round++) {
		size_t len = round == 1 ? SLOT - 1 : 30;

		for (i = 0; i < 4; i++)
			recv[i] = receive_at(i, 1, &tags[i]);
		for (i = 0; i < 4; i++) {
			for (since = clock_us(); clock_us() - since < 5000;) {
				assert_int_equal(xfer_isend(link.send, link.from, len, tags[i] == 6 ? 7 : 6,
							    link.from_region, &req),
						 -EAGAIN);
				net_turn(&link);
			}
			sent(send_at(i, len, tags[i], round * 4 + i));
			received(recv[i], lens);
			assert_int_equal(lens[0], len);
			expect(link.to + i * SLOT, len, round * 4 + i);
		}
		memset(link.to, 0xee, BYTES);
	}
	end();
}

/* The sender has sent eagerly and closed; the group is posted afterwards. */
static void eager_and_closed_before(void **state)
{
	static const uint32_t tags[] = {3}, same[] = {3, 3};
	struct xfer_req *recv;
	size_t lens[WIRE_GROUP_MAX];
	int64_t since = clock_us();

	(void)state;
	NET_NEEDED();
	begin();
	recv = receive_at(0, 1, tags);
	sent(send_at(0, 39, 3, 0));
	received(recv, lens);
	memset(link.to, 0xee, SLOT);
	sent(send_at(0, 40, 3, 1));
	sent(send_at(1, 41, 3, 2));
	xfer_comm_close(link.send);
	link.send = NULL;
	while (!link.recv->close.peer_closed) {
		net_turn(&link);
		unit_not_late(since, "the close");
	}
	recv = receive_at(0, 2, same);
	received(recv, lens);
	assert_int_equal(lens[0], 40);
	assert_int_equal(lens[1], 41);
	expect(link.to, 40, 1);
	expect(link.to + SLOT, 41, 2);
	end();
}

/* The sender closes in the middle of a group: its messages arrive, the request fails, other comms go on. */
static void sender_closes_amid_a_group(void **state)
{
	static const uint32_t tags[] = {1, 2, 3};
	struct xfer_req *recv;
	size_t lens[WIRE_GROUP_MAX];
	int ret;

	(void)state;
	NET_NEEDED();
	begin();
	recv = receive_at(0, 3, tags);
	sent(send_at(0, SLOT - 1, 2, 1));
	xfer_comm_close(link.send);
	link.send = NULL;
	while (!(ret = xfer_test(recv, lens)))
		net_turn(&link);
	assert_int_equal(ret, -ECONNRESET);
	assert_true(unit_log_has(LOG_LEVEL_WARN, "closed its half"));
	end();
}

/* The receiver closes with groups outstanding: its memory is its own again, and the endpoint goes on. */
static void receiver_closes_amid_groups(void **state)
{
	static const uint32_t tags[] = {1, 2, 3, 4};
	struct net_link second;
	struct xfer_req *req;
	int i, parts;

	(void)state;
	NET_NEEDED();
	for (parts = 0; parts < 4; parts++) {
		begin();
		net_link_open(&second, listening, &handle, 65536);
		for (i = 0; i < 5; i++)
			receive_at((size_t)i * 4, 4, tags);
		for (i = 0; i < parts; i++)
			send_at((size_t)i, SLOT - 1, tags[3 - i], 1);
		xfer_comm_close(link.recv);
		link.recv = NULL;
		memset(link.to, 0xab, BYTES);
		for (i = parts; i < 4; i++) /* these fail, or their data is dropped */
			xfer_isend(link.send, link.from, SLOT - 1, tags[3 - i], link.from_region, &req);
		for (i = 0; i < 10; i++)
			net_message(&second, 65536);
		assert_int_equal(link.to[0], 0xab);
		assert_int_equal(memcmp(link.to, link.to + 1, BYTES - 1), 0);
		xfer_comm_close(link.send);
		link.send = NULL;
		net_message(&second, 65536);
		net_link_close(&second);
		end();
	}
}

static void too_long_for_its_place(void **state)
{
	static const uint32_t tags[] = {1, 2};
	struct xfer_sub subs[2];
	struct xfer_req *req;
	int64_t since = clock_us();
	int i, ret;

	(void)state;
	NET_NEEDED();
	begin();
	for (i = 0; i < 2; i++)
		subs[i] = (struct xfer_sub){.buf = link.to + i * SLOT,
					    .len = i ? 100 : SLOT,
					    .tag = tags[i],
					    .region = link.to_region};
	assert_int_equal(xfer_irecv(link.recv, 2, subs, &req), 0);
	while ((ret = xfer_isend(link.send, link.from, 101, 2, link.from_region, &req)) == -EAGAIN) {
		net_turn(&link);
		unit_not_late(since, "the group's clear-to-send");
	}
	assert_int_equal(ret, -EMSGSIZE);
	end();
}

int main(void)
{
#define ALL(f) NET_TEST(f, NET_RMA), NET_TEST(f, "tcp"), NET_TEST(f, "shm")
	static const struct CMUnitTest tests[] = {
		ALL(any_order),
		ALL(window_of_groups),
		ALL(equal_tags_keep_their_order),
		ALL(single_receives_keep_tags),
		NET_TEST(eager_before_the_first_group, NET_RMA),
		NET_TEST(never_eager_after_groups, NET_RMA),
		NET_TEST(eager_and_closed_before, NET_RMA),
		ALL(sender_closes_amid_a_group),
		ALL(receiver_closes_amid_groups),
		ALL(too_long_for_its_place),
	};

	return unit_run("group", tests);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* xfer: control messages from an endpoint that violates the protocol, sent to endpoints in use. */
#include "unit/unit.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "unit/net.h"

static struct wire_handle handle;
static struct cm_listen *listening;
static struct net_link pair;

/* The stranger: an endpoint in a domain of its own. */
static struct fab_domain *domain;
static struct fab_ep *ep;
static uint64_t to_receiver, to_sender;

struct op {
	struct fab_op op; /* must be the first member */
	int done;
};

static void note(struct fab_op *op, const struct fab_result *r)
{
	(void)r;
	((struct op *)op)->done = 1;
}

static void begin(void)
{
	net_listen(&handle, &listening);
	net_link_open(&pair, listening, &handle, 65536);
	assert_int_equal(fab_domain_open(net.dev->nic, &domain), 0);
	assert_int_equal(fab_ep_open(domain, 256, NULL, NULL, &ep), 0);
	assert_int_equal(fab_ep_insert(ep, pair.recv->ep->rails[0].addr, &to_receiver), 0);
	assert_int_equal(fab_ep_insert(ep, pair.send->ep->rails[0].addr, &to_sender), 0);
}

static void end(void)
{
	net_link_close(&pair);
	net_listen_close(listening);
	fab_ep_close(ep);
	fab_domain_close(domain);
}

/* The stranger sends its own address, because providers may crash on an invalid one. */
static void own_address(struct wire_who *who)
{
	size_t bytes;

	assert_int_equal(fab_ep_addr(ep, who->addr, &bytes), 0);
	who->addr_bytes = (uint8_t)bytes;
	who->rails = 1;
}

static void turn(void)
{
	fab_ep_poll(ep);
	net_turn(&pair);
}

static void tell(uint64_t to, const void *text, size_t len)
{
	static char copy[4096];
	static struct op op;
	int64_t since = clock_us();
	int ret, i;

	memcpy(copy, text, len);
	memset(&op, 0, sizeof(op));
	op.op.done = note;
	while ((ret = fab_send(ep, &op.op, copy, len, NULL, to)) == -EAGAIN) {
		turn();
		unit_not_late(since, "posting a stranger's message");
	}
	assert_int_equal(ret, 0);
	while (!op.done) {
		turn();
		unit_not_late(since, "the end of a stranger's message");
	}
	for (i = 0; i < 5; i++)
		turn();
}

/* Polls until a log line of this level contains `part`. */
static void wait_for_line(int level, const char *part)
{
	int64_t since = clock_us();

	while (!unit_log_has(level, part)) {
		turn();
		unit_not_late(since, part);
	}
}

static void junk_is_ignored(void **state)
{
	static char junk[WIRE_CTRL_MAX];
	uint64_t seed = 7;
	size_t i, k;

	(void)state;
	NET_NEEDED();
	begin();
	unit_log_catch();
	for (i = 0; i < 300; i++) {
		for (k = 0; k < sizeof(junk); k++)
			junk[k] = (char)unit_random(&seed);
		tell(i % 2 ? to_receiver : to_sender, junk, unit_random(&seed) % (sizeof(junk) + 1));
		if (i % 50 == 0)
			net_message(&pair, i);
	}
	wait_for_line(LOG_LEVEL_WARN, "not a control message");
	wait_for_line(LOG_LEVEL_WARN, "is ignored");
	net_message(&pair, 65536);
	end();
}

/* Well-formed headers of every type, for comms and listens that do not exist. */
static void messages_to_nobody(void **state)
{
	struct wire_connect msg;
	uint64_t seed = 8;
	int i;

	(void)state;
	NET_NEEDED();
	begin();
	for (i = 0; i < 500; i++) {
		static const enum wire_type types[] = {WIRE_CONNECT_RESPONSE, WIRE_CTS, WIRE_CLOSE};
		enum wire_type type = types[unit_random(&seed) % COUNT(types)];
		uint32_t to = unit_random(&seed);

		if (to == pair.send->id || to == pair.recv->id)
			continue;
		memset(&msg, 0, sizeof(msg));
		wire_ctrl_init(&msg.ctrl, type, to, unit_random(&seed));
		msg.ctrl.seq = unit_random(&seed);
		msg.ctrl.len = (uint64_t)unit_random(&seed) << 32 | unit_random(&seed);
		own_address(&msg.who);
		tell(i % 2 ? to_receiver : to_sender, &msg, wire_ctrl_bytes((uint8_t)type));
	}
	net_message(&pair, 65536);
	end();
}

/* For existing comms, from a peer that still believes us to be the previous owner of our address. */
static void messages_for_an_earlier_process(void **state)
{
	static const enum wire_type types[] = {WIRE_CTS, WIRE_CLOSE, WIRE_CREDIT, WIRE_GROUPS};
	const struct xfer_comm *comm;
	struct wire_ctrl msg;
	size_t i;

	(void)state;
	NET_NEEDED();
	begin();
	net_message(&pair, 65536);
	unit_log_catch();
	for (i = 0; i < 2 * COUNT(types); i++) {
		comm = i % 2 ? pair.recv : pair.send;
		wire_ctrl_init(&msg, types[i / 2], comm->id, comm->remote_id ^ 1u << IDMAP_SLOT_BITS);
		tell(i % 2 ? to_receiver : to_sender, &msg, sizeof(msg));
	}
	assert_false(pair.send->close.peer_closed || pair.recv->close.peer_closed);
	net_message(&pair, 65536);
	net_message(&pair, 8);
	assert_int_equal(unit_log_count(LOG_LEVEL_WARN), 0);
	end();
}

/* Messages above the largest control message: the receive that takes one fails, and is posted again. */
static void messages_that_are_too_long(void **state)
{
	static char big[WIRE_CTRL_MAX + 1];
	struct net_link more;
	int i;

	(void)state;
	NET_NEEDED();
	begin();
	for (i = 0; i < 3; i++)
		tell(to_receiver, big, sizeof(big));
	net_message(&pair, 65536);
	net_link_open(&more, listening, &handle, 4096);
	net_message(&more, 4096);
	net_link_close(&more);
	end();
}

/* Answers and requests for which no connect or accept waits. */
static void connect_messages_out_of_place(void **state)
{
	struct wire_connect msg;
	int i;

	(void)state;
	NET_NEEDED();
	begin();
	xfer_ep_who(pair.recv->ep, &msg.who);
	for (i = 0; i < 3; i++) {
		wire_ctrl_init(&msg.ctrl, WIRE_CONNECT_RESPONSE, pair.send->id, 12345);
		tell(to_sender, &msg, wire_ctrl_size((struct wire_ctrl *)&msg));
		wire_ctrl_init(&msg.ctrl, WIRE_CONNECT_RESPONSE, pair.recv->id, 12345);
		tell(to_receiver, &msg, wire_ctrl_size((struct wire_ctrl *)&msg));
	}
	assert_int_equal(pair.send->remote_id, pair.recv->id);
	net_message(&pair, 65536);
	end();
}

/* A request for an unknown listen, from an unused address: the refusal has no side effects. */
static void requests_from_nowhere(void **state)
{
	struct sockaddr_in nowhere = {.sin_family = AF_INET, .sin_port = htons(1)};
	struct wire_connect msg;
	struct net_link more;
	int i;

	(void)state;
	NET_NEEDED();
	begin();
	nowhere.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	for (i = 0; i < 5; i++) {
		memset(&msg, 0, sizeof(msg));
		wire_ctrl_init(&msg.ctrl, WIRE_CONNECT_REQUEST, 0x3fffffff, 1);
		msg.who.addr_bytes = sizeof(nowhere);
		msg.who.rails = msg.who.nics = 1;
		msg.who.uuid[0] = (uint8_t)i;
		memcpy(msg.who.addr, &nowhere, sizeof(nowhere));
		tell(to_receiver, &msg, wire_ctrl_size((struct wire_ctrl *)&msg));
	}
	net_message(&pair, 65536);
	net_link_open(&more, listening, &handle, 4096);
	net_message(&more, 4096);
	net_link_close(&more);
	end();
}

/* --- clear-to-sends that break the protocol end their own comm only --- */

static void tell_clear(const struct xfer_comm *comm, uint32_t seq)
{
	struct wire_ctrl msg;

	wire_ctrl_init(&msg, WIRE_CTS, comm->id, comm->remote_id);
	msg.seq = seq;
	msg.len = 64;
	tell(to_sender, &msg, wire_ctrl_size((struct wire_ctrl *)&msg));
}

static void expect_protocol_error(struct net_link *l)
{
	assert_int_equal(net_failed_send(l->send, l->recv->ep), -EPROTO);
	assert_true(unit_log_has(LOG_LEVEL_WARN, "out of place"));
}

static void clear_to_sends_out_of_place(void **state)
{
	static const uint32_t offsets[] = {WIRE_WINDOW, WIRE_WINDOW + 1, 1000, (uint32_t)-1, (uint32_t)-1000, 1u << 31};
	struct net_link other;
	size_t i;

	(void)state;
	NET_NEEDED();
	begin();
	for (i = 0; i < COUNT(offsets); i++) {
		net_link_open(&other, listening, &handle, 64);
		net_message(&other, 8);
		unit_log_catch();
		tell_clear(other.send, other.send->next_seq + offsets[i]);
		expect_protocol_error(&other);
		net_message(&pair, 4096);
		net_link_close(&other);
	}
	end();
}

static void clear_to_sends_given_twice(void **state)
{
	struct net_link other;

	(void)state;
	NET_NEEDED();
	begin();
	net_link_open(&other, listening, &handle, 64);
	unit_log_catch();
	tell_clear(other.send, 3); /* ahead of its turn is allowed */
	assert_int_equal(unit_log_count(LOG_LEVEL_WARN), 0);
	tell_clear(other.send, 3);
	expect_protocol_error(&other);
	net_message(&pair, 4096);
	net_link_close(&other);
	end();
}

static void clear_to_sends_for_a_receiver(void **state)
{
	struct wire_ctrl msg;
	struct net_link other;

	(void)state;
	NET_NEEDED();
	begin();
	net_link_open(&other, listening, &handle, 64);
	unit_log_catch();
	wire_ctrl_init(&msg, WIRE_CTS, other.recv->id, other.recv->remote_id);
	tell(to_receiver, &msg, wire_ctrl_size((struct wire_ctrl *)&msg));
	wait_for_line(LOG_LEVEL_WARN, "out of place");
	assert_int_equal(net_vain_recv(other.recv, NULL), -EPROTO);
	net_message(&pair, 4096);
	net_link_close(&other);
	end();
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		NET_TESTS(junk_is_ignored),
		NET_TESTS(messages_to_nobody),
		NET_TESTS(messages_for_an_earlier_process),
		NET_TESTS(messages_that_are_too_long),
		NET_TESTS(connect_messages_out_of_place),
		NET_TEST(requests_from_nowhere, "tcp"),
		NET_TESTS(clear_to_sends_out_of_place),
		NET_TESTS(clear_to_sends_given_twice),
		NET_TESTS(clear_to_sends_for_a_receiver),
	};

	return unit_run("stranger", tests);
}

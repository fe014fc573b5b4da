/* SPDX-License-Identifier: Apache-2.0 */
/* cm: connectors without the listen's secret, and connects that are begun and abandoned. */
#include "unit/unit.h"

#include <arpa/inet.h>
#include <errno.h>
#include <malloc.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "unit/net.h"

static struct wire_handle handle;
static struct cm_listen *listening;

/* The only comm of the test's own endpoint. */
static struct xfer_comm *own_comm(void)
{
	uint32_t i;

	for (i = 0; i < net.home->comms.used; i++)
		if (net.home->comms.slots[i].ptr)
			return net.home->comms.slots[i].ptr;
	return NULL;
}

static void begin_connect(struct wire_handle *mine)
{
	struct xfer_comm *comm;
	int64_t since = clock_us();

	while (!own_comm() || xfer_comm_connect_sent(own_comm()) != 1) {
		assert_int_equal(cm_connect(net.dev, &net.conf, mine, &comm), 0);
		assert_null(comm);
		net_poll(listening->ep);
		unit_not_late(since, "a connect request on its way");
	}
}

/* Only the secret is wrong: the request is refused like one for an unknown listen. */
static void a_wrong_secret_is_refused(void **state)
{
	struct wire_handle wrong;
	struct xfer_comm *comm;
	int64_t since = clock_us();
	int ret, bit;

	(void)state;
	NET_NEEDED();
	net_listen(&handle, &listening);
	assert_true(handle.secret != 0);
	for (bit = 0; bit < 64; bit += 21) {
		wrong = handle;
		wrong.secret ^= 1ull << bit;
		wire_handle_seal(&wrong);
		unit_log_catch();
		do {
			ret = cm_connect(net.dev, &net.conf, &wrong, &comm);
			net_poll(listening->ep);
			unit_not_late(since, "a refusal");
		} while (!ret && !comm);
		assert_int_equal(ret, -ECONNREFUSED);
		assert_int_equal(listening->request_count, 0);
		assert_true(unit_log_has(LOG_LEVEL_WARN, "does not listen there any more"));
	}
	net_listen_close(listening);
}

static void every_listen_has_its_own_secret(void **state)
{
	struct wire_handle a, b;
	struct cm_listen *la, *lb;

	(void)state;
	NET_NEEDED();
	assert_int_equal(cm_listen(net.dev, &net.conf, &a, &la), 0);
	assert_int_equal(cm_listen(net.dev, &net.conf, &b, &lb), 0);
	assert_true(a.secret != b.secret);
	cm_listen_close(la);
	cm_listen_close(lb);
}

/* An answer without the requested values does not come from the listener and is ignored. */
static void forged_answers_are_ignored(void **state)
{
	struct wire_handle mine;
	struct wire_connect forged;
	struct net_link pair = {0};
	int64_t since = clock_us();

	(void)state;
	NET_NEEDED();
	net_listen(&handle, &listening);
	mine = handle;
	begin_connect(&mine);
	memset(&forged, 0, sizeof(forged));
	wire_ctrl_init(&forged.ctrl, WIRE_CONNECT_RESPONSE, own_comm()->id, 4711);
	xfer_ep_lock(net.home);
	xfer_ep_who(net.home, &forged.who);
	dispatch(net.home, &forged.ctrl);
	forged.who.status = ECONNREFUSED;
	forged.proof = handle.secret;
	dispatch(net.home, &forged.ctrl);
	xfer_ep_unlock(net.home);
	while (!pair.send || !pair.recv) {
		if (!pair.send)
			assert_int_equal(cm_connect(net.dev, &net.conf, &mine, &pair.send), 0);
		if (!pair.recv)
			assert_int_equal(cm_accept(listening, &net.conf, &pair.recv), 0);
		unit_not_late(since, "a connection");
	}
	assert_int_equal(pair.send->remote_id, pair.recv->id);
	net_link_close(&pair);
	net_listen_close(listening);
}

/* A handle copied while its connect is under way carries a mark; the mark in the copy does not reach that connect. */
static void a_copied_mark_reaches_nobody(void **state)
{
	struct xfer_comm *send[2] = {NULL}, *recv[2] = {NULL};
	struct wire_handle mine, copy;
	int64_t since = clock_us();

	(void)state;
	NET_NEEDED();
	net_listen(&handle, &listening);
	mine = handle;
	begin_connect(&mine);
	copy = mine;
	assert_int_equal(cm_connect(net.dev, &net.conf, &copy, &send[1]), 0);
	assert_true(copy.mark != mine.mark);
	while (!send[0] || !send[1] || !recv[0] || !recv[1]) {
		if (!send[0])
			assert_int_equal(cm_connect(net.dev, &net.conf, &mine, &send[0]), 0);
		if (!send[1])
			assert_int_equal(cm_connect(net.dev, &net.conf, &copy, &send[1]), 0);
		assert_int_equal(cm_accept(listening, &net.conf, &recv[recv[0] != NULL]), 0);
		if (recv[1])
			assert_ptr_not_equal(recv[0], recv[1]);
		unit_not_late(since, "two connections");
	}
	assert_ptr_not_equal(send[0], send[1]);
	net_link_close(&(struct net_link){.send = send[0], .recv = recv[0]});
	net_link_close(&(struct net_link){.send = send[1], .recv = recv[1]});
	net_listen_close(listening);
}

/* The fabric works but the lifeline's address is wrong: the failure is reported once, as it was seen. */
static void a_wrong_lifeline_address_is_said_once(void **state)
{
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(in);
	int nobody = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), i;
	struct net_link pair;
	char text[64];

	(void)state;
	NET_NEEDED();
	net_listen(&handle, &listening);
	assert_int_equal(bind(nobody, (struct sockaddr *)&in, sizeof(in)), 0); /* bound but not listening */
	assert_int_equal(getsockname(nobody, (struct sockaddr *)&in, &len), 0);
	handle.lifeline_port = ntohs(in.sin_port);
	handle.lifeline_family = 4;
	memcpy(handle.lifeline_ip, &in.sin_addr, 4);
	wire_handle_seal(&handle);
	unit_log_catch();
	for (i = 0; i < 2; i++) {
		net_link_open(&pair, listening, &handle, 64);
		assert_null(pair.send->watch.line);
		net_message(&pair, 64);
		net_link_close(&pair);
		assert_int_equal(unit_log_count(LOG_LEVEL_WARN), 1);
	}
	snprintf(text, sizeof(text), "127.0.0.1:%u", handle.lifeline_port);
	assert_true(unit_log_has(LOG_LEVEL_WARN, text));
	assert_true(unit_log_has(LOG_LEVEL_WARN, "Connection refused"));
	assert_true(unit_log_has(LOG_LEVEL_WARN, "firewall"));
	assert_true(unit_log_has(LOG_LEVEL_WARN, "WEFT_LIFELINE_ADDR"));
	net_listen_close(listening);
	close(nobody);
}

/* Connects are begun in each state and never continued: another call closes them when their time is over. */
static void abandoned_connects_are_swept(void **state)
{
	struct wire_handle mine[3], late;
	struct net_link pair;
	struct xfer_comm *comm;
	int64_t since = clock_us();
	int i;

	(void)state;
	NET_NEEDED();
	net_listen(&handle, &listening);
	mine[0] = handle;
	begin_connect(&mine[0]);
	for (i = 1; i < 3; i++) {
		mine[i] = handle;
		assert_int_equal(cm_connect(net.dev, &net.conf, &mine[i], &comm), 0);
	}
	assert_true(net.home->refs >= 4);
	net.conf.connect_timeout_us = 100000;
	while (net.home->refs > 1) {
		assert_true(cm_accept(listening, &net.conf, &comm) <= 0);
		xfer_comm_close(comm); /* the request of an abandoned connect may have been accepted */
		unit_not_late(since, "the end of abandoned connects");
		usleep(1000);
	}
	assert_null(own_comm());
	net.conf.connect_timeout_us = 600000000;
	net_listen_close(listening);
	net_listen(&handle, &listening);
	late = handle;
	late.mark = mine[0].mark; /* a mark of a connect that no longer exists */
	net_link_open(&pair, listening, &late, 64);
	net_message(&pair, 64);
	net_link_close(&pair);
	net_listen_close(listening);
}

/* Begins three connects in several states, which belong to `owner`, and abandons them. */
static void abandon_round(const void *owner)
{
	struct wire_handle mine[3], others = handle;
	struct xfer_comm *comm;
	int64_t since = clock_us();
	int i, kept;

	mine[0] = mine[1] = mine[2] = handle;
	begin_connect(&mine[0]);
	for (i = 1; i < 3; i++)
		assert_int_equal(cm_connect(net.dev, &net.conf, &mine[i], &comm), 0);
	for (i = 0; i < 3; i++)
		cm_connect_own(&mine[i], owner);
	kept = 1 - net.home->refs;
	assert_int_equal(cm_connect(net.dev, &net.conf, &others, &comm), 0);
	kept += net.home->refs; /* of the test and of the other owner */
	cm_connect_own(&others, &others);
	assert_true(kept >= 2 && net.home->refs > kept);
	cm_connect_abandon(owner);
	while (net.home->refs > kept) /* the wakeup thread may hold it a moment longer */
		unit_not_late(since, "the end of an owner's connects");
	assert_int_equal(net.home->refs, kept); /* the other owner's connect lives */
	cm_connect_abandon(&others);
	while (net.home->refs > 1)
		unit_not_late(since, "the end of abandoned connects");
	assert_null(own_comm());
}

/* Memory that one round costs on average. `owner`: of abandoned connects; NULL: one orderly connection. */
static long cost_of_a_round(const void *owner)
{
	enum { ROUNDS = 30 };
	struct net_link link;
	size_t before = 0;
	int i;

	for (i = 0; i < 2 * ROUNDS; i++) {
		if (i == ROUNDS)
			before = mallinfo2().uordblks;
		net_listen(&handle, &listening);
		if (owner) {
			abandon_round(owner);
		} else {
			net_link_open(&link, listening, &handle, 64);
			net_link_close(&link);
		}
		net_listen_close(listening);
	}
	return ((long)mallinfo2().uordblks - (long)before) / ROUNDS;
}

/*
 * What finalize of a communicator does. Nothing is left, except what stays of every peer: its address, here and in the
 * provider.
 */
static void an_owners_connects_end_with_it(void **state)
{
	int64_t since = clock_us();
	long orderly, abandoned;
	int before, owner;

	(void)state;
	NET_NEEDED();
	orderly = cost_of_a_round(NULL);
	before = unit_descriptors();
	abandoned = cost_of_a_round(&owner);
	while (unit_descriptors() > before) /* lifelines end in the background */
		unit_not_late(since, "the end of descriptors");
	if (abandoned > orderly + 300) /* a connect alone has more */
		fail_msg("a round costs %ld bytes, one of an orderly connection %ld", abandoned, orderly);
}

/* The connect is given up between the arrival of its answer and the next call: the acceptor's half must end, too. */
static void an_accepted_connect_tells_its_end(void **state)
{
	struct xfer_comm *accepted = NULL;
	struct wire_handle mine;
	int64_t since = clock_us();
	int owner;

	(void)state;
	NET_NEEDED();
	net_listen(&handle, &listening);
	mine = handle;
	begin_connect(&mine);
	cm_connect_own(&mine, &owner);
	while (!accepted) {
		assert_int_equal(cm_accept(listening, &net.conf, &accepted), 0);
		unit_not_late(since, "an accept");
	}
	for (since = clock_us(); clock_us() - since < 100000;) {
		net_poll(listening->ep);
		net_poll(net.home);
	}
	cm_connect_abandon(&owner);
	assert_null(own_comm());
	for (since = clock_us(); !accepted->close.peer_closed; unit_not_late(since, "the end of a half")) {
		net_poll(listening->ep);
		net_poll(net.home);
	}
	xfer_comm_close(accepted);
	net_listen_close(listening);
}

/* A connect that is polled is never swept, however long it takes. */
static void a_polled_connect_is_kept(void **state)
{
	struct wire_handle mine;
	struct xfer_comm *comm;
	struct xfer_comm *own;
	int64_t since;

	(void)state;
	NET_NEEDED();
	net_listen(&handle, &listening);
	mine = handle;
	begin_connect(&mine);
	own = own_comm();
	for (since = clock_us(); clock_us() - since < 300000;) {
		net.conf.connect_timeout_us = 0;
		assert_int_equal(cm_connect(net.dev, &net.conf, &mine, &comm), 0);
	}
	assert_ptr_equal(own_comm(), own);
	net.conf.connect_timeout_us = 600000000;
	net_listen_close(listening);
	while (!cm_connect(net.dev, &net.conf, &mine, &comm))
		unit_not_late(since, "the end of a connect");
}

static void the_queue_is_bounded(void **state)
{
	struct wire_handle mine;
	struct xfer_comm *comm;
	int64_t since = clock_us();
	int ret;

	(void)state;
	NET_NEEDED();
	net_listen(&handle, &listening);
	listening->request_count = CM_REQUESTS_MAX;
	mine = handle;
	unit_log_catch();
	do {
		ret = cm_connect(net.dev, &net.conf, &mine, &comm);
		net_poll(listening->ep);
		unit_not_late(since, "a refusal");
	} while (!ret && !comm);
	assert_int_equal(ret, -ENOBUFS);
	assert_true(unit_log_has(LOG_LEVEL_WARN, "too many connect requests"));
	assert_true(list_empty(&listening->requests));
	listening->request_count = 0;
	net_listen_close(listening);
}

/* A listen's queue counts arriving and leaving requests. */
static void the_queue_counts(void **state)
{
	struct wire_handle mine;
	struct net_link pair = {0};
	int64_t since = clock_us();

	(void)state;
	NET_NEEDED();
	net_listen(&handle, &listening);
	mine = handle;
	begin_connect(&mine);
	while (!listening->request_count) {
		net_poll(listening->ep);
		unit_not_late(since, "a request");
	}
	assert_int_equal(listening->request_count, 1);
	while (!pair.send || !pair.recv) {
		if (!pair.send)
			assert_int_equal(cm_connect(net.dev, &net.conf, &mine, &pair.send), 0);
		if (!pair.recv)
			assert_int_equal(cm_accept(listening, &net.conf, &pair.recv), 0);
		unit_not_late(since, "a connection");
	}
	assert_int_equal(listening->request_count, 0);
	net_link_close(&pair);
	net_listen_close(listening);
}

/* Sends a request as a connector does, from an address of the test's choice. */
static void request_from(const struct sockaddr_in *in, uint16_t fingerprint, uint64_t ask)
{
	struct wire_connect msg;

	memset(&msg, 0, sizeof(msg));
	msg.ask = ask;
	wire_ctrl_init(&msg.ctrl, WIRE_CONNECT_REQUEST, handle.listen_id, 1 << IDMAP_SLOT_BITS);
	xfer_ep_lock(listening->ep);
	xfer_ep_who(listening->ep, &msg.who);
	memset(msg.who.addr, 0, sizeof(msg.who.addr));
	memcpy(msg.who.addr, in, sizeof(*in));
	msg.who.uuid[0] ^= 1;
	msg.who.fingerprint ^= fingerprint;
	msg.proof = handle.secret;
	dispatch(listening->ep, &msg.ctrl);
	xfer_ep_unlock(listening->ep);
}

/* A listen serves the next request after any bad one. */
static void a_bad_request_is_not_the_listens_fault(void **state)
{
	struct sockaddr_in in = {.sin_family = AF_INET,
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
				 .sin_port = htons(9)};
	struct sockaddr_in none = {.sin_family = AF_INET};
	struct net_link pair;

	(void)state;
	NET_NEEDED();
	net_listen(&handle, &listening);
	request_from(&in, 1, 11);
	request_from(&none, 0, 12);
	assert_int_equal(listening->request_count, 2);
	request_from(&in, 1, 11); /* the first again: its sender could not know that it had arrived */
	assert_int_equal(listening->request_count, 2);
	unit_log_catch();
	net_link_open(&pair, listening, &handle, 64);
	assert_int_equal(listening->request_count, 0);
	assert_true(unit_log_has(LOG_LEVEL_WARN, "still waiting for a peer"));
	assert_true(unit_log_has(LOG_LEVEL_WARN, "WEFT_PROVIDER"));
	net_message(&pair, 64);
	net_link_close(&pair);
	net_listen_close(listening);
}

/* Fills the backlog, so that the next connection hangs, as behind a firewall that drops packets. */
static void be_deaf(struct sockaddr_in *in, int fds[4])
{
	socklen_t len = sizeof(*in);
	int i;

	for (i = 0; i < 4; i++)
		fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(fds[0], (struct sockaddr *)in, sizeof(*in)), 0);
	assert_int_equal(listen(fds[0], 0), 0);
	assert_int_equal(getsockname(fds[0], (struct sockaddr *)in, &len), 0);
	for (i = 1; i < 4; i++)
		if (connect(fds[i], (struct sockaddr *)in, sizeof(*in)))
			assert_int_equal(errno, EINPROGRESS);
}

/* The connector has no lifeline, and the answer can't be sent. */
static void an_answer_that_never_leaves_has_a_deadline(void **state)
{
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct net_link pair;
	struct xfer_comm *comm;
	int64_t since = clock_us();
	int fds[4], i;

	(void)state;
	NET_NEEDED();
	be_deaf(&in, fds);
	net_listen(&handle, &listening);
	request_from(&in, 0, 13);
	net.conf.connect_timeout_us = 300000;
	net.conf.close_timeout_us = 100000;
	unit_log_catch();
	while (!unit_log_has(LOG_LEVEL_WARN, "has not left")) {
		assert_int_equal(cm_accept(listening, &net.conf, &comm), 0);
		assert_null(comm);
		unit_not_late(since, "the end of an accept");
	}
	assert_true(unit_log_has(LOG_LEVEL_WARN, "WEFT_CONNECT_TIMEOUT"));
	assert_true(unit_log_has(LOG_LEVEL_WARN, "no liveness connection"));
	net.conf.connect_timeout_us = 600000000;
	net_link_open(&pair, listening, &handle, 64);
	net_message(&pair, 64);
	net_link_close(&pair);
	net_listen_close(listening);
	for (i = 0; i < 4; i++)
		close(fds[i]);
}

/* A child forked in the middle of a connect has no connects; the parent's connect goes on. */
static void a_forked_child_has_no_connects(void **state)
{
	struct wire_handle mine;
	struct net_link pair = {0};
	int64_t since = clock_us();
	int status = 0;
	pid_t pid;

	(void)state;
	NET_NEEDED();
	net_listen(&handle, &listening);
	mine = handle;
	begin_connect(&mine);
	pid = fork();
	if (!pid) {
		alarm(60);
		net.conf.connect_timeout_us = 1;
		usleep(1000);
		connecting_sweep(&net.conf); /* would close the parent's connects */
		_exit(own_comm() ? 0 : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	while (!pair.send || !pair.recv) {
		if (!pair.send)
			assert_int_equal(cm_connect(net.dev, &net.conf, &mine, &pair.send), 0);
		if (!pair.recv)
			assert_int_equal(cm_accept(listening, &net.conf, &pair.recv), 0);
		unit_not_late(since, "a connection");
	}
	net_link_close(&pair);
	net_listen_close(listening);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		NET_TESTS(a_wrong_secret_is_refused),
		NET_TEST(every_listen_has_its_own_secret, "tcp"),
		NET_TESTS(forged_answers_are_ignored),
		NET_TESTS(a_copied_mark_reaches_nobody),
		NET_TESTS(a_wrong_lifeline_address_is_said_once),
		NET_TEST(abandoned_connects_are_swept, "tcp"),
		NET_TEST(an_owners_connects_end_with_it, "tcp"),
		NET_TEST(an_accepted_connect_tells_its_end, "tcp"),
		NET_TEST(an_accepted_connect_tells_its_end, NET_RMA),
		NET_TEST(a_polled_connect_is_kept, "tcp"),
		NET_TESTS(the_queue_is_bounded),
		NET_TESTS(the_queue_counts),
		NET_TEST(a_bad_request_is_not_the_listens_fault, "tcp"),
		NET_TEST(an_answer_that_never_leaves_has_a_deadline, "tcp"),
		NET_TEST(a_forked_child_has_no_connects, "tcp"),
	};

	return unit_run("abandon", tests);
}

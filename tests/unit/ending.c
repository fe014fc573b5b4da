/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Endings: a release on one side must leave the other side usable, and the end of one side must end the waits of the
 * other. If the other side must be a process that makes no calls, it is a separate process (remote.h).
 */
#include "unit/unit.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "ep/peer.h"
#include "patience.h"
#include "unit/net.h"
#include "unit/remote.h"

#define MANY  40
#define BYTES 65536

static struct wire_handle handle;
static struct cm_listen *listening;
static struct net_link first;

/* --- groups --- */

static void receive(int n, const uint32_t *tags, size_t at, struct xfer_req **out)
{
	struct xfer_sub subs[WIRE_GROUP_MAX];
	int i;

	for (i = 0; i < n; i++)
		subs[i] = (struct xfer_sub){.buf = first.to + at + (size_t)i * 64,
					    .len = 64,
					    .tag = tags[i],
					    .region = first.to_region};
	assert_int_equal(xfer_irecv(first.recv, n, subs, out), 0);
}

static void send_64(uint32_t tag)
{
	int64_t since = clock_us();
	struct xfer_req *req;
	size_t got;
	int ret;

	while ((ret = xfer_isend(first.send, first.from, 64, tag, first.from_region, &req)) == -EAGAIN) {
		net_turn(&first);
		unit_not_late(since, "posting a send");
	}
	assert_int_equal(ret, 0);
	assert_int_equal(net_wait(&first, req, &got), 1);
}

/* The sender polls and learns of the groups before it sends the messages for the plain receives. */
static void learn_of_groups(void)
{
	int64_t since = clock_us();

	while (!first.send->tx.grouped || !first.recv->rx.grp->ready) {
		net_turn(&first);
		unit_not_late(since, "both sides' knowledge of groups");
	}
}

static void nobody_is_awaited(struct xfer_ep *ep)
{
	int64_t since = clock_us();

	while (ep->peers_awaited) {
		net_poll(first.recv->ep);
		net_poll(ep);
		unit_not_late(since, "the answer to a sender's close");
	}
}

/* Groups begin while the sender is `lag` messages behind the plain receives; its close is still answered. */
static void groups_begin_while_the_sender_lags(void **state)
{
	static const uint32_t plain[] = {1}, both[] = {1, 2};
	struct xfer_req *reqs[WIRE_GROUP_MAX + 2], *group;
	size_t lens[WIRE_GROUP_MAX];
	struct xfer_ep *ep;
	int lag, i;

	(void)state;
	NET_NEEDED();
	net.conf.lifeline = 0; /* no wakeup answers the close before the test looks */
	for (lag = 0; lag <= WIRE_GROUP_MAX; lag += 4) {
		net_listen(&handle, &listening);
		net_link_open(&first, listening, &handle, BYTES);
		ep = first.send->ep;
		receive(1, plain, 0, &reqs[0]);
		send_64(1);
		assert_int_equal(net_wait(&first, reqs[0], lens), 1);
		for (i = lag; i <= WIRE_GROUP_MAX; i++)
			send_64(1); /* eager: no receive is posted */
		for (i = 0; i <= WIRE_GROUP_MAX; i++)
			receive(1, plain, 0, &reqs[i]);
		receive(2, both, 1024, &group);
		learn_of_groups();
		for (i = 0; i < lag; i++)
			send_64(1);
		send_64(2);
		send_64(1);
		for (i = 0; i <= WIRE_GROUP_MAX; i++)
			assert_int_equal(net_wait(&first, reqs[i], lens), 1);
		assert_int_equal(net_wait(&first, group, lens), 2);
		assert_true(first.send->tx.eager_sent);
		ep_hold(ep);
		xfer_comm_close(first.send);
		first.send = NULL;
		assert_int_equal(ep->peers_awaited, 1);
		nobody_is_awaited(ep);
		xfer_ep_put(ep);
		net_link_close(&first);
		net_listen_close(listening);
	}
}

/* --- peers in the address vector --- */

static struct xfer_peer *only(struct list *peers)
{
	assert_false(list_empty(peers));
	assert_ptr_equal(peers->next->next, peers);
	return container_of(peers->next, struct xfer_peer, link);
}

static void a_peer_stays_for_the_next_comm(void **state)
{
	struct xfer_peer *here, *there;
	uint64_t address;
	int round;

	(void)state;
	NET_NEEDED();
	net_listen(&handle, &listening);
	net_link_open(&first, listening, &handle, BYTES);
	here = first.send->peer;
	there = first.recv->peer;
	address = here->paths[0].fab_addr;
	for (round = 0; round < 20; round++) {
		net_message(&first, 64);
		net_link_close(&first);
		assert_ptr_equal(only(&net.home->peers_idle), here);
		assert_ptr_equal(only(&listening->ep->peers_idle), there);
		net_link_open(&first, listening, &handle, BYTES);
		assert_ptr_equal(first.send->peer, here);
		assert_ptr_equal(first.recv->peer, there);
		assert_int_equal(here->paths[0].fab_addr, address);
		assert_true(list_empty(&net.home->peers_idle));
		assert_int_equal(net.home->idle_count, 0);
	}
	net_link_close(&first);
	net_listen_close(listening);
}

/* A peer at an unused port. */
static struct wire_who somebody(unsigned port)
{
	struct sockaddr_in *in;
	struct wire_who who;

	xfer_ep_who(net.home, &who);
	in = (struct sockaddr_in *)(void *)who.addr;
	assert_int_equal(in->sin_family, AF_INET);
	in->sin_port = htons((uint16_t)port);
	return who;
}

static int length(const struct list *peers)
{
	const struct list *it;
	int n = 0;

	for (it = peers->next; it != peers; it = it->next)
		n++;
	return n;
}

static void idle_peers_are_bounded(void **state)
{
	struct wire_who who;
	struct xfer_peer *p;
	unsigned i;

	(void)state;
	NET_NEEDED();
	xfer_ep_lock(net.home);
	for (i = 0; i < PEERS_IDLE_MAX + 5; i++) {
		who = somebody(i + 1);
		assert_int_equal(peer_get(net.home, &who, &p), 0);
		peer_put(p);
		assert_int_equal(net.home->idle_count, i < PEERS_IDLE_MAX ? i + 1 : PEERS_IDLE_MAX);
	}
	assert_int_equal(length(&net.home->peers_idle), PEERS_IDLE_MAX);
	who = somebody(6); /* the longest idle of the remaining peers */
	p = container_of(net.home->peers_idle.next, struct xfer_peer, link);
	assert_memory_equal(p->who.addr, who.addr, who.addr_bytes);
	xfer_ep_unlock(net.home);
}

static void another_process_replaces_an_idle_peer(void **state)
{
	struct wire_who who;
	struct xfer_peer *p;

	(void)state;
	NET_NEEDED();
	xfer_ep_lock(net.home);
	who = somebody(1);
	assert_int_equal(peer_get(net.home, &who, &p), 0);
	p->dead = true;
	peer_put(p);
	who.uuid[3] ^= 1;
	assert_int_equal(peer_get(net.home, &who, &p), 0);
	assert_int_equal(net.home->idle_count, 0);
	assert_true(list_empty(&net.home->peers_idle));
	assert_memory_equal(p->who.uuid, who.uuid, sizeof(who.uuid));
	assert_false(p->dead);
	peer_put(p);
	xfer_ep_unlock(net.home);
}

/* --- an endpoint that was shut --- */

static void a_flush_after_the_endpoint_was_shut_is_an_error(void **state)
{
	struct xfer_req *s, *r;
	struct xfer_ep *ep;
	int64_t since = clock_us();
	size_t got;

	(void)state;
	NET_NEEDED();
	net_listen(&handle, &listening);
	net_link_open(&first, listening, &handle, BYTES);
	assert_int_equal(net_recv(&first, 0, 64, &r), 0);
	assert_int_equal(net_send(&first, 0, 64, &s), 0);
	assert_int_equal(net_wait(&first, s, &got), 1);
	while (!r->done) {
		net_turn(&first);
		unit_not_late(since, "a message");
	}
	/* Looks like a receive into GPU memory whose flush has begun but could not post its read yet. */
	first.recv->rx.self_flush = true;
	r->flushing = true;
	r->flush_todo = 1;
	r->flush_region = first.to_region;
	r->flush_at = (char *)first.to;
	ep = first.recv->ep;
	xfer_ep_lock(ep);
	ep_break(ep, -ECANCELED, "for the test");
	ep_shut(ep);
	xfer_ep_unlock(ep);
	assert_true(xfer_test(r, &got) < 0);
	assert_true(xfer_test(r, &got) < 0); /* and every time it is tested again */
	net_link_close(&first);
	net_listen_close(listening);
}

/* --- another process --- */

static struct remote other;
static struct xfer_comm *comms[MANY * 2];
static struct xfer_req *reqs[MANY * 2];
static char memory[BYTES];

static int begin_with_other(void **state)
{
	int ret = net_begin(state);

	if (!ret && net.dev) {
		net.conf.close_timeout_us = UNIT_PATIENCE_US;
		remote_start(&other);
	}
	return ret;
}

static int end_with_other(void **state)
{
	remote_kill(&other);
	return net_end(state);
}

/* The other process connects n comms, on one endpoint or on n; a receive is posted on each, and the sender knows it. */
static void receive_from_other(enum remote_what how, int n)
{
	struct remote_ask ask = {.what = how, .n = n};
	struct xfer_region *region;
	int64_t since = clock_us();
	int i;

	net_listen(&ask.handle, &listening);
	remote_ask(&other, &ask);
	for (i = 0; i < n; i++)
		for (comms[i] = NULL; !comms[i];) {
			assert_int_equal(cm_accept(listening, &net.conf, &comms[i]), 0);
			unit_not_late(since, "a connection from another process");
		}
	remote_answer(&other);
	for (i = 0; i < n; i++) {
		assert_int_equal(xfer_region_open(comms[i], memory, BYTES, &region), 0);
		assert_int_equal(net_irecv(comms[i], memory, BYTES, region, &reqs[i]), 0);
	}
	for (i = 0; i < 1000; i++)
		net_poll(listening->ep); /* clear-to-sends are sent */
}

static void close_comms(int n)
{
	int i;

	for (i = 0; i < n; i++)
		xfer_comm_close(comms[i]);
}

static int fails(struct xfer_req *req)
{
	int64_t since = clock_us();
	size_t got;
	int ret;

	while (!(ret = xfer_test(req, &got)))
		unit_not_late(since, "the end of a wait for another process");
	return ret;
}

/* The wait for a dead sender's writes happens once, not 0.1 s for each of its comms. */
static void a_dead_peer_costs_once(void **state)
{
	uint64_t since;
	size_t got;

	(void)state;
	NET_NEEDED();
	receive_from_other(REMOTE_CONNECT, MANY);
	remote_kill(&other);
	assert_int_equal(fails(reqs[0]), -ECONNRESET);
	assert_true(unit_log_has(LOG_LEVEL_WARN, "has died"));
	since = patience_ms();
	close_comms(MANY);
	got = (size_t)(patience_ms() - since);
	if (got >= MANY * 100 / 2)
		fail_msg("closing %d comms to a dead peer took %zu ms", MANY, got);
	assert_int_equal(listening->ep->err, 0);
	net_listen_close(listening);
}

/* A sender that makes no calls is woken to confirm its pending writes, on more endpoints than any fixed limit. */
static void many_endpoints_are_woken(void **state)
{
	enum { ENDPOINTS = 70 };

	(void)state;
	NET_NEEDED();
	receive_from_other(REMOTE_CONNECT_THREADS, ENDPOINTS);
	close_comms(ENDPOINTS);
	assert_int_equal(listening->ep->err, 0);
	assert_false(unit_log_has(LOG_LEVEL_WARN, "shut down"));
	net_listen_close(listening);
}

static void connect_to_other(struct xfer_comm **out)
{
	struct remote_ask ask = {.what = REMOTE_LISTEN};
	struct wire_handle mine = remote_do(&other, &ask).handle;
	int64_t since = clock_us();

	ask.what = REMOTE_ACCEPT;
	remote_ask(&other, &ask);
	for (*out = NULL; !*out;) {
		assert_int_equal(cm_connect(net.dev, &net.conf, &mine, out), 0);
		unit_not_late(since, "a connection to another process");
	}
	remote_answer(&other);
}

/* A receiver that makes no calls is woken, too: its provider must read before a send can complete. */
static void a_receiver_that_does_not_call_is_woken(void **state)
{
	enum { BIG = 64 << 20 };
	struct remote_ask ask = {.bytes = BIG};
	struct xfer_region *region;
	struct xfer_comm *comm;
	struct xfer_req *req;
	int64_t since = clock_us();
	char *buf;
	int ret;

	(void)state;
	NET_NEEDED();
	connect_to_other(&comm);
	buf = calloc(1, BIG);
	assert_non_null(buf);
	assert_int_equal(xfer_region_open(comm, buf, BIG, &region), 0);
	ask.what = REMOTE_RECEIVE;
	remote_do(&other, &ask);
	ask.what = REMOTE_POLL;
	remote_do(&other, &ask);
	while ((ret = net_isend(comm, buf, BIG, region, &req)) == -EAGAIN)
		unit_not_late(since, "a clear-to-send from another process");
	assert_int_equal(ret, 0);
	xfer_comm_close(comm);
	free(buf);
	assert_int_equal(net.home->err, 0);
	assert_false(unit_log_has(LOG_LEVEL_WARN, "shut down"));
}

/* One endpoint of the peer has ended. The process lives and has other comms to us, so its lifeline reports nothing. */
static void a_broken_endpoint_ends_its_peers_waits(void **state)
{
	struct remote_ask ask = {.n = 0};
	int64_t since;
	size_t got;
	int ret[2] = {0, 0}, i;

	(void)state;
	NET_NEEDED();
	receive_from_other(REMOTE_CONNECT_THREADS, 2);
	ask.what = REMOTE_BREAK;
	remote_do(&other, &ask);
	ask.what = REMOTE_CLOSE;
	remote_do(&other, &ask);
	for (since = clock_us(); !ret[0] && !ret[1];) {
		for (i = 0; i < 2; i++)
			ret[i] = xfer_test(reqs[i], &got);
		unit_not_late(since, "the end of a wait for a broken endpoint");
	}
	assert_true(ret[0] + ret[1] < 0);
	assert_true(!ret[0] || !ret[1]); /* the other comm is not affected */
	close_comms(2);
	assert_int_equal(listening->ep->err, 0); /* the close does not wait for an endpoint that has ended */
	net_listen_close(listening);
}

static struct cm_listen *first_listening;
static struct xfer_comm *living;
static struct xfer_req *living_req;

/*
 * The other process has two endpoints: with one comm (number 0 there), which lives, and with n comms. The latter ends
 * without sending a CLOSE.
 */
static void endpoint_of_other_ends(int n)
{
	struct remote_ask ask = {.what = REMOTE_BREAK, .n = 1};

	receive_from_other(REMOTE_CONNECT_THREADS, 1);
	first_listening = listening;
	living = comms[0];
	living_req = reqs[0];
	receive_from_other(REMOTE_CONNECT, n);
	remote_do(&other, &ask);
	ask.what = REMOTE_CLOSE;
	for (; ask.n <= n; ask.n++)
		remote_do(&other, &ask);
}

static void living_goes_on(void)
{
	struct remote_ask ask = {.what = REMOTE_SEND, .n = 0, .bytes = BYTES};
	int64_t since = clock_us();
	size_t got;
	int ret;

	assert_int_equal(living->ep->err, 0);
	remote_ask(&other, &ask);
	while (!(ret = xfer_test(living_req, &got)))
		unit_not_late(since, "a message of the endpoint that lives");
	assert_int_equal(ret, 1);
	remote_answer(&other);
	xfer_comm_close(living);
	net_listen_close(first_listening);
}

static void other_endpoint_lives(void)
{
	assert_int_equal(listening->ep->err, 0);
	living_goes_on();
	net_listen_close(listening);
}

/* The process lives, so a receiver that closes at once learns of the endpoint's end only over the lifeline. */
static void closing_towards_an_endpoint_that_is_gone(void **state)
{
	int64_t since;

	(void)state;
	NET_NEEDED();
	endpoint_of_other_ends(1);
	since = clock_us();
	xfer_comm_close(comms[0]);
	assert_true(clock_us() - since < net.conf.close_timeout_us / 4);
	other_endpoint_lives();
}

/* The last close of an endpoint waits for answers of peers; a half that is gone does not answer. */
static void the_last_close_towards_an_endpoint_that_is_gone(void **state)
{
	struct remote_ask ask = {.what = REMOTE_SEND, .n = 1, .bytes = BYTES};
	int64_t since = clock_us();
	size_t got;

	(void)state;
	NET_NEEDED();
	receive_from_other(REMOTE_CONNECT_THREADS, 1);
	first_listening = listening;
	living = comms[0];
	living_req = reqs[0];
	receive_from_other(REMOTE_CONNECT, 1);
	remote_ask(&other, &ask);
	while (!xfer_test(reqs[0], &got))
		unit_not_late(since, "a message of another process");
	remote_answer(&other);
	ask.what = REMOTE_BREAK;
	remote_do(&other, &ask);
	ask.what = REMOTE_CLOSE;
	remote_do(&other, &ask);
	((struct fab_nic *)net.dev->nic)->silent_dead = true; /* as on EFA */
	xfer_comm_close(comms[0]);
	assert_int_equal(listening->ep->peers_awaited, 1);
	net_listen_close(listening);
	living_goes_on(); /* it has the same endpoint of ours */
	assert_false(unit_log_has(LOG_LEVEL_INFO, "have not answered"));
}

/* The wait for its last writes happens once, not for each comm. */
static void an_endpoint_that_is_gone_costs_once(void **state)
{
	int64_t since, one, all;
	int i;

	(void)state;
	NET_NEEDED();
	endpoint_of_other_ends(MANY);
	since = clock_us();
	xfer_comm_close(comms[0]);
	one = clock_us() - since;
	for (i = 1; i < MANY; i++)
		xfer_comm_close(comms[i]);
	all = clock_us() - since;
	if (all >= one * MANY / 2)
		fail_msg("closing one comm took %d ms, %d comms %d ms", (int)(one / 1000), MANY, (int)(all / 1000));
	other_endpoint_lives();
}

/* The sender's half has failed, but its endpoint could still write: only the end of our own endpoint is safe. */
static void an_answer_that_proves_nothing_frees_nothing(void **state)
{
	struct remote_ask ask = {.what = REMOTE_BREAK};

	(void)state;
	NET_NEEDED();
	net.conf.close_timeout_us = 500000;
	receive_from_other(REMOTE_CONNECT, 2);
	remote_do(&other, &ask);
	xfer_comm_close(comms[0]);
	assert_int_equal(listening->ep->err, -ECANCELED);
	assert_null(listening->ep->fab);
	assert_true(unit_log_has(LOG_LEVEL_WARN, "WEFT_CLOSE_TIMEOUT"));
	xfer_comm_close(comms[1]);
	net_listen_close(listening);
}

/* --- fork --- */

/*
 * In a child, a wakeup polls the child's endpoint and none of the parent's. Exit status: 0, or the number of the failed
 * step.
 */
static int starts_empty(void)
{
	struct dev_table table;
	const struct xfer_ep *inherited = net.home;
	uint64_t round = inherited->woken_round;
	struct wire_handle mine;
	struct cm_listen *listen;
	struct xfer_comm *send = NULL, *recv = NULL;
	int64_t since = clock_us();

	if (dev_table_load(&table) || table.count != 1)
		return 1;
	if (cm_listen(&table.devs[0], &table.conf, &mine, &listen))
		return 2;
	while (!send || !recv) {
		if (!send && cm_connect(&table.devs[0], &table.conf, &mine, &send))
			return 4;
		if (!recv && cm_accept(listen, &table.conf, &recv))
			return 5;
		if (clock_us() - since > UNIT_PATIENCE_US)
			return 6;
	}
	if (!send->watch.line || send->ep == inherited || recv->ep == inherited)
		return 7;
	while (!send->ep->woken_round) {
		lifeline_wake(send->watch.line);
		usleep(1000);
		if (clock_us() - since > UNIT_PATIENCE_US)
			return 8;
	}
	return inherited->woken_round == round ? 0 : 9;
}

static void a_forked_child_starts_empty(void **state)
{
	int status = -1;
	pid_t pid;

	(void)state;
	NET_NEEDED();
#ifdef __SANITIZE_THREAD__
	return; /* ThreadSanitizer ends a forked child that starts a thread */
#endif
	net_listen(&handle, &listening);
	net_link_open(&first, listening, &handle, BYTES);
	net_message(&first, 64);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		alarm(300);
		_exit(starts_empty());
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	net_message(&first, BYTES);
	net_link_close(&first);
	net_listen_close(listening);
}

#define OTHER_TEST(f, provider)                                                                                        \
	{                                                                                                              \
		provider ": " #f, f, begin_with_other, end_with_other, (void *)(uintptr_t)provider                     \
	}

int main(int argc, char **argv)
{
	static const struct CMUnitTest tests[] = {
		NET_TEST(groups_begin_while_the_sender_lags, NET_RMA),
		NET_TESTS(a_peer_stays_for_the_next_comm),
		NET_TEST(a_peer_stays_for_the_next_comm, NET_RMA),
		NET_TEST(idle_peers_are_bounded, "tcp"),
		NET_TEST(another_process_replaces_an_idle_peer, "tcp"),
		NET_TEST(a_flush_after_the_endpoint_was_shut_is_an_error, "tcp"),
		OTHER_TEST(a_dead_peer_costs_once, "tcp"),
		OTHER_TEST(a_dead_peer_costs_once, NET_RMA),
		OTHER_TEST(many_endpoints_are_woken, NET_RMA),
		OTHER_TEST(a_receiver_that_does_not_call_is_woken, "tcp"),
		OTHER_TEST(a_receiver_that_does_not_call_is_woken, NET_RMA),
		OTHER_TEST(a_broken_endpoint_ends_its_peers_waits, "tcp"),
		OTHER_TEST(a_broken_endpoint_ends_its_peers_waits, NET_RMA),
		OTHER_TEST(closing_towards_an_endpoint_that_is_gone, NET_RMA),
		OTHER_TEST(the_last_close_towards_an_endpoint_that_is_gone, "tcp"),
		OTHER_TEST(the_last_close_towards_an_endpoint_that_is_gone, NET_RMA),
		OTHER_TEST(the_last_close_towards_an_endpoint_that_is_gone, "shm"),
		OTHER_TEST(an_endpoint_that_is_gone_costs_once, NET_RMA),
		OTHER_TEST(an_answer_that_proves_nothing_frees_nothing, NET_RMA),
		NET_TEST(a_forked_child_starts_empty, "tcp"),
	};

	remote_main(argc, argv);
	return unit_run("ending", tests);
}

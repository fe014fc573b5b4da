/* SPDX-License-Identifier: Apache-2.0 */
/* conn: listen, connect, accept; refusals, deadlines, and listeners that die. */
#include "unit/unit.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "unit/net.h"

static struct wire_handle handle;
static struct conn_listen *listening;

/* Steps until the connect has an end: its result. */
static int connect_to_the_end(struct wire_handle *h, struct xfer_chan **out)
{
	int64_t since = clock_us();
	int ret;

	do {
		ret = conn_connect(net.dev, &net.conf, h, out);
		unit_not_late(since, "the end of a connect");
	} while (!ret && !*out);
	return ret;
}

static int accept_to_the_end(struct conn_listen *l, struct xfer_chan **out)
{
	int64_t since = clock_us();
	int ret;

	do {
		ret = conn_accept(l, &net.conf, out);
		unit_not_late(since, "the end of an accept");
	} while (!ret && !*out);
	return ret;
}

static void connects_and_is_accepted(void **state)
{
	struct wire_handle mine;
	struct net_link pair;

	(void)state;
	NET_NEEDED();
	net_listen(&handle, &listening);
	assert_null(wire_handle_check(&handle));
	assert_int_equal(handle.mark, 0);
	mine = handle;
	net_link_open(&pair, listening, &mine, 4096);
	assert_memory_equal(&mine, &handle, sizeof(mine)); /* the same handle serves again */
	assert_int_equal(pair.send->remote_id, pair.recv->id);
	assert_int_equal(pair.recv->remote_id, pair.send->id);
	assert_non_null(pair.send->line);
	assert_non_null(pair.recv->line);
	assert_int_equal(xfer_chan_kind(pair.send), XFER_SEND);
	assert_int_equal(xfer_chan_kind(pair.recv), XFER_RECV);
	assert_non_null(strstr(xfer_chan_peer_text(pair.send), peer_self()->host));
	assert_non_null(strstr(xfer_chan_peer_text(pair.recv), peer_self()->host));
	net_message(&pair, 4096);
	net_link_close(&pair);
	net_listen_close(listening);
}

/* Many under way at once, from copies of one handle; whoever is accepted is the right one. */
static void many_at_once(void **state)
{
	enum { MANY = 30 };
	struct xfer_chan *send[MANY] = {NULL}, *recv[MANY] = {NULL};
	struct wire_handle handles[MANY];
	int64_t since = clock_us();
	int i, k, accepted = 0, connected = 0, found;

	(void)state;
	NET_NEEDED();
	net_listen(&handle, &listening);
	for (i = 0; i < MANY; i++)
		handles[i] = handle;
	while (accepted < MANY || connected < MANY) {
		for (i = 0; i < MANY; i++)
			if (!send[i]) {
				assert_int_equal(conn_connect(net.dev, &net.conf, &handles[i], &send[i]), 0);
				connected += send[i] != NULL;
			}
		if (accepted < MANY) {
			assert_int_equal(conn_accept(listening, &net.conf, &recv[accepted]), 0);
			accepted += recv[accepted] != NULL;
		}
		unit_not_late(since, "many connections");
	}
	for (i = 0; i < MANY; i++) {
		for (k = 0, found = 0; k < MANY; k++)
			found += send[i]->remote_id == recv[k]->id && recv[k]->remote_id == send[i]->id;
		assert_int_equal(found, 1);
		assert_ptr_equal(send[i]->line, send[0]->line); /* one lifeline for all */
		assert_ptr_equal(recv[i]->line, recv[0]->line);
	}
	for (i = 0; i < MANY; i++) {
		struct net_link pair = {.send = send[i], .recv = recv[i]};

		net_link_close(&pair);
	}
	net_listen_close(listening);
}

static void two_listens_on_one_port(void **state)
{
	struct wire_handle a, b;
	struct conn_listen *la, *lb;
	struct net_link pa, pb;

	(void)state;
	NET_NEEDED();
	/* on this thread, so that both ends share a port: a process may connect to itself */
	assert_int_equal(conn_listen(net.dev, &net.conf, &a, &la), 0);
	assert_int_equal(conn_listen(net.dev, &net.conf, &b, &lb), 0);
	assert_ptr_equal(la->port, lb->port);
	assert_int_not_equal(a.listen_id, b.listen_id);
	net_link_open(&pb, lb, &b, 4096);
	net_link_open(&pa, la, &a, 4096);
	assert_ptr_equal(pa.send->port, pa.recv->port);
	net_message(&pa, 4096);
	net_message(&pb, 17);
	net_link_close(&pa);
	net_message(&pb, 4096);
	net_link_close(&pb);
	conn_listen_close(la);
	conn_listen_close(lb);
	conn_listen_close(NULL);
}

static void without_lifelines(void **state)
{
	struct net_link pair;

	(void)state;
	NET_NEEDED();
	net.conf.lifeline = 0;
	net_listen(&handle, &listening);
	assert_int_equal(handle.lifeline_family, 0);
	net_link_open(&pair, listening, &handle, 4096);
	assert_null(pair.send->line);
	assert_null(pair.recv->line);
	net_message(&pair, 4096);
	net_link_close(&pair);
	net_listen_close(listening);
}

/* A lifeline address that is none, or is not of this host: said, and done without. */
static void impossible_lifeline_addresses(void **state)
{
	struct net_link pair;

	(void)state;
	NET_NEEDED();
	strcpy(net.conf.lifeline_addr, "nonsense");
	net_listen(&handle, &listening);
	assert_true(unit_log_has(LOG_LEVEL_WARN, "WEFT_LIFELINE_ADDR=nonsense"));
	assert_int_equal(handle.lifeline_family, 0);
	net_link_open(&pair, listening, &handle, 4096);
	net_message(&pair, 4096);
	net_link_close(&pair);
	net_listen_close(listening);

	strcpy(net.conf.lifeline_addr, "192.0.2.1"); /* an address for documentation */
	net_listen(&handle, &listening);
	assert_true(unit_log_has(LOG_LEVEL_INFO, "WEFT_LIFELINE_ADDR"));
	assert_int_equal(handle.lifeline_family, 0);
	net_listen_close(listening);
}

/* --- handles --- */

static void damaged_handles(void **state)
{
	struct wire_handle bad;
	struct xfer_chan *chan;
	unsigned char *bytes = (unsigned char *)&bad;
	uint64_t seed = 6;
	size_t at, i;

	(void)state;
	NET_NEEDED();
	net_listen(&handle, &listening);
	for (at = 0; at < offsetof(struct wire_handle, mark); at++) {
		bad = handle;
		bytes[at] = (unsigned char)(bytes[at] ^ (1 + unit_random(&seed) % 255));
		unit_log_catch();
		assert_int_equal(conn_connect(net.dev, &net.conf, &bad, &chan), -EINVAL);
		assert_null(chan);
		assert_int_equal(unit_log_count(LOG_LEVEL_WARN), 1);
	}
	for (i = 0; i < 1000; i++) {
		for (at = 0; at < sizeof(bad); at++)
			bytes[at] = (unsigned char)unit_random(&seed);
		assert_int_equal(conn_connect(net.dev, &net.conf, &bad, &chan), -EINVAL);
	}
	memset(&bad, 0, sizeof(bad));
	assert_int_equal(conn_connect(net.dev, &net.conf, &bad, &chan), -EINVAL);
	assert_true(unit_log_has(LOG_LEVEL_WARN, "not a Weft handle"));
	net_listen_close(listening);
}

static void handles_of_another_provider(void **state)
{
	struct wire_handle other;
	struct xfer_chan *chan;

	(void)state;
	NET_NEEDED();
	net_listen(&handle, &listening);
	other = handle;
	other.provider = wire_provider_tag("mystery");
	wire_handle_seal(&other);
	assert_int_equal(conn_connect(net.dev, &net.conf, &other, &chan), -EPROTONOSUPPORT);
	assert_true(unit_log_has(LOG_LEVEL_WARN, "WEFT_PROVIDER"));
	net_listen_close(listening);
}

/* A mark that is none of ours is as good as none. */
static void handles_with_a_foreign_mark(void **state)
{
	static const uint64_t marks[] = {1, 77, UINT32_MAX, 1ull << 32, UINT64_MAX};
	struct net_link pair;
	struct wire_handle mine;
	size_t i;

	(void)state;
	NET_NEEDED();
	net_listen(&handle, &listening);
	for (i = 0; i < COUNT(marks); i++) {
		mine = handle;
		mine.mark = marks[i];
		net_link_open(&pair, listening, &mine, 64);
		net_message(&pair, 64);
		net_link_close(&pair);
	}
	net_listen_close(listening);
}

/* --- refusals --- */

static void refused_when_nobody_listens_any_more(void **state)
{
	struct net_link pair;
	struct xfer_chan *chan;
	struct wire_handle mine;
	struct xfer_port *port;
	int64_t since = clock_us();
	int ret;

	(void)state;
	NET_NEEDED();
	net_listen(&handle, &listening);
	net_link_open(&pair, listening, &handle, 64);
	port = pair.recv->port;
	conn_listen_close(listening); /* the port lives on with its channel */
	mine = handle;
	unit_log_catch();
	do {
		ret = conn_connect(net.dev, &net.conf, &mine, &chan);
		net_poll(port);
		unit_not_late(since, "a refusal");
	} while (!ret && !chan);
	assert_int_equal(ret, -ECONNREFUSED);
	assert_null(chan);
	assert_int_equal(mine.mark, 0);
	assert_int_equal(unit_log_count(LOG_LEVEL_WARN), 1);
	assert_true(unit_log_has(LOG_LEVEL_WARN, "does not listen there any more"));
	net_message(&pair, 64); /* others are not touched */
	net_link_close(&pair);
}

/* The request has arrived, and waits or is being accepted, when the listen is closed. */
static void refused_while_waiting(void **state)
{
	struct xfer_chan *chan;
	struct net_link pair;
	struct wire_handle mine;
	int64_t since = clock_us();
	struct xfer_port *port;
	int ret = 0, taken_up;

	(void)state;
	NET_NEEDED();
	for (taken_up = 0; taken_up < 2; taken_up++) {
		net_listen(&handle, &listening);
		net_link_open(&pair, listening, &handle, 64); /* keeps the port open */
		port = pair.recv->port;
		mine = handle;
		while (list_empty(&listening->requests)) {
			assert_int_equal(conn_connect(net.dev, &net.conf, &mine, &chan), 0);
			assert_null(chan);
			net_poll(port);
			unit_not_late(since, "a connect request");
		}
		if (taken_up) {
			assert_int_equal(conn_accept(listening, &net.conf, &chan), 0);
			assert_null(chan);
			if (!listening->accepting)
				fail_msg("the accept is not under way");
		}
		conn_listen_close(listening);
		do {
			ret = conn_connect(net.dev, &net.conf, &mine, &chan);
			net_poll(port);
			unit_not_late(since, "a refusal");
		} while (!ret && !chan);
		if (chan) { /* the answer had left before the close: then the channel ends as any other */
			struct xfer_req *s;

			assert_true(taken_up);
			while ((ret = xfer_isend(chan, NULL, 0, NULL, &s)) == -EAGAIN) {
				net_poll(port);
				unit_not_late(since, "the end of an abandoned channel");
			}
			assert_int_equal(ret, -ECONNRESET);
			xfer_chan_close(chan);
		} else {
			assert_int_equal(ret, -ECONNREFUSED);
		}
		net_message(&pair, 64);
		net_link_close(&pair);
	}
}

/* --- deadlines --- */

static void connect_timeout(void **state)
{
	struct wire_handle mine;
	struct xfer_chan *chan;

	(void)state;
	NET_NEEDED();
	net.conf.connect_timeout_us = 200000;
	net_listen(&handle, &listening);
	mine = handle;
	unit_log_catch();
	assert_int_equal(connect_to_the_end(&mine, &chan), -ETIMEDOUT);
	assert_int_equal(mine.mark, 0);
	assert_int_equal(unit_log_count(LOG_LEVEL_WARN), 1);
	assert_true(unit_log_has(LOG_LEVEL_WARN, "WEFT_CONNECT_TIMEOUT"));
	assert_true(unit_log_has(LOG_LEVEL_WARN, "pid "));
	net_listen_close(listening);
}

static void accept_timeout(void **state)
{
	struct net_link pair;
	struct xfer_chan *chan;

	(void)state;
	NET_NEEDED();
	net.conf.connect_timeout_us = 200000;
	net_listen(&handle, &listening);
	unit_log_catch();
	assert_int_equal(accept_to_the_end(listening, &chan), -ETIMEDOUT);
	assert_int_equal(unit_log_count(LOG_LEVEL_WARN), 1);
	assert_true(unit_log_has(LOG_LEVEL_WARN, "WEFT_CONNECT_TIMEOUT"));
	net.conf.connect_timeout_us = 0;
	net_link_open(&pair, listening, &handle, 64); /* whoever comes late after all is welcome */
	net_message(&pair, 64);
	net_link_close(&pair);
	net_listen_close(listening);
}

static void no_timeout_waits_on(void **state)
{
	struct net_link pair;
	struct wire_handle mine;
	struct xfer_chan *chan;
	int64_t since;

	(void)state;
	NET_NEEDED();
	net.conf.connect_timeout_us = 0;
	net_listen(&handle, &listening);
	for (since = clock_us(); clock_us() - since < 500000;) {
		assert_int_equal(conn_accept(listening, &net.conf, &chan), 0);
		assert_null(chan);
	}
	mine = handle;
	for (since = clock_us(); clock_us() - since < 500000;) {
		assert_int_equal(conn_connect(net.dev, &net.conf, &mine, &chan), 0);
		assert_null(chan);
	}
	memset(&pair, 0, sizeof(pair));
	for (since = clock_us(); !pair.send || !pair.recv;) {
		if (!pair.recv)
			assert_int_equal(conn_accept(listening, &net.conf, &pair.recv), 0);
		if (!pair.send)
			assert_int_equal(conn_connect(net.dev, &net.conf, &mine, &pair.send), 0);
		unit_not_late(since, "a connection");
	}
	net_link_close(&pair);
	net_listen_close(listening);
}

/*
 * The connector has given up, the listener accepts what is left of its request: the receive on it must end
 * with an error, also when another channel keeps the lifeline between the two busy.
 */
static void accepting_who_has_given_up(void **state)
{
	struct net_link pair, stale;
	struct wire_handle mine;
	struct xfer_chan *chan;
	struct xfer_req *r;
	int64_t since;
	int ret;

	(void)state;
	NET_NEEDED();
	net_listen(&handle, &listening);
	net_link_open(&pair, listening, &handle, 64);
	net.conf.connect_timeout_us = 200000;
	mine = handle;
	assert_int_equal(connect_to_the_end(&mine, &chan), -ETIMEDOUT);
	net.conf.connect_timeout_us = 600000000;
	memset(&stale, 0, sizeof(stale));
	ret = accept_to_the_end(listening, &stale.recv);
	for (since = clock_us(); !ret;) {
		size_t got;

		ret = xfer_irecv(stale.recv, NULL, 0, NULL, &r);
		while (!ret && clock_us() - since < 10000000) {
			ret = xfer_test(r, &got);
			net_poll(net.home);
		}
		if (!ret)
			fail_msg("a receive from a peer that has given up waits for ever");
	}
	assert_true(ret < 0);
	net_message(&pair, 64);
	net_link_close(&stale);
	net_link_close(&pair);
	net_listen_close(listening);
}

/* --- threads: each listens, connects to the next one and is connected to by the one before --- */

enum { THREADS = 3, ROUNDS = 10 };

static pthread_barrier_t all_listen, all_done;
static struct wire_handle handles[THREADS];

static int one_round(int me, struct conn_listen *listen)
{
	struct wire_handle next = handles[(me + 1) % THREADS];
	struct net_link pair = {0};
	struct xfer_req *s = NULL, *r = NULL;
	int64_t since = clock_us();
	size_t got = 1;
	int ret = 0, sent = 0, received = 0;

	while ((!pair.send || !pair.recv) && !ret && clock_us() - since < UNIT_PATIENCE_US) {
		if (!pair.send)
			ret = conn_connect(net.dev, &net.conf, &next, &pair.send);
		if (!ret && !pair.recv)
			ret = conn_accept(listen, &net.conf, &pair.recv);
	}
	while ((!sent || !received) && !ret && clock_us() - since < UNIT_PATIENCE_US) {
		if (!r)
			ret = xfer_irecv(pair.recv, NULL, 0, NULL, &r);
		else if (!received)
			ret = received = xfer_test(r, &got);
		if (ret < 0 && ret != -EAGAIN)
			break;
		if (!s)
			ret = xfer_isend(pair.send, NULL, 0, NULL, &s);
		else if (!sent)
			ret = sent = xfer_test(s, &got);
		ret = ret < 0 && ret != -EAGAIN ? ret : 0;
	}
	xfer_chan_close(pair.send);
	xfer_chan_close(pair.recv);
	return sent == 1 && received == 1 && !got ? 0 : -1;
}

static void *listen_and_connect(void *arg)
{
	int me = *(int *)arg, wrong = 0, i;
	struct conn_listen *listen = NULL;

	if (conn_listen(net.dev, &net.conf, &handles[me], &listen))
		wrong++;
	pthread_barrier_wait(&all_listen);
	for (i = 0; i < ROUNDS && !wrong; i++)
		wrong += one_round(me, listen) != 0;
	pthread_barrier_wait(&all_done);
	conn_listen_close(listen);
	*(int *)arg = wrong;
	return NULL;
}

static void threads_connect_at_once(void **state)
{
	pthread_t threads[THREADS];
	int results[THREADS], i;

	(void)state;
	NET_NEEDED();
	pthread_barrier_init(&all_listen, NULL, THREADS);
	pthread_barrier_init(&all_done, NULL, THREADS);
	for (i = 0; i < THREADS; i++) {
		results[i] = i;
		assert_int_equal(pthread_create(&threads[i], NULL, listen_and_connect, &results[i]), 0);
	}
	for (i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	for (i = 0; i < THREADS; i++)
		assert_int_equal(results[i], 0);
	pthread_barrier_destroy(&all_listen);
	pthread_barrier_destroy(&all_done);
}

/* --- listeners in another process --- */

struct listener {
	pid_t pid;
	int in;
};

/* This program again, as a process that listens and polls but never accepts. */
static void listener_start(struct listener *l, struct wire_handle *out)
{
	int ends[2];

	assert_int_equal(pipe(ends), 0);
	l->pid = fork();
	assert_true(l->pid >= 0);
	if (!l->pid) {
		dup2(ends[1], STDOUT_FILENO);
		execl("/proc/self/exe", "conn", "listen", (char *)NULL);
		_exit(127);
	}
	close(ends[1]);
	l->in = ends[0];
	assert_int_equal(read(l->in, out, sizeof(*out)), sizeof(*out));
}

static void listener_kill(struct listener *l)
{
	kill(l->pid, SIGKILL);
	waitpid(l->pid, NULL, 0);
	close(l->in);
}

static int be_listener(void)
{
	struct dev_table table;
	struct conn_listen *l;

	alarm(120); /* whatever becomes of the test */
	if (dev_table_load(&table) || !table.count ||
	    conn_listen(&table.devs[0], &table.conf, &handle, &l))
		return 1;
	if (write(STDOUT_FILENO, &handle, sizeof(handle)) != sizeof(handle))
		return 1;
	for (;;)
		net_poll(l->port);
}

static void the_listener_is_gone(void **state)
{
	struct listener l;
	struct xfer_chan *chan;

	(void)state;
	NET_NEEDED();
	listener_start(&l, &handle);
	listener_kill(&l);
	unit_log_catch();
	assert_int_equal(connect_to_the_end(&handle, &chan), -ECONNREFUSED);
	assert_null(chan);
	assert_int_equal(unit_log_count(LOG_LEVEL_WARN), 1);
	assert_true(unit_log_has(LOG_LEVEL_WARN, "is gone"));
}

static void the_listener_dies_while_we_connect(void **state)
{
	struct listener l;
	struct xfer_chan *chan;
	int64_t since;
	char pid[32];
	int ret;

	(void)state;
	NET_NEEDED();
	listener_start(&l, &handle);
	for (since = clock_us(); clock_us() - since < 300000;) {
		assert_int_equal(conn_connect(net.dev, &net.conf, &handle, &chan), 0);
		assert_null(chan);
	}
	listener_kill(&l);
	unit_log_catch();
	ret = connect_to_the_end(&handle, &chan);
	assert_true(ret == -ECONNRESET || ret == -ECONNREFUSED);
	snprintf(pid, sizeof(pid), "pid %u", handle.pid);
	assert_int_equal(unit_log_count(LOG_LEVEL_WARN), 1);
	assert_true(unit_log_has(LOG_LEVEL_WARN, pid));
}

int main(int argc, char **argv)
{
	static const struct CMUnitTest tests[] = {
		NET_TESTS(connects_and_is_accepted),
		NET_TESTS(many_at_once),
		NET_TESTS(two_listens_on_one_port),
		NET_TESTS(without_lifelines),
		NET_TESTS(impossible_lifeline_addresses),
		NET_TESTS(damaged_handles),
		NET_TESTS(handles_of_another_provider),
		NET_TESTS(handles_with_a_foreign_mark),
		NET_TESTS(refused_when_nobody_listens_any_more),
		NET_TESTS(refused_while_waiting),
		NET_TESTS(connect_timeout),
		NET_TESTS(accept_timeout),
		NET_TESTS(no_timeout_waits_on),
		NET_TESTS(accepting_who_has_given_up),
		NET_TEST(threads_connect_at_once, "tcp"), /* see net.h for shm */
		NET_TEST(the_listener_is_gone, "tcp"), /* shm is no provider to watch deaths with */
		NET_TEST(the_listener_dies_while_we_connect, "tcp"),
	};

	if (argc == 2 && !strcmp(argv[1], "listen"))
		return be_listener();
	return unit_run("conn", tests);
}

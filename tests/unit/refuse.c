/* SPDX-License-Identifier: Apache-2.0 */
/* conn: connects and accepts that fail: refusals, deadlines, listeners that die. */
#include "unit/unit.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "unit/net.h"

static struct wire_handle handle;
static struct cm_listen *listening;

/* Steps until the connect ends; returns its result. */
static int connect_to_the_end(struct wire_handle *h, struct xfer_comm **out)
{
	int64_t since = clock_us();
	int ret;

	do {
		ret = cm_connect(net.dev, &net.conf, h, out);
		unit_not_late(since, "the end of a connect");
	} while (!ret && !*out);
	return ret;
}

static int accept_to_the_end(struct cm_listen *l, struct xfer_comm **out)
{
	int64_t since = clock_us();
	int ret;

	do {
		ret = cm_accept(l, &net.conf, out);
		unit_not_late(since, "the end of an accept");
	} while (!ret && !*out);
	return ret;
}

/* --- refusals --- */

static void refused_when_nobody_listens_any_more(void **state)
{
	struct net_link pair;
	struct xfer_comm *comm;
	struct wire_handle mine;
	struct xfer_ep *ep;
	int64_t since = clock_us();
	int ret;

	(void)state;
	NET_NEEDED();
	net_listen(&handle, &listening);
	net_link_open(&pair, listening, &handle, 64);
	ep = pair.recv->ep;
	cm_listen_close(listening); /* the endpoint lives on with its comm */
	mine = handle;
	unit_log_catch();
	do {
		ret = cm_connect(net.dev, &net.conf, &mine, &comm);
		net_poll(ep);
		unit_not_late(since, "a refusal");
	} while (!ret && !comm);
	assert_int_equal(ret, -ECONNREFUSED);
	assert_null(comm);
	assert_int_equal(mine.mark, 0);
	assert_int_equal(unit_log_count(LOG_LEVEL_WARN), 1);
	assert_true(unit_log_has(LOG_LEVEL_WARN, "does not listen there any more"));
	net_message(&pair, 64); /* other comms are unaffected */
	net_link_close(&pair);
}

/* The request has arrived, and waits or is being accepted, when the listen is closed. */
static void refused_while_waiting(void **state)
{
	struct xfer_comm *comm;
	struct net_link pair;
	struct wire_handle mine;
	int64_t since = clock_us();
	struct xfer_ep *ep;
	int ret = 0, taken_up;

	(void)state;
	NET_NEEDED();
	for (taken_up = 0; taken_up < 2; taken_up++) {
		net_listen(&handle, &listening);
		net_link_open(&pair, listening, &handle, 64); /* keeps the endpoint open */
		ep = pair.recv->ep;
		mine = handle;
		while (list_empty(&listening->requests)) {
			assert_int_equal(cm_connect(net.dev, &net.conf, &mine, &comm), 0);
			assert_null(comm);
			net_poll(ep);
			unit_not_late(since, "a connect request");
		}
		if (taken_up) {
			assert_int_equal(cm_accept(listening, &net.conf, &comm), 0);
			assert_null(comm);
			if (!listening->accepting)
				fail_msg("the accept is not under way");
		}
		cm_listen_close(listening);
		do {
			ret = cm_connect(net.dev, &net.conf, &mine, &comm);
			net_poll(ep);
			unit_not_late(since, "a refusal");
		} while (!ret && !comm);
		if (comm) { /* the answer had left before the close: the comm ends like any other */
			assert_true(taken_up);
			assert_int_equal(net_failed_send(comm, ep), -ECONNRESET);
			xfer_comm_close(comm);
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
	struct xfer_comm *comm;

	(void)state;
	NET_NEEDED();
	net.conf.connect_timeout_us = 200000;
	net_listen(&handle, &listening);
	mine = handle;
	unit_log_catch();
	assert_int_equal(connect_to_the_end(&mine, &comm), -ETIMEDOUT);
	assert_int_equal(mine.mark, 0);
	assert_int_equal(unit_log_count(LOG_LEVEL_WARN), 1);
	assert_true(unit_log_has(LOG_LEVEL_WARN, "WEFT_CONNECT_TIMEOUT"));
	assert_true(unit_log_has(LOG_LEVEL_WARN, "pid "));
	net_listen_close(listening);
}

static void accept_timeout(void **state)
{
	struct net_link pair;
	struct xfer_comm *comm;

	(void)state;
	NET_NEEDED();
	net.conf.connect_timeout_us = 200000;
	net_listen(&handle, &listening);
	unit_log_catch();
	assert_int_equal(accept_to_the_end(listening, &comm), -ETIMEDOUT);
	assert_int_equal(unit_log_count(LOG_LEVEL_WARN), 1);
	assert_true(unit_log_has(LOG_LEVEL_WARN, "WEFT_CONNECT_TIMEOUT"));
	net.conf.connect_timeout_us = 0;
	net_link_open(&pair, listening, &handle, 64); /* a late connector is still accepted */
	net_message(&pair, 64);
	net_link_close(&pair);
	net_listen_close(listening);
}

static void no_timeout_waits_on(void **state)
{
	struct net_link pair;
	struct wire_handle mine;
	struct xfer_comm *comm;
	int64_t since;

	(void)state;
	NET_NEEDED();
	net.conf.connect_timeout_us = 0;
	net_listen(&handle, &listening);
	for (since = clock_us(); clock_us() - since < 500000;) {
		assert_int_equal(cm_accept(listening, &net.conf, &comm), 0);
		assert_null(comm);
	}
	mine = handle;
	for (since = clock_us(); clock_us() - since < 500000;) {
		assert_int_equal(cm_connect(net.dev, &net.conf, &mine, &comm), 0);
		assert_null(comm);
	}
	memset(&pair, 0, sizeof(pair));
	for (since = clock_us(); !pair.send || !pair.recv;) {
		if (!pair.recv)
			assert_int_equal(cm_accept(listening, &net.conf, &pair.recv), 0);
		if (!pair.send)
			assert_int_equal(cm_connect(net.dev, &net.conf, &mine, &pair.send), 0);
		unit_not_late(since, "a connection");
	}
	net_link_close(&pair);
	net_listen_close(listening);
}

/*
 * The connector has given up, and the listener accepts the rest of its request: the receive on this comm must end with
 * an error, even if another comm keeps the lifeline between the two in use.
 */
static void accepting_who_has_given_up(void **state)
{
	struct net_link pair, stale;
	struct wire_handle mine;
	struct xfer_comm *comm;
	struct xfer_req *r;
	int64_t since;
	size_t got;
	int ret;

	(void)state;
	NET_NEEDED();
	net_listen(&handle, &listening);
	net_link_open(&pair, listening, &handle, 64);
	net.conf.connect_timeout_us = 200000;
	mine = handle;
	assert_int_equal(connect_to_the_end(&mine, &comm), -ETIMEDOUT);
	net.conf.connect_timeout_us = 600000000;
	memset(&stale, 0, sizeof(stale));
	ret = accept_to_the_end(listening, &stale.recv);
	if (!ret)
		assert_int_equal(net_irecv(stale.recv, NULL, 0, NULL, &r), 0);
	for (since = clock_us(); !ret && clock_us() - since < 10000000;) {
		ret = xfer_test(r, &got);
		net_poll(net.home);
	}
	if (!ret)
		fail_msg("a receive from a peer that has given up waits for ever");
	assert_true(ret < 0);
	net_message(&pair, 64);
	net_link_close(&stale);
	net_link_close(&pair);
	net_listen_close(listening);
}

/* --- listeners in another process --- */

struct listener {
	pid_t pid;
	int in;
};

/* Runs this program again, as a process that listens and polls but never accepts. */
static void listener_start(struct listener *l, struct wire_handle *out)
{
	int ends[2];

	assert_int_equal(pipe(ends), 0);
	l->pid = fork();
	assert_true(l->pid >= 0);
	if (!l->pid) {
		dup2(ends[1], STDOUT_FILENO);
		execl("/proc/self/exe", "refuse", "listen", (char *)NULL);
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
	struct cm_listen *l;

	alarm(120); /* limits the process's life, whatever the test does */
	if (dev_table_load(&table) || !table.count || cm_listen(&table.devs[0], &table.conf, &handle, &l))
		return 1;
	if (write(STDOUT_FILENO, &handle, sizeof(handle)) != sizeof(handle))
		return 1;
	for (;;)
		net_poll(l->ep);
}

static void the_listener_is_gone(void **state)
{
	struct listener l;
	struct xfer_comm *comm;
	char pid[32];

	(void)state;
	NET_NEEDED();
	listener_start(&l, &handle);
	listener_kill(&l);
	unit_log_catch();
	net.conf.peer_timeout_us = 1000000;
	assert_true(connect_to_the_end(&handle, &comm) < 0);
	assert_null(comm);
	assert_true(unit_log_has(LOG_LEVEL_WARN, "Connection refused")); /* the refusal was seen, a death was not */
	assert_true(unit_log_has(LOG_LEVEL_WARN, "firewall"));
	snprintf(pid, sizeof(pid), "pid %u", handle.pid);
	assert_non_null(strstr(unit_log_last(LOG_LEVEL_WARN), pid));
	assert_null(strstr(unit_log_last(LOG_LEVEL_WARN), "gone"));
	assert_null(strstr(unit_log_last(LOG_LEVEL_WARN), "alive"));
}

static void the_listener_dies_while_we_connect(void **state)
{
	struct listener l;
	struct xfer_comm *comm;
	int64_t since;
	char pid[32];
	int ret;

	(void)state;
	NET_NEEDED();
	listener_start(&l, &handle);
	for (since = clock_us(); clock_us() - since < 300000;) {
		assert_int_equal(cm_connect(net.dev, &net.conf, &handle, &comm), 0);
		assert_null(comm);
	}
	listener_kill(&l);
	unit_log_catch();
	ret = connect_to_the_end(&handle, &comm);
	assert_true(ret == -ECONNRESET || ret == -ECONNREFUSED);
	snprintf(pid, sizeof(pid), "pid %u", handle.pid);
	assert_int_equal(unit_log_count(LOG_LEVEL_WARN), 1);
	assert_true(unit_log_has(LOG_LEVEL_WARN, pid));
}

int main(int argc, char **argv)
{
	static const struct CMUnitTest tests[] = {
		NET_TESTS(refused_when_nobody_listens_any_more),
		NET_TESTS(refused_while_waiting),
		NET_TESTS(connect_timeout),
		NET_TESTS(accept_timeout),
		NET_TESTS(no_timeout_waits_on),
		NET_TESTS(accepting_who_has_given_up),
		NET_TEST(the_listener_is_gone, "tcp"), /* shm does not report deaths */
		NET_TEST(the_listener_dies_while_we_connect, "tcp"),
	};

	if (argc == 2 && !strcmp(argv[1], "listen"))
		return be_listener();
	return unit_run("refuse", tests);
}

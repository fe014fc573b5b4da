/* SPDX-License-Identifier: Apache-2.0 */
/* conn: listen, connect and accept; requirements on handles; many connects at once and from many threads. */
#include "unit/unit.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "unit/net.h"

static struct wire_handle handle;
static struct cm_listen *listening;

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
	assert_memory_equal(&mine, &handle, sizeof(mine)); /* the same handle can be used again */
	assert_int_equal(pair.send->remote_id, pair.recv->id);
	assert_int_equal(pair.recv->remote_id, pair.send->id);
	assert_non_null(pair.send->watch.line);
	assert_non_null(pair.recv->watch.line);
	assert_int_equal(xfer_comm_kind(pair.send), XFER_SEND);
	assert_int_equal(xfer_comm_kind(pair.recv), XFER_RECV);
	assert_non_null(strstr(xfer_comm_peer_text(pair.send), peer_self()->host));
	assert_non_null(strstr(xfer_comm_peer_text(pair.recv), peer_self()->host));
	net_message(&pair, 4096);
	net_link_close(&pair);
	net_listen_close(listening);
}

/* Many connects under way at once, from copies of one handle; each accepted comm is paired with the right connect. */
static void many_at_once(void **state)
{
	enum { MANY = 30 };
	struct xfer_comm *send[MANY] = {NULL}, *recv[MANY] = {NULL};
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
				assert_int_equal(cm_connect(net.dev, &net.conf, &handles[i], &send[i]), 0);
				connected += send[i] != NULL;
			}
		if (accepted < MANY) {
			assert_int_equal(cm_accept(listening, &net.conf, &recv[accepted]), 0);
			accepted += recv[accepted] != NULL;
		}
		unit_not_late(since, "many connections");
	}
	for (i = 0; i < MANY; i++) {
		for (k = 0, found = 0; k < MANY; k++)
			found += send[i]->remote_id == recv[k]->id && recv[k]->remote_id == send[i]->id;
		assert_int_equal(found, 1);
		assert_ptr_equal(send[i]->watch.line, send[0]->watch.line); /* one lifeline for all */
		assert_ptr_equal(recv[i]->watch.line, recv[0]->watch.line);
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
	struct cm_listen *la, *lb;
	struct net_link pa, pb;

	(void)state;
	NET_NEEDED();
	/* on this thread, so that both ends share an endpoint: a process may connect to itself */
	assert_int_equal(cm_listen(net.dev, &net.conf, &a, &la), 0);
	assert_int_equal(cm_listen(net.dev, &net.conf, &b, &lb), 0);
	assert_ptr_equal(la->ep, lb->ep);
	assert_int_not_equal(a.listen_id, b.listen_id);
	net_link_open(&pb, lb, &b, 4096);
	net_link_open(&pa, la, &a, 4096);
	assert_ptr_equal(pa.send->ep, pa.recv->ep);
	net_message(&pa, 4096);
	net_message(&pb, 17);
	net_link_close(&pa);
	net_message(&pb, 4096);
	net_link_close(&pb);
	cm_listen_close(la);
	cm_listen_close(lb);
	cm_listen_close(NULL);
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
	assert_null(pair.send->watch.line);
	assert_null(pair.recv->watch.line);
	net_message(&pair, 4096);
	net_link_close(&pair);
	net_listen_close(listening);
}

/* A lifeline address that is malformed or not of this host is reported, and the listen works without lifelines. */
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

	strcpy(net.conf.lifeline_addr, "192.0.2.1"); /* an address reserved for documentation */
	net_listen(&handle, &listening);
	assert_true(unit_log_has(LOG_LEVEL_INFO, "WEFT_LIFELINE_ADDR"));
	assert_int_equal(handle.lifeline_family, 0);
	net_listen_close(listening);
}

/* --- handles --- */

static void damaged_handles(void **state)
{
	struct wire_handle bad;
	struct xfer_comm *comm;
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
		assert_int_equal(cm_connect(net.dev, &net.conf, &bad, &comm), -EINVAL);
		assert_null(comm);
		assert_int_equal(unit_log_count(LOG_LEVEL_WARN), 1);
	}
	for (i = 0; i < 1000; i++) {
		for (at = 0; at < sizeof(bad); at++)
			bytes[at] = (unsigned char)unit_random(&seed);
		assert_int_equal(cm_connect(net.dev, &net.conf, &bad, &comm), -EINVAL);
	}
	memset(&bad, 0, sizeof(bad));
	assert_int_equal(cm_connect(net.dev, &net.conf, &bad, &comm), -EINVAL);
	assert_true(unit_log_has(LOG_LEVEL_WARN, "not a Weft handle"));
	net_listen_close(listening);
}

static void handles_of_another_provider(void **state)
{
	struct wire_handle other;
	struct xfer_comm *comm;

	(void)state;
	NET_NEEDED();
	net_listen(&handle, &listening);
	other = handle;
	other.fingerprint = wire_fingerprint("mystery");
	wire_handle_seal(&other);
	assert_int_equal(cm_connect(net.dev, &net.conf, &other, &comm), -EPROTONOSUPPORT);
	assert_true(unit_log_has(LOG_LEVEL_WARN, "WEFT_PROVIDER"));
	net_listen_close(listening);
}

/* A foreign mark is treated like no mark. */
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

/* --- threads: each one listens, connects to the next and accepts from the previous --- */

enum { THREADS = 3, ROUNDS = 10 };

static pthread_barrier_t all_listen, all_done;
static struct wire_handle handles[THREADS];

static int one_round(int me, struct cm_listen *listen)
{
	struct wire_handle next = handles[(me + 1) % THREADS];
	struct net_link pair = {0};
	struct xfer_req *s = NULL, *r = NULL;
	int64_t since = clock_us();
	size_t got = 1;
	int ret = 0, sent = 0, received = 0;

	while ((!pair.send || !pair.recv) && !ret && clock_us() - since < UNIT_PATIENCE_US) {
		if (!pair.send)
			ret = cm_connect(net.dev, &net.conf, &next, &pair.send);
		if (!ret && !pair.recv)
			ret = cm_accept(listen, &net.conf, &pair.recv);
	}
	while ((!sent || !received) && !ret && clock_us() - since < UNIT_PATIENCE_US) {
		if (!r)
			ret = net_irecv(pair.recv, NULL, 0, NULL, &r);
		else if (!received)
			ret = received = xfer_test(r, &got);
		if (ret < 0 && ret != -EAGAIN)
			break;
		if (!s)
			ret = net_isend(pair.send, NULL, 0, NULL, &s);
		else if (!sent)
			ret = sent = xfer_test(s, &got);
		ret = ret < 0 && ret != -EAGAIN ? ret : 0;
	}
	xfer_comm_close(pair.send);
	xfer_comm_close(pair.recv);
	return sent == 1 && received == 1 && !got ? 0 : -1;
}

static void *listen_and_connect(void *arg)
{
	int me = *(int *)arg, wrong = 0, i;
	struct cm_listen *listen = NULL;

	if (cm_listen(net.dev, &net.conf, &handles[me], &listen))
		wrong++;
	pthread_barrier_wait(&all_listen);
	for (i = 0; i < ROUNDS && !wrong; i++)
		wrong += one_round(me, listen) != 0;
	pthread_barrier_wait(&all_done);
	cm_listen_close(listen);
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

int main(void)
{
	static const struct CMUnitTest tests[] = {
		NET_TESTS(connects_and_is_accepted),	  NET_TESTS(many_at_once),
		NET_TESTS(two_listens_on_one_port),	  NET_TESTS(without_lifelines),
		NET_TESTS(impossible_lifeline_addresses), NET_TESTS(damaged_handles),
		NET_TESTS(handles_of_another_provider),	  NET_TESTS(handles_with_a_foreign_mark),
		NET_TEST(threads_connect_at_once, "tcp"), /* see net.h for shm */
	};

	return unit_run("conn", tests);
}

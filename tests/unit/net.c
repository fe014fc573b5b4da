/* SPDX-License-Identifier: Apache-2.0 */
/* A device on the loopback and connected comms; see net.h. */
#include "unit/net.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "unit/unit.h"

/* libfabric's net provider leaks a little at each endpoint and connection. */
UNIT_FOREIGN_LEAKS("leak:libfabric.so\n");

struct net net;

int net_begin(void **state)
{
	memset(&net, 0, sizeof(net));
	setenv("WEFT_PROVIDER", strcmp(*state, NET_RMA) ? *state : "tcp", 1);
	setenv("WEFT_PROTOCOL", strcmp(*state, NET_RMA) ? "tagged" : "rma", 1);
	setenv("WEFT_NICS", "lo", 1);
	unit_log_catch();
	if (dev_table_load(&net.table))
		return -1;
	net.conf = net.table.conf;
	if (net.table.count != 1)
		return 0;
	net.dev = &net.table.devs[0];
	return xfer_ep_get(net.dev, &net.conf, &net.home);
}

int net_users(struct dev *dev)
{
	struct list *it, *tmp;
	int users = 0;

	pthread_mutex_lock(&dev->lock);
	list_each (&dev->accesses, it, tmp)
		users += container_of(it, struct dev_access, link)->users;
	pthread_mutex_unlock(&dev->lock);
	return users;
}

int net_end(void **state)
{
	int64_t since = clock_us();
	int users;

	(void)state;
	while (net.dev && net_users(net.dev) > (net.home != NULL) && clock_us() - since < 20000000)
		usleep(1000);
	users = net.dev ? net_users(net.dev) : 0;
	xfer_ep_put(net.home);
	if (users > (net.home != NULL)) {
		print_error("%d endpoints are still open\n", users - 1);
		return -1;
	}
	while (net.dev && net_users(net.dev)) /* the wakeup thread may have held the last one */
		unit_not_late(since, "the end of the test's endpoint");
	dev_table_fini(&net.table);
	return 0;
}

struct listening {
	struct wire_handle *handle;
	struct cm_listen *listen;
	int ret;
};

static void *listen_here(void *arg)
{
	struct listening *l = arg;

	l->ret = cm_listen(net.dev, &net.conf, l->handle, &l->listen);
	return NULL;
}

void net_listen(struct wire_handle *handle, struct cm_listen **out)
{
	struct listening l = {.handle = handle};
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, listen_here, &l), 0);
	pthread_join(thread, NULL);
	assert_int_equal(l.ret, 0);
	*out = l.listen;
}

void net_connect(struct cm_listen *listen, struct wire_handle *handle, struct xfer_comm **send, struct xfer_comm **recv)
{
	struct wire_handle mine = *handle;
	int64_t since = clock_us();

	*send = *recv = NULL;
	while (!*send || !*recv) {
		if (!*send)
			assert_int_equal(cm_connect(net.dev, &net.conf, &mine, send), 0);
		if (!*recv)
			assert_int_equal(cm_accept(listen, &net.conf, recv), 0);
		unit_not_late(since, "a connection");
	}
}

void net_link_open(struct net_link *l, struct cm_listen *listen, struct wire_handle *handle, size_t bytes)
{
	memset(l, 0, sizeof(*l));
	net_connect(listen, handle, &l->send, &l->recv);
	l->bytes = bytes;
	l->from = malloc(bytes);
	l->to = malloc(bytes);
	assert_non_null(l->from);
	assert_non_null(l->to);
	assert_int_equal(xfer_region_open(l->send, l->from, bytes, &l->from_region), 0);
	assert_int_equal(xfer_region_open(l->recv, l->to, bytes, &l->to_region), 0);
}

void net_link_close(struct net_link *l)
{
	struct xfer_ep *here = l->send ? l->send->ep : NULL, *there = l->recv ? l->recv->ep : NULL;
	int i;

	if (there)
		ep_hold(there);
	if (here)
		ep_hold(here);
	xfer_comm_close(l->send);
	xfer_comm_close(l->recv);
	for (i = 0; i < 20; i++) {
		if (here)
			net_poll(here);
		if (there)
			net_poll(there);
	}
	xfer_ep_put(there);
	xfer_ep_put(here);
	free(l->from);
	free(l->to);
	memset(l, 0, sizeof(*l));
}

void net_listen_close(struct cm_listen *listen)
{
	int i;

	for (i = 0; i < 20; i++) {
		net_poll(net.home);
		net_poll(listen->ep);
	}
	cm_listen_close(listen);
}

void net_poll(struct xfer_ep *ep)
{
	xfer_ep_lock(ep);
	xfer_ep_poll(ep);
	xfer_ep_unlock(ep);
}

void net_turn(struct net_link *l)
{
	if (l->send)
		net_poll(l->send->ep);
	if (l->recv)
		net_poll(l->recv->ep);
}

int net_isend(struct xfer_comm *comm, void *buf, size_t len, struct xfer_region *region, struct xfer_req **out)
{
	return xfer_isend(comm, buf, len, 0, region, out);
}

int net_irecv(struct xfer_comm *comm, void *buf, size_t len, struct xfer_region *region, struct xfer_req **out)
{
	struct xfer_sub sub = {.buf = buf, .len = len, .region = region};

	return xfer_irecv(comm, 1, &sub, out);
}

int net_send(struct net_link *l, size_t at, size_t len, struct xfer_req **out)
{
	int64_t since = clock_us();
	int ret;

	while ((ret = net_isend(l->send, l->from + at, len, l->from_region, out)) == -EAGAIN) {
		assert_null(*out);
		net_turn(l);
		unit_not_late(since, "posting a send");
	}
	return ret;
}

int net_recv(struct net_link *l, size_t at, size_t len, struct xfer_req **out)
{
	int64_t since = clock_us();
	int ret;

	while ((ret = net_irecv(l->recv, l->to + at, len, l->to_region, out)) == -EAGAIN) {
		assert_null(*out);
		net_turn(l);
		unit_not_late(since, "posting a receive");
	}
	return ret;
}

int net_wait(struct net_link *l, struct xfer_req *req, size_t *out_len)
{
	int64_t since = clock_us();
	int ret;

	while (!(ret = xfer_test(req, out_len))) {
		net_turn(l);
		unit_not_late(since, "a request's end");
	}
	return ret;
}

typedef int (*start_fn)(struct xfer_comm *, void *, size_t, struct xfer_region *, struct xfer_req **);

static int vain(start_fn start, struct xfer_comm *comm, struct xfer_ep *ep)
{
	struct xfer_req *req = NULL;
	int64_t since = clock_us();
	size_t got;
	int ret;

	for (;;) {
		ret = req ? xfer_test(req, &got) : start(comm, NULL, 0, NULL, &req);
		if (ret && ret != -EAGAIN)
			return ret;
		if (ep)
			net_poll(ep);
		unit_not_late(since, "the end of a message in vain");
	}
}

int net_failed_send(struct xfer_comm *comm, struct xfer_ep *ep)
{
	return vain(net_isend, comm, ep);
}

int net_vain_recv(struct xfer_comm *comm, struct xfer_ep *ep)
{
	return vain(net_irecv, comm, ep);
}

void net_message(struct net_link *l, size_t len)
{
	struct xfer_req *s, *r;
	size_t got = 0, i;

	assert_true(len <= l->bytes);
	for (i = 0; i < len; i++)
		l->from[i] = (unsigned char)(i * 7 + len);
	memset(l->to, 0xee, l->bytes);
	assert_int_equal(net_recv(l, 0, l->bytes, &r), 0);
	assert_int_equal(net_send(l, 0, len, &s), 0);
	assert_int_equal(net_wait(l, r, &got), 1);
	assert_int_equal(got, len);
	assert_int_equal(net_wait(l, s, &got), 1);
	assert_int_equal(got, len);
	assert_int_equal(memcmp(l->from, l->to, len), 0);
	if (len < l->bytes)
		assert_int_equal(l->to[len], 0xee);
}

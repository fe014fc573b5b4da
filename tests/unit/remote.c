/* SPDX-License-Identifier: Apache-2.0 */
/* Another process with comms to the test; see remote.h. */
#include "unit/remote.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "unit/net.h"
#include "unit/unit.h"

#define LIFE_S	  300 /* limit of the process's life, whatever the test does */
#define COMMS_MAX 128
#define POLLS	  1000

/* In the other process. */
static struct xfer_comm *comms[COMMS_MAX];
static int count;
static struct cm_listen *listening;
static struct wire_handle target;
static pthread_barrier_t all_connected;

static int late(int64_t since)
{
	return clock_us() - since > UNIT_PATIENCE_US;
}

static int connect_one(struct xfer_comm **out)
{
	struct wire_handle mine = target;
	int64_t since = clock_us();
	int ret = 0;

	*out = NULL;
	while (!ret && !*out)
		ret = late(since) ? -ETIMEDOUT : cm_connect(net.dev, &net.conf, &mine, out);
	return ret;
}

static int connect_all(const struct remote_ask *ask)
{
	int i, ret = 0;

	target = ask->handle;
	for (i = 0; i < ask->n && !ret; i++)
		ret = connect_one(&comms[count++]);
	return ret;
}

/* The comm's endpoint lives on. Endpoints belong to threads: no thread may end before each one has its endpoint. */
static void *connect_thread(void *arg)
{
	int ret = connect_one(arg);

	pthread_barrier_wait(&all_connected);
	return (void *)(intptr_t)ret;
}

static int connect_threads(const struct remote_ask *ask)
{
	pthread_t thread[COMMS_MAX];
	void *result;
	int i, ret = 0;

	target = ask->handle;
	pthread_barrier_init(&all_connected, NULL, (unsigned)ask->n);
	for (i = 0; i < ask->n; i++)
		pthread_create(&thread[i], NULL, connect_thread, &comms[count + i]);
	for (i = 0; i < ask->n; i++) {
		pthread_join(thread[i], &result);
		if (result)
			ret = (int)(intptr_t)result;
	}
	count += ask->n;
	return ret;
}

static int accept_one(void)
{
	int64_t since = clock_us();
	int ret = 0;

	while (!ret && !comms[count])
		ret = late(since) ? -ETIMEDOUT : cm_accept(listening, &net.conf, &comms[count]);
	count++;
	return ret;
}

static int receive(struct xfer_comm *comm, size_t bytes)
{
	struct xfer_region *region;
	struct xfer_req *req;
	void *buf = malloc(bytes);
	int ret = buf ? xfer_region_open(comm, buf, bytes, &region) : -ENOMEM;

	return ret ? ret : net_irecv(comm, buf, bytes, region, &req);
}

static int send_bytes(struct xfer_comm *comm, size_t bytes)
{
	struct xfer_region *region;
	struct xfer_req *req;
	int64_t since = clock_us();
	void *buf = calloc(1, bytes);
	size_t got;
	int ret = buf ? xfer_region_open(comm, buf, bytes, &region) : -ENOMEM;

	if (ret)
		return ret;
	while ((ret = net_isend(comm, buf, bytes, region, &req)) == -EAGAIN && !late(since))
		net_poll(comm->ep);
	while (!ret && !(ret = xfer_test(req, &got)) && !late(since))
		;
	return ret == 1 ? 0 : ret ? ret : -ETIMEDOUT;
}

static int break_ep(struct xfer_ep *ep)
{
	xfer_ep_lock(ep);
	ep_break(ep, -ECANCELED, "for the test");
	xfer_ep_unlock(ep);
	return 0;
}

static int poll_some(struct xfer_ep *ep)
{
	int i;

	for (i = 0; i < POLLS; i++)
		net_poll(ep);
	return 0;
}

static int do_it(const struct remote_ask *ask, struct remote_answer *out)
{
	switch (ask->what) {
	case REMOTE_CONNECT: return connect_all(ask);
	case REMOTE_CONNECT_THREADS: return connect_threads(ask);
	case REMOTE_LISTEN: return cm_listen(net.dev, &net.conf, &out->handle, &listening);
	case REMOTE_ACCEPT: return accept_one();
	case REMOTE_RECEIVE: return receive(comms[ask->n], ask->bytes);
	case REMOTE_SEND: return send_bytes(comms[ask->n], ask->bytes);
	case REMOTE_POLL: return poll_some(comms[ask->n]->ep);
	case REMOTE_BREAK: return break_ep(comms[ask->n]->ep);
	case REMOTE_CLOSE: xfer_comm_close(comms[ask->n]); return 0;
	}
	return -EINVAL;
}

void remote_main(int argc, char **argv)
{
	struct remote_answer answer;
	struct remote_ask ask;
	int fd;

	if (argc != 3 || strcmp(argv[1], "remote"))
		return;
	alarm(LIFE_S);
	fd = atoi(argv[2]);
	if (dev_table_load(&net.table) || net.table.count != 1)
		_exit(1);
	net.dev = &net.table.devs[0];
	net.conf = net.table.conf;
	while (read(fd, &ask, sizeof(ask)) == sizeof(ask)) {
		memset(&answer, 0, sizeof(answer));
		answer.value = do_it(&ask, &answer);
		if (write(fd, &answer, sizeof(answer)) != sizeof(answer))
			break;
	}
	_exit(0);
}

void remote_start(struct remote *r)
{
	char fd[16];
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	snprintf(fd, sizeof(fd), "%d", pair[1]);
	r->fd = pair[0];
	r->pid = fork();
	assert_true(r->pid >= 0);
	if (!r->pid) {
		pair[1] = dup(pair[1]); /* without CLOEXEC */
		snprintf(fd, sizeof(fd), "%d", pair[1]);
		execl("/proc/self/exe", "remote", "remote", fd, (char *)NULL);
		_exit(127);
	}
	close(pair[1]);
}

void remote_ask(struct remote *r, const struct remote_ask *ask)
{
	assert_int_equal(write(r->fd, ask, sizeof(*ask)), sizeof(*ask));
}

struct remote_answer remote_answer(struct remote *r)
{
	struct remote_answer answer;

	assert_int_equal(read(r->fd, &answer, sizeof(answer)), sizeof(answer));
	assert_int_equal(answer.value, 0);
	return answer;
}

struct remote_answer remote_do(struct remote *r, const struct remote_ask *ask)
{
	remote_ask(r, ask);
	return remote_answer(r);
}

void remote_kill(struct remote *r)
{
	if (!r->pid)
		return;
	kill(r->pid, SIGKILL);
	waitpid(r->pid, NULL, 0);
	close(r->fd);
	r->pid = 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A v8 net plugin for tests that forwards all calls to another plugin and corrupts some of the data, which the benchmarks must
 * detect. Environment variables:
 *
 *	FAULTY_INNER   path of the plugin that does the work
 *	FAULTY_EVERY   n: every n-th received message that is not empty is corrupted (default 7)
 *	FAULTY_HOW     flip: a bit of one byte is wrong; stale: the buffer keeps its earlier content;
 *		       overrun: a byte is written just behind the buffer; short: the size is one too
 *		       small; error: test fails; stall: test never reports completion; null: the data
 *		       is right, but about half of isend and irecv return no request; costly: the data
 *		       is right, but each isend logs a line and makes a system call
 */
#include "weft/nccl_net_v8.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Wraps the request of a receive and stores its buffer until it completes. */
struct receive {
	void *inner;
	char *data;
	int room;
	char *before; /* the content of the buffer when the receive was posted */
};

static const struct weft_nccl_net_v8 *inner;
static weft_nccl_logger warn;
static const char *how = "flip";
static unsigned int every = 7;

extern struct weft_nccl_net_v8 ncclNetPlugin_v8;

static int is(const char *what)
{
	return !strcmp(how, what);
}

static weft_nccl_result init(weft_nccl_logger logger)
{
	const char *path = getenv("FAULTY_INNER");
	void *dl = path ? dlopen(path, RTLD_NOW | RTLD_LOCAL) : NULL;

	warn = logger;
	inner = dl ? dlsym(dl, WEFT_NCCL_NET_V8_SYMBOL) : NULL;
	if (!inner) {
		fprintf(stderr, "FAULTY_INNER: %s\n", path ? dlerror() : "not set");
		return WEFT_NCCL_SYSTEM_ERROR;
	}
	if (getenv("FAULTY_HOW"))
		how = getenv("FAULTY_HOW");
	if (getenv("FAULTY_EVERY"))
		every = (unsigned int)atoi(getenv("FAULTY_EVERY"));
	return inner->init(logger);
}

static weft_nccl_result devices(int *ndev)
{
	return inner->devices(ndev);
}

static weft_nccl_result get_properties(int dev, struct weft_nccl_props_v8 *props)
{
	return inner->get_properties(dev, props);
}

static weft_nccl_result listen_(int dev, void *handle, void **comm)
{
	return inner->listen(dev, handle, comm);
}

static weft_nccl_result connect_(int dev, void *handle, void **comm, struct weft_nccl_device_handle **send_dev)
{
	return inner->connect(dev, handle, comm, send_dev);
}

static weft_nccl_result accept_(void *listen_comm, void **comm, struct weft_nccl_device_handle **recv_dev)
{
	return inner->accept(listen_comm, comm, recv_dev);
}

static weft_nccl_result reg_mr(void *comm, void *data, size_t size, int type, void **mhandle)
{
	return inner->reg_mr(comm, data, size, type, mhandle);
}

static weft_nccl_result dereg_mr(void *comm, void *mhandle)
{
	return inner->dereg_mr(comm, mhandle);
}

/* Random, because strict alternation could always affect the same one of several channels. */
static int says_call_again(void)
{
	return is("null") && rand() % 2;
}

/* All receives in flight; all other requests belong to the inner plugin. Threads share the table. */
static struct receive *live[4096];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* Replaces the first entry `old` by `new`. */
static void replace(const struct receive *old, struct receive *new)
{
	size_t i;

	pthread_mutex_lock(&lock);
	for (i = 0; live[i] != old; i++)
		;
	live[i] = new;
	pthread_mutex_unlock(&lock);
}

static int is_live(const void *request)
{
	size_t i;

	pthread_mutex_lock(&lock);
	for (i = 0; i < sizeof(live) / sizeof(live[0]); i++)
		if (live[i] && live[i] == request)
			break;
	pthread_mutex_unlock(&lock);
	return i < sizeof(live) / sizeof(live[0]);
}

static weft_nccl_result isend(void *comm, void *data, int size, int tag, void *mhandle, void **request)
{
	*request = NULL;
	if (says_call_again())
		return WEFT_NCCL_SUCCESS;
	if (is("costly"))
		warn(WEFT_NCCL_LOG_TRACE, WEFT_NCCL_SUB_NET, __FILE__, __LINE__, "a send of process %d's child",
		     (int)getppid());
	return inner->isend(comm, data, size, tag, mhandle, request);
}

static weft_nccl_result irecv(void *comm, int n, void **data, int *sizes, int *tags, void **mhandles, void **request)
{
	struct receive *r;
	weft_nccl_result result;

	*request = NULL;
	if (says_call_again())
		return WEFT_NCCL_SUCCESS;
	r = calloc(1, sizeof(*r));
	result = inner->irecv(comm, n, data, sizes, tags, mhandles, &r->inner);
	if (result || !r->inner) {
		free(r);
		return result;
	}
	r->data = data[0];
	r->room = sizes[0];
	r->before = malloc((size_t)r->room + 1);
	memcpy(r->before, r->data, (size_t)r->room);
	replace(NULL, r);
	*request = r;
	return WEFT_NCCL_SUCCESS;
}

static weft_nccl_result iflush(void *comm, int n, void **data, int *sizes, void **mhandles, void **request)
{
	return inner->iflush(comm, n, data, sizes, mhandles, request);
}

static weft_nccl_result spoil(struct receive *r, int *done, int *bytes)
{
	if (is("flip"))
		r->data[*bytes / 2] ^= 0x10;
	else if (is("stale"))
		memcpy(r->data, r->before, (size_t)*bytes);
	else if (is("overrun"))
		r->data[r->room] ^= 0x10;
	else if (is("short"))
		*bytes -= 1;
	else if (is("stall"))
		*done = 0;
	if (!is("error"))
		return WEFT_NCCL_SUCCESS;
	warn(WEFT_NCCL_LOG_WARN, WEFT_NCCL_SUB_ALL, __FILE__, __LINE__, "told to fail");
	return WEFT_NCCL_REMOTE_ERROR;
}

static weft_nccl_result test(void *request, int *done, int *sizes)
{
	static _Atomic unsigned int received;
	weft_nccl_result result;
	struct receive *r = request;
	int bytes = 0;

	if (!is_live(r))
		return inner->test(request, done, sizes);
	*done = 0;
	if (!r->inner)
		return WEFT_NCCL_SUCCESS; /* stalled */
	result = inner->test(r->inner, done, &bytes);
	if (result || !*done)
		return result;
	if (bytes && ++received % every == 0)
		result = spoil(r, done, &bytes);
	if (!*done) {
		r->inner = NULL;
		return result;
	}
	if (sizes)
		*sizes = bytes;
	replace(r, NULL);
	free(r->before);
	free(r);
	return result;
}

static weft_nccl_result close_send(void *comm)
{
	return inner->close_send(comm);
}

static weft_nccl_result close_recv(void *comm)
{
	return inner->close_recv(comm);
}

static weft_nccl_result close_listen(void *comm)
{
	return inner->close_listen(comm);
}

__attribute__((visibility("default"))) struct weft_nccl_net_v8 ncclNetPlugin_v8 = {
	.name = "faulty",
	.init = init,
	.devices = devices,
	.get_properties = get_properties,
	.listen = listen_,
	.connect = connect_,
	.accept = accept_,
	.reg_mr = reg_mr,
	.dereg_mr = dereg_mr,
	.isend = isend,
	.irecv = irecv,
	.iflush = iflush,
	.test = test,
	.close_send = close_send,
	.close_recv = close_recv,
	.close_listen = close_listen,
};

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A NCCL net plugin that is broken on purpose: it wraps the plugin named by BROKEN_PLUGIN_INNER and injects one fault,
 * named by BROKEN_PLUGIN_FAULT. With the fault "none" it behaves like the inner plugin. selftest.t runs the conformance
 * suite on it, because a check that never fails checks nothing.
 */
#include <dlfcn.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "weft/nccl_net_v8.h"

#define EVERY	    10	 /* message faults hit one message in this many */
#define HELD_TESTS  2000 /* a held send is released after this many tests, or with the next send */
#define SHALLOW	    4	 /* operations accepted by a comm with the fault "shallow" */
#define IMPATIENT_S 3

struct held {
	struct request *req; /* NULL: no send is held */
	void *data, *mhandle;
	int size, tag, tests;
};

struct comm {
	void *inner;
	bool sends;
	int posted; /* total number of operations */
	int out;    /* number of outstanding operations */
	struct held held;
};

enum kind { SEND, RECV, FLUSH };

struct request {
	void *inner; /* NULL: held, or never passed to the inner plugin */
	struct comm *comm;
	enum kind kind;
	int number;
	unsigned char *data;
	int size;
	time_t since;
	bool claimed; /* reported done, although it is not */
};

static const struct weft_nccl_net_v8 *inner;
static weft_nccl_logger real_logger;
static int inits;

static bool fault(const char *name)
{
	const char *f = getenv("BROKEN_PLUGIN_FAULT");

	return f && !strcmp(f, name);
}

static bool this_one(const struct request *r)
{
	return r->number % EVERY == EVERY - 1;
}

__attribute__((format(printf, 5, 6))) static void vague_logger(weft_nccl_log_level level, unsigned long flags,
							       const char *file, int line, const char *fmt, ...)
{
	(void)fmt;
	real_logger(level, flags, file, line, "something went wrong");
}

static weft_nccl_result broken_init(weft_nccl_logger logger)
{
	real_logger = logger;
	if (fault("init-once") && inits++)
		return WEFT_NCCL_INTERNAL_ERROR;
	return inner->init(fault("vague") ? vague_logger : logger);
}

static weft_nccl_result broken_devices(int *ndev)
{
	return inner->devices(ndev);
}

static weft_nccl_result broken_get_properties(int dev, struct weft_nccl_props_v8 *props)
{
	float latency = props->latency_us;
	weft_nccl_result r = inner->get_properties(dev, props);

	if (fault("unwritten-property"))
		memcpy(&props->latency_us, &latency, sizeof(latency));
	if (fault("no-speed"))
		props->speed_mbps = 0;
	return r;
}

static weft_nccl_result broken_listen(int dev, void *handle, void **listen_comm)
{
	if (fault("long-handle"))
		((char *)handle)[WEFT_NCCL_HANDLE_BYTES] = 0;
	return inner->listen(dev, handle, listen_comm);
}

static struct comm *comm_new(void *inner_comm, bool sends)
{
	struct comm *c = calloc(1, sizeof(*c));

	c->inner = inner_comm;
	c->sends = sends;
	if (fault("leak-files") && dup(STDERR_FILENO) < 0)
		abort();
	return c;
}

static weft_nccl_result broken_connect(int dev, void *handle, void **send_comm,
				       struct weft_nccl_device_handle **send_dev)
{
	void *comm = NULL;
	weft_nccl_result r;

	do {
		r = inner->connect(dev, handle, &comm, send_dev);
	} while (fault("blocking-connect") && !r && !comm);
	if (r && fault("no-errors"))
		r = WEFT_NCCL_SUCCESS;
	if (comm)
		*send_comm = comm_new(comm, true);
	else if (!fault("stale-comm"))
		*send_comm = NULL;
	return r;
}

static weft_nccl_result broken_accept(void *listen_comm, void **recv_comm, struct weft_nccl_device_handle **recv_dev)
{
	void *comm = NULL;
	weft_nccl_result r = inner->accept(listen_comm, &comm, recv_dev);

	if (r && fault("no-errors"))
		r = WEFT_NCCL_SUCCESS;
	*recv_comm = comm ? comm_new(comm, false) : NULL;
	return r;
}

static weft_nccl_result broken_reg_mr(void *comm, void *data, size_t size, int type, void **mhandle)
{
	if (fault("takes-any-memory"))
		type = WEFT_NCCL_PTR_HOST;
	if (fault("scribble") && size && !((struct comm *)comm)->sends)
		((unsigned char *)data)[size / 2] ^= 1;
	return inner->reg_mr(((struct comm *)comm)->inner, data, size, type, mhandle);
}

static weft_nccl_result broken_reg_mr_dmabuf(void *comm, void *data, size_t size, int type, uint64_t offset, int fd,
					     void **mhandle)
{
	return inner->reg_mr_dmabuf(((struct comm *)comm)->inner, data, size, type, offset, fd, mhandle);
}

static weft_nccl_result broken_dereg_mr(void *comm, void *mhandle)
{
	struct comm *c = comm;

	if (fault("lazy-dereg") && c->out)
		return WEFT_NCCL_SUCCESS;
	return inner->dereg_mr(c->inner, mhandle);
}

static struct request *request_new(struct comm *c, enum kind kind, void *data, int size)
{
	struct request *r = calloc(1, sizeof(*r));

	r->comm = c;
	r->kind = kind;
	r->data = data;
	r->size = size;
	r->since = time(NULL);
	if (kind != FLUSH) {
		r->number = c->posted++;
		c->out++;
	}
	return r;
}

/* Passes a held send to the inner plugin. */
static void release(struct comm *c)
{
	struct held *h = &c->held;
	void *req = NULL;

	if (!h->req || inner->isend(c->inner, h->data, h->size, h->tag, h->mhandle, &req) || !req)
		return;
	if (!h->req->claimed)
		h->req->inner = req;
	else
		free(h->req); /* it will not be tested again; the inner request is lost on purpose */
	h->req = NULL;
}

static weft_nccl_result broken_isend(void *comm, void *data, int size, int tag, void *mhandle, void **request)
{
	struct comm *c = comm;
	struct request *r;
	bool hit = size && c && c->posted % EVERY == EVERY - 1;
	void *req = NULL;
	weft_nccl_result ret = WEFT_NCCL_SUCCESS;

	if (!c)
		return inner->isend(NULL, data, size, tag, mhandle, request);
	if (c->held.req && c->held.req->claimed) {
		release(c);
		*request = NULL;
		return WEFT_NCCL_SUCCESS;
	}
	if (fault("shallow") && c->out >= SHALLOW) {
		*request = NULL;
		return WEFT_NCCL_SUCCESS;
	}
	if (hit && !c->held.req && (fault("reorder") || fault("early-send") || fault("drop"))) {
		r = request_new(c, SEND, data, size);
		if (!fault("drop"))
			c->held = (struct held){r, data, mhandle, size, tag, 0};
		*request = r;
		return WEFT_NCCL_SUCCESS;
	}
	do {
		ret = inner->isend(c->inner, data, size, tag, mhandle, &req);
	} while (fault("blocking-isend") && !ret && !req);
	if (ret && fault("no-errors"))
		ret = WEFT_NCCL_SUCCESS;
	if (req) {
		*request = r = request_new(c, SEND, data, size);
		r->inner = req;
		release(c);
	} else if (!fault("stale-request")) {
		*request = NULL;
	}
	return ret;
}

static weft_nccl_result broken_irecv(void *comm, int n, void **data, int *sizes, int *tags, void **mhandles,
				     void **request)
{
	struct comm *c = comm;
	struct request *r;
	void *req = NULL;
	weft_nccl_result ret;

	if (!c)
		return inner->irecv(NULL, n, data, sizes, tags, mhandles, request);
	*request = NULL;
	if (fault("shallow") && c->out >= SHALLOW)
		return WEFT_NCCL_SUCCESS;
	ret = inner->irecv(c->inner, n, data, sizes, tags, mhandles, &req);
	if (ret && fault("no-errors"))
		ret = WEFT_NCCL_SUCCESS;
	if (req) {
		*request = r = request_new(c, RECV, data[0], sizes[0]);
		r->inner = req;
	}
	return ret;
}

static weft_nccl_result broken_iflush(void *comm, int n, void **data, int *sizes, void **mhandles, void **request)
{
	struct comm *c = comm;
	void *req = NULL;
	weft_nccl_result ret = inner->iflush(c->inner, n, data, sizes, mhandles, &req);
	struct request *r;

	*request = NULL;
	if (fault("flush-fails"))
		return WEFT_NCCL_SYSTEM_ERROR;
	if (req) {
		*request = r = request_new(c, FLUSH, NULL, 0);
		r->inner = req;
	}
	return ret;
}

/* Damages a receive that the inner plugin has completed successfully; `got` points to its size, or is NULL. */
static void spoil_receive(struct request *r, int *got)
{
	int size = got ? *got : 0;

	if (fault("corrupt") && this_one(r) && size)
		r->data[size / 2] ^= 0x20;
	if (fault("overrun") && this_one(r))
		r->data[r->size] ^= 1;
	if (fault("spill") && size < r->size)
		r->data[size] ^= 1;
	if (fault("wrong-size") && got && this_one(r))
		(*got)++;
	if (fault("many-sizes") && got)
		got[1] = 0;
}

/* Result of test for a send that the inner plugin does not have. */
static weft_nccl_result test_absent(struct request *r, int *done, int *sizes)
{
	struct held *h = &r->comm->held;

	if (h->req == r && fault("reorder")) {
		if (++h->tests > HELD_TESTS)
			release(r->comm);
		*done = 0;
		return WEFT_NCCL_SUCCESS;
	}
	*done = 1;
	if (sizes)
		sizes[0] = r->size;
	r->comm->out--;
	if (h->req == r)
		r->claimed = true; /* early-send: its buffer will be read later */
	else
		free(r);
	return WEFT_NCCL_SUCCESS;
}

static weft_nccl_result broken_test(void *request, int *done, int *sizes)
{
	struct request *r = request;
	int d = 0;
	weft_nccl_result ret;

	if (!r->inner)
		return test_absent(r, done, sizes);
	if (fault("hang") && this_one(r)) {
		*done = 0;
		return WEFT_NCCL_SUCCESS;
	}
	ret = inner->test(r->inner, &d, sizes);
	if (fault("early-receive") && this_one(r) && r->kind == RECV && !ret && !d) {
		d = 1;
		if (sizes)
			sizes[0] = r->size;
	}
	if (ret && fault("ghost") && r->kind == RECV) {
		ret = WEFT_NCCL_SUCCESS;
		d = 1;
	}
	if (ret && fault("no-errors"))
		ret = WEFT_NCCL_SUCCESS;
	if (!ret && !d && fault("impatient") && time(NULL) - r->since > IMPATIENT_S)
		return WEFT_NCCL_REMOTE_ERROR;
	if (d || !fault("stale-done"))
		*done = d;
	if (ret || !d)
		return ret;
	if (r->kind == RECV)
		spoil_receive(r, sizes);
	if (r->kind != FLUSH)
		r->comm->out--;
	free(r);
	return WEFT_NCCL_SUCCESS;
}

static weft_nccl_result close_comm(void *comm, weft_nccl_result (*close)(void *))
{
	struct comm *c = comm;
	weft_nccl_result r;

	if (!c)
		return fault("close-fails") ? WEFT_NCCL_INTERNAL_ERROR : close(NULL);
	r = close(c->inner);
	free(c);
	return r;
}

static weft_nccl_result broken_close_send(void *comm)
{
	return close_comm(comm, inner->close_send);
}

static weft_nccl_result broken_close_recv(void *comm)
{
	return close_comm(comm, inner->close_recv);
}

static weft_nccl_result broken_close_listen(void *comm)
{
	return inner->close_listen(comm);
}

__attribute__((visibility("default"))) struct weft_nccl_net_v8 ncclNetPlugin_v8 = {
	.init = broken_init,
	.devices = broken_devices,
	.get_properties = broken_get_properties,
	.listen = broken_listen,
	.connect = broken_connect,
	.accept = broken_accept,
	.reg_mr = broken_reg_mr,
	.reg_mr_dmabuf = broken_reg_mr_dmabuf,
	.dereg_mr = broken_dereg_mr,
	.isend = broken_isend,
	.irecv = broken_irecv,
	.iflush = broken_iflush,
	.test = broken_test,
	.close_send = broken_close_send,
	.close_recv = broken_close_recv,
	.close_listen = broken_close_listen,
};

__attribute__((constructor)) static void load_inner(void)
{
	const char *path = getenv("BROKEN_PLUGIN_INNER");
	void *dl = path ? dlopen(path, RTLD_NOW | RTLD_LOCAL) : NULL;

	inner = dl ? dlsym(dl, WEFT_NCCL_NET_V8_SYMBOL) : NULL;
	if (!inner) {
		fprintf(stderr, "broken plugin: BROKEN_PLUGIN_INNER names no v8 plugin\n");
		abort();
	}
	ncclNetPlugin_v8.name = inner->name;
	if (!inner->reg_mr_dmabuf)
		ncclNetPlugin_v8.reg_mr_dmabuf = NULL;
	if (fault("no-flush"))
		ncclNetPlugin_v8.iflush = NULL;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * NCCL's net ABI version 8: checks what comes in, calls conn and xfer, translates what goes out. Comms are
 * struct conn_listen and struct xfer_chan, requests are struct xfer_req, memory handles struct xfer_region.
 * Contract: NCCL src/include/plugin/net/net_v8.h, src/transport/net.cc.
 */
#include <errno.h>
#include <limits.h>
#include <string.h>

#include "base/log.h"
#include "conn/conn.h"
#include "nccl/host.h"

#define MAX_COMMS (1 << 20) /* ids of channels on a port */

_Static_assert(WIRE_HANDLE_BYTES == WEFT_NCCL_HANDLE_BYTES, "our handle fills NCCL's");
_Static_assert(WIRE_WINDOW >= WEFT_NCCL_MAX_REQUESTS, "NCCL's depth fits the window");

/* A NULL where NCCL's contract wants a value: a bug of the caller, said once and clearly. */
static weft_nccl_result bad_argument(const char *function, const char *what)
{
	log_warn("%s was called with %s", function, what);
	return WEFT_NCCL_INVALID_ARGUMENT;
}

static weft_nccl_result v8_init(weft_nccl_logger logger)
{
	host_init(logger);
	return WEFT_NCCL_SUCCESS;
}

static weft_nccl_result v8_devices(int *ndev)
{
	const struct dev_table *t = host_devs();

	if (!ndev)
		return bad_argument("devices", "no place for the number");
	*ndev = t ? t->count : 0;
	return WEFT_NCCL_SUCCESS;
}

static weft_nccl_result v8_get_properties(int dev, struct weft_nccl_props_v8 *props)
{
	struct dev *d = host_dev(dev);

	if (!d)
		return WEFT_NCCL_INVALID_ARGUMENT;
	if (!props)
		return bad_argument("getProperties", "no place for the properties");
	*props = (struct weft_nccl_props_v8){
		.name = (char *)d->nic->name,
		.pci_path = d->pci_path,
		.guid = d->guid,
		.ptr_support = WEFT_NCCL_PTR_HOST,
		.reg_is_global = 0,
		.speed_mbps = d->speed_mbps,
		.port = 1,
		.latency_us = (float)dev_latency_us(host_devs()),
		.max_comms = MAX_COMMS,
		.max_recvs = WIRE_GROUP_MAX,
	};
	return WEFT_NCCL_SUCCESS;
}

static weft_nccl_result v8_listen(int dev, void *handle, void **listen_comm)
{
	struct dev *d = host_dev(dev);
	struct conn_listen *listen;
	int ret;

	if (!d)
		return WEFT_NCCL_INVALID_ARGUMENT;
	if (!handle || !listen_comm)
		return bad_argument("listen", "no place for its results");
	ret = conn_listen(d, &host_devs()->conf, handle, &listen);
	*listen_comm = listen;
	return host_result(ret);
}

static weft_nccl_result v8_connect(int dev, void *handle, void **send_comm,
				   struct weft_nccl_device_handle **send_dev)
{
	struct dev *d = host_dev(dev);
	struct xfer_chan *chan;
	int ret;

	(void)send_dev; /* device offload only */
	if (!send_comm)
		return bad_argument("connect", "no place for the comm");
	*send_comm = NULL;
	if (!d)
		return WEFT_NCCL_INVALID_ARGUMENT;
	if (!handle)
		return bad_argument("connect", "no handle");
	ret = conn_connect(d, &host_devs()->conf, handle, &chan);
	*send_comm = chan;
	return host_result(ret);
}

static weft_nccl_result v8_accept(void *listen_comm, void **recv_comm,
				  struct weft_nccl_device_handle **recv_dev)
{
	struct xfer_chan *chan;
	int ret;

	(void)recv_dev;
	if (!recv_comm)
		return bad_argument("accept", "no place for the comm");
	*recv_comm = NULL;
	if (!listen_comm)
		return bad_argument("accept", "no listen comm");
	ret = conn_accept(listen_comm, &host_devs()->conf, &chan);
	*recv_comm = chan;
	return host_result(ret);
}

static weft_nccl_result v8_reg_mr(void *comm, void *data, size_t size, int type, void **mhandle)
{
	struct xfer_region *region;
	int ret;

	if (!mhandle)
		return bad_argument("regMr", "no place for the handle");
	*mhandle = NULL;
	if (!comm || (!data && size))
		return bad_argument("regMr", "no comm or no memory");
	if (type != WEFT_NCCL_PTR_HOST) {
		log_warn("regMr: memory of type %d is not supported: this Weft moves host memory only "
			 "(ptrSupport says so)",
			 type);
		return WEFT_NCCL_INVALID_ARGUMENT;
	}
	ret = xfer_region_open(comm, data, size, &region);
	*mhandle = region;
	return host_result(ret);
}

static weft_nccl_result v8_dereg_mr(void *comm, void *mhandle)
{
	(void)comm;
	if (mhandle)
		xfer_region_close(mhandle);
	return WEFT_NCCL_SUCCESS;
}

/* -EAGAIN becomes success and a NULL request: "call me again". */
static weft_nccl_result started(int ret, struct xfer_req *req, void **request)
{
	*request = req;
	return ret == -EAGAIN ? WEFT_NCCL_SUCCESS : host_result(ret);
}

static weft_nccl_result v8_isend(void *send_comm, void *data, int size, int tag, void *mhandle,
				 void **request)
{
	struct xfer_req *req = NULL;
	int ret;

	if (!request)
		return bad_argument("isend", "no place for the request");
	*request = NULL;
	if (!send_comm || size < 0 || (!data && size))
		return bad_argument("isend", "no comm, no data or a negative size");
	if (xfer_chan_kind(send_comm) != XFER_SEND)
		return bad_argument("isend", "a receive comm");
	ret = xfer_isend(send_comm, data, (size_t)size, (uint32_t)tag, mhandle, &req);
	return started(ret, req, request);
}

static weft_nccl_result v8_irecv(void *recv_comm, int n, void **data, int *sizes, int *tags,
				 void **mhandles, void **request)
{
	struct xfer_sub subs[WIRE_GROUP_MAX];
	struct xfer_req *req = NULL;
	int i, ret;

	if (!request)
		return bad_argument("irecv", "no place for the request");
	*request = NULL;
	if (!recv_comm || n < 1 || n > WIRE_GROUP_MAX || !data || !sizes || (n > 1 && !tags))
		return bad_argument("irecv", "no comm, buffers or tags, or n not between 1 and maxRecvs");
	if (xfer_chan_kind(recv_comm) != XFER_RECV)
		return bad_argument("irecv", "a send comm");
	for (i = 0; i < n; i++) {
		if (sizes[i] < 0 || (!data[i] && sizes[i]))
			return bad_argument("irecv", "no buffer or a negative size");
		subs[i] = (struct xfer_sub){.buf = data[i],
					    .len = (size_t)sizes[i],
					    .tag = tags ? (uint32_t)tags[i] : 0,
					    .region = mhandles ? mhandles[i] : NULL};
	}
	ret = xfer_irecv(recv_comm, n, subs, &req);
	return started(ret, req, request);
}

/* Host memory is visible when its receive is done: nothing to wait for. */
static weft_nccl_result v8_iflush(void *recv_comm, int n, void **data, int *sizes, void **mhandles,
				  void **request)
{
	(void)recv_comm;
	(void)n;
	(void)data;
	(void)sizes;
	(void)mhandles;
	if (!request)
		return bad_argument("iflush", "no place for the request");
	*request = NULL;
	return WEFT_NCCL_SUCCESS;
}

static weft_nccl_result v8_test(void *request, int *done, int *sizes)
{
	size_t lens[WIRE_GROUP_MAX];
	int i, ret, n;

	if (!request || !done)
		return bad_argument("test", "no request or no place for the answer");
	*done = 0;
	n = xfer_count(request);
	ret = xfer_test(request, lens);
	if (ret <= 0)
		return host_result(ret);
	*done = 1;
	for (i = 0; sizes && i < n; i++)
		sizes[i] = (int)lens[i];
	return WEFT_NCCL_SUCCESS;
}

/* Closing and deregistering always succeed: an error would make NCCL stop freeing the rest. */
static weft_nccl_result v8_close_chan(void *comm)
{
	xfer_chan_close(comm);
	return WEFT_NCCL_SUCCESS;
}

static weft_nccl_result v8_close_listen(void *listen_comm)
{
	conn_listen_close(listen_comm);
	return WEFT_NCCL_SUCCESS;
}

extern const struct weft_nccl_net_v8 ncclNetPlugin_v8;

/* Entries left NULL: no dma-buf is offered, no device offload, and irecvConsumed would only cost a call. */
__attribute__((visibility("default"))) const struct weft_nccl_net_v8 ncclNetPlugin_v8 = {
	.name = "weft",
	.init = v8_init,
	.devices = v8_devices,
	.get_properties = v8_get_properties,
	.listen = v8_listen,
	.connect = v8_connect,
	.accept = v8_accept,
	.reg_mr = v8_reg_mr,
	.dereg_mr = v8_dereg_mr,
	.isend = v8_isend,
	.irecv = v8_irecv,
	.iflush = v8_iflush,
	.test = v8_test,
	.close_send = v8_close_chan,
	.close_recv = v8_close_chan,
	.close_listen = v8_close_listen,
};

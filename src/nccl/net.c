/* SPDX-License-Identifier: Apache-2.0 */
/* Checks what comes in, calls conn and xfer, translates what goes out; see net.h. */
#include "nccl/net.h"

#include <errno.h>
#include <limits.h>
#include <stdatomic.h>

#include "base/log.h"
#include "xfer/xfer.h"

#define MAX_COMMS  (1 << 20) /* ids of channels on a port */
#define SIZE_LIMIT "2147483647" /* INT_MAX */

_Static_assert(WIRE_HANDLE_BYTES == WEFT_NCCL_HANDLE_BYTES, "our handle fills NCCL's");
_Static_assert(WIRE_WINDOW >= WEFT_NCCL_MAX_REQUESTS, "NCCL's depth fits the window");

/* A NULL where NCCL's contract wants a value: a bug of the caller, said once and clearly. */
static weft_nccl_result bad_argument(const char *function, const char *what)
{
	log_warn("%s was called with %s", function, what);
	return WEFT_NCCL_INVALID_ARGUMENT;
}

weft_nccl_result net_devices(int *ndev)
{
	const struct dev_table *t = host_devs();

	if (!ndev)
		return bad_argument("devices", "no place for the number");
	*ndev = t ? t->count : 0;
	return WEFT_NCCL_SUCCESS;
}

static int pointers(const struct dev *d)
{
	return WEFT_NCCL_PTR_HOST | (d->gdr.cuda ? WEFT_NCCL_PTR_CUDA : 0) | (d->gdr.dmabuf ? WEFT_NCCL_PTR_DMABUF : 0);
}

weft_nccl_result net_get_properties(int dev, struct weft_nccl_props_v12 *out)
{
	struct dev *d = host_dev(dev);

	if (!d)
		return WEFT_NCCL_INVALID_ARGUMENT;
	if (!out)
		return bad_argument("getProperties", "no place for the properties");
	*out = (struct weft_nccl_props_v12){
		.name = (char *)d->nic->name,
		.pci_path = d->pci_path,
		.guid = d->guid,
		.ptr_support = pointers(d),
		.reg_is_global = 0,
		/* NCCL asks for none from Hopper on unless it is told to; of host memory it never asks. */
		.force_flush = d->gdr.cuda && d->gdr.flush != DEV_FLUSH_NONE,
		.speed_mbps = d->speed_mbps,
		.port = 1,
		.latency_us = (float)dev_latency_us(host_devs()),
		.max_comms = MAX_COMMS,
		.max_recvs = WIRE_GROUP_MAX,
		.vprops = {.ndevs = 1, .devs = {dev}}, /* Weft joins NICs by itself: NCCL sees one */
		.max_p2p_bytes = NET_MAX_BYTES,
		.max_coll_bytes = NET_MAX_BYTES,
		.max_multi_request_size = 1,
		.rail_id = WEFT_NCCL_ID_UNDEF,
		.plane_id = WEFT_NCCL_ID_UNDEF,
	};
	return WEFT_NCCL_SUCCESS;
}

weft_nccl_result net_get_properties_v9(int dev, struct weft_nccl_props_v9 *out)
{
	struct weft_nccl_props_v12 p;
	weft_nccl_result r = net_get_properties(dev, out ? &p : NULL);

	if (r)
		return r;
	*out = (struct weft_nccl_props_v9){
		.name = p.name,
		.pci_path = p.pci_path,
		.guid = p.guid,
		.ptr_support = p.ptr_support,
		.reg_is_global = p.reg_is_global,
		.force_flush = p.force_flush,
		.speed_mbps = p.speed_mbps,
		.port = p.port,
		.latency_us = p.latency_us,
		.max_comms = p.max_comms,
		.max_recvs = p.max_recvs,
		.net_device_type = p.net_device_type,
		.net_device_version = p.net_device_version,
		.vprops = {.ndevs = p.vprops.ndevs, .devs = {p.vprops.devs[0]}},
		.max_p2p_bytes = p.max_p2p_bytes,
		.max_coll_bytes = p.max_coll_bytes,
	};
	return WEFT_NCCL_SUCCESS;
}

weft_nccl_result net_listen(void *ctx, int dev, void *handle, void **listen_comm)
{
	struct dev *d = host_dev(dev);
	struct conn_listen *listen;
	struct net_listen *comm = NULL;
	int ret;

	if (!d)
		return WEFT_NCCL_INVALID_ARGUMENT;
	if (!handle || !listen_comm)
		return bad_argument("listen", "no place for its results");
	ret = conn_listen(d, &host_devs()->conf, handle, &listen);
	if (!ret)
		ret = net_listen_open(ctx, listen, &comm);
	*listen_comm = comm;
	return host_result(ret);
}

weft_nccl_result net_connect(void *ctx, int dev, void *handle, void **send_comm,
			     struct weft_nccl_device_handle **send_dev)
{
	struct dev *d = host_dev(dev);
	struct xfer_chan *chan;
	int ret;

	(void)ctx;
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

weft_nccl_result net_accept(void *listen_comm, void **recv_comm, struct weft_nccl_device_handle **recv_dev)
{
	struct net_listen *l = listen_comm;
	struct xfer_chan *chan;
	int ret;

	(void)recv_dev; /* device offload only */
	if (!recv_comm)
		return bad_argument("accept", "no place for the comm");
	*recv_comm = NULL;
	if (!l)
		return bad_argument("accept", "no listen comm");
	ret = conn_accept(l->listen, &host_devs()->conf, &chan);
	*recv_comm = chan;
	return host_result(ret);
}

/* fd: -1 without a dma-buf. */
static int reg(struct xfer_chan *chan, void *data, size_t size, int type, int fd, uint64_t offset,
	       struct xfer_region **out)
{
	struct accel_mem m;
	int ret;

	*out = NULL;
	if (type == WEFT_NCCL_PTR_HOST && fd < 0)
		return xfer_region_open(chan, data, size, out);
	ret = accel_mem(data, &m);
	if (ret)
		return ret;
	if (m.kind != ACCEL_CUDA) {
		log_warn("regMr: %p is no memory of a GPU%s%s", data, *accel_info()->why ? ": " : "", accel_info()->why);
		return -EINVAL;
	}
	return xfer_region_open_gpu(chan, &m, data, size, fd, offset, out);
}

weft_nccl_result net_reg_mr_dmabuf(void *comm, void *data, size_t size, int type, uint64_t offset, int fd,
				   void **mhandle)
{
	struct xfer_region *region;
	int ret;

	if (!mhandle)
		return bad_argument("regMrDmaBuf", "no place for the handle");
	*mhandle = NULL;
	if (!comm || (!data && size) || fd < 0)
		return bad_argument("regMrDmaBuf", "no comm, no memory or no dma-buf");
	if (type != WEFT_NCCL_PTR_CUDA)
		return bad_argument("regMrDmaBuf", "memory that is not a GPU's");
	ret = reg(comm, data, size, type, fd, offset, &region);
	*mhandle = region;
	return host_result(ret);
}

weft_nccl_result net_reg_mr(void *comm, void *data, size_t size, int type, void **mhandle)
{
	struct xfer_region *region;
	int ret;

	if (!mhandle)
		return bad_argument("regMr", "no place for the handle");
	*mhandle = NULL;
	if (!comm || (!data && size))
		return bad_argument("regMr", "no comm or no memory");
	if (type != WEFT_NCCL_PTR_HOST && type != WEFT_NCCL_PTR_CUDA) {
		log_warn("regMr: there is no memory of type %d", type);
		return WEFT_NCCL_INVALID_ARGUMENT;
	}
	ret = reg(comm, data, size, type, -1, 0, &region);
	*mhandle = region;
	return host_result(ret);
}

weft_nccl_result net_dereg_mr(void *comm, void *mhandle)
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

weft_nccl_result net_isend(void *send_comm, void *data, size_t size, int tag, void *mhandle,
			   void **request)
{
	struct xfer_req *req = NULL;
	int ret;

	if (!request)
		return bad_argument("isend", "no place for the request");
	*request = NULL;
	if (!send_comm || size > INT_MAX || (!data && size))
		return bad_argument("isend", "no comm, no data or a size beyond " SIZE_LIMIT);
	if (xfer_chan_kind(send_comm) != XFER_SEND)
		return bad_argument("isend", "a receive comm");
	ret = xfer_isend(send_comm, data, size, (uint32_t)tag, mhandle, &req);
	return started(ret, req, request);
}

/*
 * "Completion is optional" may stand in *request (version 9 and later). Weft has no use for that permission:
 * its providers move data inside of calls to test, so a receive that was called done early might be left half
 * way, with nobody to fetch the rest.
 */
weft_nccl_result net_irecv(void *recv_comm, int n, void **data, size_t *sizes, int *tags, void **mhandles,
			   void **request)
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
		if (sizes[i] > INT_MAX || (!data[i] && sizes[i]))
			return bad_argument("irecv", "no buffer or a size beyond " SIZE_LIMIT);
		subs[i] = (struct xfer_sub){.buf = data[i],
					    .len = sizes[i],
					    .tag = tags ? (uint32_t)tags[i] : 0,
					    .region = mhandles ? mhandles[i] : NULL};
	}
	ret = xfer_irecv(recv_comm, n, subs, &req);
	return started(ret, req, request);
}

/* `sizes` may not line up with the buffers when some of a group have ended: only zero is told from the rest. */
weft_nccl_result net_iflush(void *recv_comm, int n, void **data, int *sizes, void **mhandles,
			    void **request)
{
	struct xfer_req *req = NULL;
	int i, ret = 0;

	if (!request)
		return bad_argument("iflush", "no place for the request");
	*request = NULL;
	for (i = 0; recv_comm && data && mhandles && i < n; i++)
		if (mhandles[i] && (!sizes || sizes[i])) {
			ret = xfer_flush(recv_comm, data[i], mhandles[i], &req);
			break; /* what one buffer got, and what all did before, takes the same ways */
		}
	*request = req;
	return host_result(ret);
}

weft_nccl_result net_accept_unflushed(void *listen_comm, void **recv_comm, struct weft_nccl_device_handle **recv_dev)
{
	weft_nccl_result r = net_accept(listen_comm, recv_comm, recv_dev);

	if (!r && *recv_comm)
		xfer_chan_self_flush(*recv_comm);
	return r;
}

weft_nccl_result net_test(void *request, int *done, int *sizes)
{
	size_t lens[WIRE_GROUP_MAX];
	int i, ret;

	if (!request || !done)
		return bad_argument("test", "no request or no place for the answer");
	*done = 0;
	ret = xfer_test(request, lens);
	if (ret <= 0)
		return host_result(ret);
	*done = 1;
	for (i = 0; sizes && i < ret; i++)
		sizes[i] = (int)lens[i];
	return WEFT_NCCL_SUCCESS;
}

/* Closing and deregistering always succeed: an error would make NCCL stop freeing the rest. */
weft_nccl_result net_close_chan(void *comm)
{
	xfer_chan_close(comm);
	return WEFT_NCCL_SUCCESS;
}

weft_nccl_result net_close_listen(void *listen_comm)
{
	net_listen_close(listen_comm);
	return WEFT_NCCL_SUCCESS;
}

weft_nccl_result net_isend_profiled(void *send_comm, void *data, size_t size, int tag, void *mhandle,
				    void *phandle, void **request)
{
	(void)phandle;
	return net_isend(send_comm, data, size, tag, mhandle, request);
}

weft_nccl_result net_irecv_profiled(void *recv_comm, int n, void **data, size_t *sizes, int *tags,
				    void **mhandles, void **phandles, void **request)
{
	(void)phandles;
	return net_irecv(recv_comm, n, data, sizes, tags, mhandles, request);
}

void net_traffic_class(const struct weft_nccl_comm_config *config)
{
	static atomic_int said = WEFT_NCCL_TRAFFIC_CLASS_UNDEF;

	if (config && config->traffic_class != atomic_exchange(&said, config->traffic_class) &&
	    config->traffic_class != WEFT_NCCL_TRAFFIC_CLASS_UNDEF)
		log_info("traffic class %d is not set: Weft leaves the class of its traffic to the provider",
			 config->traffic_class);
}

/*
 * Without devices there is no context: NCCL finalizes it and goes on to its own networks, but keeps the
 * pointer. When IB is not to be had either, 2.28 finalizes IB with it, which frees it once more
 * (src/plugin/net.cc, src/transport/net_ib.cc).
 */
weft_nccl_result net_init(void **ctx, uint64_t comm_id, struct weft_nccl_comm_config *config,
			  weft_nccl_logger logger, weft_nccl_profiler profiler)
{
	(void)profiler;
	host_init(logger);
	net_traffic_class(config);
	if (ctx)
		*ctx = host_devs()->count ? net_ctx_open(comm_id) : NULL;
	return WEFT_NCCL_SUCCESS;
}

weft_nccl_result net_finalize(void *ctx)
{
	net_ctx_close(ctx);
	return WEFT_NCCL_SUCCESS;
}

weft_nccl_result net_init_plain(weft_nccl_logger logger)
{
	host_init(logger);
	return WEFT_NCCL_SUCCESS;
}

weft_nccl_result net_listen_plain(int dev, void *handle, void **listen_comm)
{
	return net_listen(NULL, dev, handle, listen_comm);
}

weft_nccl_result net_connect_plain(int dev, void *handle, void **send_comm,
				   struct weft_nccl_device_handle **send_dev)
{
	return net_connect(NULL, dev, handle, send_comm, send_dev);
}

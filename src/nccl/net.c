/* SPDX-License-Identifier: Apache-2.0 */
/* Checks arguments, calls cm and xfer, and translates results; see net.h. */
#include "nccl/net.h"

#include <errno.h>
#include <limits.h>
#include <stdatomic.h>

#include "base/log.h"
#include "comm/req.h"
#include "nccl/profile.h"
#include "nccl/props.h"
#include "xfer/xfer.h"

#define MAX_COMMS  (1 << 20)	/* number of comm ids on an endpoint */
#define SIZE_LIMIT "2147483647" /* INT_MAX */

_Static_assert(WIRE_HANDLE_BYTES == WEFT_NCCL_HANDLE_BYTES, "our handle fills NCCL's");
_Static_assert(WIRE_WINDOW >= WEFT_NCCL_MAX_REQUESTS, "NCCL's depth fits the window");

/* Reports an argument that violates NCCL's contract, which is a bug of the caller. */
__attribute__((cold, noinline)) static weft_nccl_result bad_argument(const char *function, const char *what)
{
	log_warn("%s was called with %s", function, what);
	return WEFT_NCCL_INVALID_ARGUMENT;
}

weft_nccl_result net_devices(int *ndev)
{
	const struct dev_table *t = host_devs();

	if (!ndev)
		return bad_argument("devices", "a NULL pointer for the number");
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
		return bad_argument("getProperties", "a NULL pointer for the properties");
	*out = (struct weft_nccl_props_v12){
		.name = (char *)d->nic->name,
		.pci_path = d->pci_path,
		.guid = d->guid,
		.ptr_support = pointers(d),
		.reg_is_global = 0,
		/*
		 * Without this NCCL requests no flush on Hopper and newer GPUs. It never requests one for host
		 * memory.
		 */
		.force_flush = d->gdr.cuda && d->gdr.flush != DEV_FLUSH_NONE,
		.speed_mbps = d->speed_mbps,
		.port = 1,
		.latency_us = (float)dev_latency_us(host_devs()),
		.max_comms = MAX_COMMS,
		.max_recvs = WIRE_GROUP_MAX,
		.vprops = {.ndevs = 1, .devs = {dev}}, /* Weft joins NICs by itself, so NCCL sees one device */
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
	*out = (struct weft_nccl_props_v9){0};
	PROPS_COPY_V9(out, &p);
	return WEFT_NCCL_SUCCESS;
}

weft_nccl_result net_listen(void *ctx, int dev, void *handle, void **listen_comm)
{
	struct dev *d = host_dev(dev);
	struct cm_listen *listen;
	struct net_listen *comm = NULL;
	int ret;

	if (!d)
		return WEFT_NCCL_INVALID_ARGUMENT;
	if (!handle || !listen_comm)
		return bad_argument("listen", "a NULL pointer for a result");
	ret = cm_listen(d, &host_devs()->conf, handle, &listen);
	if (!ret)
		ret = net_listen_open(ctx, listen, &comm);
	*listen_comm = comm;
	return host_result(ret);
}

weft_nccl_result net_connect(void *ctx, int dev, void *handle, void **send_comm,
			     struct weft_nccl_device_handle **send_dev)
{
	struct dev *d = host_dev(dev);
	struct xfer_comm *comm;
	int ret;

	(void)send_dev; /* device offload only */
	if (!send_comm)
		return bad_argument("connect", "a NULL pointer for the comm");
	*send_comm = NULL;
	if (!d)
		return WEFT_NCCL_INVALID_ARGUMENT;
	if (!handle)
		return bad_argument("connect", "no handle");
	ret = cm_connect(d, &host_devs()->conf, handle, &comm);
	if (ctx && !ret && !comm)
		cm_connect_own(handle, ctx);
	*send_comm = comm;
	return host_result(ret);
}

weft_nccl_result net_accept(void *listen_comm, void **recv_comm, struct weft_nccl_device_handle **recv_dev)
{
	struct net_listen *l = listen_comm;
	struct xfer_comm *comm;
	int ret;

	(void)recv_dev; /* device offload only */
	if (!recv_comm)
		return bad_argument("accept", "a NULL pointer for the comm");
	*recv_comm = NULL;
	if (!l)
		return bad_argument("accept", "no listen comm");
	ret = cm_accept(l->listen, &host_devs()->conf, &comm);
	*recv_comm = comm;
	return host_result(ret);
}

/* fd: -1 without a dma-buf. */
static int net_reg(struct xfer_comm *comm, void *data, size_t size, int type, int fd, uint64_t offset,
		   struct xfer_region **out)
{
	struct accel_mem m;
	int ret;

	*out = NULL;
	if (type == WEFT_NCCL_PTR_HOST && fd < 0)
		return xfer_region_open(comm, data, size, out);
	ret = accel_mem(data, &m);
	if (ret)
		return ret;
	if (m.kind != ACCEL_CUDA) {
		log_warn("regMr: %p is not GPU memory%s%s", data, *accel_info()->why ? ": " : "", accel_info()->why);
		return -EINVAL;
	}
	return xfer_region_open_gpu(comm, &m, data, size, fd, offset, out);
}

weft_nccl_result net_reg_mr_dmabuf(void *comm, void *data, size_t size, int type, uint64_t offset, int fd,
				   void **mhandle)
{
	struct xfer_region *region;
	int ret;

	if (!mhandle)
		return bad_argument("regMrDmaBuf", "a NULL pointer for the handle");
	*mhandle = NULL;
	if (!comm || (!data && size) || fd < 0)
		return bad_argument("regMrDmaBuf", "no comm, no memory or no dma-buf");
	if (type != WEFT_NCCL_PTR_CUDA)
		return bad_argument("regMrDmaBuf", "memory that is not a GPU's");
	ret = net_reg(comm, data, size, type, fd, offset, &region);
	*mhandle = region;
	return host_result(ret);
}

weft_nccl_result net_reg_mr(void *comm, void *data, size_t size, int type, void **mhandle)
{
	struct xfer_region *region;
	int ret;

	if (!mhandle)
		return bad_argument("regMr", "a NULL pointer for the handle");
	*mhandle = NULL;
	if (!comm || (!data && size))
		return bad_argument("regMr", "no comm or no memory");
	if (type != WEFT_NCCL_PTR_HOST && type != WEFT_NCCL_PTR_CUDA) {
		log_warn("regMr: memory type %d is unknown", type);
		return WEFT_NCCL_INVALID_ARGUMENT;
	}
	ret = net_reg(comm, data, size, type, -1, 0, &region);
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

/* -EAGAIN becomes success with a NULL request, which means "call again". */
static weft_nccl_result started(int ret, struct xfer_req *req, void **request)
{
	*request = req;
	return ret == -EAGAIN ? WEFT_NCCL_SUCCESS : host_result(ret);
}

__attribute__((cold, noinline)) static weft_nccl_result isend_refused(void *send_comm, void **request)
{
	if (!request)
		return bad_argument("isend", "a NULL pointer for the request");
	*request = NULL;
	if (send_comm && xfer_comm_kind(send_comm) != XFER_SEND)
		return bad_argument("isend", "a receive comm");
	return bad_argument("isend", "no comm or a size beyond " SIZE_LIMIT);
}

weft_nccl_result net_isend(void *send_comm, void *data, size_t size, int tag, void *mhandle, void **request)
{
	struct xfer_req *req;
	int ret;

	if (!request || !send_comm || size > INT_MAX || xfer_comm_kind(send_comm) != XFER_SEND)
		return isend_refused(send_comm, request);
	ret = xfer_isend(send_comm, data, size, (uint32_t)tag, mhandle, &req);
	return started(ret, req, request);
}

/* A receive of several messages, or with arguments that are wrong. */
__attribute__((noinline)) static weft_nccl_result irecv_rare(void *recv_comm, int n, void **data, const size_t *sizes,
							     const int *tags, void **mhandles, void **request)
{
	struct xfer_sub subs[WIRE_GROUP_MAX];
	struct xfer_req *req = NULL;
	int i, ret;

	if (!request)
		return bad_argument("irecv", "a NULL pointer for the request");
	*request = NULL;
	if (!recv_comm || n < 1 || n > WIRE_GROUP_MAX || !data || !sizes || (n > 1 && !tags))
		return bad_argument("irecv", "no comm, buffers or tags, or n not between 1 and maxRecvs");
	if (xfer_comm_kind(recv_comm) != XFER_RECV)
		return bad_argument("irecv", "a send comm");
	for (i = 0; i < n; i++) {
		subs[i] = (struct xfer_sub){.buf = data[i],
					    .len = sizes[i],
					    .tag = tags ? (uint32_t)tags[i] : 0,
					    .region = mhandles ? mhandles[i] : NULL};
		if (sizes[i] > INT_MAX || (!data[i] && sizes[i]))
			return bad_argument("irecv", "no buffer or a size beyond " SIZE_LIMIT);
	}
	ret = xfer_irecv(recv_comm, n, subs, &req);
	return started(ret, req, request);
}

/*
 * From version 9 on *request may mean "completion is optional". Weft does not use that permission: its providers move
 * data during calls of test, so a receive that was reported done early might never get the rest of its data.
 */
weft_nccl_result net_irecv(void *recv_comm, int n, void **data, size_t *sizes, int *tags, void **mhandles,
			   void **request)
{
	struct xfer_req *req;
	int ret;

	if (n != 1 || !recv_comm || !data || !sizes || !tags || !mhandles || !request || *sizes > INT_MAX ||
	    xfer_comm_kind(recv_comm) != XFER_RECV)
		return irecv_rare(recv_comm, n, data, sizes, tags, mhandles, request);
	ret = xfer_irecv_one(recv_comm, *data, *sizes, (uint32_t)*tags, *mhandles, &req);
	return started(ret, req, request);
}

/* `sizes` may not correspond to the buffers of a group, so only zero and non-zero are distinguished. */
weft_nccl_result net_iflush(void *recv_comm, int n, void **data, int *sizes, void **mhandles, void **request)
{
	struct xfer_req *req = NULL;
	int i, ret = 0;

	if (!request)
		return bad_argument("iflush", "a NULL pointer for the request");
	*request = NULL;
	for (i = 0; recv_comm && data && mhandles && i < n; i++)
		if (mhandles[i] && (!sizes || sizes[i])) {
			ret = xfer_flush(recv_comm, data[i], mhandles[i], &req);
			break; /* one flush covers all completed receives of the comm */
		}
	*request = req;
	return host_result(ret);
}

weft_nccl_result net_accept_unflushed(void *listen_comm, void **recv_comm, struct weft_nccl_device_handle **recv_dev)
{
	weft_nccl_result r = net_accept(listen_comm, recv_comm, recv_dev);

	if (!r && *recv_comm)
		xfer_comm_self_flush(*recv_comm);
	return r;
}

__attribute__((noinline)) static weft_nccl_result poll_and_test(struct xfer_req *request, int *done, int *sizes)
{
	size_t lens[WIRE_GROUP_MAX];
	int i, ret = request->profile ? profile_test(request, lens) : xfer_test(request, lens);

	*done = ret > 0;
	if (ret <= 0)
		return host_result(ret);
	for (i = 0; sizes && i < ret; i++)
		sizes[i] = (int)lens[i];
	return WEFT_NCCL_SUCCESS;
}

weft_nccl_result net_test(void *request, int *done, int *sizes)
{
	size_t len;

	if (!request || !done)
		return bad_argument("test", "a NULL pointer for the request or the answer");
	if (__builtin_expect(((struct xfer_req *)request)->profile != NULL, 0) || !xfer_is_done(request, &len))
		return poll_and_test(request, done, sizes);
	*done = 1;
	if (sizes)
		*sizes = (int)len;
	return WEFT_NCCL_SUCCESS;
}

/* Closing and deregistering always succeed, because an error would make NCCL stop freeing the rest. */
weft_nccl_result net_close_comm(void *comm)
{
	profile_close(comm);
	return WEFT_NCCL_SUCCESS;
}

weft_nccl_result net_close_listen(void *listen_comm)
{
	net_listen_close(listen_comm);
	return WEFT_NCCL_SUCCESS;
}

/* Not inlined: NCCL passes handles for every message, but few have a profiler. */
__attribute__((noinline)) static weft_nccl_result isend_noted(void *send_comm, void *data, size_t size, int tag,
							      void *mhandle, void *phandle, void **request)
{
	struct req_profile *p = profile_begin(send_comm);
	weft_nccl_result r = net_isend(send_comm, data, size, tag, mhandle, request);

	profile_begun(send_comm, p, request ? *request : NULL, &phandle);
	return r;
}

weft_nccl_result net_isend_profiled(void *send_comm, void *data, size_t size, int tag, void *mhandle, void *phandle,
				    void **request)
{
	if (phandle && send_comm && profile_wanted(send_comm))
		return isend_noted(send_comm, data, size, tag, mhandle, phandle, request);
	return net_isend(send_comm, data, size, tag, mhandle, request);
}

static bool has_handle(int n, void **phandles)
{
	int i;

	for (i = 0; i < n; i++)
		if (phandles[i])
			return true;
	return false;
}

__attribute__((noinline)) static weft_nccl_result irecv_noted(void *recv_comm, int n, void **data, size_t *sizes,
							      int *tags, void **mhandles, void **phandles,
							      void **request)
{
	struct req_profile *p;
	weft_nccl_result r;

	if (!recv_comm || n > WIRE_GROUP_MAX || !has_handle(n, phandles) || !profile_wanted(recv_comm))
		return net_irecv(recv_comm, n, data, sizes, tags, mhandles, request);
	p = profile_begin(recv_comm);
	r = net_irecv(recv_comm, n, data, sizes, tags, mhandles, request);
	profile_begun(recv_comm, p, request ? *request : NULL, phandles);
	return r;
}

weft_nccl_result net_irecv_profiled(void *recv_comm, int n, void **data, size_t *sizes, int *tags, void **mhandles,
				    void **phandles, void **request)
{
	if (phandles)
		return irecv_noted(recv_comm, n, data, sizes, tags, mhandles, phandles, request);
	return net_irecv(recv_comm, n, data, sizes, tags, mhandles, request);
}

void net_traffic_class(const struct weft_nccl_comm_config *config)
{
	static atomic_int reported = WEFT_NCCL_TRAFFIC_CLASS_UNDEF;

	if (config && config->traffic_class != atomic_exchange(&reported, config->traffic_class) &&
	    config->traffic_class != WEFT_NCCL_TRAFFIC_CLASS_UNDEF)
		log_info("traffic class %d is not set: Weft leaves the class of its traffic to the provider",
			 config->traffic_class);
}

/*
 * Without devices the context is NULL. In that case NCCL finalizes the context and tries its own networks, but keeps
 * the pointer; if IB is unavailable, too, 2.28 finalizes IB with the same pointer, which frees it a second time
 * (src/plugin/net.cc, src/transport/net_ib.cc).
 */
weft_nccl_result net_init(void **ctx, uint64_t comm_id, struct weft_nccl_comm_config *config, weft_nccl_logger logger,
			  weft_nccl_profiler profiler)
{
	profile_set(profiler);
	host_init(logger);
	net_traffic_class(config);
	if (ctx)
		*ctx = host_devs()->count ? net_ctx_open(comm_id) : NULL;
	return WEFT_NCCL_SUCCESS;
}

weft_nccl_result net_finalize(void *ctx)
{
	if (ctx)
		cm_connect_abandon(ctx);
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

weft_nccl_result net_connect_plain(int dev, void *handle, void **send_comm, struct weft_nccl_device_handle **send_dev)
{
	return net_connect(NULL, dev, handle, send_comm, send_dev);
}

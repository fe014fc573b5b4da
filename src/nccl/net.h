/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The core of the plugin implements NCCL's net interface in one form that covers all versions. v8.c to v12.c
 * translate the calls and structures of one version each; functions that are equal in all versions stand in their
 * tables directly.
 *
 * Comms are struct net_listen and struct xfer_comm, requests struct xfer_req, memory handles struct
 * xfer_region. Contract: NCCL src/include/plugin/net/net_v*.h, src/transport/net.cc.
 */
#ifndef WEFT_NCCL_NET_H
#define WEFT_NCCL_NET_H

#include "nccl/ctx.h"
#include "nccl/host.h"
#include "weft/nccl_net_v12.h"

#define NET_NAME "weft"

/*
 * The largest message, as reported in the properties; NCCL uses the same value for version 8. In every version `test`
 * reports sizes as int, so messages larger than INT_MAX are refused.
 */
#define NET_MAX_BYTES ((size_t)1 << 30)

/* The properties of a device, in the form of the newest version and in the form of versions 9 and 10. */
weft_nccl_result net_get_properties(int dev, struct weft_nccl_props_v12 *out);
weft_nccl_result net_get_properties_v9(int dev, struct weft_nccl_props_v9 *out);

weft_nccl_result net_isend(void *send_comm, void *data, size_t size, int tag, void *mhandle, void **request);
weft_nccl_result net_irecv(void *recv_comm, int n, void **data, size_t *sizes, int *tags, void **mhandles,
			   void **request);

/* Equal in every version. */
weft_nccl_result net_devices(int *ndev);
weft_nccl_result net_accept(void *listen_comm, void **recv_comm, struct weft_nccl_device_handle **recv_dev);
weft_nccl_result net_reg_mr(void *comm, void *data, size_t size, int type, void **mhandle);
weft_nccl_result net_reg_mr_dmabuf(void *comm, void *data, size_t size, int type, uint64_t offset, int fd,
				   void **mhandle);
weft_nccl_result net_dereg_mr(void *comm, void *mhandle);
weft_nccl_result net_iflush(void *recv_comm, int n, void **data, int *sizes, void **mhandles, void **request);
weft_nccl_result net_test(void *request, int *done, int *sizes);
weft_nccl_result net_close_comm(void *comm);
weft_nccl_result net_close_listen(void *listen_comm);

/*
 * Version 8 cannot make NCCL request flushes (forceFlush). Where NCCL would not flush, a receive is flushed before it
 * completes.
 */
weft_nccl_result net_accept_unflushed(void *listen_comm, void **recv_comm, struct weft_nccl_device_handle **recv_dev);

/* Without contexts (versions 8 to 10). */
weft_nccl_result net_init_plain(weft_nccl_logger logger);
weft_nccl_result net_listen_plain(int dev, void *handle, void **listen_comm);
weft_nccl_result net_connect_plain(int dev, void *handle, void **send_comm, struct weft_nccl_device_handle **send_dev);

/*
 * With contexts (versions 11 and 12). net_finalize closes the listeners and connects of the communicator that are still open: NCCL
 * does not close them if the set-up failed.
 */
weft_nccl_result net_init(void **ctx, uint64_t comm_id, struct weft_nccl_comm_config *config, weft_nccl_logger logger,
			  weft_nccl_profiler profiler);
weft_nccl_result net_listen(void *ctx, int dev, void *handle, void **listen_comm);
weft_nccl_result net_connect(void *ctx, int dev, void *handle, void **send_comm,
			     struct weft_nccl_device_handle **send_dev);
weft_nccl_result net_finalize(void *ctx);

/* With handles for a profiler (versions 10 to 12), see profile.h. */
weft_nccl_result net_isend_profiled(void *send_comm, void *data, size_t size, int tag, void *mhandle, void *phandle,
				    void **request);
weft_nccl_result net_irecv_profiled(void *recv_comm, int n, void **data, size_t *sizes, int *tags, void **mhandles,
				    void **phandles, void **request);

/* Logs that a traffic class that the user requested has no effect. */
void net_traffic_class(const struct weft_nccl_comm_config *config);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * NCCL's net plugin interface, version 10 (NCCL 2.26), as Weft declares it; see nccl_net_v8.h for what this is.
 *
 * New since version 9: the callback and handles of a profiler, and the configuration of the communicator.
 */
#ifndef WEFT_NCCL_NET_V10_H
#define WEFT_NCCL_NET_V10_H

#include "weft/nccl_net_v9.h"

#define WEFT_NCCL_NET_V10_SYMBOL "ncclNetPlugin_v10"

#define WEFT_NCCL_TRAFFIC_CLASS_UNDEF (-1)

/* ncclNetCommConfig_v10_t, also in versions 11 and 12. Valid during the call that passes it. */
struct weft_nccl_comm_config {
	int traffic_class; /* the class that the user requested; its meaning depends on the network */
};

/* ncclProfilerCallback_t. Any thread may call it. Types: 0 start, 1 stop, 2 update, 3 update and stop. */
typedef weft_nccl_result (*weft_nccl_profiler)(void **event, int type, void *parent, int64_t plugin_id, void *data);

/* ncclNet_v10_t */
struct weft_nccl_net_v10 {
	const char *name;
	weft_nccl_result (*init)(weft_nccl_logger logger, weft_nccl_profiler profiler);
	weft_nccl_result (*devices)(int *ndev);
	weft_nccl_result (*get_properties)(int dev, struct weft_nccl_props_v9 *props);
	weft_nccl_result (*listen)(int dev, void *handle, void **listen_comm);
	/* config may be NULL. */
	weft_nccl_result (*connect)(int dev, struct weft_nccl_comm_config *config, void *handle, void **send_comm,
				    struct weft_nccl_device_handle **send_dev);
	weft_nccl_result (*accept)(void *listen_comm, void **recv_comm, struct weft_nccl_device_handle **recv_dev);
	weft_nccl_result (*reg_mr)(void *comm, void *data, size_t size, int type, void **mhandle);
	weft_nccl_result (*reg_mr_dmabuf)(void *comm, void *data, size_t size, int type, uint64_t offset, int fd,
					  void **mhandle);
	weft_nccl_result (*dereg_mr)(void *comm, void *mhandle);
	/* phandle and phandles are for the profiler and may be NULL. */
	weft_nccl_result (*isend)(void *send_comm, void *data, size_t size, int tag, void *mhandle, void *phandle,
				  void **request);
	weft_nccl_result (*irecv)(void *recv_comm, int n, void **data, size_t *sizes, int *tags, void **mhandles,
				  void **phandles, void **request);
	weft_nccl_result (*iflush)(void *recv_comm, int n, void **data, int *sizes, void **mhandles, void **request);
	weft_nccl_result (*test)(void *request, int *done, int *sizes);
	weft_nccl_result (*close_send)(void *send_comm);
	weft_nccl_result (*close_recv)(void *recv_comm);
	weft_nccl_result (*close_listen)(void *listen_comm);
	weft_nccl_result (*get_device_mr)(void *comm, void *mhandle, void **dptr_mhandle);
	weft_nccl_result (*irecv_consumed)(void *recv_comm, int n, void *request);
	weft_nccl_result (*make_vdevice)(int *dev, struct weft_nccl_vprops_v9 *vprops);
};

_Static_assert(sizeof(struct weft_nccl_comm_config) == 4, "ncclNetCommConfig_v10_t is 4 bytes");
_Static_assert(sizeof(struct weft_nccl_net_v10) == 160, "ncclNet_v10_t is 160 bytes");
_Static_assert(offsetof(struct weft_nccl_net_v10, isend) == 80, "v10 isend offset");
_Static_assert(offsetof(struct weft_nccl_net_v10, make_vdevice) == 152, "v10 last entry");

#endif

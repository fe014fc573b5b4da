/* SPDX-License-Identifier: Apache-2.0 */
/*
 * NCCL's net plugin interface, version 12 (NCCL 2.30), as Weft declares it; see nccl_net_v8.h for what this is.
 *
 * New since version 11: up to eight devices behind a virtual device, and the rail and plane of a device.
 */
#ifndef WEFT_NCCL_NET_V12_H
#define WEFT_NCCL_NET_V12_H

#include "weft/nccl_net_v11.h"

#define WEFT_NCCL_NET_V12_SYMBOL "ncclNetPlugin_v12"

#define WEFT_NCCL_ID_UNDEF (-1)

/* ncclNetVDeviceProps_v12_t */
struct weft_nccl_vprops_v12 {
	int ndevs;
	int devs[8];
};

/* ncclNetProperties_v12_t. The plugin writes every field. */
struct weft_nccl_props_v12 {
	char *name;
	char *pci_path;
	uint64_t guid;
	int ptr_support;
	int reg_is_global;
	int force_flush;
	int speed_mbps;
	int port;
	float latency_us;
	int max_comms;
	int max_recvs;
	int net_device_type;
	int net_device_version;
	struct weft_nccl_vprops_v12 vprops;
	size_t max_p2p_bytes;
	size_t max_coll_bytes;
	int max_multi_request_size;
	int16_t rail_id; /* if set on both sides, NCCL matches devices by rail instead of by guid and port */
	int16_t plane_id;
};

/* ncclNet_v12_t */
struct weft_nccl_net_v12 {
	const char *name;
	weft_nccl_result (*init)(void **ctx, uint64_t comm_id, struct weft_nccl_comm_config *config,
				 weft_nccl_logger logger, weft_nccl_profiler profiler);
	weft_nccl_result (*devices)(int *ndev);
	weft_nccl_result (*get_properties)(int dev, struct weft_nccl_props_v12 *props);
	weft_nccl_result (*listen)(void *ctx, int dev, void *handle, void **listen_comm);
	weft_nccl_result (*connect)(void *ctx, int dev, void *handle, void **send_comm,
				    struct weft_nccl_device_handle **send_dev);
	weft_nccl_result (*accept)(void *listen_comm, void **recv_comm, struct weft_nccl_device_handle **recv_dev);
	weft_nccl_result (*reg_mr)(void *comm, void *data, size_t size, int type, void **mhandle);
	weft_nccl_result (*reg_mr_dmabuf)(void *comm, void *data, size_t size, int type, uint64_t offset, int fd,
					  void **mhandle);
	weft_nccl_result (*dereg_mr)(void *comm, void *mhandle);
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
	weft_nccl_result (*make_vdevice)(int *dev, struct weft_nccl_vprops_v12 *vprops);
	weft_nccl_result (*finalize)(void *ctx);
	weft_nccl_result (*set_net_attr)(void *ctx, struct weft_nccl_net_attr *attr);
};

_Static_assert(sizeof(struct weft_nccl_vprops_v12) == 36, "ncclNetVDeviceProps_v12_t is 36 bytes");
_Static_assert(sizeof(struct weft_nccl_props_v12) == 128, "ncclNetProperties_v12_t is 128 bytes");
_Static_assert(offsetof(struct weft_nccl_props_v12, vprops) == 64, "v12 vProps offset");
_Static_assert(offsetof(struct weft_nccl_props_v12, max_p2p_bytes) == 104, "v12 maxP2pBytes offset");
_Static_assert(offsetof(struct weft_nccl_props_v12, max_multi_request_size) == 120, "v12 offset");
_Static_assert(offsetof(struct weft_nccl_props_v12, rail_id) == 124, "v12 railId offset");
_Static_assert(offsetof(struct weft_nccl_props_v12, plane_id) == 126, "v12 last field");
_Static_assert(sizeof(struct weft_nccl_net_v12) == 176, "ncclNet_v12_t is 176 bytes");
_Static_assert(offsetof(struct weft_nccl_net_v12, isend) == 80, "v12 isend offset");
_Static_assert(offsetof(struct weft_nccl_net_v12, finalize) == 160, "v12 finalize offset");
_Static_assert(offsetof(struct weft_nccl_net_v12, set_net_attr) == 168, "v12 last entry");

#endif

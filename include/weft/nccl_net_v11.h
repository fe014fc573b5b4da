/* SPDX-License-Identifier: Apache-2.0 */
/*
 * NCCL's net plugin interface, version 11 (NCCL 2.28), as Weft declares it; see nccl_net_v8.h for what this is.
 *
 * New since version 10: a context for each communicator, from init to finalize, and traffic hints.
 */
#ifndef WEFT_NCCL_NET_V11_H
#define WEFT_NCCL_NET_V11_H

#include "weft/nccl_net_v10.h"

#define WEFT_NCCL_NET_V11_SYMBOL "ncclNetPlugin_v11"

/* ncclNetProperties_v11_t. The plugin writes every field. */
struct weft_nccl_props_v11 {
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
	struct weft_nccl_vprops_v9 vprops;
	size_t max_p2p_bytes;
	size_t max_coll_bytes;
	int max_multi_request_size; /* 1; NCCL ignores it */
};

/* ncclNetCommAttr_v11_t, also in version 12. -1: unknown. */
struct weft_nccl_comm_attr {
	int32_t max_concurrent_peers;
	int32_t min_concurrent_peers;
	int32_t max_flows_per_peer;
	int32_t min_flows_per_peer;
};

/* ncclNetAttr_v11_t, also in version 12: one bit per kind of expected traffic; all bits: any kind. */
struct weft_nccl_net_attr {
	struct weft_nccl_comm_attr send;
	struct weft_nccl_comm_attr recv;
	uint32_t op;
	uint32_t algo;
	uint32_t proto;
};

/* ncclNet_v11_t */
struct weft_nccl_net_v11 {
	const char *name;
	/* Called once for each communicator that has resources of its own. config is valid during the call. */
	weft_nccl_result (*init)(void **ctx, uint64_t comm_id, struct weft_nccl_comm_config *config,
				 weft_nccl_logger logger, weft_nccl_profiler profiler);
	weft_nccl_result (*devices)(int *ndev);
	weft_nccl_result (*get_properties)(int dev, struct weft_nccl_props_v11 *props);
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
	weft_nccl_result (*make_vdevice)(int *dev, struct weft_nccl_vprops_v9 *vprops);
	/* The communicator has ended. ctx may be NULL, because some releases also call it after a failed init. */
	weft_nccl_result (*finalize)(void *ctx);
	/* Hints about expected traffic, from any thread at any time. NULL: the plugin ignores them. */
	weft_nccl_result (*set_net_attr)(void *ctx, struct weft_nccl_net_attr *attr);
};

_Static_assert(sizeof(struct weft_nccl_props_v11) == 112, "ncclNetProperties_v11_t is 112 bytes");
_Static_assert(offsetof(struct weft_nccl_props_v11, vprops) == 64, "v11 vProps offset");
_Static_assert(offsetof(struct weft_nccl_props_v11, max_multi_request_size) == 104, "v11 last field");
_Static_assert(sizeof(struct weft_nccl_net_attr) == 44, "ncclNetAttr_v11_t is 44 bytes");
_Static_assert(sizeof(struct weft_nccl_net_v11) == 176, "ncclNet_v11_t is 176 bytes");
_Static_assert(offsetof(struct weft_nccl_net_v11, isend) == 80, "v11 isend offset");
_Static_assert(offsetof(struct weft_nccl_net_v11, finalize) == 160, "v11 finalize offset");
_Static_assert(offsetof(struct weft_nccl_net_v11, set_net_attr) == 168, "v11 last entry");

#endif

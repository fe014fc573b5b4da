/* SPDX-License-Identifier: Apache-2.0 */
/*
 * NCCL's net plugin interface, version 9 (NCCL 2.24), as Weft declares it; see nccl_net_v8.h for what this is.
 *
 * New since version 8: sizes are size_t, the completion of a receive may be optional, and the properties report the
 * devices behind a virtual device and the largest message.
 */
#ifndef WEFT_NCCL_NET_V9_H
#define WEFT_NCCL_NET_V9_H

#include "weft/nccl_net_v8.h"

#define WEFT_NCCL_NET_V9_SYMBOL "ncclNetPlugin_v9"

/*
 * A value that *request may have when irecv is called: NCCL detects the arrival of the data by itself, so the request
 * may complete before that. irecv must return a request all the same.
 */
#define WEFT_NCCL_OPTIONAL_RECV_COMPLETION ((void *)1)

#define WEFT_NCCL_MAX_BYTES ((size_t)1 << 40) /* upper limit of max_p2p_bytes and max_coll_bytes */

/* ncclNetVDeviceProps_v9_t, also in versions 10 and 11: the devices behind a virtual device, or the device itself. */
struct weft_nccl_vprops_v9 {
	int ndevs;
	int devs[4];
};

/* ncclNetProperties_v9_t, also in version 10. The plugin writes every field. */
struct weft_nccl_props_v9 {
	char *name;
	char *pci_path;
	uint64_t guid;
	int ptr_support;
	int reg_is_global;
	int force_flush; /* 1: NCCL calls iflush after every receive into GPU memory */
	int speed_mbps;
	int port;
	float latency_us;
	int max_comms;
	int max_recvs;
	int net_device_type;
	int net_device_version;
	struct weft_nccl_vprops_v9 vprops;
	size_t max_p2p_bytes;  /* largest message, > 0 */
	size_t max_coll_bytes; /* largest in-network collective, > 0 */
};

/* ncclNet_v9_t */
struct weft_nccl_net_v9 {
	const char *name;
	weft_nccl_result (*init)(weft_nccl_logger logger);
	weft_nccl_result (*devices)(int *ndev);
	weft_nccl_result (*get_properties)(int dev, struct weft_nccl_props_v9 *props);
	weft_nccl_result (*listen)(int dev, void *handle, void **listen_comm);
	weft_nccl_result (*connect)(int dev, void *handle, void **send_comm, struct weft_nccl_device_handle **send_dev);
	weft_nccl_result (*accept)(void *listen_comm, void **recv_comm, struct weft_nccl_device_handle **recv_dev);
	weft_nccl_result (*reg_mr)(void *comm, void *data, size_t size, int type, void **mhandle);
	weft_nccl_result (*reg_mr_dmabuf)(void *comm, void *data, size_t size, int type, uint64_t offset, int fd,
					  void **mhandle);
	weft_nccl_result (*dereg_mr)(void *comm, void *mhandle);
	weft_nccl_result (*isend)(void *send_comm, void *data, size_t size, int tag, void *mhandle, void **request);
	weft_nccl_result (*irecv)(void *recv_comm, int n, void **data, size_t *sizes, int *tags, void **mhandles,
				  void **request);
	weft_nccl_result (*iflush)(void *recv_comm, int n, void **data, int *sizes, void **mhandles, void **request);
	weft_nccl_result (*test)(void *request, int *done, int *sizes);
	weft_nccl_result (*close_send)(void *send_comm);
	weft_nccl_result (*close_recv)(void *recv_comm);
	weft_nccl_result (*close_listen)(void *listen_comm);
	weft_nccl_result (*get_device_mr)(void *comm, void *mhandle, void **dptr_mhandle);
	weft_nccl_result (*irecv_consumed)(void *recv_comm, int n, void *request);
	/* Joins devices to a new device and returns its number. NULL: NCCL does not join devices. */
	weft_nccl_result (*make_vdevice)(int *dev, struct weft_nccl_vprops_v9 *vprops);
};

_Static_assert(sizeof(struct weft_nccl_vprops_v9) == 20, "ncclNetVDeviceProps_v9_t is 20 bytes");
_Static_assert(sizeof(struct weft_nccl_props_v9) == 104, "ncclNetProperties_v9_t is 104 bytes");
_Static_assert(offsetof(struct weft_nccl_props_v9, force_flush) == 32, "v9 forceFlush offset");
_Static_assert(offsetof(struct weft_nccl_props_v9, latency_us) == 44, "v9 latency offset");
_Static_assert(offsetof(struct weft_nccl_props_v9, vprops) == 64, "v9 vProps offset");
_Static_assert(offsetof(struct weft_nccl_props_v9, max_p2p_bytes) == 88, "v9 maxP2pBytes offset");
_Static_assert(offsetof(struct weft_nccl_props_v9, max_coll_bytes) == 96, "v9 last field");
_Static_assert(sizeof(struct weft_nccl_net_v9) == 160, "ncclNet_v9_t is 160 bytes");
_Static_assert(offsetof(struct weft_nccl_net_v9, isend) == 80, "v9 isend offset");
_Static_assert(offsetof(struct weft_nccl_net_v9, make_vdevice) == 152, "v9 last entry");

#endif

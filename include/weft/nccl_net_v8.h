/* SPDX-License-Identifier: Apache-2.0 */
/*
 * NCCL's net plugin interface, version 8, as Weft declares it.
 *
 * This is our own declaration of a binary contract that NCCL defines (src/include/plugin/net/net_v8.h in NCCL 2.20.3
 * and later). The static assertions below pin the layouts (64-bit only). The declaration is frozen, because NCCL
 * never changes a published version.
 *
 * A plugin exports one object named by WEFT_NCCL_NET_V8_SYMBOL of type struct weft_nccl_net_v8.
 */
#ifndef WEFT_NCCL_NET_V8_H
#define WEFT_NCCL_NET_V8_H

#include <stddef.h>
#include <stdint.h>

#define WEFT_NCCL_NET_V8_SYMBOL "ncclNetPlugin_v8"

#define WEFT_NCCL_HANDLE_BYTES 128 /* NCCL_NET_HANDLE_MAXSIZE */
#define WEFT_NCCL_MAX_REQUESTS 32  /* NCCL_NET_MAX_REQUESTS: outstanding per comm */

/* Bits of ptr_support. The `type` of a registration is HOST or CUDA. */
enum { WEFT_NCCL_PTR_HOST = 1, WEFT_NCCL_PTR_CUDA = 2, WEFT_NCCL_PTR_DMABUF = 4 };

/* ncclResult_t. A plugin returns 0 and 2 to 6 only. */
typedef enum {
	WEFT_NCCL_SUCCESS = 0,
	WEFT_NCCL_UNHANDLED_CUDA_ERROR = 1,
	WEFT_NCCL_SYSTEM_ERROR = 2,
	WEFT_NCCL_INTERNAL_ERROR = 3,
	WEFT_NCCL_INVALID_ARGUMENT = 4,
	WEFT_NCCL_INVALID_USAGE = 5,
	WEFT_NCCL_REMOTE_ERROR = 6,
	WEFT_NCCL_IN_PROGRESS = 7,
} weft_nccl_result;

/* ncclDebugLogLevel */
typedef enum {
	WEFT_NCCL_LOG_NONE = 0,
	WEFT_NCCL_LOG_VERSION = 1,
	WEFT_NCCL_LOG_WARN = 2,
	WEFT_NCCL_LOG_INFO = 3,
	WEFT_NCCL_LOG_ABORT = 4,
	WEFT_NCCL_LOG_TRACE = 5,
} weft_nccl_log_level;

/* ncclDebugLogSubSys: the bits that Weft uses. NCCL prints a line only if one of its bits is enabled. */
#define WEFT_NCCL_SUB_INIT 0x1ul
#define WEFT_NCCL_SUB_NET  0x10ul
#define WEFT_NCCL_SUB_ALL  (~0ul)

/* Any thread may call it, but no signal handler. printf style, about 1 KiB per line. */
typedef void (*weft_nccl_logger)(weft_nccl_log_level level, unsigned long flags, const char *file, int line,
				 const char *fmt, ...)
#if defined(__GNUC__)
	__attribute__((format(printf, 5, 6)))
#endif
	;

/* ncclNetProperties_v8_t. NCCL passes uninitialised memory, so the plugin writes every field. */
struct weft_nccl_props_v8 {
	char *name;	   /* unique per device and stable; valid as long as the plugin */
	char *pci_path;	   /* resolved /sys directory of the PCI function, or NULL */
	uint64_t guid;	   /* identity of the adapter chip */
	int ptr_support;   /* WEFT_NCCL_PTR_* bits */
	int reg_is_global; /* 1: a registration is not tied to one comm */
	int speed_mbps;	   /* Mbit/s */
	int port;
	float latency_us; /* <= 0: unset; NCCL 2.24+ keeps whole microseconds only */
	int max_comms;
	int max_recvs;		/* largest n of a grouped receive */
	int net_device_type;	/* 0: host networking */
	int net_device_version; /* 0 */
};

struct weft_nccl_device_handle;

/* ncclNet_v8_t. Every function returns a weft_nccl_result. */
struct weft_nccl_net_v8 {
	const char *name;
	weft_nccl_result (*init)(weft_nccl_logger logger);
	weft_nccl_result (*devices)(int *ndev);
	weft_nccl_result (*get_properties)(int dev, struct weft_nccl_props_v8 *props);
	/* Never blocks; fills up to 128 bytes of handle. */
	weft_nccl_result (*listen)(int dev, void *handle, void **listen_comm);
	/* Polled with the same handle buffer: success and a NULL comm mean "call again". */
	weft_nccl_result (*connect)(int dev, void *handle, void **send_comm, struct weft_nccl_device_handle **send_dev);
	weft_nccl_result (*accept)(void *listen_comm, void **recv_comm, struct weft_nccl_device_handle **recv_dev);
	/* comm is a send or a receive comm. May run at the same time as isend/irecv/test on it. */
	weft_nccl_result (*reg_mr)(void *comm, void *data, size_t size, int type, void **mhandle);
	weft_nccl_result (*reg_mr_dmabuf)(void *comm, void *data, size_t size, int type, uint64_t offset, int fd,
					  void **mhandle);
	weft_nccl_result (*dereg_mr)(void *comm, void *mhandle);
	/* Success and a NULL request mean "could not start, call again". */
	weft_nccl_result (*isend)(void *send_comm, void *data, int size, int tag, void *mhandle, void **request);
	weft_nccl_result (*irecv)(void *recv_comm, int n, void **data, int *sizes, int *tags, void **mhandles,
				  void **request);
	weft_nccl_result (*iflush)(void *recv_comm, int n, void **data, int *sizes, void **mhandles, void **request);
	/* sizes may be NULL. After done = 1 the request is gone. */
	weft_nccl_result (*test)(void *request, int *done, int *sizes);
	weft_nccl_result (*close_send)(void *send_comm);
	weft_nccl_result (*close_recv)(void *recv_comm);
	weft_nccl_result (*close_listen)(void *listen_comm);
	weft_nccl_result (*get_device_mr)(void *comm, void *mhandle, void **dptr_mhandle);
	weft_nccl_result (*irecv_consumed)(void *recv_comm, int n, void *request);
};

_Static_assert(sizeof(void *) == 8, "NCCL's plugin contract is 64-bit");
_Static_assert(sizeof(struct weft_nccl_props_v8) == 64, "ncclNetProperties_v8_t is 64 bytes");
_Static_assert(offsetof(struct weft_nccl_props_v8, latency_us) == 40, "v8 latency offset");
_Static_assert(offsetof(struct weft_nccl_props_v8, net_device_version) == 56, "v8 last field");
_Static_assert(sizeof(struct weft_nccl_net_v8) == 152, "ncclNet_v8_t is 152 bytes");
_Static_assert(offsetof(struct weft_nccl_net_v8, isend) == 80, "v8 isend offset");
_Static_assert(offsetof(struct weft_nccl_net_v8, irecv_consumed) == 144, "v8 last entry");

#endif

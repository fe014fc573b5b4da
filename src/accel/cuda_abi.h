/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Our own declarations of the CUDA driver functions that Weft calls, so that building needs no CUDA headers. Names and
 * values are those of cuda.h and cudaTypedefs.h (CUDA 12 and 13). The number behind a function is the interface version
 * passed to cuGetProcAddress. For accel and for the tests' fake driver.
 */
#ifndef WEFT_ACCEL_CUDA_ABI_H
#define WEFT_ACCEL_CUDA_ABI_H

#include <stddef.h>
#include <stdint.h>

/* CUresult */
enum {
	CUDA_ABI_SUCCESS = 0,
	CUDA_ABI_INVALID_VALUE = 1,
	CUDA_ABI_OUT_OF_MEMORY = 2,
	CUDA_ABI_NOT_INITIALIZED = 3,
	CUDA_ABI_NO_DEVICE = 100,
	CUDA_ABI_INVALID_DEVICE = 101,
	CUDA_ABI_INVALID_CONTEXT = 201,
	CUDA_ABI_NOT_FOUND = 500,
	CUDA_ABI_NOT_SUPPORTED = 801,
	CUDA_ABI_UNKNOWN = 999,
};

/* CUdevice_attribute */
enum {
	CUDA_ABI_DEV_PCI_BUS = 33,
	CUDA_ABI_DEV_PCI_DEVICE = 34,
	CUDA_ABI_DEV_PCI_DOMAIN = 50,
	CUDA_ABI_DEV_CAPABILITY_MAJOR = 75,
	CUDA_ABI_DEV_CAPABILITY_MINOR = 76,
	CUDA_ABI_DEV_HOST_PAGE_TABLES = 100, /* coherent with the CPU: Grace */
	CUDA_ABI_DEV_GDR = 116,		     /* GPUDirect RDMA */
	CUDA_ABI_DEV_GDR_FLUSH = 117,	     /* bit 1: cuFlushGPUDirectRDMAWrites works */
	CUDA_ABI_DEV_GDR_ORDER = 118,	     /* CUDA_ABI_ORDER_* */
	CUDA_ABI_DEV_DMA_BUF = 124,
};

/* CUGPUDirectRDMAWritesOrdering, CUflushGPUDirectRDMAWritesScope, ...Target, ...Options */
enum {
	CUDA_ABI_ORDER_NONE = 0,
	CUDA_ABI_ORDER_OWNER = 100,
	CUDA_ABI_FLUSH_TO_OWNER = 100,
	CUDA_ABI_FLUSH_CURRENT_CTX = 0,
	CUDA_ABI_FLUSH_OPTION_HOST = 1,
};

/* CUpointer_attribute, CUmemorytype */
enum {
	CUDA_ABI_PTR_CONTEXT = 1,
	CUDA_ABI_PTR_MEMORY_TYPE = 2,
	CUDA_ABI_PTR_BUFFER_ID = 7,
	CUDA_ABI_PTR_IS_MANAGED = 8,
	CUDA_ABI_PTR_DEVICE = 9,
	CUDA_ABI_PTR_RANGE_START = 11,
	CUDA_ABI_PTR_RANGE_SIZE = 12,
	CUDA_ABI_MEMORY_HOST = 1,
	CUDA_ABI_MEMORY_DEVICE = 2,
};

/* CUmemRangeHandleType, CUstreamCaptureMode */
enum {
	CUDA_ABI_HANDLE_DMA_BUF = 1,
	CUDA_ABI_CAPTURE_RELAXED = 2,
};

typedef int (*cuda_get_proc_v11030)(const char *name, void **fn, int version, uint64_t flags);
typedef int (*cuda_get_proc_v12000)(const char *name, void **fn, int version, uint64_t flags, int *found);

struct cuda_calls {
	int (*cuInit)(unsigned flags);							     /* 2000 */
	int (*cuDriverGetVersion)(int *version);					     /* 2020 */
	int (*cuGetErrorName)(int error, const char **text);				     /* 6000 */
	int (*cuDeviceGetCount)(int *count);						     /* 2000 */
	int (*cuDeviceGet)(int *device, int ordinal);					     /* 2000 */
	int (*cuDeviceGetAttribute)(int *value, int attribute, int device);		     /* 2000 */
	int (*cuPointerGetAttributes)(unsigned n, int *attributes, void **data, uint64_t p); /* 7000 */
	int (*cuCtxGetDevice)(int *device);						     /* 2000 */
	int (*cuCtxPushCurrent)(void *context);						     /* 4000 */
	int (*cuCtxPopCurrent)(void **context);						     /* 4000 */
	int (*cuThreadExchangeStreamCaptureMode)(int *mode);				     /* 10010 */
	int (*cuFlushGPUDirectRDMAWrites)(int target, int scope);			     /* 11030 */
	int (*cuMemGetHandleForAddressRange)(void *handle, uint64_t p, size_t bytes, int type,
					     unsigned long long flags); /* 11070 */
};

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A libcuda.so.1 for programs that use real NCCL on a machine without a GPU: the driver calls of the benchmarks' engine
 * nccl, on the memory and the kernels of device.c. When loaded, it takes over the CUDA calls of the process's
 * libnccl.so.2. It has no cuGetProcAddress: a program that needs that function finds no GPU here.
 */
#include "device.h"

#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CALL __attribute__((visibility("default")))

enum { NOT_READY = 600, INVALID_DEVICE = 101, PCI_BUS = 33, DRIVER = 13000, OUT_OF_MEMORY = 2 };

/* Declared in no header: the program finds them by name. */
#pragma GCC diagnostic ignored "-Wmissing-prototypes"

static char context;

__attribute__((constructor)) static void take_over(void)
{
	void *nccl = dlopen("libnccl.so.2", RTLD_NOW | RTLD_NOLOAD);
	int (*version)(int *) = NULL;
	int v = 0;

	if (nccl)
		*(void **)&version = dlsym(nccl, "ncclGetVersion");
	if (version && !version(&v) && v == DEVICE_NCCL_VERSION &&
	    patch_library(nccl, device_calls, CUDA_NOT_SUPPORTED) > 100)
		return;
	fprintf(stderr, "the stand-in for CUDA: no libnccl.so.2 of version %d is loaded\n", DEVICE_NCCL_VERSION);
	exit(77);
}

CALL int cuInit(unsigned int flags)
{
	return (int)flags;
}

CALL int cuDriverGetVersion(int *version)
{
	*version = DRIVER;
	return 0;
}

CALL int cuGetErrorName(int error, const char **text)
{
	*text = error == INVALID_DEVICE ? "CUDA_ERROR_INVALID_DEVICE" : "an error of the stand-in for CUDA";
	return 0;
}

CALL int cuDeviceGetCount(int *count)
{
	*count = 1;
	return 0;
}

CALL int cuDeviceGet(int *device, int ordinal)
{
	*device = 0;
	return ordinal ? INVALID_DEVICE : 0;
}

CALL int cuDeviceGetName(char *name, int bytes, int device)
{
	(void)device;
	snprintf(name, (size_t)bytes, "no GPU");
	return 0;
}

CALL int cuDeviceGetAttribute(int *value, int attribute, int device)
{
	*value = attribute == PCI_BUS;
	return device;
}

CALL int cuDevicePrimaryCtxRetain(void **out, int device)
{
	*out = &context;
	return device;
}

CALL int cuCtxSetCurrent(void *wanted)
{
	return wanted == &context ? 0 : INVALID_DEVICE;
}

CALL int cuCtxSynchronize(void)
{
	kernel_wait();
	return 0;
}

CALL int cuStreamCreate(void **stream, unsigned int flags)
{
	(void)flags;
	*stream = &context;
	return 0;
}

CALL int cuStreamQuery(void *stream)
{
	(void)stream;
	return kernel_busy() ? NOT_READY : 0;
}

CALL int cuMemGetInfo_v2(size_t *free_bytes, size_t *total_bytes)
{
	*free_bytes = *total_bytes = (size_t)1 << 30;
	return 0;
}

CALL int cuMemAlloc_v2(uint64_t *p, size_t bytes)
{
	void *memory = aligned_alloc(4096, (bytes + 4095) / 4096 * 4096);

	*p = (uintptr_t)memory;
	return memory ? 0 : OUT_OF_MEMORY;
}

CALL int cuMemFree_v2(uint64_t p)
{
	free((void *)(uintptr_t)p);
	return 0;
}

CALL int cuMemcpyHtoD_v2(uint64_t to, const void *from, size_t bytes)
{
	memcpy((void *)(uintptr_t)to, from, bytes);
	return 0;
}

CALL int cuMemcpyDtoH_v2(void *to, uint64_t from, size_t bytes)
{
	memcpy(to, (void *)(uintptr_t)from, bytes);
	return 0;
}

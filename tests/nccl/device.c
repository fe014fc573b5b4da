/* SPDX-License-Identifier: Apache-2.0 */
/* The CUDA runtime, driver and NVML calls of NCCL, for machines without a GPU. */
#include "device.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SUCCESS = 0, OUT_OF_MEMORY = 2, NOT_READY = 600, CUDA_VERSION = 13000, PROPERTIES_BYTES = 1008 };

/* Offsets in the runtime's cudaDeviceProp. */
enum { PROP_MAJOR = 0x168, PROP_PROCESSORS = 0x180, PROP_BUS = 0x238 };

static int none(void)
{
	return SUCCESS;
}

static const char *error_text(int error)
{
	return error == CUDA_NOT_SUPPORTED ? "not in the stand-in for CUDA" : "an error of the stand-in for CUDA";
}

static int zero_int(int *out)
{
	*out = 0;
	return SUCCESS;
}

static int one(int *out)
{
	*out = 1;
	return SUCCESS;
}

static int version(int *out)
{
	*out = CUDA_VERSION;
	return SUCCESS;
}

static int allocate(void **out, size_t bytes)
{
	*out = aligned_alloc(4096, (bytes + 4095) / 4096 * 4096);
	return *out ? SUCCESS : OUT_OF_MEMORY;
}

static int release(void *p)
{
	free(p);
	return SUCCESS;
}

static int copy(void *to, const void *from, size_t bytes)
{
	memmove(to, from, bytes);
	return SUCCESS;
}

static int set(void *p, int v, size_t bytes)
{
	memset(p, v, bytes);
	return SUCCESS;
}

static int make_handle(void **out)
{
	static char handle;

	*out = &handle;
	return SUCCESS;
}

/* Stream, status, and other outputs needed only for captures. */
static int capture_info(void *stream, int *status)
{
	(void)stream;
	*status = 0;
	return SUCCESS;
}

static int host_function(void *stream, void (*fn)(void *), void *arg)
{
	(void)stream;
	kernel_wait();
	fn(arg);
	return SUCCESS;
}

static int wait_all(void)
{
	kernel_wait();
	return SUCCESS;
}

static int is_done(void)
{
	return kernel_busy() ? NOT_READY : SUCCESS;
}

/* Compute capability 8.0; NCCL queries no other attribute for which 0 would matter. */
static int attribute(int *out, int which)
{
	*out = which == 75 ? 8 : which == 16 ? 108 : 0;
	if (which == 97 || which == 8) /* shared memory of a block */
		*out = 166912;
	return SUCCESS;
}

struct pointer_attributes {
	int type, device;
	void *device_pointer, *host_pointer;
	long reserved[8];
};

static int pointer_attributes(struct pointer_attributes *out, void *p)
{
	*out = (struct pointer_attributes){.type = 2, .device_pointer = p};
	return SUCCESS;
}

static int device_pointer(void **out, void *host)
{
	*out = host;
	return SUCCESS;
}

static int bus_id(char *out, int bytes)
{
	snprintf(out, (size_t)bytes, "0000:01:00.0");
	return SUCCESS;
}

static int properties(unsigned char *out)
{
	memset(out, 0, PROPERTIES_BYTES);
	memcpy(out + PROP_MAJOR, &(int){8}, sizeof(int));
	memcpy(out + PROP_PROCESSORS, &(int){108}, sizeof(int));
	memcpy(out + PROP_BUS, &(int){1}, sizeof(int));
	return SUCCESS;
}

static int function_of(void **out, void *symbol)
{
	*out = symbol;
	return SUCCESS;
}

static int function_attributes(void *out)
{
	memset(out, 0, 144);
	return SUCCESS;
}

/* The first part of a launch; NCCL passes the arguments as one block. */
struct launch {
	unsigned int grid[3], block[3], shared_bytes;
	void *stream;
};

static int launch(const struct launch *how, void *function, void **params, void **extra)
{
	(void)function;
	(void)params;
	return kernel_launch(extra[1], *(size_t *)extra[3], how->grid[0]) ? OUT_OF_MEMORY : SUCCESS;
}

static int driver_error_text(int error, const char **out)
{
	*out = error_text(error);
	return SUCCESS;
}

static int missing_driver_call(void)
{
	return CUDA_NOT_SUPPORTED;
}

/* clang-format off */
#define CALL(name, function) {name, (void (*)(void))(uintptr_t)(function)}
/* clang-format on */

static const struct patch driver_calls[] = {
	CALL("cuCtxGetCurrent", make_handle),
	CALL("cuCtxSetCurrent", none),
	CALL("cuCtxGetDevice", zero_int),
	CALL("cuDeviceGet", zero_int),
	CALL("cuDeviceGetAttribute", attribute),
	CALL("cuGetErrorName", driver_error_text),
	CALL("cuGetErrorString", driver_error_text),
	CALL("cuLaunchKernelEx", launch),
	{NULL, NULL},
};

static int entry_point(const char *name, void **out, unsigned int v, unsigned long long flags, int *status)
{
	(void)v;
	(void)flags;
	*out = (void *)(uintptr_t)missing_driver_call;
	for (const struct patch *p = driver_calls; p->name; p++)
		if (!strcmp(p->name, name))
			*out = (void *)(uintptr_t)p->to;
	if (status)
		*status = 0;
	return SUCCESS;
}

static int nvml_handle(const char *bus, void **out)
{
	(void)bus;
	return make_handle(out);
}

static int nvml_zero(void *device, int *out)
{
	(void)device;
	*out = 0;
	return SUCCESS;
}

static int nvml_capability(void *device, int *major, int *minor)
{
	(void)device;
	*major = 8;
	*minor = 0;
	return SUCCESS;
}

static int nvml_unsupported(void)
{
	return 3; /* ncclInternalError: no links to count */
}

/* Three flags about confidential computing. */
static int nvml_status(unsigned char *out)
{
	memset(out, 0, 3);
	return SUCCESS;
}

const struct patch device_calls[] = {
	CALL("cudaGetErrorString", error_text),
	CALL("cudaThreadExchangeStreamCaptureMode", none),
	CALL("cudaGetDevice", zero_int),
	CALL("cudaSetDevice", none),
	CALL("cudaGetDeviceCount", one),
	CALL("cudaDriverGetVersion", version),
	CALL("cudaRuntimeGetVersion", version),
	CALL("cudaGetDriverEntryPointByVersion", entry_point),
	CALL("cudaMalloc", allocate),
	CALL("cudaHostAlloc", allocate),
	CALL("cudaMallocHost", allocate),
	CALL("cudaMallocAsync", allocate),
	CALL("cudaMallocFromPoolAsync", allocate),
	CALL("cudaFree", release),
	CALL("cudaFreeHost", release),
	CALL("cudaFreeAsync", release),
	CALL("cudaMemcpy", copy),
	CALL("cudaMemcpyAsync", copy),
	CALL("cudaMemset", set),
	CALL("cudaMemsetAsync", set),
	CALL("cudaStreamCreateWithFlags", make_handle),
	CALL("cudaStreamCreate", make_handle),
	CALL("cudaStreamDestroy", none),
	CALL("cudaStreamSynchronize", wait_all),
	CALL("cudaStreamQuery", is_done),
	CALL("cudaStreamWaitEvent", none),
	CALL("cudaStreamGetCaptureInfo", capture_info),
	CALL("cudaStreamIsCapturing", capture_info),
	CALL("cudaEventCreate", make_handle),
	CALL("cudaEventCreateWithFlags", make_handle),
	CALL("cudaEventRecord", none),
	CALL("cudaEventDestroy", none),
	CALL("cudaEventQuery", is_done),
	CALL("cudaEventSynchronize", wait_all),
	CALL("cudaDeviceSynchronize", wait_all),
	CALL("cudaLaunchHostFunc", host_function),
	CALL("cudaDeviceGetAttribute", attribute),
	CALL("cudaDeviceCanAccessPeer", zero_int),
	CALL("cudaDeviceGetPCIBusId", bus_id),
	CALL("cudaDeviceGetByPCIBusId", zero_int),
	CALL("cudaDeviceSetLimit", none),
	CALL("cudaGetDeviceProperties", properties),
	CALL("cudaPointerGetAttributes", pointer_attributes),
	CALL("cudaHostRegister", none),
	CALL("cudaHostUnregister", none),
	CALL("cudaHostGetDevicePointer", device_pointer),
	CALL("cudaGetLastError", none),
	CALL("cudaPeekAtLastError", none),
	CALL("cudaMemPoolCreate", make_handle),
	CALL("cudaMemPoolDestroy", none),
	CALL("cudaMemPoolSetAttribute", none),
	CALL("cudaFuncSetAttribute", none),
	CALL("cudaFuncGetAttributes", function_attributes),
	CALL("cudaGetFuncBySymbol", function_of),
	CALL("_Z25ncclNvmlEnsureInitializedv", none),
	CALL("_Z33ncclNvmlDeviceGetHandleByPciBusIdPKcPP13nvmlDevice_st", nvml_handle),
	CALL("_Z30ncclNvmlDeviceGetHandleByIndexjPP13nvmlDevice_st", nvml_handle),
	CALL("_Z22ncclNvmlDeviceGetIndexP13nvmlDevice_stPj", nvml_zero),
	CALL("_Z28ncclNvmlDeviceGetNvLinkStateP13nvmlDevice_stjP20nvmlEnableState_enum", nvml_unsupported),
	CALL("_Z33ncclNvmlDeviceGetNvLinkCapabilityP13nvmlDevice_stj25nvmlNvLinkCapability_enumPj", nvml_unsupported),
	CALL("_Z36ncclNvmlDeviceGetNvLinkRemotePciInfoP13nvmlDevice_stjP14nvmlPciInfo_st", nvml_unsupported),
	CALL("_Z38ncclNvmlDeviceGetCudaComputeCapabilityP13nvmlDevice_stPiS1_", nvml_capability),
	CALL("_Z28ncclNvmlDeviceGetFieldValuesP13nvmlDevice_stiP17nvmlFieldValue_st", nvml_unsupported),
	CALL("_Z31ncclNvmlDeviceGetGpuFabricInfoVP13nvmlDevice_stP22nvmlGpuFabricInfo_v2_t", nvml_unsupported),
	CALL("_Z29ncclNvmlDeviceGetPlatformInfoP13nvmlDevice_stP21nvmlPlatformInfo_v2_t", nvml_unsupported),
	CALL("_Z19ncclNvmlGetCCStatusP16ncclNvmlCCStatus", nvml_status),
	{NULL, NULL},
};

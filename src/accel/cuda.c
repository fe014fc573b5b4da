/* SPDX-License-Identifier: Apache-2.0 */
/* Loading of the CUDA driver and its report about GPUs. */
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "accel/internal.h"

#define LIBRARY "libcuda.so.1"

struct cuda_calls cuda_calls;

static struct accel_info info;
static pthread_once_t once = PTHREAD_ONCE_INIT;

/* Functions by name and version; every driver from CUDA 11.3 on has the needed ones. */
static const struct {
	const char *name;
	int version;
	size_t at;
	bool needed;
} wanted[] = {
/* clang-format off */
#define CALL(name, version, needed) {#name, version, offsetof(struct cuda_calls, name), needed}
	/* clang-format on */
	CALL(cuInit, 2000, true),
	CALL(cuDriverGetVersion, 2020, true),
	CALL(cuGetErrorName, 6000, true),
	CALL(cuDeviceGetCount, 2000, true),
	CALL(cuDeviceGet, 2000, true),
	CALL(cuDeviceGetAttribute, 2000, true),
	CALL(cuPointerGetAttributes, 7000, true),
	CALL(cuCtxGetDevice, 2000, true),
	CALL(cuCtxPushCurrent, 4000, true),
	CALL(cuCtxPopCurrent, 4000, true),
	CALL(cuThreadExchangeStreamCaptureMode, 10010, true),
	CALL(cuFlushGPUDirectRDMAWrites, 11030, false),
	CALL(cuMemGetHandleForAddressRange, 11070, false),
#undef CALL
};

#define WANTED (sizeof(wanted) / sizeof(wanted[0]))

#define say(...) snprintf(info.why, sizeof(info.why), __VA_ARGS__)

const char *cuda_error(int err)
{
	const char *text = NULL;

	if (!cuda_calls.cuGetErrorName || cuda_calls.cuGetErrorName(err, &text) || !text)
		return "an error without a name";
	return text;
}

int cuda_relax(void)
{
	int mode = CUDA_ABI_CAPTURE_RELAXED;

	return cuda_calls.cuThreadExchangeStreamCaptureMode(&mode) ? -1 : mode;
}

void cuda_unrelax(int mode)
{
	if (mode >= 0)
		cuda_calls.cuThreadExchangeStreamCaptureMode(&mode);
}

static void *look_up(void *lib, const char *name, int version)
{
	void *v2 = dlsym(lib, "cuGetProcAddress_v2"), *v1 = dlsym(lib, "cuGetProcAddress"), *fn = NULL;
	int found;

	if (v2 && !((cuda_get_proc_v12000)(uintptr_t)v2)(name, &fn, version, 0, &found))
		return fn;
	if (!v2 && v1 && !((cuda_get_proc_v11030)(uintptr_t)v1)(name, &fn, version, 0))
		return fn;
	return NULL;
}

/* False: failed, with the reason in info.why. */
static bool cuda_load(void)
{
	void *lib = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
	Dl_info where;
	size_t i;

	if (!lib) {
		say(LIBRARY " not found");
		return false;
	}
	for (i = 0; i < WANTED; i++) {
		void *fn = look_up(lib, wanted[i].name, wanted[i].version);

		if (!fn && wanted[i].needed) {
			say("%s of " LIBRARY " is missing, so the driver is older than CUDA 11.3", wanted[i].name);
			memset(&cuda_calls, 0, sizeof(cuda_calls));
			return false;
		}
		memcpy((char *)&cuda_calls + wanted[i].at, &fn, sizeof(fn));
	}
	if (dladdr((void *)(uintptr_t)cuda_calls.cuInit, &where) && where.dli_fname)
		snprintf(info.library, sizeof(info.library), "%s", where.dli_fname);
	return true;
}

static int attribute(int device, int which)
{
	int value = 0;

	return cuda_calls.cuDeviceGetAttribute(&value, which, device) ? 0 : value;
}

/* cuInit creates no context; a process that uses CUDA has already called it. */
static void look(void)
{
	int i, device, n = 0, err = cuda_calls.cuInit(0);

	if (!err)
		err = cuda_calls.cuDeviceGetCount(&n);
	cuda_calls.cuDriverGetVersion(&info.driver);
	if (err || !n) {
		say("%s", err ? cuda_error(err) : "no GPU is visible");
		return;
	}
	info.gpu_count = n < ACCEL_GPUS_MAX ? n : ACCEL_GPUS_MAX;
	for (i = 0; i < info.gpu_count; i++) {
		struct accel_gpu *g = &info.gpus[i];

		if (cuda_calls.cuDeviceGet(&device, i))
			continue; /* leaves it without any feature */
		snprintf(g->pci, sizeof(g->pci), "%04x:%02x:%02x.0",
			 attribute(device, CUDA_ABI_DEV_PCI_DOMAIN) & 0xffff,
			 attribute(device, CUDA_ABI_DEV_PCI_BUS) & 0xff,
			 attribute(device, CUDA_ABI_DEV_PCI_DEVICE) & 0x1f);
		g->capability = attribute(device, CUDA_ABI_DEV_CAPABILITY_MAJOR) * 10 +
				attribute(device, CUDA_ABI_DEV_CAPABILITY_MINOR);
		g->gdr = attribute(device, CUDA_ABI_DEV_GDR);
		g->dmabuf = attribute(device, CUDA_ABI_DEV_DMA_BUF) && cuda_calls.cuMemGetHandleForAddressRange;
		g->ordered = attribute(device, CUDA_ABI_DEV_GDR_ORDER) >= CUDA_ABI_ORDER_OWNER;
		g->coherent = attribute(device, CUDA_ABI_DEV_HOST_PAGE_TABLES);
		g->flush_call = attribute(device, CUDA_ABI_DEV_GDR_FLUSH) & CUDA_ABI_FLUSH_OPTION_HOST &&
				cuda_calls.cuFlushGPUDirectRDMAWrites;
	}
}

static void cuda_begin(void)
{
	if (cuda_load())
		look();
}

const struct accel_info *accel_info(void)
{
	pthread_once(&once, cuda_begin);
	return &info;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* The driver's interface: exactly the functions that Weft requests by cuGetProcAddress. */
#include <inttypes.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "accel/cuda_abi.h"
#include "internal.h"
#include "seeded.h"

#define PREFIX	      "FAKE_CUDA_"
#define CAPTURE_ERROR 900 /* CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED */

struct fake_setup fake_setup;

static atomic_uint_fast64_t calls;
static atomic_bool started;
static char contexts[FAKE_CUDA_GPUS];
static _Thread_local char *stack[8];
static _Thread_local int depth, capture_mode;

extern char **environ;

static const char *const known[] = {
	"CAPABILITY", "CAPTURING", "COHERENT", "CONTEXT", "DELAY", "DMABUF", "DRIVER", "FAIL_CALL",
	"FAIL_NTH",   "FLUSH",	   "GDR",      "GPUS",	  "LOG",   "ORDER",  "PCI",
};

static _Noreturn void bad(const char *name)
{
	fprintf(stderr, "fake cuda: " PREFIX "%s is unknown or has a value that it can't have\n", name);
	signal(SIGABRT, SIG_DFL);
	abort();
}

static uint64_t number(const char *name, uint64_t otherwise, uint64_t most)
{
	const char *value = seeded_get(PREFIX, name);
	uint64_t n;

	if (!value)
		return otherwise;
	if (!seeded_number(value, value + strlen(value), &n) || n > most)
		bad(name);
	return n;
}

static bool is_known(const char *name, size_t len)
{
	size_t i;

	for (i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (strlen(known[i]) == len && !strncmp(known[i], name, len))
			return true;
	return false;
}

/* Strict: a test with a misspelt setting would test nothing. */
__attribute__((constructor)) static void load(void)
{
	char **e;

	for (e = environ; *e; e++)
		if (!strncmp(*e, PREFIX, sizeof(PREFIX) - 1) &&
		    !is_known(*e + sizeof(PREFIX) - 1, strcspn(*e + sizeof(PREFIX) - 1, "=")))
			bad(*e + sizeof(PREFIX) - 1);
	fake_setup = (struct fake_setup){
		.gpus = (int)number("GPUS", 1, FAKE_CUDA_GPUS),
		.pci = seeded_get(PREFIX, "PCI"),
		.capability = (int)number("CAPABILITY", 80, 999),
		.driver = (int)number("DRIVER", 12040, 99999),
		.gdr = number("GDR", 1, 1),
		.dmabuf = number("DMABUF", 1, 1),
		.flush = number("FLUSH", 1, 1),
		.order = number("ORDER", 0, 1),
		.coherent = number("COHERENT", 0, 1),
		.context = number("CONTEXT", 1, 1),
		.capturing = number("CAPTURING", 0, 1),
		.delay = number("DELAY", 0, 1),
		.fail_call = seeded_get(PREFIX, "FAIL_CALL"),
		.fail_nth = number("FAIL_NTH", 0, UINT64_MAX),
		.log = seeded_get(PREFIX, "LOG"),
	};
}

__attribute__((destructor)) static void account(void)
{
	FILE *f = fake_setup.log ? fopen(fake_setup.log, "a") : NULL;

	if (!f)
		return;
	fprintf(f, "fake cuda: pid=%d flushes=%lu reads=%lu exports=%lu failed=%lu\n", (int)getpid(),
		fake_cuda_count(FAKE_CUDA_FLUSHES), fake_cuda_count(FAKE_CUDA_READS),
		fake_cuda_count(FAKE_CUDA_EXPORTS), fake_cuda_count(FAKE_CUDA_FAILED));
	fclose(f);
}

/* True if this call must fail: the n-th call of all, or of one name. */
static bool fails(const char *name)
{
	if (!fake_setup.fail_nth || (fake_setup.fail_call && strcmp(fake_setup.fail_call, name)))
		return false;
	if (atomic_fetch_add(&calls, 1) + 1 != fake_setup.fail_nth)
		return false;
	fake_count(FAKE_CUDA_FAILED);
	return true;
}

/* Begins every call. */
#define BEGIN()                                                                                                        \
	do {                                                                                                           \
		if (!atomic_load(&started))                                                                            \
			return CUDA_ABI_NOT_INITIALIZED;                                                               \
		if (fails(__func__))                                                                                   \
			return CUDA_ABI_UNKNOWN;                                                                       \
	} while (0)

static int cuInit(unsigned flags)
{
	if (fails(__func__))
		return CUDA_ABI_UNKNOWN;
	atomic_store(&started, true);
	return flags ? CUDA_ABI_INVALID_VALUE : fake_setup.gpus ? CUDA_ABI_SUCCESS : CUDA_ABI_NO_DEVICE;
}

static int cuDriverGetVersion(int *version)
{
	*version = fake_setup.driver;
	return CUDA_ABI_SUCCESS;
}

static int cuGetErrorName(int error, const char **text)
{
	switch (error) {
	case CUDA_ABI_NOT_SUPPORTED: *text = "CUDA_ERROR_NOT_SUPPORTED"; break;
	case CUDA_ABI_NO_DEVICE: *text = "CUDA_ERROR_NO_DEVICE"; break;
	case CUDA_ABI_UNKNOWN: *text = "CUDA_ERROR_UNKNOWN"; break;
	case CAPTURE_ERROR: *text = "CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED"; break;
	default: *text = "CUDA_ERROR_INVALID_VALUE";
	}
	return CUDA_ABI_SUCCESS;
}

static int cuDeviceGetCount(int *count)
{
	BEGIN();
	*count = fake_setup.gpus;
	return CUDA_ABI_SUCCESS;
}

static int cuDeviceGet(int *device, int ordinal)
{
	BEGIN();
	if (ordinal < 0 || ordinal >= fake_setup.gpus)
		return CUDA_ABI_INVALID_DEVICE;
	*device = ordinal;
	return CUDA_ABI_SUCCESS;
}

/* Field `part` (0 domain, 1 bus, 2 device) of the GPU's PCI address. */
static int pci(int device, int part)
{
	const char *at = fake_setup.pci;
	unsigned place[3] = {0, 0x17 + 16 * (unsigned)device, 0};

	for (; at && device; device--) {
		at = strchr(at, ',');
		at = at ? at + 1 : NULL;
	}
	if (at && sscanf(at, "%4x:%2x:%2x", &place[0], &place[1], &place[2]) != 3)
		bad("PCI");
	return (int)place[part];
}

static int cuDeviceGetAttribute(int *value, int attribute, int device)
{
	BEGIN();
	switch (attribute) {
	case CUDA_ABI_DEV_PCI_DOMAIN: *value = pci(device, 0); break;
	case CUDA_ABI_DEV_PCI_BUS: *value = pci(device, 1); break;
	case CUDA_ABI_DEV_PCI_DEVICE: *value = pci(device, 2); break;
	case CUDA_ABI_DEV_CAPABILITY_MAJOR: *value = fake_setup.capability / 10; break;
	case CUDA_ABI_DEV_CAPABILITY_MINOR: *value = fake_setup.capability % 10; break;
	case CUDA_ABI_DEV_HOST_PAGE_TABLES: *value = fake_setup.coherent; break;
	case CUDA_ABI_DEV_GDR: *value = fake_setup.gdr; break;
	case CUDA_ABI_DEV_GDR_FLUSH: *value = fake_setup.flush; break;
	case CUDA_ABI_DEV_GDR_ORDER: *value = fake_setup.order ? CUDA_ABI_ORDER_OWNER : CUDA_ABI_ORDER_NONE; break;
	case CUDA_ABI_DEV_DMA_BUF: *value = fake_setup.dmabuf; break;
	default: return CUDA_ABI_INVALID_VALUE;
	}
	return CUDA_ABI_SUCCESS;
}

/* All attributes are zero for a pointer outside GPU memory. */
static int pointer_attribute(const struct fake_memory *m, int which, void *out)
{
	switch (which) {
	case CUDA_ABI_PTR_MEMORY_TYPE: *(unsigned *)out = m ? CUDA_ABI_MEMORY_DEVICE : 0; break;
	case CUDA_ABI_PTR_IS_MANAGED: *(unsigned *)out = m && m->managed; break;
	case CUDA_ABI_PTR_DEVICE: *(int *)out = m ? m->gpu : 0; break;
	case CUDA_ABI_PTR_RANGE_START: *(void **)out = m ? m->pointer : NULL; break;
	case CUDA_ABI_PTR_RANGE_SIZE: *(size_t *)out = m ? m->bytes : 0; break;
	case CUDA_ABI_PTR_BUFFER_ID: *(unsigned long long *)out = m ? m->id : 0; break;
	case CUDA_ABI_PTR_CONTEXT: *(void **)out = m && fake_setup.context ? &contexts[m->gpu] : NULL; break;
	default: return CUDA_ABI_INVALID_VALUE;
	}
	return CUDA_ABI_SUCCESS;
}

static int cuPointerGetAttributes(unsigned n, int *attributes, void **data, uint64_t p)
{
	struct fake_memory *m;
	unsigned i;
	int ret = CUDA_ABI_SUCCESS;

	BEGIN();
	fake_lock();
	m = fake_find((void *)(uintptr_t)p);
	for (i = 0; i < n && !ret; i++)
		ret = pointer_attribute(m, attributes[i], data[i]);
	fake_unlock();
	return ret;
}

static int cuCtxGetDevice(int *device)
{
	BEGIN();
	if (!depth)
		return CUDA_ABI_INVALID_CONTEXT;
	*device = (int)(stack[depth - 1] - contexts);
	return CUDA_ABI_SUCCESS;
}

static int cuCtxPushCurrent(void *context)
{
	BEGIN();
	if (depth == 8 || (char *)context < contexts || (char *)context >= contexts + FAKE_CUDA_GPUS)
		return CUDA_ABI_INVALID_VALUE;
	stack[depth++] = context;
	return CUDA_ABI_SUCCESS;
}

static int cuCtxPopCurrent(void **context)
{
	BEGIN();
	if (!depth)
		return CUDA_ABI_INVALID_CONTEXT;
	*context = stack[--depth];
	return CUDA_ABI_SUCCESS;
}

static int cuThreadExchangeStreamCaptureMode(int *mode)
{
	int old = capture_mode;

	BEGIN();
	capture_mode = *mode;
	*mode = old;
	return CUDA_ABI_SUCCESS;
}

static bool captures(void)
{
	return fake_setup.capturing && capture_mode != CUDA_ABI_CAPTURE_RELAXED;
}

static int cuFlushGPUDirectRDMAWrites(int target, int scope)
{
	BEGIN();
	if (captures())
		return CAPTURE_ERROR;
	if (!fake_setup.flush)
		return CUDA_ABI_NOT_SUPPORTED;
	if (!depth)
		return CUDA_ABI_INVALID_CONTEXT;
	if (target != CUDA_ABI_FLUSH_CURRENT_CTX || scope < CUDA_ABI_FLUSH_TO_OWNER)
		return CUDA_ABI_INVALID_VALUE;
	fake_count(FAKE_CUDA_FLUSHES);
	fake_flush_gpu((int)(stack[depth - 1] - contexts));
	return CUDA_ABI_SUCCESS;
}

static int cuMemGetHandleForAddressRange(void *handle, uint64_t p, size_t bytes, int type, unsigned long long flags)
{
	int fd;

	BEGIN();
	if (captures())
		return CAPTURE_ERROR;
	if (!fake_setup.dmabuf)
		return CUDA_ABI_NOT_SUPPORTED;
	if (type != CUDA_ABI_HANDLE_DMA_BUF || (flags && !fake_setup.coherent))
		return CUDA_ABI_INVALID_VALUE;
	fd = fake_export(p, bytes);
	if (fd < 0)
		return CUDA_ABI_INVALID_VALUE;
	*(int *)handle = fd;
	fake_count(FAKE_CUDA_EXPORTS);
	return CUDA_ABI_SUCCESS;
}

static const struct {
	const char *name;
	int since;
	void *fn;
} table[] = {
/* clang-format off */
#define CALL(name, since) {#name, since, (void *)(uintptr_t)name}
	/* clang-format on */
	CALL(cuInit, 2000),
	CALL(cuDriverGetVersion, 2020),
	CALL(cuGetErrorName, 6000),
	CALL(cuDeviceGetCount, 2000),
	CALL(cuDeviceGet, 2000),
	CALL(cuDeviceGetAttribute, 2000),
	CALL(cuPointerGetAttributes, 7000),
	CALL(cuCtxGetDevice, 2000),
	CALL(cuCtxPushCurrent, 4000),
	CALL(cuCtxPopCurrent, 4000),
	CALL(cuThreadExchangeStreamCaptureMode, 10010),
	CALL(cuFlushGPUDirectRDMAWrites, 11030),
	CALL(cuMemGetHandleForAddressRange, 11070),
#undef CALL
};

int cuGetProcAddress_v2(const char *name, void **fn, int version, uint64_t flags, int *found);

/* A function version newer than the driver's release, or than the requested one, is not found. */
FAKE_EXPORT int cuGetProcAddress_v2(const char *name, void **fn, int version, uint64_t flags, int *found)
{
	size_t i;

	(void)flags;
	*fn = NULL;
	for (i = 0; i < sizeof(table) / sizeof(table[0]) && fake_setup.driver >= 11030; i++)
		if (!strcmp(table[i].name, name) && version >= table[i].since && version <= fake_setup.driver)
			*fn = table[i].fn;
	*found = *fn ? 0 : 1;
	return *fn ? CUDA_ABI_SUCCESS : CUDA_ABI_NOT_FOUND;
}

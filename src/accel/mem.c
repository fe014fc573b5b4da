/* SPDX-License-Identifier: Apache-2.0 */
/* Pointers, dma-bufs and flushes; see accel.h. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "accel/internal.h"
#include "base/log.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

int accel_mem(const void *p, struct accel_mem *out)
{
	unsigned type = 0, managed = 0;
	int gpu = -1, err;
	void *start = NULL;
	unsigned long long id = 0;
	int which[] = {CUDA_ABI_PTR_MEMORY_TYPE, CUDA_ABI_PTR_DEVICE,	  CUDA_ABI_PTR_RANGE_START,
		       CUDA_ABI_PTR_RANGE_SIZE,	 CUDA_ABI_PTR_BUFFER_ID,  CUDA_ABI_PTR_CONTEXT,
		       CUDA_ABI_PTR_IS_MANAGED};
	size_t bytes = 0;
	void *context = NULL;
	void *where[] = {&type, &gpu, &start, &bytes, &id, &context, &managed};

	*out = (struct accel_mem){.kind = ACCEL_HOST, .gpu = -1};
	if (!accel_info()->gpu_count)
		return 0;
	err = cuda_calls.cuPointerGetAttributes(COUNT(which), which, where, (uintptr_t)p);
	if (err) {
		log_warn("the CUDA driver does not say whose memory %p is: %s", p, cuda_error(err));
		return -EIO;
	}
	if (managed) {
		log_warn("%p is managed memory of CUDA (cudaMallocManaged), which no NIC can reach", p);
		return -ENOTSUP;
	}
	if (type != CUDA_ABI_MEMORY_DEVICE)
		return 0;
	if (gpu < 0 || gpu >= accel_info()->gpu_count) {
		log_warn("%p belongs to GPU %d, of which the CUDA driver did not tell", p, gpu);
		return -EIO;
	}
	*out = (struct accel_mem){.kind = ACCEL_CUDA,
				  .gpu = gpu,
				  .start = (uintptr_t)start,
				  .bytes = bytes,
				  .id = id,
				  .context = context};
	return 0;
}

/* Whole pages around [p, p + len), but not beyond the allocation where that is known. */
static void widen(const struct accel_mem *m, uintptr_t *from, uintptr_t *to)
{
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);

	*from = *from / page * page;
	*to = (*to + page - 1) / page * page;
	if (m->bytes && *from < m->start)
		*from = m->start;
}

static int export(uintptr_t from, size_t len, unsigned long long flags, int *out_fd)
{
	int err, mode = cuda_relax();

	*out_fd = -1;
	err = cuda_calls.cuMemGetHandleForAddressRange(out_fd, from, len, CUDA_ABI_HANDLE_DMA_BUF, flags);
	cuda_unrelax(mode);
	return err;
}

int accel_dmabuf_open(const struct accel_mem *m, const void *p, size_t len, struct accel_dmabuf *out)
{
	uintptr_t from = (uintptr_t)p, to = from + len;
	int err = CUDA_ABI_NOT_SUPPORTED;

	*out = (struct accel_dmabuf){.fd = -1};
	if (m->kind != ACCEL_CUDA || !accel_info()->gpus[m->gpu].dmabuf)
		return -ENOTSUP;
	widen(m, &from, &to);
	if (accel_info()->gpus[m->gpu].coherent)
		err = export(from, to - from, CUDA_ABI_RANGE_PCIE, &out->fd);
	if (err)
		err = export(from, to - from, 0, &out->fd);
	if (err == CUDA_ABI_NOT_SUPPORTED)
		return -ENOTSUP;
	if (err) {
		log_warn("the CUDA driver gives no dma-buf for %zu bytes at %p: %s", len, p, cuda_error(err));
		return -EIO;
	}
	out->offset = (uintptr_t)p - from;
	return 0;
}

/* Is the thread's current context one of this GPU? */
static bool is_current(int gpu)
{
	int device, wanted;

	return !cuda_calls.cuCtxGetDevice(&device) && !cuda_calls.cuDeviceGet(&wanted, gpu) && device == wanted;
}

bool accel_can_flush(const struct accel_mem *m)
{
	return m->kind == ACCEL_CUDA && accel_info()->gpus[m->gpu].flush_call && (m->context || is_current(m->gpu));
}

int accel_flush(const struct accel_mem *m)
{
	bool pushed = false;
	void *context;
	int err, mode;

	if (m->kind != ACCEL_CUDA || !accel_info()->gpus[m->gpu].flush_call)
		return -ENOTSUP;
	mode = cuda_relax();
	if (!is_current(m->gpu)) {
		pushed = m->context && !cuda_calls.cuCtxPushCurrent(m->context);
		if (!pushed) {
			cuda_unrelax(mode);
			return -ENOTSUP;
		}
	}
	err = cuda_calls.cuFlushGPUDirectRDMAWrites(CUDA_ABI_FLUSH_CURRENT_CTX, CUDA_ABI_FLUSH_TO_OWNER);
	if (pushed)
		cuda_calls.cuCtxPopCurrent(&context);
	cuda_unrelax(mode);
	if (!err)
		return 0;
	log_warn("cuFlushGPUDirectRDMAWrites of GPU %d failed: %s; WEFT_FLUSH=read does without it", m->gpu,
		 cuda_error(err));
	return -EIO;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Pointers, dma-bufs and flushes; see accel.h. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "accel/internal.h"
#include "base/log.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

int accel_mem(const void *p, struct accel_mem *out)
{
	unsigned type = 0, managed = 0;
	int gpu = -1, err;
	void *start = NULL;
	unsigned long long id = 0;
	int which[] = {CUDA_ABI_PTR_MEMORY_TYPE, CUDA_ABI_PTR_DEVICE,	 CUDA_ABI_PTR_RANGE_START,
		       CUDA_ABI_PTR_RANGE_SIZE,	 CUDA_ABI_PTR_BUFFER_ID, CUDA_ABI_PTR_CONTEXT,
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

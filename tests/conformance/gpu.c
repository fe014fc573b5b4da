/* SPDX-License-Identifier: Apache-2.0 */
/* Memory of the fake CUDA driver; see gpu.h. */
#include "gpu.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <unistd.h>

#include "cuda/fake.h"

#define PAGE   4096ul
#define HOPPER 90 /* NCCL flushes by itself up to this capability */

static enum suite_memory memory;
static __typeof__(fake_cuda_alloc) *fake_alloc;
static __typeof__(fake_cuda_free) *fake_free;
static __typeof__(fake_cuda_is_gpu) *fake_is_gpu;
static __typeof__(fake_cuda_write) *fake_write;
static __typeof__(fake_cuda_read) *fake_read;
static __typeof__(fake_cuda_dmabuf) *fake_dmabuf;

static void *get(void *lib, const char *name)
{
	void *fn = dlsym(lib, name);

	check(fn != NULL, "the libcuda.so.1 found is not the tests': put tests/cuda/.libs on LD_LIBRARY_PATH");
	return fn;
}

void gpu_load(enum suite_memory wanted)
{
	void *lib;

	memory = wanted;
	if (memory == SUITE_HOST)
		return;
	lib = dlopen("libcuda.so.1", RTLD_NOW);
	check(lib != NULL, "no libcuda.so.1: put tests/cuda/.libs on LD_LIBRARY_PATH");
	fake_alloc = (__typeof__(fake_alloc))(uintptr_t)get(lib, "fake_cuda_alloc");
	fake_free = (__typeof__(fake_free))(uintptr_t)get(lib, "fake_cuda_free");
	fake_is_gpu = (__typeof__(fake_is_gpu))(uintptr_t)get(lib, "fake_cuda_is_gpu");
	fake_write = (__typeof__(fake_write))(uintptr_t)get(lib, "fake_cuda_write");
	fake_read = (__typeof__(fake_read))(uintptr_t)get(lib, "fake_cuda_read");
	fake_dmabuf = (__typeof__(fake_dmabuf))(uintptr_t)get(lib, "fake_cuda_dmabuf");
}

bool gpu_used(void)
{
	return memory != SUITE_HOST;
}

unsigned char *gpu_alloc(size_t bytes)
{
	return fake_alloc(bytes, 0, 0);
}

void gpu_free(void *p)
{
	fake_free(p);
}

bool gpu_is(const void *p)
{
	return gpu_used() && fake_is_gpu(p);
}

void gpu_write(void *to, const void *from, size_t bytes)
{
	fake_write(to, from, bytes);
}

void gpu_read(void *to, const void *from, size_t bytes)
{
	fake_read(to, from, bytes);
}

weft_nccl_result gpu_register(struct side *s, void *comm, void *data, size_t size, void **mhandle)
{
	size_t offset = (uintptr_t)data % PAGE;
	weft_nccl_result r;
	int fd;

	if (memory != SUITE_DMABUF)
		return s->net->reg_mr(comm, data, size, WEFT_NCCL_PTR_CUDA, mhandle);
	fd = fake_dmabuf((char *)data - offset, (offset + size + PAGE - 1) / PAGE * PAGE);
	check(fd >= 0, "the fake driver gives no dma-buf");
	r = s->net->reg_mr_dmabuf(comm, data, size, WEFT_NCCL_PTR_CUDA, offset, fd, mhandle);
	close(fd); /* at once, as NCCL does */
	return r;
}

bool gpu_nccl_flushes(const struct side *s)
{
	const char *capability = getenv("FAKE_CUDA_CAPABILITY");

	return (capability && atoi(capability) < HOPPER) || !capability || plugin_abi_force_flush(s->dev);
}

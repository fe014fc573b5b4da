/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The fake CUDA driver: a libcuda.so.1 for machines without a GPU. Its environment variables are described in README.md
 * beside this file. The functions below are for its tests and the fault provider, which find them by dlsym in the
 * loaded libcuda.so.1.
 *
 * "GPU" memory has a pointer that must not be followed: its pages are protected, so that any CPU access is caught at
 * once. The bytes have several copies elsewhere:
 *
 *	pointer   (protected)
 *	seen      the GPU's view: kernels read and write it           fake_cuda_read, fake_cuda_write
 *	landed[n] the data written by NIC n                            fake_cuda_dma
 *
 * With FAKE_CUDA_DELAY=1, landed data becomes visible only after a flush: by the driver, or a read by the same NIC. By
 * default, NICs write directly into the GPU's view.
 *
 * Threads: any.
 */
#ifndef WEFT_TESTS_FAKE_CUDA_H
#define WEFT_TESTS_FAKE_CUDA_H

#include <stddef.h>

#define FAKE_CUDA_NICS 32
#define FAKE_CUDA_GPUS 8

enum fake_cuda_count { FAKE_CUDA_FLUSHES, FAKE_CUDA_READS, FAKE_CUDA_EXPORTS, FAKE_CUDA_FAILED, FAKE_CUDA_COUNTS };

/* Allocates zeroed memory of a GPU; NULL without memory. managed: like cudaMallocManaged, otherwise the same. */
void *fake_cuda_alloc(size_t bytes, int gpu, int managed);
void fake_cuda_free(void *p);

/* Access as by a kernel. */
void fake_cuda_write(void *p, const void *from, size_t bytes);
void fake_cuda_read(void *to, const void *p, size_t bytes);

/* True if p points into GPU memory. */
int fake_cuda_is_gpu(const void *p);

/* The address at which NIC `nic` accesses the bytes at p; NULL if they are not GPU memory. */
void *fake_cuda_dma(int nic, const void *p, size_t bytes);

/*
 * NIC `nic` has read at p: its earlier writes to the same allocation become visible. (A real GPU would show all of its
 * writes, but searching every allocation is slow.)
 */
void fake_cuda_dma_read(int nic, const void *p);

/* A dma-buf of [p, p + bytes), which must be whole pages of one allocation; the caller closes it. -1: it is not. */
int fake_cuda_dmabuf(const void *p, size_t bytes);

unsigned long fake_cuda_count(enum fake_cuda_count what);

#endif

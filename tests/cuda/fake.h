/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The fake CUDA driver: a libcuda.so.1 for machines without a GPU. What it is told by the environment is in
 * README.md beside this file. The functions below are its tests' and the fault provider's own; they find them by dlsym
 * in the libcuda.so.1 that is loaded.
 *
 * "GPU" memory has a pointer that nobody may follow: its pages are protected, so that a CPU that touches them is
 * caught at once. The bytes are elsewhere, several times:
 *
 *	pointer   (protected)
 *	seen      what the GPU sees: kernels read and write it        fake_cuda_read, fake_cuda_write
 *	landed[n] where what NIC n writes comes to lie                fake_cuda_dma
 *
 * With FAKE_CUDA_DELAY=1 what has landed is seen after a flush only: the driver's own, or a read by the same NIC. By
 * default, NICs write what is seen.
 *
 * Threads: any.
 */
#ifndef WEFT_TESTS_FAKE_CUDA_H
#define WEFT_TESTS_FAKE_CUDA_H

#include <stddef.h>

#define FAKE_CUDA_NICS 32
#define FAKE_CUDA_GPUS 8

enum fake_cuda_count { FAKE_CUDA_FLUSHES, FAKE_CUDA_READS, FAKE_CUDA_EXPORTS, FAKE_CUDA_FAILED, FAKE_CUDA_COUNTS };

/* Memory of a GPU; NULL without memory. Zeroed. managed: what cudaMallocManaged gives, otherwise the same. */
void *fake_cuda_alloc(size_t bytes, int gpu, int managed);
void fake_cuda_free(void *p);

/* As a kernel does. */
void fake_cuda_write(void *p, const void *from, size_t bytes);
void fake_cuda_read(void *to, const void *p, size_t bytes);

/* Is that a GPU's memory? */
int fake_cuda_is_gpu(const void *p);

/* Where NIC `nic` finds the bytes at p; NULL if they are not a GPU's. */
void *fake_cuda_dma(int nic, const void *p, size_t bytes);

/*
 * That NIC has read at p: what it wrote before is seen, of the same allocation (a GPU would show it all, but to look
 * everywhere takes a while).
 */
void fake_cuda_dma_read(int nic, const void *p);

/* A dma-buf of [p, p + bytes), which must be whole pages of one allocation; the caller closes it. -1 otherwise. */
int fake_cuda_dmabuf(const void *p, size_t bytes);

unsigned long fake_cuda_count(enum fake_cuda_count what);

#endif

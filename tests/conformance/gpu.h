/* SPDX-License-Identifier: Apache-2.0 */
/*
 * GPU memory for the cases' buffers (--memory cuda or dmabuf), from the fake CUDA driver (tests/cuda); no CPU can
 * access it. Cases read and write it by drive_fill, drive_expect and the like, which act like a kernel. All other
 * memory is host memory.
 *
 * Threads: any, after gpu_load.
 */
#ifndef WEFT_CONFORMANCE_GPU_H
#define WEFT_CONFORMANCE_GPU_H

#include "pair.h"

/* Loads the driver, which must be on LD_LIBRARY_PATH, or fails the case. Host memory needs no driver. */
void gpu_load(enum suite_memory memory);
bool gpu_used(void);

/* NULL without memory. */
unsigned char *gpu_alloc(size_t bytes);
void gpu_free(void *p);
bool gpu_is(const void *p);
void gpu_write(void *to, const void *from, size_t bytes);
void gpu_read(void *to, const void *from, size_t bytes);

/* Registers as NCCL does for the selected kind of memory. */
weft_nccl_result gpu_register(struct side *s, void *comm, void *data, size_t size, void **mhandle);

/* True if NCCL would flush received data of this device. Its rules: src/graph/paths.cc. */
bool gpu_nccl_flushes(const struct side *s);

#endif

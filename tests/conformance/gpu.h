/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory of GPUs for the cases' buffers (--memory cuda or dmabuf): the fake CUDA driver's (tests/cuda), which no CPU can
 * touch. Cases read and write it by drive_fill, drive_expect and their like, which do it as a kernel would. What is not
 * allocated here stays the host's.
 *
 * Threads: any, after gpu_load.
 */
#ifndef WEFT_CONFORMANCE_GPU_H
#define WEFT_CONFORMANCE_GPU_H

#include "pair.h"

/* Finds the driver, which must be on LD_LIBRARY_PATH. Ends the case otherwise. Host memory needs none. */
void gpu_load(enum suite_memory memory);
bool gpu_used(void);

/* NULL without memory. */
unsigned char *gpu_alloc(size_t bytes);
void gpu_free(void *p);
bool gpu_is(const void *p);
void gpu_write(void *to, const void *from, size_t bytes);
void gpu_read(void *to, const void *from, size_t bytes);

/* Registers as NCCL does with the kind of memory that was asked for. */
weft_nccl_result gpu_register(struct side *s, void *comm, void *data, size_t size, void **mhandle);

/* Would NCCL flush what this device has received? By its rules: src/graph/paths.cc. */
bool gpu_nccl_flushes(const struct side *s);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A GPU's work, on the CPU, for an unmodified libnccl: NCCL's CUDA calls and its kernels. Device memory is ordinary
 * memory, all streams are one queue, and the kernels are an emulation of NCCL 2.28.9's send-receive and of its ring
 * all-reduce of uint32 sums with protocol Simple. The structures are that release's.
 */
#ifndef WEFT_TESTS_DEVICE_H
#define WEFT_TESTS_DEVICE_H

#include "patch.h"

#include <stddef.h>

enum { DEVICE_NCCL_VERSION = 22809, CUDA_NOT_SUPPORTED = 801 };

/* For patch_library. */
extern const struct patch device_calls[];

/*
 * Starts a kernel with these arguments on `blocks` blocks, after all earlier ones. Returns 0 or -1 (no memory, no
 * thread).
 */
int kernel_launch(const void *args, size_t args_bytes, unsigned int blocks);

/* True while kernels are running; waits until none is. */
int kernel_busy(void);
void kernel_wait(void);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a GPU would do, on the CPU, for an unmodified libnccl: the CUDA calls that NCCL makes, and its kernels.
 * Device memory is ordinary memory, streams are one queue, and the kernels are an emulation of NCCL 2.28.9's
 * send-receive, and ring all-reduce of uint32 sums by protocol Simple. Its structures are that release's.
 */
#ifndef WEFT_TESTS_DEVICE_H
#define WEFT_TESTS_DEVICE_H

#include "patch.h"

#include <stddef.h>

enum { DEVICE_NCCL_VERSION = 22809, CUDA_NOT_SUPPORTED = 801 };

/* For patch_library. */
extern const struct patch device_calls[];

/* Starts a kernel with these arguments on `blocks` blocks, when earlier ones are done. 0 or -1 (no memory, no thread). */
int kernel_launch(const void *args, size_t args_bytes, unsigned int blocks);

/* Whether kernels are at work; and until none is. */
int kernel_busy(void);
void kernel_wait(void);

#endif

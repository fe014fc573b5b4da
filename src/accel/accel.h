/* SPDX-License-Identifier: Apache-2.0 */
/*
 * GPU memory as a network needs it: the owner of a pointer, dma-buf support, and the flush that makes received data
 * visible to the GPU. The CUDA driver is loaded at run time on first use; without a driver, all memory counts as host
 * memory. These functions create no context, allocate no GPU memory, and are safe during stream capture.
 *
 * Threads: any thread may call any function.
 */
#ifndef WEFT_ACCEL_ACCEL_H
#define WEFT_ACCEL_ACCEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ACCEL_GPUS_MAX	 32
#define ACCEL_TEXT_BYTES 256

enum accel_kind { ACCEL_HOST, ACCEL_CUDA };

struct accel_gpu {
	char pci[16];	 /* "0000:3b:00.0" */
	int capability;	 /* 90: compute capability 9.0 */
	bool gdr;	 /* other PCI devices may access its memory (GPUDirect RDMA) */
	bool dmabuf;	 /* the driver exports its memory as dma-bufs */
	bool ordered;	 /* the driver reports that it sees NIC writes in order: no flush needed */
	bool flush_call; /* the driver has a flush call for it */
	bool coherent;	 /* shares page tables with the CPU: data and completions may take different paths */
};

/* The driver and its GPUs; constant for the life of the process. */
struct accel_info {
	char library[ACCEL_TEXT_BYTES];	       /* path of the driver, or "" */
	char why[ACCEL_TEXT_BYTES];	       /* reason for having no usable GPU, or "" */
	int driver;			       /* version; 12040: CUDA 12.4 */
	struct accel_gpu gpus[ACCEL_GPUS_MAX]; /* by CUDA's ordinal */
	int gpu_count;
};

/* Loads the driver on the first call. Never NULL. */
const struct accel_info *accel_info(void);

/* The allocation around a pointer. */
struct accel_mem {
	enum accel_kind kind;
	int gpu;	 /* CUDA's ordinal; -1: host memory */
	uintptr_t start; /* start of the allocation; 0: host memory */
	size_t bytes;	 /* size of the allocation; 0: unknown */
	uint64_t id;	 /* unique for each allocation, never reused; 0: host memory */
	void *context;	 /* CUDA context, or NULL */
};

/* Finds the owner of the memory at p. 0; -ENOTSUP (logged): managed memory, which migrates; -EIO (logged). */
int accel_mem(const void *p, struct accel_mem *out);

/*
 * Makes other devices' writes visible to m's GPU by a call of the driver. Blocks for some microseconds. Returns 0,
 * -ENOTSUP (not logged): unsupported for this memory, or -EIO (logged).
 */
int accel_flush(const struct accel_mem *m);

/* Does accel_flush support this memory on this thread? */
bool accel_can_flush(const struct accel_mem *m);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory of GPUs, as far as a network needs to know it: whose a pointer is, dma-buf descriptors, and whether and how
 * received data become visible to the GPU. The CUDA driver is loaded at run time, when it is first asked for; without
 * one, all memory is the host's. Makes no context, allocates nothing of the GPU's, and may be used while a stream is
 * captured.
 *
 * Threads: any thread may call anything.
 */
#ifndef WEFT_ACCEL_ACCEL_H
#define WEFT_ACCEL_ACCEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ACCEL_GPUS_MAX 32
#define ACCEL_TEXT_BYTES 256

enum accel_kind { ACCEL_HOST, ACCEL_CUDA };

struct accel_gpu {
	char pci[16];	   /* "0000:3b:00.0" */
	int capability;	   /* 90: compute capability 9.0 */
	bool gdr;	   /* other devices of the PCI bus may reach its memory */
	bool dmabuf;	   /* ... named by a dma-buf */
	bool ordered;	   /* the driver says that it sees their writes in order: no flush is needed */
	bool flush_call;   /* the driver can flush by a call */
	bool coherent;	   /* shares page tables with the CPU: data and completions may take different ways */
};

/* What there is; the same as long as the process lives. */
struct accel_info {
	char library[ACCEL_TEXT_BYTES]; /* the driver's path, or "" */
	char why[ACCEL_TEXT_BYTES];	/* why there is host memory only, or "" */
	int driver;			/* 12040: CUDA 12.4 */
	struct accel_gpu gpus[ACCEL_GPUS_MAX]; /* by CUDA's ordinal */
	int gpu_count;
};

/* Looks for the driver the first time. Never NULL. */
const struct accel_info *accel_info(void);

/* A piece of memory. */
struct accel_mem {
	enum accel_kind kind;
	int gpu;	 /* CUDA's ordinal; -1: of the host */
	uintptr_t start; /* the allocation that holds it ... */
	size_t bytes;	 /* ... and its size; 0: unknown */
	uint64_t id;	 /* no two allocations have the same, ever; 0: of the host */
	void *context;	 /* of CUDA, or NULL */
};

/* Whose memory that is. 0; -ENOTSUP (logged): memory that moves between CPU and GPU; -EIO (logged). */
int accel_mem(const void *p, struct accel_mem *out);

/*
 * Makes what other devices have written into m's GPU visible to it, by a call of the driver's. Blocks for some
 * microseconds. 0, -ENOTSUP (silent): it can't, -EIO (logged).
 */
int accel_flush(const struct accel_mem *m);

/* Can accel_flush work for this memory? */
bool accel_can_flush(const struct accel_mem *m);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* Declarations shared by the fake driver's files. */
#ifndef WEFT_TESTS_FAKE_CUDA_INTERNAL_H
#define WEFT_TESTS_FAKE_CUDA_INTERNAL_H

#include <stdbool.h>
#include <stdint.h>

#include "fake.h"

#define FAKE_EXPORT __attribute__((visibility("default")))

struct fake_setup {
	int gpus;
	const char *pci; /* a comma list of addresses */
	int capability;
	int driver;
	bool gdr, dmabuf, flush, order, coherent, context, capturing;
	bool delay;
	const char *fail_call;
	uint64_t fail_nth;
	const char *log;
};

extern struct fake_setup fake_setup;

/* One allocation. */
struct fake_memory {
	struct fake_memory *next;
	char *pointer;	    /* protected */
	char *seen;	    /* the GPU's view, followed by the landed data of each NIC, each of size `room` */
	size_t bytes, room; /* room: bytes, in whole pages */
	int fd;
	int gpu;
	bool managed;
	uint64_t id;
	uint32_t active; /* bit mask of the NICs that have used it */
};

/* Guarded by fake_lock. */
void fake_lock(void);
void fake_unlock(void);
struct fake_memory *fake_find(const void *p);

/* A dma-buf of [p, p + bytes); -1 if that is not whole pages of one allocation. */
int fake_export(uint64_t p, size_t bytes);

/* Makes all earlier writes of all NICs to a GPU's memory visible. */
void fake_flush_gpu(int gpu);

void fake_count(enum fake_cuda_count what);

#endif

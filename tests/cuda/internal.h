/* SPDX-License-Identifier: Apache-2.0 */
/* What the fake driver's files share. */
#ifndef WEFT_TESTS_FAKE_CUDA_INTERNAL_H
#define WEFT_TESTS_FAKE_CUDA_INTERNAL_H

#include <stdbool.h>
#include <stdint.h>

#include "fake.h"

#define FAKE_EXPORT __attribute__((visibility("default")))

struct fake_setup {
	int gpus;
	const char *pci; /* a comma list */
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
	char *seen;	    /* then, each as long, what has landed from each NIC */
	size_t bytes, room; /* room: whole pages */
	int fd;
	int gpu;
	bool managed;
	uint64_t id;
	uint32_t active; /* NICs that have used it, a bit each */
};

/* Under fake_lock. */
void fake_lock(void);
void fake_unlock(void);
struct fake_memory *fake_find(const void *p);

/* A dma-buf of [p, p + bytes), or -1: not of one allocation, or not of whole pages. */
int fake_export(uint64_t p, size_t bytes);

/* What any NIC has written into a GPU's memory is seen. */
void fake_flush_gpu(int gpu);

void fake_count(enum fake_cuda_count what);

#endif

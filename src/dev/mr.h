/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory registered with open domains of a device, on all its rails: whole pages, shared by all users that register the
 * same pages. The last user's dev_mr_put closes the registration, so a freed and newly mapped address never matches
 * a stale one.
 */
#ifndef WEFT_DEV_MR_H
#define WEFT_DEV_MR_H

#include "dev/dev.h"

struct dev_mr {
	uintptr_t base;	      /* address of the first page */
	size_t len;	      /* bytes of all pages */
	struct accel_mem mem; /* for GPU memory, base and len are the exact request, not whole pages */
	bool dmabuf;	      /* registered by a dma-buf */
	struct dev_access *access;
	int refs;			    /* users */
	struct fab_mr *rail[DEV_RAILS_MAX]; /* NULL if the provider needs no registration */
};

/*
 * Registers host memory with every rail of an open device, or reuses a registration. The caller keeps
 * ownership of the memory and keeps it mapped until dev_mr_put. Any thread; no device lock is held during libfabric
 * calls. 0 or a negative errno (logged).
 */
int dev_mr_get(struct dev_access *a, void *base, size_t len, struct dev_mr **out);

/*
 * The same for GPU memory. fd: a dma-buf that contains the memory from `offset` on, which the caller may close
 * afterwards; -1: none. -ENOTSUP: the device (gdr.cuda is false) or the GPU does not support it.
 */
int dev_mr_get_gpu(struct dev_access *a, const struct accel_mem *m, void *base, size_t len, int fd, uint64_t offset,
		   struct dev_mr **out);
void dev_mr_put(struct dev_mr *mr);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Registered memory of a device, on all its rails: whole pages, shared by everyone who registers the same
 * ones while they are registered. When the last user has gone, the registration goes as well, so an address
 * that is freed and mapped anew never meets an old one.
 */
#ifndef WEFT_DEV_MR_H
#define WEFT_DEV_MR_H

#include "dev/dev.h"

struct dev_mr {
	uintptr_t base; /* of the first page */
	size_t len;	/* of the pages */
	struct accel_mem mem; /* of GPUs: exactly what was asked for, in place of pages */
	bool dmabuf;
	int refs;
	struct fab_mr *rail[DEV_RAILS_MAX]; /* NULL where the provider wants no registration */
};

/*
 * Registers host memory with every rail of a device that is open (dev_get), or finds it registered. The
 * memory stays the caller's and mapped until dev_mr_put. Any thread; no lock is held while libfabric works.
 * 0 or a negative errno (logged).
 */
int dev_mr_get(struct dev *d, void *base, size_t len, struct dev_mr **out);

/*
 * The same for memory of a GPU, of a device with gdr.cuda. fd: a dma-buf that has it from `offset` on, of which this
 * keeps nothing; -1: none. -ENOTSUP: this GPU or this device can't.
 */
int dev_mr_get_gpu(struct dev *d, const struct accel_mem *m, void *base, size_t len, int fd, uint64_t offset,
		   struct dev_mr **out);
void dev_mr_put(struct dev *d, struct dev_mr *mr);

#endif

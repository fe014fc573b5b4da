/* SPDX-License-Identifier: Apache-2.0 */
/* Comms and registrations as cm and nccl see them (included by xfer/xfer.h). */
#ifndef WEFT_COMM_API_H
#define WEFT_COMM_API_H

#include <stddef.h>
#include <stdint.h>

#include "accel/accel.h"

struct xfer_comm;
struct xfer_region;
struct xfer_req;

enum xfer_kind { XFER_SEND, XFER_RECV };

/* One buffer of a receive. region may be NULL if len is 0. */
struct xfer_sub {
	void *buf;
	size_t len;
	uint32_t tag;
	struct xfer_region *region;
};

/* Registers host memory for this comm. May run at the same time as transfers. Takes the endpoint's lock. */
int xfer_region_open(struct xfer_comm *comm, void *base, size_t len, struct xfer_region **out);

/*
 * The same for GPU memory, which the CPU must not access. fd: a dma-buf that contains it at `offset`, or -1.
 * -ENOTSUP: the device does not support this GPU (logged).
 */
int xfer_region_open_gpu(struct xfer_comm *comm, const struct accel_mem *m, void *base, size_t len, int fd,
			 uint64_t offset, struct xfer_region **out);

/* Checks the peer's lifeline; needs the endpoint's lock. Returns 0, or the error of a peer that is gone (logged). */
int xfer_comm_check_peer(struct xfer_comm *comm);

#endif

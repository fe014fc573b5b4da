/* SPDX-License-Identifier: Apache-2.0 */
/* Registered memory of a comm. Registration runs outside the endpoint's lock, at the same time as transfers. */
#include <errno.h>
#include <stdlib.h>

#include "base/log.h"
#include "comm/comm.h"

/* m is NULL for host memory. */
static int open_region(struct xfer_comm *comm, const struct accel_mem *m, void *base, size_t len, int fd,
		       uint64_t offset, struct xfer_region **out)
{
	struct xfer_region *region = calloc(1, sizeof(*region));
	int ret;

	*out = NULL;
	if (!region)
		return -ENOMEM;
	region->comm = comm;
	region->base = base;
	region->len = len;
	region->gpu = m && m->kind != ACCEL_HOST;
	ret = m ? dev_mr_get_gpu(comm->ep->access, m, base, len, fd, offset, &region->mr)
		: dev_mr_get(comm->ep->access, base, len, &region->mr);
	if (ret) {
		free(region);
		return ret;
	}
	xfer_ep_lock(comm->ep);
	list_append(&comm->regions, &region->link);
	xfer_ep_unlock(comm->ep);
	*out = region;
	return 0;
}

int xfer_region_open(struct xfer_comm *comm, void *base, size_t len, struct xfer_region **out)
{
	return open_region(comm, NULL, base, len, -1, 0, out);
}

int xfer_region_open_gpu(struct xfer_comm *comm, const struct accel_mem *m, void *base, size_t len, int fd,
			 uint64_t offset, struct xfer_region **out)
{
	return open_region(comm, m, base, len, fd, offset, out);
}

void region_free(struct xfer_region *region)
{
	list_remove(&region->link);
	dev_mr_put(region->mr);
	free(region);
}

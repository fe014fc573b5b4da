/* SPDX-License-Identifier: Apache-2.0 */
/* Registered memory of a channel. Registration itself runs outside the port's lock, beside traffic. */
#include <errno.h>
#include <stdlib.h>

#include "base/log.h"
#include "xfer/internal.h"

/* With the host's memory if m is NULL. */
static int open_region(struct xfer_chan *chan, const struct accel_mem *m, void *base, size_t len, int fd, uint64_t offset,
		       struct xfer_region **out)
{
	struct xfer_region *region = calloc(1, sizeof(*region));
	int ret;

	*out = NULL;
	if (!region)
		return -ENOMEM;
	region->chan = chan;
	region->base = base;
	region->len = len;
	ret = m ? dev_mr_get_gpu(chan->port->dev, m, base, len, fd, offset, &region->mr)
		: dev_mr_get(chan->port->dev, base, len, &region->mr);
	if (ret) {
		free(region);
		return ret;
	}
	xfer_port_lock(chan->port);
	list_append(&chan->regions, &region->link);
	xfer_port_unlock(chan->port);
	*out = region;
	return 0;
}

int xfer_region_open(struct xfer_chan *chan, void *base, size_t len, struct xfer_region **out)
{
	return open_region(chan, NULL, base, len, -1, 0, out);
}

int xfer_region_open_gpu(struct xfer_chan *chan, const struct accel_mem *m, void *base, size_t len, int fd,
			 uint64_t offset, struct xfer_region **out)
{
	return open_region(chan, m, base, len, fd, offset, out);
}

void region_free(struct xfer_region *region)
{
	list_remove(&region->link);
	dev_mr_put(region->chan->port->dev, region->mr);
	free(region);
}

void xfer_region_close(struct xfer_region *region)
{
	struct xfer_port *port = region->chan->port;

	xfer_port_lock(port);
	chan_quiesce(region->chan, region);
	region_free(region);
	xfer_port_unlock(port);
}

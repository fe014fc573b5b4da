/* SPDX-License-Identifier: Apache-2.0 */
/* Registered memory of a channel. Registration itself runs outside the port's lock, beside traffic. */
#include <errno.h>
#include <stdlib.h>

#include "base/log.h"
#include "xfer/internal.h"

int xfer_region_open(struct xfer_chan *chan, void *base, size_t len, struct xfer_region **out)
{
	struct xfer_region *region = calloc(1, sizeof(*region));
	int ret;

	*out = NULL;
	if (!region)
		return -ENOMEM;
	region->chan = chan;
	region->base = base;
	region->len = len;
	ret = dev_mr_get(chan->port->dev, base, len, &region->mr);
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

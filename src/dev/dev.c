/* SPDX-License-Identifier: Apache-2.0 */
/* One device; see dev.h. */
#include "dev/dev.h"

#include <string.h>

#include "topo/nic.h"

int dev_nic_mbps(const struct fab_nic *nic)
{
	return nic->speed_mbps ? nic->speed_mbps : topo_nic_speed_mbps(nic->name);
}

bool dev_nic_leaves_host(const struct fab_nic *nic)
{
	return nic->reach < NETIF_BRIDGE && !fab_nic_local_only(nic);
}

bool dev_platform_fits(const struct dev_table *t)
{
	return t->platform.forced || (t->report.nic_count && !strcmp(t->report.nics[0].provider, "efa"));
}

int dev_latency_us(const struct dev_table *t)
{
	return dev_platform_fits(t) ? t->platform.platform->latency_us : 0;
}

void dev_close(struct dev *d)
{
	int i;

	for (i = 0; i < d->rail_count; i++) {
		fab_domain_close(d->domains[i]);
		d->domains[i] = NULL;
	}
}

int dev_get(struct dev *d)
{
	int i, ret = 0;

	pthread_mutex_lock(&d->lock);
	for (i = 0; i < d->rail_count && !d->users && !ret; i++) {
		ret = fab_domain_open(d->rails[i], &d->domains[i]);
		if (!ret && d->rail_count > 1)
			fab_domain_narrow_keys(d->domains[i]); /* union wire_keys only has space for 32-bit keys */
	}
	if (ret)
		dev_close(d);
	else
		d->users++;
	pthread_mutex_unlock(&d->lock);
	return ret;
}

void dev_put(struct dev *d)
{
	pthread_mutex_lock(&d->lock);
	if (!--d->users)
		dev_close(d);
	pthread_mutex_unlock(&d->lock);
}

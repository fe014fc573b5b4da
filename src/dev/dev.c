/* SPDX-License-Identifier: Apache-2.0 */
/* One device; see dev.h. */
#include "dev/dev.h"

#include <errno.h>
#include <stdlib.h>
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

/* Needs the device's lock. */
static void access_close(struct dev_access *a)
{
	int i;

	list_remove(&a->link);
	for (i = 0; i < a->dev->rail_count; i++)
		fab_domain_close(a->domains[i]);
	free(a);
}

static int access_open(struct dev *d, struct dev_access **out)
{
	struct dev_access *a = calloc(1, sizeof(*a));
	int i, ret = 0;

	if (!a)
		return -ENOMEM;
	a->dev = d;
	list_append(&d->accesses, &a->link);
	for (i = 0; i < d->rail_count && !ret; i++) {
		ret = fab_domain_open(d->rails[i], &a->domains[i]);
		if (!ret && d->rail_count > 1)
			fab_domain_narrow_keys(a->domains[i]); /* union wire_keys only has space for 32-bit keys */
	}
	if (ret)
		access_close(a);
	else
		*out = a;
	return ret;
}

int dev_get(struct dev *d, struct dev_access **out)
{
	int ret = 0;
	bool none;

	*out = NULL;
	pthread_mutex_lock(&d->lock);
	none = list_empty(&d->accesses);
	if (none || d->nic->serial_domain)
		ret = access_open(d, out);
	if (!none && !*out) { /* without descriptors for one more, an endpoint shares one, which is slower */
		*out = container_of(d->accesses.next, struct dev_access, link);
		ret = 0;
	}
	if (!ret)
		(*out)->users++;
	pthread_mutex_unlock(&d->lock);
	return ret;
}

void dev_put(struct dev_access *a)
{
	struct dev *d = a->dev;

	pthread_mutex_lock(&d->lock);
	if (!--a->users)
		access_close(a);
	pthread_mutex_unlock(&d->lock);
}

void dev_close(struct dev *d)
{
	while (!list_empty(&d->accesses))
		access_close(container_of(d->accesses.next, struct dev_access, link));
}

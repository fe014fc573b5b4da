/* SPDX-License-Identifier: Apache-2.0 */
/* The table of devices; see dev.h. */
#include "dev/dev.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "peer/ident.h"
#include "topo/nic.h"

/* What NCCL assumes of a network that does not say. */
#define DEFAULT_SPEED_MBPS 10000

static uint64_t hash_text(uint64_t hash, const char *s)
{
	for (; *s; s++)
		hash = (hash ^ (unsigned char)*s) * 1099511628211ull; /* FNV-1a */
	return hash;
}

static int nic_speed(const struct fab_nic *nic)
{
	int mbps = nic->speed_mbps ? nic->speed_mbps : topo_nic_speed_mbps(nic->name);

	return mbps ? mbps : DEFAULT_SPEED_MBPS;
}

/* Device number i takes the next `rails` NICs, from the first one again when there are too few. */
static void dev_fill(struct dev *d, const struct fab_report *r, int i, int rails)
{
	const struct fab_nic *nic = &r->nics[i * rails];

	d->nic = nic;
	for (d->rail_count = 0; d->rail_count < rails; d->rail_count++) {
		const struct fab_nic *rail = &r->nics[(i * rails + d->rail_count) % r->nic_count];

		d->rails[d->rail_count] = rail;
		d->speed_mbps += nic_speed(rail);
	}
	d->pci_path = topo_nic_pci_path(nic->name, nic->pci);
	d->guid = hash_text(hash_text(14695981039346656037ull, peer_self()->host), nic->name);
	pthread_mutex_init(&d->lock, NULL);
}

int dev_table_load(struct dev_table *out)
{
	int i, n, rails, ret;

	memset(out, 0, sizeof(*out));
	if (conf_load(&out->conf, out->origins, out->why, sizeof(out->why))) {
		out->user_error = true;
		return 0;
	}
	ret = fab_discover(&out->conf, &out->report);
	if (ret)
		return ret;
	memcpy(out->why, out->report.why, sizeof(out->why));
	out->user_error = out->report.user_error;
	if (!out->report.nic_count)
		return 0;
	rails = (int)out->conf.test_rails;
	n = out->report.nic_count < rails ? 1 : out->report.nic_count / rails;
	out->devs = calloc((size_t)n, sizeof(*out->devs));
	if (!out->devs)
		return -ENOMEM;
	for (i = 0; i < n; i++)
		dev_fill(&out->devs[i], &out->report, i, rails);
	out->count = n;
	return 0;
}

static void domains_close(struct dev *d)
{
	int i;

	for (i = 0; i < d->rail_count; i++) {
		fab_domain_close(d->domains[i]);
		d->domains[i] = NULL;
	}
}

void dev_table_fini(struct dev_table *t)
{
	int i;

	for (i = 0; i < t->count; i++) {
		domains_close(&t->devs[i]);
		free(t->devs[i].pci_path);
		pthread_mutex_destroy(&t->devs[i].lock);
	}
	free(t->devs);
	fab_report_fini(&t->report);
	memset(t, 0, sizeof(*t));
}

int dev_get(struct dev *d)
{
	int i, ret = 0;

	pthread_mutex_lock(&d->lock);
	for (i = 0; i < d->rail_count && !d->users && !ret; i++)
		ret = fab_domain_open(d->rails[i], &d->domains[i]);
	if (ret)
		domains_close(d);
	else
		d->users++;
	pthread_mutex_unlock(&d->lock);
	return ret;
}

void dev_put(struct dev *d)
{
	pthread_mutex_lock(&d->lock);
	if (!--d->users)
		domains_close(d);
	pthread_mutex_unlock(&d->lock);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The devices NCCL will see. The table is made once per process and lives until its end, because NCCL
 * keeps pointers into it. A device is one or more NICs, its rails; the first leads: it gives the device its
 * name and place, and carries everything but the data.
 */
#ifndef WEFT_DEV_DEV_H
#define WEFT_DEV_DEV_H

#include <pthread.h>
#include <stdint.h>

#include "conf/conf.h"
#include "fabric/fab.h"
#include "topo/group.h"
#include "topo/platform.h"

#define DEV_RAILS_MAX 8

/* How received data become visible to a GPU. */
enum dev_flush {
	DEV_FLUSH_NONE, /* they are */
	DEV_FLUSH_READ, /* by a remote read of them, on every NIC that carried some */
	DEV_FLUSH_CALL, /* by a call of the driver's */
};

/* Memory of GPUs: see gdr.h. Each `why` is a clause that says why not, or "". */
struct dev_gdr {
	bool cuda;   /* NCCL may register it by pointers ... */
	bool dmabuf; /* ... and by dma-bufs */
	char cuda_why[FAB_WHY_BYTES], dmabuf_why[FAB_WHY_BYTES];
	enum dev_flush flush; /* with cuda */
	char flush_why[128];  /* the reason for it */
};

struct dev {
	const struct fab_nic *nic; /* the leader: rails[0] */
	const struct fab_nic *rails[DEV_RAILS_MAX];
	int rail_count;
	char *pci_path; /* resolved /sys directory of the leader, or NULL */
	uint64_t guid;
	int speed_mbps; /* of all rails together; never 0 */
	int gpus;	/* how many it is nearest to, as far as that is known; the first of them: */
	topo_pci gpu[TOPO_GPUS_MAX];
	struct dev_gdr gdr;

	pthread_mutex_t lock;			   /* covers what follows */
	struct fab_domain *domains[DEV_RAILS_MAX]; /* one per rail; open while users > 0 */
	int users;
	void *mrs; /* see mr.h */
};

struct dev_table {
	struct conf conf;
	enum param_origin origins[CONF_MAX];
	struct fab_report report;
	struct platform_choice platform;
	struct dev *devs;
	int count;
	char note[FAB_NAME_BYTES * 2]; /* how NICs were grouped, or "" */
	char why[FAB_WHY_BYTES]; /* when count is 0: why */
	bool user_error;	 /* ... and that a setting is to blame */
};

/*
 * Reads the parameters, asks libfabric, fills the table. 0, also when there is no device (`why` tells);
 * -ENOMEM. Logs nothing: the host decides how loud.
 */
int dev_table_load(struct dev_table *out);

/*
 * The same for the machine in hwloc's file `xml`, with the NICs that it shows: what Weft would do there. Its devices
 * can't be opened. 0, also when there is no device; -ENOMEM.
 */
int dev_table_imagine(const char *xml, struct dev_table *out);
void dev_table_fini(struct dev_table *t);

/* Do the platform's figures and settings, which are EFA's, hold for these devices? Whoever forces them thinks so. */
bool dev_platform_fits(const struct dev_table *t);

/* A NIC's speed, by its provider or else by the kernel, or 0. */
int dev_nic_mbps(const struct fab_nic *nic);

/* How many of a device's GPUs are in d->gpu. */
static inline int dev_gpus_named(const struct dev *d)
{
	return d->gpus < TOPO_GPUS_MAX ? d->gpus : TOPO_GPUS_MAX;
}

/* What NCCL shall reckon a message takes to another machine, 0: its own assumption. */
int dev_latency_us(const struct dev_table *t);

/*
 * Opens the domain of every rail or counts one more user, who may then read d->domains. Any thread. Logs a
 * failure; then nothing is open.
 */
int dev_get(struct dev *d);
void dev_put(struct dev *d);

#endif

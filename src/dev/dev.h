/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The devices NCCL will see. The table is made once per process and lives until its end, because NCCL
 * keeps pointers into it. Today a device is one NIC.
 */
#ifndef WEFT_DEV_DEV_H
#define WEFT_DEV_DEV_H

#include <pthread.h>
#include <stdint.h>

#include "conf/conf.h"
#include "fabric/fab.h"

struct dev {
	const struct fab_nic *nic;
	char *pci_path; /* resolved /sys directory, or NULL */
	uint64_t guid;
	int speed_mbps; /* never 0 */

	pthread_mutex_t lock;	   /* covers the two below */
	struct fab_domain *domain; /* open while users > 0 */
	int users;
};

struct dev_table {
	struct conf conf;
	enum param_origin origins[CONF_MAX];
	struct fab_report report;
	struct dev *devs;
	int count;
	char why[FAB_WHY_BYTES]; /* when count is 0: why */
	bool user_error;	 /* ... and that a setting is to blame */
};

/*
 * Reads the parameters, asks libfabric, fills the table. 0, also when there is no device (`why` tells);
 * -ENOMEM. Logs nothing: the host decides how loud.
 */
int dev_table_load(struct dev_table *out);
void dev_table_fini(struct dev_table *t);

/* Opens the device's domain or counts one more user. Any thread. Logs a failure. */
int dev_domain_get(struct dev *d, struct fab_domain **out);
void dev_domain_put(struct dev *d);

#endif

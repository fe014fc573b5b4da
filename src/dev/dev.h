/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The devices that NCCL sees. The table is made once per process and lives until its end, because NCCL
 * keeps pointers into it. A device consists of one or more NICs, its rails. The first, the primary rail, gives the
 * device its name and location; it carries all control messages, while all rails carry data.
 */
#ifndef WEFT_DEV_DEV_H
#define WEFT_DEV_DEV_H

#include <pthread.h>
#include <stdint.h>

#include "base/list.h"
#include "conf/conf.h"
#include "fabric/fab.h"
#include "topo/group.h"
#include "topo/platform.h"

#define DEV_RAILS_MAX 8

/* Method that makes received data visible to a GPU. */
enum dev_flush {
	DEV_FLUSH_NONE, /* no flush needed */
	DEV_FLUSH_READ, /* remote read of received data, on every NIC that carried some */
	DEV_FLUSH_CALL, /* call of the CUDA driver */
};

/* GPU memory support, see gdr.h. cuda_why and dmabuf_why give the reason against it: a clause, or "". */
struct dev_gdr {
	bool cuda;   /* NCCL may register GPU memory by pointers */
	bool dmabuf; /* NCCL may register GPU memory by dma-bufs */
	char cuda_why[FAB_WHY_BYTES], dmabuf_why[FAB_WHY_BYTES];
	enum dev_flush flush; /* valid if cuda is true */
	char flush_why[128];  /* reason for the choice of flush */
};

struct dev {
	const struct fab_nic *nic; /* the primary rail: rails[0] */
	const struct fab_nic *rails[DEV_RAILS_MAX];
	int rail_count;
	int streams;	/* connections to each peer on each NIC */
	char *pci_path; /* resolved /sys directory of the primary rail, or NULL */
	uint64_t guid;
	int speed_mbps;		     /* total of all rails; never 0 */
	int gpus;		     /* number of GPUs assigned to it; 0: none, or unknown */
	topo_pci gpu[TOPO_GPUS_MAX]; /* addresses of the first TOPO_GPUS_MAX of them */
	struct dev_gdr gdr;

	pthread_mutex_t lock; /* guards `accesses` and their fields */
	struct list accesses; /* all that are open */
};

/*
 * A device's open domains, one for each rail, and the memory registered with them. All endpoints of a device share one,
 * because a NIC's domains and registrations are precious; where threads that share a domain wait for each other
 * (fab_nic.serial_domain), each endpoint has its own.
 */
struct dev_access {
	struct list link; /* in dev->accesses */
	struct dev *dev;
	struct fab_domain *domains[DEV_RAILS_MAX];
	int users;
	void *mrs; /* tree of registrations; see mr.h */
};

struct dev_table {
	struct conf conf;
	enum param_origin origins[CONF_MAX];
	struct fab_report report;
	struct platform_choice platform;
	struct dev *devs;
	int count;
	char note[FAB_NAME_BYTES * 2]; /* summary of the grouping of NICs, or "" */
	char why[FAB_WHY_BYTES];       /* reason if count is 0 */
	bool user_error;	       /* `why` is caused by a setting */
};

/* Do the platform's figures and settings, made for EFA, apply? True with efa, or if WEFT_PLATFORM forces them. */
bool dev_platform_fits(const struct dev_table *t);

/* Can the NIC reach other hosts? False for loopback, internal bridges and providers limited to one host. */
bool dev_nic_leaves_host(const struct fab_nic *nic);

/* Speed of a NIC from its provider, else from the kernel, or 0. */
int dev_nic_mbps(const struct fab_nic *nic);

/* Number of the device's GPUs listed in d->gpu. */
static inline int dev_gpus_named(const struct dev *d)
{
	return d->gpus < TOPO_GPUS_MAX ? d->gpus : TOPO_GPUS_MAX;
}

/* Message latency between machines to report to NCCL; 0: NCCL uses its own assumption. */
int dev_latency_us(const struct dev_table *t);

/*
 * Opens the domain of every rail, or shares an open one; dev_put gives it back. Any thread. 0 or a negative errno
 * (logged), with no domain left open by this call.
 */
int dev_get(struct dev *d, struct dev_access **out);
void dev_put(struct dev_access *a);

/* Closes all open domains regardless of users. */
void dev_close(struct dev *d);

#endif

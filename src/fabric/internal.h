/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of fabric share. Not for other rooms. */
#ifndef WEFT_FABRIC_INTERNAL_H
#define WEFT_FABRIC_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>
#include <sys/types.h>

#include "fabric/fab.h"

struct fid_fabric;
struct fid_domain;
struct fid_eq;

struct fab_domain {
	const struct fab_nic *nic;
	struct fid_fabric *fabric;
	struct fid_eq *eq; /* NULL where the provider has none */
	struct fid_domain *domain;
	bool virt_addr; /* remote memory is named by address, not by offset */
	atomic_uint_fast64_t next_key; /* never used twice, so no key is free before its close returned */
	bool gated;
	pthread_rwlock_t gate; /* when gated: see provider_facts.mr_unlocked_below */
};

/* Around what looks memory regions up while another thread may make or close one. */
static inline void fab_gate_enter(struct fab_domain *d)
{
	if (d->gated)
		pthread_rwlock_rdlock(&d->gate);
}

static inline void fab_gate_leave(struct fab_domain *d)
{
	if (d->gated)
		pthread_rwlock_unlock(&d->gate);
}

/* libfabric's return value as 0 or a negative errno. */
int fab_errno(ssize_t fi_ret);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* Declarations shared by the files of fabric. Internal to fabric. */
#ifndef WEFT_FABRIC_INTERNAL_H
#define WEFT_FABRIC_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/list.h"
#include "fabric/fab.h"

struct fid_fabric;
struct fid_domain;
struct fid_eq;

struct fab_domain {
	const struct fab_nic *nic;
	struct fid_fabric *fabric;
	struct fid_eq *eq; /* NULL if the provider has none */
	struct fid_domain *domain;
	bool virt_addr;		       /* remote memory is addressed by virtual address, not by offset */
	atomic_uint_fast64_t next_key; /* number of registrations so far */
	uint64_t key_secret, key_mask;
	bool narrow_keys; /* keys have 32 bits */
	pthread_mutex_t endpoints_lock;
	struct list endpoints;	  /* open endpoints */
	bool mr_locked;		  /* mr_lock is in use */
	pthread_rwlock_t mr_lock; /* guards the provider's memory regions; see provider_quirks.mr_unlocked_below */
};

/* Held around calls that look up memory regions while another thread may create or close one. */
static inline void fab_mr_lock_shared(struct fab_domain *d)
{
	if (d->mr_locked)
		pthread_rwlock_rdlock(&d->mr_lock);
}

static inline void fab_mr_unlock(struct fab_domain *d)
{
	if (d->mr_locked)
		pthread_rwlock_unlock(&d->mr_lock);
}

#endif

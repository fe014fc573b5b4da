/* SPDX-License-Identifier: Apache-2.0 */
/* Domains and memory regions. */
#include <errno.h>
#include <stdlib.h>

#include <rdma/fabric.h>
#include <rdma/fi_domain.h>
#include <rdma/fi_eq.h>

#include "base/log.h"
#include "base/random.h"
#include "fabric/internal.h"
#include "fabric/lib.h"
#include "fabric/newer.h"
#include "fabric/provider.h"

static void mr_lock_init(struct fab_domain *d)
{
	pthread_rwlockattr_t attr;

	if (fi_version() >= provider_quirks(d->nic->provider)->mr_unlocked_below)
		return;
	pthread_rwlockattr_init(&attr);
	pthread_rwlockattr_setkind_np(&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	d->mr_locked = !pthread_rwlock_init(&d->mr_lock, &attr);
	pthread_rwlockattr_destroy(&attr);
}

/* Released by fab_mr_unlock. */
static void mr_lock_exclusive(struct fab_domain *d)
{
	if (d->mr_locked)
		pthread_rwlock_wrlock(&d->mr_lock);
}

/*
 * Key for the next registration, used where the provider lets us choose. Keys never repeat, so a key can't be reused
 * while its registration is still being closed. Keys depend on a secret, so a stranger can't guess them. Both widths
 * are bijections of the count: the finalizers of splitmix64 (64 bits) and murmur3 (32 bits).
 */
static uint64_t new_key(struct fab_domain *d)
{
	uint64_t k = atomic_fetch_add(&d->next_key, 1) + d->key_secret;
	uint32_t n = (uint32_t)k;

	if (!d->narrow_keys) {
		k = (k ^ k >> 30) * 0xbf58476d1ce4e5b9ull;
		k = (k ^ k >> 27) * 0x94d049bb133111ebull;
		return k ^ k >> 31 ^ d->key_mask;
	}
	n = (n ^ n >> 16) * 0x85ebca6bu;
	n = (n ^ n >> 13) * 0xc2b2ae35u;
	return (n ^ n >> 16) ^ (uint32_t)d->key_mask;
}

void fab_domain_narrow_keys(struct fab_domain *d)
{
	d->narrow_keys = true;
}

int fab_domain_open(const struct fab_nic *nic, struct fab_domain **out)
{
	struct fab_domain *d = calloc(1, sizeof(*d));
	struct fi_eq_attr eq_attr = {.wait_obj = FI_WAIT_NONE};
	int ret;

	*out = NULL;
	if (!d)
		return -ENOMEM;
	d->nic = nic;
	pthread_mutex_init(&d->endpoints_lock, NULL);
	list_init(&d->endpoints);
	ret = fi_fabric(nic->info->fabric_attr, &d->fabric, NULL);
	if (ret) {
		ret = fab_failed(nic, "fi_fabric", ret);
		goto err;
	}
	/* Some providers abort the process if they have an event to report and no event queue is bound. */
	if (fi_eq_open(d->fabric, &eq_attr, &d->eq, NULL))
		d->eq = NULL;
	ret = fi_domain(d->fabric, nic->info, &d->domain, NULL);
	if (ret) {
		ret = fab_failed(nic, "fi_domain", ret);
		goto err;
	}
	mr_lock_init(d);
	random_fill(&d->key_secret, sizeof(d->key_secret));
	random_fill(&d->key_mask, sizeof(d->key_mask));
	d->narrow_keys = nic->info->domain_attr->mr_key_size < sizeof(uint64_t);
	d->virt_addr = nic->info->domain_attr->mr_mode & FI_MR_VIRT_ADDR;
	*out = d;
	return 0;
err:
	fab_domain_close(d);
	return ret;
}

void fab_domain_close(struct fab_domain *d)
{
	if (!d)
		return;
	if (d->domain)
		fi_close(&d->domain->fid);
	if (d->mr_locked)
		pthread_rwlock_destroy(&d->mr_lock);
	if (d->eq)
		fi_close(&d->eq->fid);
	if (d->fabric)
		fi_close(&d->fabric->fid);
	pthread_mutex_destroy(&d->endpoints_lock);
	free(d);
}

/* Access flags of a registration. 0: the provider needs no registration. */
static uint64_t access_of(const struct fab_domain *d)
{
	uint64_t access = FI_SEND | FI_RECV;

	if (d->nic->rma)
		access |= FI_WRITE | FI_REMOTE_WRITE;
	if (d->nic->hmem && d->nic->reads)
		access |= FI_READ | FI_REMOTE_READ; /* flushes */
	else if (!d->nic->rma && !(d->nic->info->domain_attr->mr_mode & FI_MR_LOCAL))
		return 0;
	return access;
}

int fab_mr_reg(struct fab_domain *d, void *buf, size_t len, struct fab_mr **out)
{
	uint64_t access = access_of(d);
	struct fid_mr *mr;
	int ret;

	*out = NULL;
	if (!access || !len)
		return 0;
	mr_lock_exclusive(d);
	ret = fi_mr_reg(d->domain, buf, len, access, 0, new_key(d), 0, &mr, d);
	fab_mr_unlock(d);
	if (ret) {
		log_warn("registering %zu bytes at %p failed on NIC %s: %s (%d); with ENOMEM look at "
			 "`ulimit -l`, it must be unlimited",
			 len, buf, d->nic->name, fi_strerror(-ret), ret);
		return fab_errno(ret);
	}
	*out = (struct fab_mr *)mr;
	return 0;
}

int fab_mr_reg_gpu(struct fab_domain *d, const struct accel_mem *m, void *buf, size_t len, int fd, uint64_t offset,
		   struct fab_mr **out)
{
	struct iovec iov = {.iov_base = buf, .iov_len = len};
	struct mr_dmabuf dmabuf = {.fd = fd,
				   .offset = offset,
				   .len = len,
				   .base_addr = (void *)((uintptr_t)buf - offset)};
	struct mr_attr a = {.attr = {.mr_iov = fd >= 0 ? (const void *)&dmabuf : &iov,
				     .iov_count = 1,
				     .access = access_of(d),
				     .requested_key = new_key(d),
				     .context = d,
				     .iface = FI_HMEM_CUDA,
				     .device.cuda = m->gpu}};
	struct fid_mr *mr;
	int ret;

	*out = NULL;
	if (fd >= 0 && *fab_dmabuf_why()) {
		log_warn("a dma-buf can't be registered: %s; NCCL_DMABUF_ENABLE=0 does without", fab_dmabuf_why());
		return -EOPNOTSUPP;
	}
	if (!len)
		return 0;
	mr_lock_exclusive(d);
	ret = fi_mr_regattr(d->domain, &a.attr, fd >= 0 ? MR_DMABUF : 0, &mr);
	fab_mr_unlock(d);
	if (ret) {
		log_warn(
			"registering %zu bytes at %p of GPU %d%s failed on NIC %s of provider %s: %s (%d); WEFT_GDR=off does "
			"without",
			len, buf, m->gpu, fd >= 0 ? " by a dma-buf" : "", d->nic->name, d->nic->provider,
			fi_strerror(-ret), ret);
		return fab_errno(ret);
	}
	*out = (struct fab_mr *)mr;
	return 0;
}

void fab_mr_close(struct fab_mr *mr)
{
	struct fid *fid = (struct fid *)mr;
	struct fab_domain *d = mr ? fid->context : NULL;

	if (!mr)
		return;
	mr_lock_exclusive(d);
	fi_close(fid);
	fab_mr_unlock(d);
}

void *fab_mr_desc(const struct fab_mr *mr)
{
	return mr ? fi_mr_desc((struct fid_mr *)mr) : NULL;
}

uint64_t fab_mr_remote_addr(const struct fab_domain *d, const void *base, const void *at)
{
	return d->virt_addr ? (uint64_t)(uintptr_t)at : (uint64_t)((const char *)at - (const char *)base);
}

uint64_t fab_mr_key(const struct fab_mr *mr)
{
	return fi_mr_key((struct fid_mr *)mr);
}

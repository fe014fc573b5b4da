/* SPDX-License-Identifier: Apache-2.0 */
/* Domains and memory regions. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include <rdma/fabric.h>
#include <rdma/fi_domain.h>
#include <rdma/fi_eq.h>

#include "base/log.h"
#include "fabric/internal.h"
#include "fabric/provider.h"

int fab_errno(ssize_t fi_ret)
{
	if (fi_ret >= 0)
		return 0;
	return fi_ret > -256 ? (int)fi_ret : -EIO;
}

static int failed(const struct fab_nic *nic, const char *what, int ret)
{
	log_warn("%s failed on NIC %s of provider %s: %s (%d); FI_LOG_LEVEL=warn says more", what,
		 nic->name, nic->provider, fi_strerror(-ret), ret);
	return fab_errno(ret);
}

static void gate_init(struct fab_domain *d)
{
	pthread_rwlockattr_t attr;

	if (fi_version() >= provider_facts(d->nic->provider)->mr_unlocked_below)
		return;
	pthread_rwlockattr_init(&attr);
	pthread_rwlockattr_setkind_np(&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	d->gated = !pthread_rwlock_init(&d->gate, &attr);
	pthread_rwlockattr_destroy(&attr);
}

/* Until fab_gate_leave. */
static void gate_shut(struct fab_domain *d)
{
	if (d->gated)
		pthread_rwlock_wrlock(&d->gate);
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
	ret = fi_fabric(nic->info->fabric_attr, &d->fabric, NULL);
	if (ret) {
		ret = failed(nic, "fi_fabric", ret);
		goto err;
	}
	/* Some providers abort the process when they have an event to report and no queue is bound. */
	if (fi_eq_open(d->fabric, &eq_attr, &d->eq, NULL))
		d->eq = NULL;
	ret = fi_domain(d->fabric, nic->info, &d->domain, NULL);
	if (ret) {
		ret = failed(nic, "fi_domain", ret);
		goto err;
	}
	gate_init(d);
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
	if (d->gated)
		pthread_rwlock_destroy(&d->gate);
	if (d->eq)
		fi_close(&d->eq->fid);
	if (d->fabric)
		fi_close(&d->fabric->fid);
	free(d);
}

/* What a registration is for. 0: the provider wants none. */
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
	gate_shut(d);
	ret = fi_mr_reg(d->domain, buf, len, access, 0, atomic_fetch_add(&d->next_key, 1), 0, &mr, d);
	fab_gate_leave(d);
	if (ret) {
		log_warn("registering %zu bytes at %p failed on NIC %s: %s (%d); with ENOMEM look at "
			 "`ulimit -l`, it must be unlimited",
			 len, buf, d->nic->name, fi_strerror(-ret), ret);
		return fab_errno(ret);
	}
	*out = (struct fab_mr *)mr;
	return 0;
}

const char *fab_dmabuf_why(void)
{
#ifdef HAVE_FI_MR_DMABUF
	static char text[128];

	if (fi_version() >= FI_VERSION(1, 20))
		return "";
	snprintf(text, sizeof(text), "libfabric %s knows no dma-buf, 1.20 and newer do", fab_library_version());
	return text;
#else
	return "this Weft was built with a libfabric older than 1.20, which knows no dma-buf";
#endif
}

int fab_mr_reg_gpu(struct fab_domain *d, const struct accel_mem *m, void *buf, size_t len, int fd, uint64_t offset,
		   struct fab_mr **out)
{
	struct iovec iov = {.iov_base = buf, .iov_len = len};
	struct fi_mr_attr attr = {.mr_iov = &iov,
				  .iov_count = 1,
				  .access = access_of(d),
				  .requested_key = atomic_fetch_add(&d->next_key, 1),
				  .context = d,
				  .iface = FI_HMEM_CUDA,
				  .device.cuda = m->gpu};
	struct fid_mr *mr;
	uint64_t flags = 0;
	int ret;
#ifdef HAVE_FI_MR_DMABUF
	struct fi_mr_dmabuf dmabuf = {
		.fd = fd, .offset = offset, .len = len, .base_addr = (void *)((uintptr_t)buf - offset)};

	if (fd >= 0) {
		attr.dmabuf = &dmabuf;
		flags = FI_MR_DMABUF;
	}
#endif
	(void)offset;
	*out = NULL;
	if (fd >= 0 && *fab_dmabuf_why()) {
		log_warn("a dma-buf can't be registered: %s; NCCL_DMABUF_ENABLE=0 does without", fab_dmabuf_why());
		return -EOPNOTSUPP;
	}
	if (!len)
		return 0;
	gate_shut(d);
	ret = fi_mr_regattr(d->domain, &attr, flags, &mr);
	fab_gate_leave(d);
	if (ret) {
		log_warn("registering %zu bytes at %p of GPU %d%s failed on NIC %s of provider %s: %s (%d); WEFT_GDR=off does "
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
	gate_shut(d);
	fi_close(fid);
	fab_gate_leave(d);
}

void *fab_mr_desc(const struct fab_mr *mr)
{
	return mr ? fi_mr_desc((struct fid_mr *)mr) : NULL;
}

uint64_t fab_mr_remote_addr(const struct fab_domain *d, const void *base, const void *at)
{
	return d->virt_addr ? (uint64_t)(uintptr_t)at
			    : (uint64_t)((const char *)at - (const char *)base);
}

uint64_t fab_mr_key(const struct fab_mr *mr)
{
	return fi_mr_key((struct fid_mr *)mr);
}

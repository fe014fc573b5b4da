/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory: failing registrations and, with FAULT_MR_LOCAL, a provider that requires registered local memory and checks
 * it.
 */
#include <stdio.h>
#include <stdlib.h>

#include "fault.h"

/* One watched registration. Its address is the application's descriptor. */
struct fault_mr {
	struct fi_ops fid_ops;
	struct fi_ops *inner_fid;
	void *inner_desc;
	struct fault_domain *domain;
	const char *base;
	size_t len;
	uint64_t access, key;
	struct fault_mr *next;
};

static struct fault_domain *domain_of(struct fid *fid)
{
	return fault_owner(fault_owner(fid, struct fid_domain, fid)->mr, struct fault_domain, mr);
}

static int mr_close(struct fid *fid)
{
	struct fault_mr *mr = fault_owner(fid->ops, struct fault_mr, fid_ops), **at;
	struct fault_domain *d = mr->domain;
	int ret;

	fid->ops = mr->inner_fid;
	ret = fi_close(fid);
	if (ret) {
		fid->ops = &mr->fid_ops;
		return ret;
	}
	pthread_mutex_lock(&d->lock);
	for (at = &d->mrs; *at != mr; at = &(*at)->next)
		;
	*at = mr->next;
	pthread_mutex_unlock(&d->lock);
	free(mr);
	return 0;
}

static int watch(struct fault_domain *d, struct fid_mr *fid, const void *base, size_t len, uint64_t access)
{
	struct fault_mr *mr;

	if (!fault_setup.mr_local)
		return 0;
	mr = calloc(1, sizeof(*mr));
	if (!mr) {
		fi_close(&fid->fid);
		return -FI_ENOMEM;
	}
	mr->inner_fid = fid->fid.ops;
	mr->fid_ops = *mr->inner_fid;
	mr->fid_ops.close = mr_close;
	mr->inner_desc = fid->mem_desc;
	mr->domain = d;
	mr->base = base;
	mr->len = len;
	mr->access = access;
	mr->key = fid->key;
	fid->fid.ops = &mr->fid_ops;
	fid->mem_desc = mr;
	pthread_mutex_lock(&d->lock);
	mr->next = d->mrs;
	d->mrs = mr;
	pthread_mutex_unlock(&d->lock);
	return 0;
}

int fault_mr_reg(struct fid *fid, const void *buf, size_t len, uint64_t access, uint64_t offset, uint64_t requested_key,
		 uint64_t flags, struct fid_mr **mr, void *context)
{
	struct fault_domain *d = domain_of(fid);
	struct iovec iov = {(void *)buf, len};
	struct fi_mr_attr attr = {.mr_iov = &iov,
				  .iov_count = 1,
				  .access = access,
				  .offset = offset,
				  .requested_key = requested_key,
				  .context = context};
	int ret = fault_fail(CALL_MR_REG);

	if (!ret && fault_setup.hmem)
		ret = fault_hmem_reg(d, fid, &attr, flags, mr, &iov);
	else if (!ret)
		ret = d->inner_mr->reg(fid, buf, len, access, offset, requested_key, flags, mr, context);
	return ret ? ret : watch(d, *mr, buf, len, access);
}

int fault_mr_regv(struct fid *fid, const struct iovec *iov, size_t count, uint64_t access, uint64_t offset,
		  uint64_t requested_key, uint64_t flags, struct fid_mr **mr, void *context)
{
	struct fault_domain *d = domain_of(fid);
	int ret = fault_fail(CALL_MR_REG);

	if (!ret && fault_setup.mr_local && count != 1)
		ret = -FI_ENOSYS; /* only registrations of a single iovec are watched */
	if (!ret)
		ret = d->inner_mr->regv(fid, iov, count, access, offset, requested_key, flags, mr, context);
	return ret ? ret : watch(d, *mr, iov[0].iov_base, iov[0].iov_len, access);
}

int fault_mr_regattr(struct fid *fid, const struct fi_mr_attr *attr, uint64_t flags, struct fid_mr **mr)
{
	struct fault_domain *d = domain_of(fid);
	int ret = fault_fail(CALL_MR_REG);
	struct iovec own = fault_setup.hmem ? (struct iovec){0} : attr->mr_iov[0];

	if (!ret && fault_setup.mr_local && attr->iov_count != 1)
		ret = -FI_ENOSYS;
	if (!ret && fault_setup.hmem)
		ret = fault_hmem_reg(d, fid, attr, flags, mr, &own);
	else if (!ret)
		ret = d->inner_mr->regattr(fid, attr, flags, mr);
	return ret ? ret : watch(d, *mr, own.iov_base, own.iov_len, attr->access);
}

static uint64_t access_needed(enum fault_call call)
{
	switch (call) {
	case CALL_RECV:
	case CALL_TRECV: return FI_RECV;
	case CALL_WRITE: return FI_WRITE;
	case CALL_READ: return FI_READ;
	default: return FI_SEND;
	}
}

/* The fault of a descriptor, or NULL. */
static const char *wrong(struct fault_domain *d, enum fault_call call, const struct iovec *iov, void *desc,
			 void **out_desc)
{
	const char *p = iov->iov_base;
	const struct fault_mr *mr;

	*out_desc = NULL;
	if (!iov->iov_len)
		return NULL;
	if (!desc)
		return "has no descriptor";
	for (mr = d->mrs; mr && mr != desc; mr = mr->next)
		;
	if (!mr)
		return "has a descriptor of no living registration";
	if (p < mr->base || iov->iov_len > mr->len || (size_t)(p - mr->base) > mr->len - iov->iov_len)
		return "has the descriptor of other memory";
	if (!(mr->access & access_needed(call)))
		return "has a descriptor without the access it needs";
	*out_desc = mr->inner_desc;
	return NULL;
}

int fault_mr_check(struct fault_domain *d, enum fault_call call, const struct iovec *iov, void **desc, size_t count,
		   void **out_desc)
{
	const char *what = NULL;
	size_t i;

	pthread_mutex_lock(&d->lock);
	for (i = 0; i < count && !what; i++)
		what = wrong(d, call, &iov[i], desc ? desc[i] : NULL, &out_desc[i]);
	pthread_mutex_unlock(&d->lock);
	if (!what)
		return 0;
	fprintf(stderr, "fault: a post of %zu bytes at %p %s\n", iov[i - 1].iov_len, iov[i - 1].iov_base, what);
	fault_count(COUNT_UNREGISTERED);
	return -FI_EINVAL;
}

const void *fault_mr_base(struct fault_domain *d, uint64_t key)
{
	const struct fault_mr *mr;
	const void *base;

	pthread_mutex_lock(&d->lock);
	for (mr = d->mrs; mr && mr->key != key; mr = mr->next)
		;
	base = mr ? mr->base : NULL;
	pthread_mutex_unlock(&d->lock);
	return base;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Protection domains, memory regions, address handles. A key identifies a slot and the number of its uses. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "softefa.h"

#define SLOT_BITS 18 /* of the 24 bits of a key */

#undef ibv_reg_mr

/* For tests (tests/elastic): the regions of this process that are registered now. */
static atomic_long registered;

SOFT_EXPORT long softefa_registrations(void);

SOFT_EXPORT long softefa_registrations(void)
{
	return atomic_load(&registered);
}

SOFT_EXPORT struct ibv_pd *ibv_alloc_pd(struct ibv_context *context)
{
	struct soft_pd *pd = calloc(1, sizeof(*pd));

	if (pd)
		pd->ibv.context = context;
	return pd ? &pd->ibv : NULL;
}

SOFT_EXPORT int ibv_dealloc_pd(struct ibv_pd *ibv)
{
	struct soft_context *c = soft_context_of(ibv->context);
	bool used = false;
	struct soft_qp *qp;
	uint32_t i;

	pthread_mutex_lock(&c->lock);
	for (i = 0; i < c->mr_room; i++)
		used |= c->mrs[i] && c->mrs[i]->ibv.pd == ibv;
	for (qp = c->qps; qp; qp = qp->next)
		used |= qp->ibv.qp_base.pd == ibv;
	pthread_mutex_unlock(&c->lock);
	if (used)
		return EBUSY;
	free(soft_owner(ibv, struct soft_pd, ibv));
	return 0;
}

/* Puts a region into a free slot and assigns its keys. */
static int mr_enter(struct soft_context *c, struct soft_mr *mr)
{
	static atomic_uint uses;
	struct soft_mr **more;
	uint32_t i, slot, room;

	for (i = 0; i < c->mr_room; i++) {
		slot = (c->mr_next + i) % c->mr_room;
		if (slot && !c->mrs[slot])
			break;
	}
	if (i == c->mr_room) {
		room = c->mr_room ? c->mr_room * 2 : 256;
		if (room > SOFT_MRS)
			return -ENOMEM;
		more = realloc(c->mrs, room * sizeof(*more));
		if (!more)
			return -ENOMEM;
		memset(more + c->mr_room, 0, (room - c->mr_room) * sizeof(*more));
		slot = c->mr_room ? c->mr_room : 1;
		c->mrs = more;
		c->mr_room = room;
	}
	c->mrs[slot] = mr;
	c->mr_next = slot + 1;
	mr->ibv.lkey = (atomic_fetch_add(&uses, 1) & 0x3f) << SLOT_BITS | slot;
	mr->ibv.rkey = mr->ibv.lkey;
	mr->ibv.handle = slot;
	return 0;
}

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ  22
#define MADV_POPULATE_WRITE 23
#endif

static bool may_touch(uintptr_t at, int how)
{
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);

	return !madvise((void *)(at / page * page), page, how);
}

/* True if the device could pin the memory, as far as its ends and a kernel from 5.14 on can show. */
static bool pinnable(void *addr, size_t length, unsigned access)
{
	int how =
		access & (IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE) ? MADV_POPULATE_WRITE : MADV_POPULATE_READ;

	return (may_touch((uintptr_t)addr, how) && may_touch((uintptr_t)addr + length - 1, how)) ||
	       !may_touch((uintptr_t)&soft_setup, how);
}

static struct ibv_mr *mr_new(struct ibv_pd *pd, void *addr, size_t length, uint64_t iova, unsigned access)
{
	struct soft_context *c = soft_context_of(pd->context);
	const unsigned known = IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_READ | IBV_ACCESS_REMOTE_WRITE;
	struct soft_mr *mr;
	int err = 0;

	if (soft_port_refuses(c))
		return NULL;
	/* Flags that the hardware does not support are refused unless marked as optional. */
	if (!length || (access & ~(known | IBV_ACCESS_OPTIONAL_RANGE))) {
		soft_count(c, REG_MR_ERR, 1);
		soft_log("registering %zu bytes with access 0x%x: the device has no such access", length, access);
		errno = length ? EOPNOTSUPP : EINVAL;
		return NULL;
	}
	if (!pinnable(addr, length, access)) {
		soft_count(c, REG_MR_ERR, 1);
		soft_log("registering %zu bytes at %p with access 0x%x: not mapped for that", length, addr, access);
		errno = EFAULT;
		return NULL;
	}
	mr = calloc(1, sizeof(*mr));
	if (!mr)
		return NULL;
	mr->ibv.context = pd->context;
	mr->ibv.pd = pd;
	mr->ibv.addr = addr;
	mr->ibv.length = length;
	mr->iova = iova;
	mr->base = addr;
	mr->access = access;
	pthread_mutex_lock(&c->lock);
	err = mr_enter(c, mr);
	pthread_mutex_unlock(&c->lock);
	if (err) {
		free(mr);
		errno = -err;
		return NULL;
	}
	atomic_fetch_add(&registered, 1);
	return &mr->ibv;
}

SOFT_EXPORT struct ibv_mr *ibv_reg_mr_iova2(struct ibv_pd *pd, void *addr, size_t length, uint64_t iova,
					    unsigned int access)
{
	return mr_new(pd, addr, length, iova, access);
}

SOFT_EXPORT struct ibv_mr *ibv_reg_mr(struct ibv_pd *pd, void *addr, size_t length, int access)
{
	return mr_new(pd, addr, length, (uintptr_t)addr, (unsigned)access);
}

SOFT_EXPORT struct ibv_mr *ibv_reg_dmabuf_mr(struct ibv_pd *pd, uint64_t offset, size_t length, uint64_t iova, int fd,
					     int access)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE), before = offset % page;
	struct soft_mr *mr;
	struct ibv_mr *ibv;
	char *at;

	at = mmap(NULL, before + length, PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t)(offset - before));
	if (at == MAP_FAILED)
		return NULL;
	ibv = mr_new(pd, at + before, length, iova, (unsigned)access);
	if (!ibv) {
		munmap(at, before + length);
		return NULL;
	}
	mr = soft_owner(ibv, struct soft_mr, ibv);
	ibv->addr = (void *)(uintptr_t)iova;
	mr->mapping = at;
	mr->mapping_bytes = before + length;
	return ibv;
}

SOFT_EXPORT int ibv_dereg_mr(struct ibv_mr *ibv)
{
	struct soft_context *c = soft_context_of(ibv->context);
	struct soft_mr *mr = soft_owner(ibv, struct soft_mr, ibv);

	pthread_mutex_lock(&c->lock);
	c->mrs[ibv->handle] = NULL;
	pthread_mutex_unlock(&c->lock);
	if (mr->mapping)
		munmap(mr->mapping, mr->mapping_bytes);
	free(mr);
	atomic_fetch_sub(&registered, 1);
	return 0;
}

SOFT_EXPORT int efadv_query_mr(struct ibv_mr *mr, struct soft_efadv_mr_attr *attr, uint32_t bytes)
{
	(void)mr;
	/* The interconnect to the memory is unknown, as in a virtual machine with one interconnect. */
	memset(attr, 0, bytes < sizeof(*attr) ? bytes : sizeof(*attr));
	return 0;
}

char *soft_mr_resolve(struct soft_context *c, const struct ibv_pd *pd, uint32_t key, uint64_t addr, uint64_t len,
		      unsigned access, const char **out_why)
{
	uint32_t slot = key & ((1u << SLOT_BITS) - 1);
	struct soft_mr *mr = slot < c->mr_room ? c->mrs[slot] : NULL;

	if (!mr || mr->ibv.lkey != key)
		*out_why = "no memory region has this key";
	else if (pd && mr->ibv.pd != pd)
		*out_why = "the memory region belongs to another protection domain";
	else if (addr < mr->iova || len > mr->ibv.length || addr - mr->iova > mr->ibv.length - len)
		*out_why = "the memory region does not cover these bytes";
	else if ((mr->access & access) != access)
		*out_why = "the memory region was not registered for this access";
	else
		return mr->base + (addr - mr->iova);
	return NULL;
}

uint16_t soft_ah_number(struct soft_context *c, const union ibv_gid *gid)
{
	uint16_t i;

	for (i = 0; i < SOFT_AHS; i++)
		if (c->ahs[i].users && !memcmp(&c->ahs[i].gid, gid, sizeof(*gid)))
			return i;
	return SOFT_NO_AH;
}

SOFT_EXPORT struct ibv_ah *ibv_create_ah(struct ibv_pd *pd, struct ibv_ah_attr *attr)
{
	struct soft_context *c = soft_context_of(pd->context);
	struct soft_ah *ah;
	uint16_t i;

	if (soft_port_refuses(c))
		return NULL;
	ah = attr->is_global ? calloc(1, sizeof(*ah)) : NULL;
	if (!ah) {
		errno = attr->is_global ? ENOMEM : EINVAL;
		return NULL;
	}
	ah->ibv.context = pd->context;
	ah->ibv.pd = pd;
	ah->gid = attr->grh.dgid;
	pthread_mutex_lock(&c->lock);
	/* All handles of a GID share a number. */
	i = soft_ah_number(c, &ah->gid);
	if (i == SOFT_NO_AH)
		for (i = 0; i < SOFT_AHS && c->ahs[i].users; i++)
			;
	if (i < SOFT_AHS) {
		c->ahs[i].gid = ah->gid;
		c->ahs[i].users++;
	}
	pthread_mutex_unlock(&c->lock);
	if (i == SOFT_AHS) {
		soft_count(c, CREATE_AH_ERR, 1);
		soft_log("the device has no more than %d address handles", SOFT_AHS);
		free(ah);
		errno = ENOMEM;
		return NULL;
	}
	ah->number = i;
	ah->ibv.handle = i;
	return &ah->ibv;
}

SOFT_EXPORT int ibv_destroy_ah(struct ibv_ah *ibv)
{
	struct soft_context *c = soft_context_of(ibv->context);
	struct soft_ah *ah = soft_owner(ibv, struct soft_ah, ibv);

	pthread_mutex_lock(&c->lock);
	c->ahs[ah->number].users--;
	pthread_mutex_unlock(&c->lock);
	free(ah);
	return 0;
}

SOFT_EXPORT int efadv_query_ah(struct ibv_ah *ibv, struct soft_efadv_ah_attr *attr, uint32_t bytes)
{
	struct soft_efadv_ah_attr full = {.ahn = soft_owner(ibv, struct soft_ah, ibv)->number};

	memcpy(attr, &full, bytes < sizeof(full) ? bytes : sizeof(full));
	return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Registrations of a device; see mr.h. A tree of the C library (tsearch) holds them, sorted by pages. */
#include "dev/mr.h"

#include <errno.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"

static int by_pages(const void *a, const void *b)
{
	const struct dev_mr *x = a, *y = b;

	if (x->base != y->base)
		return x->base < y->base ? -1 : 1;
	if (x->len != y->len)
		return x->len < y->len ? -1 : 1;
	/* The address may have belonged to another GPU, or to the host, before it was freed. */
	if (x->mem.id != y->mem.id)
		return x->mem.id < y->mem.id ? -1 : 1;
	if (x->mem.gpu != y->mem.gpu)
		return x->mem.gpu < y->mem.gpu ? -1 : 1;
	if (x->mem.kind != y->mem.kind)
		return x->mem.kind < y->mem.kind ? -1 : 1;
	return x->dmabuf < y->dmabuf ? -1 : x->dmabuf > y->dmabuf;
}

static void pages(struct dev_mr *out, const void *base, size_t len)
{
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), from = (uintptr_t)base;

	out->base = from / page * page;
	out->len = len ? (from - out->base + len + page - 1) / page * page : 0;
}

static void destroy(struct dev_mr *mr)
{
	int i;

	for (i = 0; i < mr->access->dev->rail_count; i++)
		fab_mr_close(mr->rail[i]);
	free(mr);
}

/* A clear-to-send holds the keys of several rails only if they have 32 bits, as with all known providers. */
static int check_key(const struct dev *d, int rail, const struct fab_mr *mr)
{
	if (d->rail_count == 1 || !d->rails[rail]->rma || !mr || fab_mr_key(mr) <= UINT32_MAX)
		return 0;
	log_warn("the memory keys of provider %s are too long for several NICs in one device: set "
		 "WEFT_PROTOCOL=tagged",
		 d->rails[rail]->provider);
	return -EOVERFLOW;
}

/* Registers with one rail. */
static int reg(struct fab_domain *d, const struct dev_mr *key, int fd, uint64_t offset, struct fab_mr **out)
{
	void *base = (void *)key->base;

	if (key->mem.kind == ACCEL_HOST)
		return fab_mr_reg(d, base, key->len, out);
	return fab_mr_reg_gpu(d, &key->mem, base, key->len, fd, offset, out);
}

/* Registers the memory of `key` without adding it to the tree. */
static int create(const struct dev_mr *key, int fd, uint64_t offset, struct dev_mr **out)
{
	struct dev_mr *mr = malloc(sizeof(*mr));
	const struct dev *d = key->access->dev;
	int i, ret = 0;

	if (!mr)
		return -ENOMEM;
	*mr = *key;
	memset(mr->rail, 0, sizeof(mr->rail));
	for (i = 0; i < d->rail_count && !ret; i++) {
		ret = reg(mr->access->domains[i], mr, fd, offset, &mr->rail[i]);
		if (!ret)
			ret = check_key(d, i, mr->rail[i]);
	}
	if (ret) {
		destroy(mr);
		return ret;
	}
	*out = mr;
	return 0;
}

/* Finds the registration of these pages and adds a user; NULL: none. The caller holds the lock. */
static struct dev_mr *mr_share(const struct dev_mr *key)
{
	struct dev_mr **at = tfind(key, &key->access->mrs, by_pages);

	if (!at)
		return NULL;
	(*at)->refs++;
	return *at;
}

static int get(const struct dev_mr *key, int fd, uint64_t offset, struct dev_mr **out)
{
	struct dev_access *a = key->access;
	struct dev_mr *fresh = NULL;
	int ret;

	pthread_mutex_lock(&a->dev->lock);
	*out = mr_share(key);
	pthread_mutex_unlock(&a->dev->lock);
	if (*out)
		return 0;
	ret = create(key, fd, offset, &fresh);
	if (ret)
		return ret;
	pthread_mutex_lock(&a->dev->lock);
	*out = mr_share(key); /* another thread may have added it meanwhile */
	if (!*out && tsearch(fresh, &a->mrs, by_pages))
		*out = fresh;
	pthread_mutex_unlock(&a->dev->lock);
	if (*out != fresh)
		destroy(fresh);
	return *out ? 0 : -ENOMEM;
}

int dev_mr_get(struct dev_access *a, void *base, size_t len, struct dev_mr **out)
{
	struct dev_mr key = {.access = a, .refs = 1, .mem = {.gpu = -1}};

	pages(&key, base, len);
	return get(&key, -1, 0, out);
}

int dev_mr_get_gpu(struct dev_access *a, const struct accel_mem *m, void *base, size_t len, int fd, uint64_t offset,
		   struct dev_mr **out)
{
	struct dev_mr key = {.access = a, .refs = 1, .mem = *m, .base = (uintptr_t)base, .len = len, .dmabuf = fd >= 0};
	const struct dev *d = a->dev;

	*out = NULL;
	if (!d->gdr.cuda) {
		log_warn("memory of a GPU can't be registered with NIC %s: %s", d->nic->name, d->gdr.cuda_why);
		return -ENOTSUP;
	}
	if (!accel_info()->gpus[m->gpu].gdr) {
		log_warn(
			"memory of GPU %d (%s) can't be registered: the CUDA driver says that it has no GPUDirect RDMA",
			m->gpu, accel_info()->gpus[m->gpu].pci);
		return -ENOTSUP;
	}
	return get(&key, fd, offset, out);
}

void dev_mr_put(struct dev_mr *mr)
{
	struct dev_access *a = mr->access;
	bool last;

	pthread_mutex_lock(&a->dev->lock);
	last = !--mr->refs;
	if (last)
		tdelete(mr, &a->mrs, by_pages);
	pthread_mutex_unlock(&a->dev->lock);
	if (last)
		destroy(mr);
}

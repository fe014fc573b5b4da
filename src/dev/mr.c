/* SPDX-License-Identifier: Apache-2.0 */
/* Registrations of a device; see mr.h. They are kept in a tree of the C library's, by pages. */
#include "dev/mr.h"

#include <errno.h>
#include <search.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"

static int by_pages(const void *a, const void *b)
{
	const struct dev_mr *x = a, *y = b;

	if (x->base != y->base)
		return x->base < y->base ? -1 : 1;
	return x->len < y->len ? -1 : x->len > y->len;
}

static void pages(struct dev_mr *out, const void *base, size_t len)
{
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), from = (uintptr_t)base;

	out->base = from / page * page;
	out->len = len ? (from - out->base + len + page - 1) / page * page : 0;
}

static void destroy(struct dev *d, struct dev_mr *mr)
{
	int i;

	for (i = 0; i < d->rail_count; i++)
		fab_mr_close(mr->rail[i]);
	free(mr);
}

/* A clear-to-send has room for the keys of several rails if they are short, and all known providers' are. */
static int check_key(const struct dev *d, int rail, const struct fab_mr *mr)
{
	if (d->rail_count == 1 || !d->rails[rail]->rma || !mr || fab_mr_key(mr) <= UINT32_MAX)
		return 0;
	log_warn("the memory keys of provider %s are too long for several NICs in one device: set "
		 "WEFT_PROTOCOL=tagged",
		 d->rails[rail]->provider);
	return -EOVERFLOW;
}

/* Registers what `key` says; in nobody's sight yet. */
static int create(struct dev *d, const struct dev_mr *key, struct dev_mr **out)
{
	struct dev_mr *mr = malloc(sizeof(*mr));
	int i, ret = 0;

	if (!mr)
		return -ENOMEM;
	*mr = *key;
	for (i = 0; i < d->rail_count && !ret; i++) {
		ret = fab_mr_reg(d->domains[i], (void *)mr->base, mr->len, &mr->rail[i]);
		if (!ret)
			ret = check_key(d, i, mr->rail[i]);
	}
	if (ret) {
		destroy(d, mr);
		return ret;
	}
	*out = mr;
	return 0;
}

/* One more user of what is known under these pages, if anything is. With the lock held. */
static struct dev_mr *share(struct dev *d, const struct dev_mr *key)
{
	struct dev_mr **at = tfind(key, &d->mrs, by_pages);

	if (!at)
		return NULL;
	(*at)->refs++;
	return *at;
}

int dev_mr_get(struct dev *d, void *base, size_t len, struct dev_mr **out)
{
	struct dev_mr key = {.refs = 1}, *fresh = NULL;
	int ret;

	pages(&key, base, len);
	pthread_mutex_lock(&d->lock);
	*out = share(d, &key);
	pthread_mutex_unlock(&d->lock);
	if (*out)
		return 0;
	ret = create(d, &key, &fresh);
	if (ret)
		return ret;
	pthread_mutex_lock(&d->lock);
	*out = share(d, &key); /* another thread may have been faster */
	if (!*out && tsearch(fresh, &d->mrs, by_pages))
		*out = fresh;
	pthread_mutex_unlock(&d->lock);
	if (*out != fresh)
		destroy(d, fresh);
	return *out ? 0 : -ENOMEM;
}

void dev_mr_put(struct dev *d, struct dev_mr *mr)
{
	bool last;

	pthread_mutex_lock(&d->lock);
	last = !--mr->refs;
	if (last)
		tdelete(mr, &d->mrs, by_pages);
	pthread_mutex_unlock(&d->lock);
	if (last)
		destroy(d, mr);
}

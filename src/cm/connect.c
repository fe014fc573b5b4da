/* SPDX-License-Identifier: Apache-2.0 */
/* Connects in progress: NCCL repeats its call until one is done, or leaves it. */
#include <errno.h>
#include <pthread.h>
#include <stddef.h>
#include <string.h>

#include "base/clock.h"
#include "base/idmap.h"
#include "base/log.h"
#include "base/text.h"
#include "cm/connecting.h"
#include "cm/internal.h"

#define SWEEP_EVERY_US 1000000

/* Connects in progress, by the id kept in the handle. */
static pthread_mutex_t map_lock = PTHREAD_MUTEX_INITIALIZER;
static struct idmap map = {.free_head = IDMAP_SLOTS_MAX};
static int64_t swept_us;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void connect_before_fork(void)
{
	pthread_mutex_lock(&map_lock);
}

static void connect_in_parent(void)
{
	pthread_mutex_unlock(&map_lock);
}

/* The connects in progress and their endpoints belong to the parent. */
static void connect_in_child(void)
{
	pthread_mutex_init(&map_lock, NULL);
	idmap_fini(&map);
	connecting_in_child();
}

static void connect_register_fork(void)
{
	pthread_atfork(connect_before_fork, connect_in_parent, connect_in_child);
}

static int connect_start(struct dev *dev, const struct conf *conf, struct wire_handle *handle, struct connecting **out)
{
	struct connecting *c;
	uint32_t id;
	int ret = connecting_make(dev, conf, handle, &c);

	if (ret)
		return ret;
	pthread_once(&once, connect_register_fork);
	pthread_mutex_lock(&map_lock);
	ret = idmap_add(&map, c, &id);
	pthread_mutex_unlock(&map_lock);
	if (ret) {
		connecting_free(c);
		return ret;
	}
	handle->mark = id;
	*out = c;
	return 0;
}

static int check_handle(const struct dev *dev, const struct wire_handle *handle)
{
	const char *wrong = wire_handle_check(handle);

	if (wrong) {
		log_warn("connect: the handle can't be used: %s", wrong);
		return -EINVAL;
	}
	if (handle->fingerprint != xfer_fingerprint(dev)) {
		log_warn(
			"connect: the listening rank, pid %u, uses another libfabric provider or protocol than %s: set "
			"WEFT_PROVIDER and WEFT_PROTOCOL to the same values on every node",
			handle->pid, dev->nic->provider);
		return -EPROTONOSUPPORT;
	}
	return 0;
}

/* A copied handle may carry a mark, so the mark is valid only in the buffer where it was set, for the same listen. */
static struct connecting *connect_find(const struct wire_handle *handle)
{
	struct connecting *c;

	pthread_mutex_lock(&map_lock);
	c = handle->mark <= UINT32_MAX ? idmap_get(&map, (uint32_t)handle->mark) : NULL;
	if (c && (c->buffer != handle || memcmp(&c->handle, handle, offsetof(struct wire_handle, mark))))
		c = NULL;
	if (c)
		c->busy = true;
	pthread_mutex_unlock(&map_lock);
	return c;
}

static void connect_leave(struct connecting *c)
{
	pthread_mutex_lock(&map_lock);
	c->busy = false;
	c->polled_us = clock_us();
	pthread_mutex_unlock(&map_lock);
}

/* Ends the state machine. Returns its comm, now owned by the caller, or NULL. */
static struct xfer_comm *connect_finish(struct connecting *c, struct wire_handle *handle)
{
	struct xfer_comm *comm = c->comm;

	pthread_mutex_lock(&map_lock);
	idmap_remove(&map, (uint32_t)handle->mark);
	pthread_mutex_unlock(&map_lock);
	handle->mark = 0;
	lifeline_put(c->line);
	return comm;
}

/* Was the connect abandoned: by its owner or, if that is NULL, by its last call before before_us? */
static bool is_abandoned(const struct connecting *c, const void *owner, int64_t before_us)
{
	return !c->busy && (owner ? c->owner == owner : c->polled_us < before_us);
}

/* Removes an abandoned connect from the map and returns it, or NULL. */
static struct connecting *next_abandoned(const void *owner, int64_t before_us)
{
	struct connecting *c = NULL;
	uint32_t i;

	pthread_mutex_lock(&map_lock);
	for (i = 0; i < map.used && !c; i++) {
		c = idmap_at(&map, i);
		if (c && !is_abandoned(c, owner, before_us))
			c = NULL;
		if (c)
			idmap_remove(&map, map.slots[i].generation << IDMAP_SLOT_BITS | i);
	}
	pthread_mutex_unlock(&map_lock);
	return c;
}

static void connect_drop(struct connecting *c)
{
	xfer_ep_lock(c->ep);
	connecting_settle(c);
	xfer_ep_unlock(c->ep);
	lifeline_put(c->line);
	xfer_comm_close(c->comm);
	connecting_free(c);
}

static bool sweep_is_due(int64_t now, int64_t limit)
{
	int64_t every = limit / 4 < SWEEP_EVERY_US ? limit / 4 : SWEEP_EVERY_US;
	bool due;

	pthread_mutex_lock(&map_lock);
	due = map.count && now - swept_us > every;
	if (due)
		swept_us = now;
	pthread_mutex_unlock(&map_lock);
	return due;
}

void connecting_sweep(const struct conf *conf)
{
	int64_t now = clock_us(), limit = cm_patience_us(conf);
	char span[TEXT_DURATION_BYTES];
	struct connecting *c;

	if (!sweep_is_due(now, limit))
		return;
	while ((c = next_abandoned(NULL, now - limit))) {
		log_info("connect: an attempt to reach pid %u that nobody has continued for %s is closed",
			 c->handle.pid, text_duration(limit, span, sizeof(span)));
		connect_drop(c);
	}
}

void cm_connect_own(const struct wire_handle *handle, const void *owner)
{
	struct connecting *c = handle->mark ? connect_find(handle) : NULL;

	if (!c)
		return;
	pthread_mutex_lock(&map_lock);
	c->owner = owner;
	c->busy = false;
	pthread_mutex_unlock(&map_lock);
}

void cm_connect_abandon(const void *owner)
{
	struct connecting *c;

	while ((c = next_abandoned(owner, 0))) {
		log_info("connect: an attempt to reach pid %u is closed: its communicator has ended", c->handle.pid);
		connect_drop(c);
	}
}

int cm_connect(struct dev *dev, const struct conf *conf, struct wire_handle *handle, struct xfer_comm **out)
{
	struct xfer_comm *comm = NULL;
	struct connecting *c;
	bool over;
	int ret;

	*out = NULL;
	ret = check_handle(dev, handle);
	if (ret)
		return ret;
	c = handle->mark ? connect_find(handle) : NULL;
	if (!c)
		ret = connect_start(dev, conf, handle, &c);
	if (ret)
		return ret;
	connecting_sweep(conf);
	xfer_ep_lock(c->ep);
	ret = xfer_ep_poll(c->ep);
	if (!ret)
		ret = connecting_step(c);
	over = ret || connecting_done(c);
	if (ret && c->comm)
		xfer_comm_give_up(c->comm);
	if (over)
		comm = connect_finish(c, handle);
	xfer_ep_unlock(c->ep);
	if (over) {
		if (ret)
			xfer_comm_close(comm);
		else
			*out = comm;
		connecting_free(c);
	} else {
		connect_leave(c);
	}
	return ret;
}

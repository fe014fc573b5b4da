/* SPDX-License-Identifier: Apache-2.0 */
/* Contexts of communicators; see ctx.h. */
#include "nccl/ctx.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/log.h"

struct net_ctx {
	uint64_t comm_id;
	struct net_ctx *next; /* in `open` */
	struct list listens;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* covers the lists of all contexts */
static struct net_ctx *open;

void net_ctx_in_child(void)
{
	pthread_mutex_init(&lock, NULL);
	open = NULL;
}

/* Where the context is in the list, or the list's end. NCCL 2.28.3 uses one that it has closed (init.cc, splitShare). */
static struct net_ctx **place_of(const struct net_ctx *ctx)
{
	struct net_ctx **at = &open;

	while (*at && *at != ctx)
		at = &(*at)->next;
	return at;
}

struct net_ctx *net_ctx_open(uint64_t comm_id)
{
	struct net_ctx *ctx = malloc(sizeof(*ctx));

	if (!ctx)
		return NULL;
	ctx->comm_id = comm_id;
	list_init(&ctx->listens);
	pthread_mutex_lock(&lock);
	ctx->next = open;
	open = ctx;
	pthread_mutex_unlock(&lock);
	return ctx;
}

/* Removes the oldest listener from the context; NULL if there is none. */
static struct net_listen *take(struct net_ctx *ctx)
{
	struct net_listen *l = NULL;

	pthread_mutex_lock(&lock);
	if (!list_empty(&ctx->listens)) {
		l = container_of(ctx->listens.next, struct net_listen, link);
		list_remove(&l->link);
	}
	pthread_mutex_unlock(&lock);
	return l;
}

void net_ctx_close(struct net_ctx *ctx)
{
	struct net_ctx **at;
	struct net_listen *l;
	bool known;

	pthread_mutex_lock(&lock);
	at = place_of(ctx);
	known = *at;
	if (known)
		*at = ctx->next;
	pthread_mutex_unlock(&lock);
	if (!known)
		return;
	while ((l = take(ctx))) {
		log_info("communicator %#" PRIx64 " ended without closing a listener, which is closed now",
			 ctx->comm_id);
		net_listen_close(l);
	}
	free(ctx);
}

int net_listen_open(struct net_ctx *ctx, struct cm_listen *listen, struct net_listen **out)
{
	struct net_listen *l = malloc(sizeof(*l));

	*out = l;
	if (!l) {
		cm_listen_close(listen);
		return -ENOMEM;
	}
	l->listen = listen;
	list_init(&l->link);
	pthread_mutex_lock(&lock);
	if (*place_of(ctx))
		list_append(&ctx->listens, &l->link);
	pthread_mutex_unlock(&lock);
	return 0;
}

void net_listen_close(struct net_listen *l)
{
	if (!l)
		return;
	pthread_mutex_lock(&lock);
	list_remove(&l->link);
	pthread_mutex_unlock(&lock);
	cm_listen_close(l->listen);
	free(l);
}

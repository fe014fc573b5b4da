/* SPDX-License-Identifier: Apache-2.0 */
/* See crew.h. */
#include "crew.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "complain.h"

struct hand {
	struct crew *crew;
	unsigned number;
	pthread_t id;
	crew_job job; /* NULL: none */
	void *arg;
	int result;
};

struct crew {
	unsigned threads;
	bool closing;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct hand hands[CREW_MAX]; /* the first one is the caller */
};

static void *work(void *arg)
{
	struct hand *h = arg;
	struct crew *c = h->crew;

	pthread_mutex_lock(&c->lock);
	for (;;) {
		while (!h->job && !c->closing)
			pthread_cond_wait(&c->changed, &c->lock);
		if (!h->job)
			break;
		pthread_mutex_unlock(&c->lock);
		h->result = h->job(h->arg, h->number);
		pthread_mutex_lock(&c->lock);
		h->job = NULL;
		pthread_cond_broadcast(&c->changed);
	}
	pthread_mutex_unlock(&c->lock);
	return NULL;
}

struct crew *crew_open(unsigned threads)
{
	struct crew *c = calloc(1, sizeof(*c));
	int err = 0;

	if (!c) {
		complain("no memory");
		return NULL;
	}
	pthread_mutex_init(&c->lock, NULL);
	pthread_cond_init(&c->changed, NULL);
	for (c->threads = 1; c->threads < threads; c->threads++) {
		struct hand *h = &c->hands[c->threads];

		h->crew = c;
		h->number = c->threads;
		err = pthread_create(&h->id, NULL, work, h);
		if (err)
			break;
	}
	if (!err)
		return c;
	complain("cannot start thread %u of %u: %s", c->threads, threads, strerror(err));
	crew_close(c);
	return NULL;
}

unsigned crew_size(const struct crew *c)
{
	return c->threads;
}

static void give(struct crew *c, unsigned thread, crew_job job, void *arg)
{
	struct hand *h = &c->hands[thread];

	pthread_mutex_lock(&c->lock);
	h->job = job;
	h->arg = arg;
	pthread_cond_broadcast(&c->changed);
	pthread_mutex_unlock(&c->lock);
}

static int await(struct crew *c, unsigned thread)
{
	struct hand *h = &c->hands[thread];

	pthread_mutex_lock(&c->lock);
	while (h->job)
		pthread_cond_wait(&c->changed, &c->lock);
	pthread_mutex_unlock(&c->lock);
	return h->result;
}

int crew_do(struct crew *c, crew_job job, void *arg)
{
	unsigned t;
	int ret;

	for (t = 1; t < c->threads; t++)
		give(c, t, job, arg);
	ret = job(arg, 0);
	for (t = 1; t < c->threads; t++)
		ret |= await(c, t);
	return ret;
}

int crew_do_in_turn(struct crew *c, crew_job job, void *arg)
{
	int ret = job(arg, 0);
	unsigned t;

	for (t = 1; t < c->threads && !ret; t++) {
		give(c, t, job, arg);
		ret = await(c, t);
	}
	return ret;
}

void crew_close(struct crew *c)
{
	unsigned t;

	if (!c)
		return;
	pthread_mutex_lock(&c->lock);
	c->closing = true;
	pthread_cond_broadcast(&c->changed);
	pthread_mutex_unlock(&c->lock);
	for (t = 1; t < c->threads; t++)
		pthread_join(c->hands[t].id, NULL);
	pthread_cond_destroy(&c->changed);
	pthread_mutex_destroy(&c->lock);
	free(c);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pool of equal objects: a free list over chunks that grow when it runs dry and are given back only by
 * pool_fini. Getting and putting in the steady state touches no allocator. Not thread-safe.
 */
#ifndef WEFT_BASE_POOL_H
#define WEFT_BASE_POOL_H

#include <stddef.h>

struct pool {
	void *free;	    /* first free object; each holds the next one's address in its first word */
	void *chunks;	    /* chunks likewise */
	size_t object_bytes;
	size_t per_chunk;
	size_t in_use;
};

/* object_bytes is rounded up to 16 bytes, objects are 64-byte aligned when it is a multiple of 64. */
void pool_init(struct pool *p, size_t object_bytes, size_t per_chunk);

/* Frees every object, also those in use. */
void pool_fini(struct pool *p);

/* Makes more objects, if there is memory. */
void pool_grow(struct pool *p);

/* An object with undefined content, or NULL when memory has run out. */
static inline void *pool_get(struct pool *p)
{
	void *object;

	if (!p->free)
		pool_grow(p);
	object = p->free;
	if (object) {
		p->free = *(void **)object;
		p->in_use++;
	}
	return object;
}

static inline void pool_put(struct pool *p, void *object)
{
	*(void **)object = p->free;
	p->free = object;
	p->in_use--;
}

#endif

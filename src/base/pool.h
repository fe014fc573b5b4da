/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pool of objects of one size: a free list over chunks. An empty list gets a new chunk; only pool_fini frees chunks.
 * In the steady state, get and put use no allocator. Not thread-safe.
 */
#ifndef WEFT_BASE_POOL_H
#define WEFT_BASE_POOL_H

#include <stddef.h>

struct pool {
	void *free;	     /* first free object; the first word of each is the address of the next */
	void *chunks;	     /* first chunk, linked in the same way */
	size_t object_bytes; /* rounded up to 16 */
	size_t per_chunk;    /* objects of a chunk */
	size_t in_use;	     /* objects handed out */
};

/* Rounds object_bytes up to a multiple of 16. Objects are 64-byte aligned if it is a multiple of 64, else 16-byte. */
void pool_init(struct pool *p, size_t object_bytes, size_t per_chunk);

/* Frees all objects, including those in use. */
void pool_fini(struct pool *p);

/* Adds a chunk of objects if memory is available. */
void pool_grow(struct pool *p);

/* Returns an object with undefined content, or NULL: out of memory. */
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

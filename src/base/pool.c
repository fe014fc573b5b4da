/* SPDX-License-Identifier: Apache-2.0 */
/* Pool of objects of one size; see pool.h. */
#include "base/pool.h"

#include <stdlib.h>
#include <string.h>

#define CHUNK_HEADER 64 /* holds the next chunk's address and keeps objects aligned */

void pool_init(struct pool *p, size_t object_bytes, size_t per_chunk)
{
	memset(p, 0, sizeof(*p));
	p->object_bytes = (object_bytes + 15) & ~(size_t)15;
	p->per_chunk = per_chunk;
}

void pool_fini(struct pool *p)
{
	void *chunk, *next;

	for (chunk = p->chunks; chunk; chunk = next) {
		next = *(void **)chunk;
		free(chunk);
	}
	pool_init(p, p->object_bytes, p->per_chunk);
}

void pool_grow(struct pool *p)
{
	char *chunk;
	size_t i;

	if (posix_memalign((void **)&chunk, 64, CHUNK_HEADER + p->per_chunk * p->object_bytes))
		return;
	*(void **)(void *)chunk = p->chunks;
	p->chunks = chunk;
	for (i = p->per_chunk; i-- > 0;) {
		void *object = chunk + CHUNK_HEADER + i * p->object_bytes;

		*(void **)object = p->free;
		p->free = object;
	}
}

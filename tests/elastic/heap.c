/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The program's malloc, in front of glibc's: counts what the plugin itself has allocated and not freed. libfabric's own
 * leaks (1.17 forgets an info for each endpoint of its tcp provider) would hide Weft's in the count of the whole process.
 */
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "elastic.h"

#if !SANITIZED

enum { BLOCKS = 1 << 16 };

/* glibc's, without a search */
extern void *__libc_malloc(size_t bytes);
extern void *__libc_calloc(size_t n, size_t bytes);
extern void *__libc_realloc(void *block, size_t bytes);
extern void *__libc_memalign(size_t alignment, size_t bytes);
extern void __libc_free(void *block);

/* The plugin must find these. */
#pragma GCC visibility push(default)
extern __typeof(malloc) malloc;
extern __typeof(calloc) calloc;
extern __typeof(realloc) realloc;
extern __typeof(memalign) memalign;
extern __typeof(aligned_alloc) aligned_alloc;
extern __typeof(posix_memalign) posix_memalign;
extern __typeof(free) free;
#pragma GCC visibility pop

/* A hash table of the plugin's blocks: a free place has no address, and one that has been used is GONE. */
#define GONE ((void *)1)

static struct {
	void *at;
	size_t bytes;
} blocks[BLOCKS];

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static uintptr_t from, to; /* the plugin's code */
static long held;

void heap_watch(const void *begin, const void *end)
{
	from = (uintptr_t)begin;
	to = (uintptr_t)end;
}

long heap_held(void)
{
	long bytes;

	pthread_mutex_lock(&lock);
	bytes = held;
	pthread_mutex_unlock(&lock);
	return bytes;
}

static size_t place_of(const void *at)
{
	return ((uintptr_t)at >> 4) * 0x9e3779b9u % BLOCKS;
}

static void *enter(void *at, size_t bytes, const void *caller)
{
	size_t i, n;

	if (!at || (uintptr_t)caller < from || (uintptr_t)caller >= to)
		return at;
	pthread_mutex_lock(&lock);
	for (i = place_of(at), n = 0; n < BLOCKS && blocks[i].at && blocks[i].at != GONE; n++)
		i = (i + 1) % BLOCKS;
	if (n < BLOCKS) {
		blocks[i].at = at;
		blocks[i].bytes = bytes;
		held += (long)bytes;
	}
	pthread_mutex_unlock(&lock);
	return at;
}

static void forget(void *at)
{
	size_t i, n;

	if (!at || !to)
		return;
	pthread_mutex_lock(&lock);
	for (i = place_of(at), n = 0; n < BLOCKS && blocks[i].at && blocks[i].at != at; n++)
		i = (i + 1) % BLOCKS;
	if (n < BLOCKS && blocks[i].at) {
		blocks[i].at = blocks[(i + 1) % BLOCKS].at ? GONE : NULL;
		held -= (long)blocks[i].bytes;
	}
	pthread_mutex_unlock(&lock);
}

void *malloc(size_t bytes)
{
	return enter(__libc_malloc(bytes), bytes, __builtin_return_address(0));
}

void *calloc(size_t n, size_t bytes)
{
	return enter(__libc_calloc(n, bytes), n * bytes, __builtin_return_address(0));
}

void *realloc(void *block, size_t bytes)
{
	forget(block);
	return enter(__libc_realloc(block, bytes), bytes, __builtin_return_address(0));
}

void *memalign(size_t alignment, size_t bytes)
{
	return enter(__libc_memalign(alignment, bytes), bytes, __builtin_return_address(0));
}

void *aligned_alloc(size_t alignment, size_t bytes)
{
	return enter(__libc_memalign(alignment, bytes), bytes, __builtin_return_address(0));
}

int posix_memalign(void **out, size_t alignment, size_t bytes)
{
	void *at = enter(__libc_memalign(alignment, bytes), bytes, __builtin_return_address(0));

	if (at)
		*out = at;
	return at ? 0 : ENOMEM;
}

void free(void *block)
{
	forget(block);
	__libc_free(block);
}

#else

void heap_watch(const void *begin, const void *end)
{
	(void)begin, (void)end;
}

long heap_held(void)
{
	return 0;
}

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* The memory of fake GPUs; see fake.h. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "internal.h"

#define PAGE  65536ul /* page size of a GPU */
#define BLOCK 512ul

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct fake_memory *all;
static uint64_t last_id;
static atomic_ulong counts[FAKE_CUDA_COUNTS];

void fake_lock(void)
{
	pthread_mutex_lock(&lock);
}

void fake_unlock(void)
{
	pthread_mutex_unlock(&lock);
}

void fake_count(enum fake_cuda_count what)
{
	atomic_fetch_add(&counts[what], 1);
}

FAKE_EXPORT unsigned long fake_cuda_count(enum fake_cuda_count what)
{
	return atomic_load(&counts[what]);
}

static char *landed(const struct fake_memory *m, int nic)
{
	return fake_setup.delay ? m->seen + m->room * (size_t)(nic + 1) : m->seen;
}

struct fake_memory *fake_find(const void *p)
{
	struct fake_memory *m;

	for (m = all; m; m = m->next)
		if ((const char *)p >= m->pointer && (const char *)p < m->pointer + m->bytes)
			return m;
	return NULL;
}

/* Each allocation is a mapping of its own, with inaccessible pages between any two. */
FAKE_EXPORT void *fake_cuda_alloc(size_t bytes, int gpu, int managed)
{
	struct fake_memory *m = calloc(1, sizeof(*m));
	char *pages;

	if (!m)
		return NULL;
	m->bytes = bytes;
	m->room = (bytes + PAGE - 1) / PAGE * PAGE;
	m->gpu = gpu;
	m->managed = managed;
	m->fd = memfd_create("fake GPU", MFD_CLOEXEC);
	pages = mmap(NULL, m->room + 2 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (m->fd < 0 || pages == MAP_FAILED || ftruncate(m->fd, (off_t)(m->room * (FAKE_CUDA_NICS + 1))))
		return NULL;
	m->pointer = (char *)(((uintptr_t)pages + PAGE) / PAGE * PAGE);
	m->seen = mmap(NULL, m->room * (FAKE_CUDA_NICS + 1), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, m->fd,
		       0);
	if (m->seen == MAP_FAILED)
		return NULL;
	fake_lock();
	m->id = ++last_id;
	m->next = all;
	all = m;
	fake_unlock();
	return m->pointer;
}

/* The addresses are never used again: every later access is caught. */
FAKE_EXPORT void fake_cuda_free(void *p)
{
	struct fake_memory **at, *m = NULL;

	fake_lock();
	for (at = &all; *at && (*at)->pointer != p; at = &(*at)->next)
		;
	if (*at) {
		m = *at;
		*at = m->next;
	}
	fake_unlock();
	if (!m) {
		fprintf(stderr, "fake cuda: %p is freed and is no allocation\n", p);
		abort();
	}
	munmap(m->seen, m->room * (FAKE_CUDA_NICS + 1));
	close(m->fd);
	free(m);
}

/* The allocation of the bytes at p, which must all lie inside it. Needs the lock. */
static struct fake_memory *must_find(const void *p, size_t bytes)
{
	struct fake_memory *m = fake_find(p);

	if (!m || (size_t)((const char *)p - m->pointer) + bytes > m->bytes) {
		fprintf(stderr, "fake cuda: %zu bytes at %p are not of one allocation\n", bytes, p);
		abort();
	}
	return m;
}

/* Copies the bytes of `from` to the GPU's view and to all NICs but `but`. */
static void spread(struct fake_memory *m, size_t at, const char *from, size_t bytes, int but)
{
	int nic;

	memcpy(m->seen + at, from, bytes);
	for (nic = 0; fake_setup.delay && nic < FAKE_CUDA_NICS; nic++)
		if (m->active >> nic & 1 && nic != but)
			memcpy(landed(m, nic) + at, from, bytes);
}

FAKE_EXPORT void fake_cuda_write(void *p, const void *from, size_t bytes)
{
	struct fake_memory *m;

	if (!bytes)
		return;
	fake_lock();
	m = must_find(p, bytes);
	spread(m, (size_t)((char *)p - m->pointer), from, bytes, -1);
	fake_unlock();
}

FAKE_EXPORT void fake_cuda_read(void *to, const void *p, size_t bytes)
{
	struct fake_memory *m;

	if (!bytes)
		return;
	fake_lock();
	m = must_find(p, bytes);
	memcpy(to, m->seen + ((const char *)p - m->pointer), bytes);
	fake_unlock();
}

FAKE_EXPORT int fake_cuda_is_gpu(const void *p)
{
	int is;

	fake_lock();
	is = fake_find(p) != NULL;
	fake_unlock();
	return is;
}

FAKE_EXPORT void *fake_cuda_dma(int nic, const void *p, size_t bytes)
{
	struct fake_memory *m;
	char *where = NULL;

	fake_lock();
	m = fake_find(p);
	if (m)
		must_find(p, bytes);
	if (m && fake_setup.delay && !(m->active >> nic & 1)) {
		m->active |= 1u << nic;
		memcpy(landed(m, nic), m->seen, m->room);
	}
	if (m)
		where = landed(m, nic) + ((const char *)p - m->pointer);
	fake_unlock();
	return where;
}

/* A landed byte that differs from the GPU's view is newer, because every change of that view is copied to all NICs. */
static void settle(struct fake_memory *m, int nic)
{
	size_t at, i;

	if (!fake_setup.delay || !(m->active >> nic & 1))
		return;
	for (at = 0; at < m->room; at += BLOCK) {
		const char *new = landed(m, nic) + at, *old = m->seen + at;

		if (!memcmp(new, old, BLOCK))
			continue;
		for (i = 0; i < BLOCK; i++)
			if (new[i] != old[i])
				spread(m, at + i, new + i, 1, nic);
	}
}

FAKE_EXPORT void fake_cuda_dma_read(int nic, const void *p)
{
	struct fake_memory *m;

	fake_count(FAKE_CUDA_READS);
	fake_lock();
	m = fake_find(p);
	if (m)
		settle(m, nic);
	fake_unlock();
}

void fake_flush_gpu(int gpu)
{
	struct fake_memory *m;
	int nic;

	fake_lock();
	for (m = all; m; m = m->next)
		for (nic = 0; m->gpu == gpu && nic < FAKE_CUDA_NICS; nic++)
			settle(m, nic);
	fake_unlock();
}

int fake_export(uint64_t p, size_t bytes)
{
	const uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
	struct fake_memory *m;
	int fd = -1;

	fake_lock();
	m = fake_find((void *)(uintptr_t)p);
	if (m && p % page == 0 && bytes % page == 0 && bytes && p - (uintptr_t)m->pointer + bytes <= m->room)
		fd = dup(m->fd);
	fake_unlock();
	return fd;
}

FAKE_EXPORT int fake_cuda_dmabuf(const void *p, size_t bytes)
{
	return fake_export((uintptr_t)p, bytes);
}

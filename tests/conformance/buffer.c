/* SPDX-License-Identifier: Apache-2.0 */
/* The memory functions of drive.h: guarded buffers, patterns, canaries. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "drive.h"
#include "gpu.h"

#define PAGE	    4096ul
#define CANARY_BYTE 0xc3

static void place(struct drive_buf *b, size_t size, unsigned misalign)
{
	b->data = b->map + 2 * PAGE + misalign;
	b->size = size;
	drive_canary(b->data - DRIVE_GUARD_BYTES, DRIVE_GUARD_BYTES);
	drive_canary(b->data + size, DRIVE_GUARD_BYTES);
}

/* Layout: inaccessible page | guard page, misalign | data | guard | fill to a page | inaccessible
 * page */
void drive_buf_open_sparse(struct drive_buf *b, size_t size, unsigned misalign)
{
	size_t inner = PAGE + misalign + size + DRIVE_GUARD_BYTES;

	inner = (inner + PAGE - 1) & ~(PAGE - 1);
	b->map_bytes = inner + 2 * PAGE;
	if (gpu_used()) { /* no CPU access to any of it */
		b->map = gpu_alloc(b->map_bytes);
		check(b->map != NULL, "out of memory");
		place(b, size, misalign);
		return;
	}
	b->map = mmap(NULL, b->map_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	check(b->map != MAP_FAILED, "out of memory");
	check(!mprotect(b->map + PAGE, inner, PROT_READ | PROT_WRITE), "out of memory");
	place(b, size, misalign);
}

void drive_buf_open(struct drive_buf *b, size_t size, unsigned misalign)
{
	drive_buf_open_sparse(b, size, misalign);
	drive_canary(b->data, b->size);
}

void drive_buf_close(struct drive_buf *b)
{
	if (gpu_is(b->map))
		gpu_free(b->map);
	else
		munmap(b->map, b->map_bytes);
	memset(b, 0, sizeof(*b));
}

void drive_buf_check_guards(const struct drive_buf *b, const char *what)
{
	char text[128];

	snprintf(text, sizeof(text), "the bytes before %s", what);
	drive_expect_canary(b->data - DRIVE_GUARD_BYTES, DRIVE_GUARD_BYTES, text);
	snprintf(text, sizeof(text), "the bytes behind %s", what);
	drive_expect_canary(b->data + b->size, DRIVE_GUARD_BYTES, text);
}

/* Word number i of a pattern: unique for each word, offset and key. */
static uint64_t pattern_word(uint64_t key, size_t i)
{
	uint64_t z = (key ^ 0x2545f4914f6cdd1dull) + i * 0x9e3779b97f4a7c15ull;

	z = (z ^ (z >> 29)) * 0xbf58476d1ce4e5b9ull;
	return z ^ (z >> 32);
}

/* A copy of the GPU's view of the data, for the caller to free; NULL for host memory. */
static unsigned char *copy_of(const unsigned char *data, size_t size)
{
	unsigned char *copy;

	if (!gpu_is(data) || !size)
		return NULL;
	copy = malloc(size);
	check(copy != NULL, "out of memory");
	gpu_read(copy, data, size);
	return copy;
}

/* Writes `size` bytes as if from host memory. */
static void put(unsigned char *data, unsigned char *copy, size_t size)
{
	gpu_write(data, copy, size);
	free(copy);
}

void drive_fill(unsigned char *data, size_t size, uint64_t key)
{
	unsigned char *copy = copy_of(data, size);
	size_t i;
	uint64_t w;

	if (copy) {
		drive_fill(copy, size, key);
		put(data, copy, size);
		return;
	}
	for (i = 0; i + 8 <= size; i += 8) {
		w = pattern_word(key, i / 8);
		memcpy(data + i, &w, 8);
	}
	w = pattern_word(key, i / 8);
	memcpy(data + i, &w, size - i);
}

/* Reports the place and number of differing bytes; ends the process. */
static void report_difference(const unsigned char *data, size_t size, uint64_t key, const char *what)
{
	size_t i, bad = 0, first = 0, last = 0;
	uint64_t w = 0;
	unsigned char want;

	for (i = 0; i < size; i++) {
		w = pattern_word(key, i / 8);
		want = (unsigned char)(w >> (8 * (i % 8)));
		if (data[i] == want)
			continue;
		if (!bad++)
			first = i;
		last = i;
	}
	w = pattern_word(key, first / 8);
	check(!bad,
	      "%s: %zu of %zu bytes are wrong, from offset %zu to %zu; the first is 0x%02x instead "
	      "of "
	      "0x%02x",
	      what, bad, size, first, last, data[first], (unsigned)(w >> (8 * (first % 8))) & 0xff);
}

void drive_expect(const unsigned char *data, size_t size, uint64_t key, const char *what)
{
	unsigned char *copy = copy_of(data, size);
	uint64_t w, got;
	size_t i;

	if (copy) {
		drive_expect(copy, size, key, what);
		free(copy);
		return;
	}
	for (i = 0; i + 8 <= size; i += 8) {
		w = pattern_word(key, i / 8);
		memcpy(&got, data + i, 8);
		if (got != w)
			break;
	}
	if (i + 8 <= size) {
		report_difference(data, size, key, what);
		return;
	}
	w = pattern_word(key, i / 8);
	if (memcmp(data + i, &w, size - i))
		report_difference(data, size, key, what);
}

void drive_set(unsigned char *data, int byte, size_t size)
{
	unsigned char *copy = copy_of(data, size);

	memset(copy ? copy : data, byte, size);
	if (copy)
		put(data, copy, size);
}

void drive_canary(unsigned char *data, size_t size)
{
	drive_set(data, CANARY_BYTE, size);
}

size_t drive_canary_broken_at(const unsigned char *data, size_t size)
{
	unsigned char *copy = copy_of(data, size);
	size_t i;

	if (copy) {
		i = drive_canary_broken_at(copy, size);
		free(copy);
		return i;
	}

	if (!size || (data[0] == CANARY_BYTE && !memcmp(data, data + 1, size - 1)))
		return size;
	for (i = 0; data[i] == CANARY_BYTE; i++)
		;
	return i;
}

void drive_expect_canary(const unsigned char *data, size_t size, const char *what)
{
	unsigned char *copy = copy_of(data, size);
	size_t at = drive_canary_broken_at(copy ? copy : data, size);

	check(at == size, "%s changed at offset %zu of %zu: 0x%02x", what, at, size,
	      at < size ? (copy ? copy : data)[at] : 0);
	free(copy);
}

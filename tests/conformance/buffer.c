/* SPDX-License-Identifier: Apache-2.0 */
/* The memory part of drive.h: guarded buffers, patterns, canaries. */
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "drive.h"

#define PAGE        4096ul
#define CANARY_BYTE 0xc3

/* Layout: inaccessible page | guard page, misalign | data | guard | fill to a page | inaccessible
 * page */
void drive_buf_open(struct drive_buf *b, size_t size, unsigned misalign)
{
	size_t inner = PAGE + misalign + size + DRIVE_GUARD_BYTES;

	inner = (inner + PAGE - 1) & ~(PAGE - 1);
	b->map_bytes = inner + 2 * PAGE;
	b->map = mmap(NULL, b->map_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	check(b->map != MAP_FAILED, "out of memory");
	check(!mprotect(b->map + PAGE, inner, PROT_READ | PROT_WRITE), "out of memory");
	b->data = b->map + 2 * PAGE + misalign;
	b->size = size;
	drive_canary(b->data - DRIVE_GUARD_BYTES, size + 2 * DRIVE_GUARD_BYTES);
}

void drive_buf_close(struct drive_buf *b)
{
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

/* Word number i of a pattern: no two words, offsets or keys look alike. */
static uint64_t pattern_word(uint64_t key, size_t i)
{
	uint64_t z = (key ^ 0x2545f4914f6cdd1dull) + i * 0x9e3779b97f4a7c15ull;

	z = (z ^ (z >> 29)) * 0xbf58476d1ce4e5b9ull;
	return z ^ (z >> 32);
}

void drive_fill(unsigned char *data, size_t size, uint64_t key)
{
	size_t i;
	uint64_t w;

	for (i = 0; i + 8 <= size; i += 8) {
		w = pattern_word(key, i / 8);
		memcpy(data + i, &w, 8);
	}
	w = pattern_word(key, i / 8);
	memcpy(data + i, &w, size - i);
}

/* Says where the bytes differ and how many do; ends the process. */
static void report_difference(const unsigned char *data, size_t size, uint64_t key,
			      const char *what)
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
	uint64_t w, got;
	size_t i;

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

void drive_canary(unsigned char *data, size_t size)
{
	memset(data, CANARY_BYTE, size);
}

size_t drive_canary_broken_at(const unsigned char *data, size_t size)
{
	size_t i;

	if (!size || (data[0] == CANARY_BYTE && !memcmp(data, data + 1, size - 1)))
		return size;
	for (i = 0; data[i] == CANARY_BYTE; i++)
		;
	return i;
}

void drive_expect_canary(const unsigned char *data, size_t size, const char *what)
{
	size_t at = drive_canary_broken_at(data, size);

	check(at == size, "%s changed at offset %zu of %zu: 0x%02x", what, at, size,
	      at < size ? data[at] : 0);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "guarded.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

enum { PATTERN = 0x5a };

int guarded_open(struct guarded *g, size_t bytes, size_t offset_bytes)
{
	size_t map_bytes = bytes + offset_bytes + 2 * GUARD_BYTES;
	void *map = mmap(NULL, map_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (map == MAP_FAILED)
		return -ENOMEM;
	g->map = map;
	g->map_bytes = map_bytes;
	g->data = (char *)map + GUARD_BYTES + offset_bytes;
	g->bytes = bytes;
	memset(g->data, 0, bytes);
	memset((char *)g->data - GUARD_BYTES, PATTERN, GUARD_BYTES);
	memset((char *)g->data + bytes, PATTERN, GUARD_BYTES);
	return 0;
}

void guarded_close(struct guarded *g)
{
	if (g->map)
		munmap(g->map, g->map_bytes);
	memset(g, 0, sizeof(*g));
}

static int64_t check_strip(uint8_t *strip)
{
	int64_t changed = 0;

	for (int i = 0; i < GUARD_BYTES; i++) {
		changed += strip[i] != PATTERN;
		strip[i] = PATTERN;
	}
	return changed;
}

int64_t guarded_check(struct guarded *g)
{
	return check_strip((uint8_t *)g->data - GUARD_BYTES) + check_strip((uint8_t *)g->data + g->bytes);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

#include "observe/table.h"

#define CHUNK_BYTES 65536
#define ITEMS_MAX   65536 /* of one table */

void *table_add(struct table_items *items)
{
	if (items->count == items->room) {
		size_t room = items->room ? 2 * items->room : 16;
		void *more = reallocarray(items->data, room, items->item_bytes);

		if (!more)
			return NULL;
		items->data = more;
		items->room = room;
	}
	return (char *)items->data + items->count++ * items->item_bytes;
}

int table_pread(int fd, void *to, size_t n, uint64_t offset)
{
	return pread(fd, to, n, (off_t)offset) == (ssize_t)n ? 0 : -EIO;
}

/* The first entry from `at` on that does not lie in a hole of the file. Most of a record is holes. */
static uint64_t skip_hole(int fd, const struct weft_stats_table *t, uint64_t at)
{
	uint64_t here = t->offset + at * t->entry_bytes;
	off_t data = lseek(fd, (off_t)here, SEEK_DATA);

	if (data < 0)
		return errno == ENXIO ? t->entries : at;
	return (uint64_t)data > here ? at + ((uint64_t)data - here) / t->entry_bytes : at;
}

/* Keeps a copy of the entry if it is in use and did not change meanwhile. */
static int keep_entry(int fd, const struct weft_stats_table *t, size_t bytes, uint64_t index, const char *entry,
		      struct table_items *items)
{
	uint64_t generation, again;
	char *item;

	memcpy(&generation, entry, sizeof(generation));
	if (!generation || generation & 1)
		return 0;
	if (table_pread(fd, &again, sizeof(again), t->offset + index * t->entry_bytes))
		return -EIO;
	if (again != generation)
		return 0;
	item = items->count < ITEMS_MAX ? table_add(items) : NULL;
	if (!item)
		return items->count < ITEMS_MAX ? -ENOMEM : -EFBIG;
	memcpy(item, &index, sizeof(index));
	memcpy(item + sizeof(index), entry, bytes);
	return 0;
}

int table_read(int fd, const struct weft_stats_table *t, size_t bytes, struct table_items *items)
{
	uint64_t at = 0, n, i, each = t->entry_bytes <= CHUNK_BYTES ? CHUNK_BYTES / t->entry_bytes : 0;
	char *chunk;
	int rc = 0;

	items->item_bytes = sizeof(uint64_t) + bytes;
	if (!each)
		return -EFBIG;
	chunk = malloc(CHUNK_BYTES);
	if (!chunk)
		return -ENOMEM;
	while (!rc && (at = skip_hole(fd, t, at)) < t->entries) {
		n = t->entries - at < each ? t->entries - at : each;
		rc = table_pread(fd, chunk, n * t->entry_bytes, t->offset + at * t->entry_bytes);
		for (i = 0; !rc && i < n; i++)
			rc = keep_entry(fd, t, bytes, at + i, chunk + i * t->entry_bytes, items);
		at += n;
	}
	free(chunk);
	return rc;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Reading the tables of a record from its file. Nothing in the file is trusted. */
#ifndef WEFT_OBSERVE_TABLE_H
#define WEFT_OBSERVE_TABLE_H

#include <stddef.h>
#include <stdint.h>

#include <weft/stats.h>

/* A growing array of items of item_bytes. */
struct table_items {
	void *data;
	size_t item_bytes, count, room;
};

/* Room for one more item at the end, or NULL: out of memory. */
void *table_add(struct table_items *items);

/*
 * Reads the entries in use: `items` gets the index (8 bytes) and the first `bytes` bytes of each. An entry that
 * changes while it is read is left out. 0, -EIO (the file was truncated), -EFBIG (entries or their number beyond
 * any use) or -ENOMEM.
 */
int table_read(int fd, const struct weft_stats_table *t, size_t bytes, struct table_items *items);

/* pread of exactly n bytes: 0 or -EIO. */
int table_pread(int fd, void *to, size_t n, uint64_t offset);

#endif

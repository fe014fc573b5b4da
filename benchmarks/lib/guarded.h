/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Host memory with a watched strip on either side, to find who writes outside. Not a sanitizer: it
 * notices afterwards, but whoever wrote, a NIC included.
 */
#ifndef WEFT_BENCH_GUARDED_H
#define WEFT_BENCH_GUARDED_H

#include <stddef.h>
#include <stdint.h>

enum { GUARD_BYTES = 4096 };

struct guarded {
	void *data; /* page-aligned plus offset_bytes; NULL when not open */
	size_t bytes;
	void *map;
	size_t map_bytes;
};

/*
 * The strips touch the data. offset_bytes shifts it off its page boundary. All pages are present
 * afterwards, and zero. 0 or -ENOMEM.
 */
int guarded_open(struct guarded *g, size_t bytes, size_t offset_bytes);

/* Accepts one that is all zero. */
void guarded_close(struct guarded *g);

/* Number of bytes of the strips that changed since the last call; repairs them. */
int64_t guarded_check(struct guarded *g);

#endif

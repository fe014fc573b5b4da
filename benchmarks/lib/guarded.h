/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Host memory with a guard strip on either side, which detects writes outside of the memory. Unlike a sanitizer, it detects
 * them afterwards only, but it detects writes by NICs, too.
 */
#ifndef WEFT_BENCH_GUARDED_H
#define WEFT_BENCH_GUARDED_H

#include <stddef.h>
#include <stdint.h>

enum { GUARD_BYTES = 4096 };

struct guarded {
	void *data; /* offset_bytes behind a page boundary; NULL when not open */
	size_t bytes;
	void *map;
	size_t map_bytes;
};

/*
 * Allocates the memory; the strips adjoin the data. The data begins offset_bytes behind a page boundary. All pages are
 * present and zero afterwards. 0 or -ENOMEM.
 */
int guarded_open(struct guarded *g, size_t bytes, size_t offset_bytes);

/* Frees the memory. Accepts a struct that is all zero. */
void guarded_close(struct guarded *g);

/* Returns the number of guard bytes that have changed since the last call, and restores them. */
int64_t guarded_check(struct guarded *g);

#endif

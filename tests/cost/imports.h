/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Counts the calls that a loaded shared object makes into others, by name: each entry of its procedure linkage
 * table is led over a counter. Calls through pointers (libfabric's operations, a logger) are not seen.
 */
#ifndef WEFT_TESTS_IMPORTS_H
#define WEFT_TESTS_IMPORTS_H

#include <stddef.h>
#include <stdint.h>

struct import {
	const char *name;
	uint64_t calls;
};

/* Of a handle from dlopen(RTLD_NOW). How many imports there are, or -1 where this machine's code is not known. */
int imports_watch(void *dl, struct import **out);

#endif

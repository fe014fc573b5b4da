/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Replaces local functions of a loaded library: their first bytes become a jump. x86-64 only; call before any thread
 * starts.
 */
#ifndef WEFT_TESTS_PATCH_H
#define WEFT_TESTS_PATCH_H

struct patch {
	const char *name; /* as in the library's symbol table */
	void (*to)(void); /* called with the arguments of the original */
};

/*
 * Replaces every function in `patches` (up to one without a name), and every other function whose name begins with
 * "cuda" and a capital letter by one that prints the name on stderr and returns `unsupported`. `dl` is a result of
 * dlopen. Returns the number of functions replaced, or -1 after one line on stderr.
 */
int patch_library(void *dl, const struct patch *patches, int unsupported);

#endif

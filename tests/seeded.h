/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What libraries that make faults in other people's programs (tests/fault, tests/softefa) have in common: settings
 * from the environment, and dice from a seed. Header only: such a library has nothing of another room in it.
 */
#ifndef WEFT_TESTS_SEEDED_H
#define WEFT_TESTS_SEEDED_H

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

/* The variable PREFIX NAME, or NULL when it is unset or empty. */
static inline const char *seeded_get(const char *prefix, const char *name)
{
	char full[64];
	const char *value;

	snprintf(full, sizeof(full), "%s%s", prefix, name);
	value = getenv(full);
	return value && *value ? value : NULL;
}

/* True if all of text up to `end` is a decimal number. */
static inline bool seeded_number(const char *text, const char *end, uint64_t *out)
{
	char *stop;

	if (*text < '0' || *text > '9')
		return false;
	errno = 0;
	*out = strtoull(text, &stop, 10);
	return !errno && stop == end;
}

/* splitmix64's finish */
static inline uint64_t seeded_mix(uint64_t z)
{
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
	return z ^ (z >> 31);
}

/* Roll k of a stream: less than `below`. */
static inline uint64_t seeded_roll(uint64_t stream, uint64_t k, uint64_t below)
{
	return seeded_mix(stream + k * 0x9e3779b97f4a7c15ull) % below;
}

#endif

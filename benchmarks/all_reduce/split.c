/* SPDX-License-Identifier: Apache-2.0 */
#include "split.h"
#include "options.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* A number from 0, in decimal, or with 0x or 0b, or in base 16 with or without 0x. */
static int read_value(const char *text, int base, int *out)
{
	long v;
	char *end;

	text += strspn(text, " \t");
	if (base == 10 && !strncasecmp(text, "0x", 2))
		base = 16;
	if (base == 10 && !strncasecmp(text, "0b", 2)) {
		base = 2;
		text += 2;
	}
	errno = 0;
	v = strtol(text, &end, base);
	if (end == text || *end || errno || v < 0 || v > INT_MAX)
		return -1;
	*out = (int)v;
	return 0;
}

static int read_rule(const char *text, struct split *out)
{
	static const struct {
		const char *name;
		enum split_how how;
	} names[] = {{"and", SPLIT_AND}, {"or", SPLIT_OR}, {"mod", SPLIT_MOD}, {"div", SPLIT_DIV},
		     {"&", SPLIT_AND},	 {"|", SPLIT_OR},  {"%", SPLIT_MOD},   {"/", SPLIT_DIV}};

	text += strspn(text, " \t");
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		size_t n = strlen(names[i].name);

		if (strncasecmp(text, names[i].name, n))
			continue;
		out->how = names[i].how;
		return read_value(text + n, 10, &out->value);
	}
	return -1;
}

int split_from_env(struct split *out)
{
	const char *mask = getenv("NCCL_TESTS_SPLIT_MASK"), *rule = getenv("NCCL_TESTS_SPLIT");
	int err = 0;

	*out = (struct split){.together = 1};
	if (mask) {
		out->how = SPLIT_AND;
		err = read_value(mask, 16, &out->value);
	} else if (rule) {
		err = read_rule(rule, out);
	}
	if (!err && !((out->how == SPLIT_MOD || out->how == SPLIT_DIV) && !out->value))
		return 0;
	if (mask)
		fprintf(stderr, "%s: NCCL_TESTS_SPLIT_MASK: '%s' is not a hexadecimal number\n", options_program(),
			mask);
	else
		fprintf(stderr,
			"%s: NCCL_TESTS_SPLIT: '%s' is none of AND, OR, MOD or DIV with a number to apply to ranks\n",
			options_program(), rule);
	return -1;
}

int split_color(const struct split *s, int rank)
{
	int process = rank / s->together;

	switch (s->how) {
	case SPLIT_AND: return process & s->value;
	case SPLIT_OR: return process | s->value;
	case SPLIT_MOD: return process % s->value;
	case SPLIT_DIV: return process / s->value;
	default: return 0;
	}
}

static int size_of(const struct split *s, int nranks, int color)
{
	int size = 0;

	for (int r = 0; r < nranks; r++)
		size += split_color(s, r) == color;
	return size;
}

int split_smallest(const struct split *s, int nranks)
{
	int smallest = nranks;

	for (int r = 0; r < nranks; r++) {
		int size = size_of(s, nranks, split_color(s, r));

		smallest = size < smallest ? size : smallest;
	}
	return smallest;
}

int split_largest(const struct split *s, int nranks)
{
	int largest = 0;

	for (int r = 0; r < nranks; r++) {
		int size = size_of(s, nranks, split_color(s, r));

		largest = size > largest ? size : largest;
	}
	return largest;
}

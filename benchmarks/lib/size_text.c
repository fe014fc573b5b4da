/* SPDX-License-Identifier: Apache-2.0 */
#include "size_text.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* Reads one or more digits. Returns the first character after them, or NULL. */
static const char *read_digits(const char *s, int64_t *out)
{
	int64_t v = 0;

	if (!is_digit(*s))
		return NULL;
	for (; is_digit(*s); s++)
		if (__builtin_mul_overflow(v, 10, &v) || __builtin_add_overflow(v, *s - '0', &v))
			return NULL;
	*out = v;
	return s;
}

/* Reads the digits after a decimal point, as a number of bytes: that fraction of `unit`. */
static const char *read_fraction(const char *s, int64_t *out_num, int64_t *out_den)
{
	*out_num = 0;
	*out_den = 1;
	if (!is_digit(*s))
		return NULL;
	for (; is_digit(*s); s++) {
		/* Nine digits resolve a byte of a G; further digits do not change the result. */
		if (*out_den >= 1000000000)
			continue;
		*out_num = *out_num * 10 + (*s - '0');
		*out_den *= 10;
	}
	return s;
}

static int64_t unit_bytes(const char *s)
{
	int64_t unit;

	switch (*s) {
	case '\0': return 1;
	case 'k':
	case 'K': unit = 1 << 10; break;
	case 'm':
	case 'M': unit = 1 << 20; break;
	case 'g':
	case 'G': unit = 1 << 30; break;
	default: return 0;
	}
	s++;
	return !*s || !strcasecmp(s, "b") || !strcasecmp(s, "ib") ? unit : 0;
}

int size_parse(const char *s, int64_t *out_bytes)
{
	int64_t whole, num = 0, den = 1, unit;
	bool fraction = false;

	s = read_digits(s, &whole);
	if (s && *s == '.') {
		fraction = true;
		s = read_fraction(s + 1, &num, &den);
	}
	if (!s)
		return -EINVAL;
	s += strspn(s, " \t");
	unit = unit_bytes(s);
	if (!unit || (fraction && unit == 1) || __builtin_mul_overflow(whole, unit, &whole) ||
	    __builtin_add_overflow(whole, num * unit / den, &whole))
		return -EINVAL;
	*out_bytes = whole;
	return 0;
}

int int_parse(const char *s, int64_t *out)
{
	bool negative = *s == '-';
	int64_t v;

	if (*s == '-' || *s == '+')
		s++;
	s = read_digits(s, &v);
	if (!s || *s)
		return -EINVAL;
	*out = negative ? -v : v;
	return 0;
}

char *size_print(int64_t bytes, char *buf, size_t buf_bytes)
{
	static const char unit[] = "KMG";
	int u = -1;

	while (bytes && bytes % 1024 == 0 && u < 2) {
		bytes /= 1024;
		u++;
	}
	if (u < 0)
		snprintf(buf, buf_bytes, "%" PRId64, bytes);
	else
		snprintf(buf, buf_bytes, "%" PRId64 "%c", bytes, unit[u]);
	return buf;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Parsing and formatting of sizes, times and name patterns; see text.h. */
#include "base/text.h"

#include <ctype.h>
#include <errno.h>
#include <fnmatch.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* Parses digits only (strtoll accepts blanks and signs). *end: the first character after them. */
static int digits(const char *s, int64_t *out, const char **end)
{
	int64_t v = 0;

	if (!isdigit((unsigned char)*s))
		return -EINVAL;
	for (; isdigit((unsigned char)*s); s++)
		if (__builtin_mul_overflow(v, 10, &v) || __builtin_add_overflow(v, *s - '0', &v))
			return -EINVAL;
	*out = v;
	*end = s;
	return 0;
}

int text_to_int(const char *s, int64_t *out)
{
	bool negative = *s == '-';
	const char *end;
	int ret = digits(s + negative, out, &end);

	if (ret || *end)
		return -EINVAL;
	if (negative)
		*out = -*out;
	return 0;
}

struct unit {
	const char *name;
	int64_t factor;
};

static const struct unit byte_units[] = {{"G", 1 << 30}, {"M", 1 << 20}, {"K", 1 << 10}, {"", 1}};

static const struct unit time_units[] = {{"h", 3600000000}, {"m", 60000000}, {"s", 1000000}, {"ms", 1000}, {"us", 1}};

static int with_unit(const char *s, const struct unit *units, size_t n, int64_t plain, int64_t *out)
{
	const char *end;
	int64_t v, factor = 0;
	size_t i;

	if (digits(s, &v, &end))
		return -EINVAL;
	if (!*end)
		factor = plain;
	for (i = 0; i < n && !factor; i++)
		if (!strcasecmp(end, units[i].name))
			factor = units[i].factor;
	if (!factor || __builtin_mul_overflow(v, factor, &v))
		return -EINVAL;
	*out = v;
	return 0;
}

static char *from_unit(int64_t v, const struct unit *units, size_t n, char *buf, size_t buf_bytes)
{
	size_t i = 0;

	while (i < n - 1 && (v < units[i].factor || v % units[i].factor))
		i++;
	snprintf(buf, buf_bytes, "%" PRId64 "%s", v / units[i].factor, units[i].name);
	return buf;
}

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

int text_to_bytes(const char *s, int64_t *out_bytes)
{
	return with_unit(s, byte_units, COUNT(byte_units), 1, out_bytes);
}

int text_to_us(const char *s, int64_t *out_us)
{
	return with_unit(s, time_units, COUNT(time_units), 1000000, out_us);
}

char *text_from_bytes(int64_t bytes, char *buf, size_t buf_bytes)
{
	return from_unit(bytes, byte_units, COUNT(byte_units), buf, buf_bytes);
}

char *text_from_us(int64_t us, char *buf, size_t buf_bytes)
{
	if (!us) {
		snprintf(buf, buf_bytes, "0");
		return buf;
	}
	return from_unit(us, time_units, COUNT(time_units), buf, buf_bytes);
}

char *text_duration(int64_t us, char *buf, size_t buf_bytes)
{
	if (us < 1000000)
		snprintf(buf, buf_bytes, "%" PRId64 " ms", us / 1000);
	else
		snprintf(buf, buf_bytes, "%" PRId64 " s", us / 1000000);
	return buf;
}

int text_to_bool(const char *s, int64_t *out)
{
	static const char *const words[][2] = {{"0", "1"}, {"no", "yes"}, {"off", "on"}, {"false", "true"}};
	size_t i, v;

	for (i = 0; i < COUNT(words); i++)
		for (v = 0; v < 2; v++)
			if (!strcasecmp(s, words[i][v])) {
				*out = (int64_t)v;
				return 0;
			}
	return -EINVAL;
}

void text_append(char *buf, size_t buf_bytes, const char *fmt, ...)
{
	size_t used = strlen(buf);
	va_list args;

	va_start(args, fmt);
	vsnprintf(buf + used, buf_bytes - used, fmt, args);
	va_end(args);
}

static int min3(int a, int b, int c)
{
	int m = a < b ? a : b;

	return m < c ? m : c;
}

static bool same(char a, char b)
{
	return tolower((unsigned char)a) == tolower((unsigned char)b);
}

int text_distance(const char *a, const char *b)
{
	enum { MAX = 64 };
	int d[MAX + 1][MAX + 1];
	size_t la = strnlen(a, MAX), lb = strnlen(b, MAX), i, j;

	for (i = 0; i <= la; i++)
		d[i][0] = (int)i;
	for (j = 0; j <= lb; j++)
		d[0][j] = (int)j;
	for (i = 1; i <= la; i++)
		for (j = 1; j <= lb; j++) {
			int change = d[i - 1][j - 1] + !same(a[i - 1], b[j - 1]);

			d[i][j] = min3(d[i - 1][j] + 1, d[i][j - 1] + 1, change);
			if (i > 1 && j > 1 && same(a[i - 1], b[j - 2]) && same(a[i - 2], b[j - 1]) &&
			    d[i - 2][j - 2] + 1 < d[i][j])
				d[i][j] = d[i - 2][j - 2] + 1;
		}
	return d[la][lb];
}

bool text_next_item(const char **list, char *item, size_t item_bytes)
{
	size_t len = strcspn(*list, ","), blank = strspn(*list, " "), end = len;

	if (!**list)
		return false;
	while (end > blank && (*list)[end - 1] == ' ')
		end--;
	snprintf(item, item_bytes, "%.*s", blank < end ? (int)(end - blank) : 0, *list + blank);
	*list += len;
	*list += **list == ',';
	return true;
}

bool text_in_list(const char *list, const char *name)
{
	bool invert = *list == '^', found = false;
	char item[256];

	if (!*list)
		return false;
	list += invert;
	while (text_next_item(&list, item, sizeof(item)))
		if (!fnmatch(item, name, 0))
			found = true;
	return found != invert;
}

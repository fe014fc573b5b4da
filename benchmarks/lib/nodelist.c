/* SPDX-License-Identifier: Apache-2.0 */
#include "nodelist.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One entry of a list: prefix[ranges]suffix, or only a prefix. */
struct entry {
	const char *prefix, *ranges, *suffix; /* ranges: the text after the bracket, or NULL */
	int prefix_bytes, suffix_bytes;
	size_t bytes;
};

static int parse_entry(const char *text, struct entry *e)
{
	const char *close;

	*e = (struct entry){.prefix = text, .suffix = "", .prefix_bytes = (int)strcspn(text, "[,")};
	e->bytes = (size_t)e->prefix_bytes;
	if (text[e->bytes] == '[') {
		e->ranges = text + e->bytes + 1;
		close = strchr(e->ranges, ']');
		if (!close)
			return -EINVAL;
		e->suffix = close + 1;
		e->suffix_bytes = (int)strcspn(e->suffix, "[,");
		e->bytes = (size_t)(e->suffix - text) + (size_t)e->suffix_bytes;
		/* Nodes numbered in two dimensions are not supported. */
		if (text[e->bytes] == '[')
			return -EINVAL;
	}
	return e->bytes ? 0 : -EINVAL;
}

/* "003-008" or "12"; `width` keeps leading zeros. */
static int parse_range(const char **at, long *first, long *last, int *width)
{
	char *end;

	if (!isdigit((unsigned char)**at))
		return -EINVAL;
	*first = *last = strtol(*at, &end, 10);
	*width = (int)(end - *at);
	if (*end == '-') {
		if (!isdigit((unsigned char)end[1]))
			return -EINVAL;
		*last = strtol(end + 1, &end, 10);
	}
	if (*width > 9 || *last < *first || !strchr(",]", *end) || !*end)
		return -EINVAL;
	*at = end + (*end == ',');
	return 0;
}

static int append(char *buf, size_t buf_bytes, const struct entry *e, const char *digits)
{
	size_t used = strlen(buf);
	int n = snprintf(buf + used, buf_bytes - used, "%s%.*s%s%.*s", used ? "," : "", e->prefix_bytes, e->prefix,
			 digits, e->suffix_bytes, e->suffix);

	return n < 0 || (size_t)n >= buf_bytes - used ? -EINVAL : 0;
}

/* Appends at most `max` hosts of one entry. */
static int append_entry(char *buf, size_t buf_bytes, const struct entry *e, long max)
{
	const char *at = e->ranges;
	char digits[32];
	long first, last;
	int width, err = 0;

	if (!at)
		return append(buf, buf_bytes, e, "");
	do {
		if (parse_range(&at, &first, &last, &width))
			return -EINVAL;
		for (; !err && first <= last && max > 0; first++, max--) {
			snprintf(digits, sizeof(digits), "%0*ld", width, first);
			err = append(buf, buf_bytes, e, digits);
		}
	} while (!err && *at != ']' && max > 0);
	return err;
}

int nodelist_first(const char *list, char *buf, size_t buf_bytes)
{
	struct entry e;

	buf[0] = '\0';
	return parse_entry(list, &e) ? -EINVAL : append_entry(buf, buf_bytes, &e, 1);
}

int nodelist_all(const char *list, char *buf, size_t buf_bytes)
{
	struct entry e;

	buf[0] = '\0';
	do {
		if (parse_entry(list, &e) || append_entry(buf, buf_bytes, &e, 1 << 20))
			return -EINVAL;
		list += e.bytes;
	} while (*list == ',' && *++list);
	return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Parsing and formatting of sizes, times and name patterns. Pure functions. */
#ifndef WEFT_BASE_TEXT_H
#define WEFT_BASE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Parses the whole string as a decimal integer. 0 or -EINVAL (also on overflow). */
int text_to_int(const char *s, int64_t *out);

/* Parses bytes: a decimal integer with an optional K, M or G (powers of 1024, either case). 0 or -EINVAL. */
int text_to_bytes(const char *s, int64_t *out_bytes);

/* Parses a time: a decimal integer with an optional us, ms, s, m or h; default seconds. 0 or -EINVAL. */
int text_to_us(const char *s, int64_t *out_us);

/* Parses 0/1, no/yes, off/on or false/true, in either case. 0 or -EINVAL. */
int text_to_bool(const char *s, int64_t *out);

/* Formats bytes in the shortest form for text_to_bytes: "64K", "1500". Returns buf. */
char *text_from_bytes(int64_t bytes, char *buf, size_t buf_bytes);

/* Formats a time in the shortest form for text_to_us: "2s", "150ms". Returns buf. */
char *text_from_us(int64_t us, char *buf, size_t buf_bytes);

/* Formats a time for messages, in whole seconds or below that in milliseconds: "12 s", "350 ms". Returns buf. */
char *text_duration(int64_t us, char *buf, size_t buf_bytes);
#define TEXT_DURATION_BYTES 24

/* Appends to the text in buf, cut to the size of buf. */
void text_append(char *buf, size_t buf_bytes, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* Edit distance (insert, delete, change, swap of neighbours), ignoring case, of the first 64 characters. */
int text_distance(const char *a, const char *b);

/*
 * Copies the next item of the comma-separated list, without surrounding blanks and cut to item_bytes, and advances
 * *list. False: end of the list.
 */
bool text_next_item(const char **list, char *item, size_t item_bytes);

/*
 * Does `name` match the comma-separated list of shell patterns (surrounding blanks are ignored)? A leading ^
 * inverts the list: it then matches every name that matches none of the patterns. An empty list matches no name.
 */
bool text_in_list(const char *list, const char *name);

#endif

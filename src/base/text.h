/* SPDX-License-Identifier: Apache-2.0 */
/* Text of sizes, times and name patterns, in both directions. Pure functions. */
#ifndef WEFT_BASE_TEXT_H
#define WEFT_BASE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Decimal integer, whole string. 0 or -EINVAL (also on overflow). */
int text_to_int(const char *s, int64_t *out);

/* Bytes: a decimal integer and optionally K, M or G (powers of 1024, either case). 0 or -EINVAL. */
int text_to_bytes(const char *s, int64_t *out_bytes);

/* Time: a decimal integer and optionally us, ms, s, m or h; seconds without. 0 or -EINVAL. */
int text_to_us(const char *s, int64_t *out_us);

/* 0/1, no/yes, off/on, false/true in either case. 0 or -EINVAL. */
int text_to_bool(const char *s, int64_t *out);

/* "64K", "1500": the shortest form text_to_bytes reads back. Returns buf. */
char *text_from_bytes(int64_t bytes, char *buf, size_t buf_bytes);

/* "2s", "150ms": the shortest form text_to_us reads back. Returns buf. */
char *text_from_us(int64_t us, char *buf, size_t buf_bytes);

/* Appends what fits to the text in buf. */
void text_append(char *buf, size_t buf_bytes, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* Edit distance (insert, delete, change, swap of neighbours), in either case; up to 64 characters. */
int text_distance(const char *a, const char *b);

/*
 * Takes the next item from the comma-separated list, without the blanks around it; false at the end. `item` is cut
 * to its size.
 */
bool text_next_item(const char **list, char *item, size_t item_bytes);

/*
 * Does `name` belong to the comma-separated list of shell patterns (blanks around them do not count)? A
 * leading ^ turns the list round: everything that matches none of it. An empty list has no members.
 */
bool text_in_list(const char *list, const char *name);

#endif

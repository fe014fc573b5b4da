/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Numbers in the notation of nccl-tests' command line, parsed strictly. Pure functions. Weft's parameters have other rules
 * (src/base/text.h).
 */
#ifndef WEFT_BENCH_SIZE_TEXT_H
#define WEFT_BENCH_SIZE_TEXT_H

#include <stddef.h>
#include <stdint.h>

/*
 * Parses bytes: a decimal number, blanks, and K, M or G in either case (powers of 1024), optionally followed by B or iB. A
 * fraction needs a unit: "1.5M". The whole string must match. 0 or -EINVAL (also for overflow); *out_bytes is written only
 * on success.
 */
int size_parse(const char *s, int64_t *out_bytes);

/* Parses a decimal integer with an optional sign; the whole string must match; leading zeros are ignored. 0 or -EINVAL. */
int int_parse(const char *s, int64_t *out);

/* Prints the shortest form that size_parse reads back: "64K", "1500". Returns buf. */
char *size_print(int64_t bytes, char *buf, size_t buf_bytes);

#endif

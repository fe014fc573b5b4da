/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Numbers as nccl-tests' command line writes them, read strictly. Pure functions.
 * Not for Weft's own parameters: those have other rules (src/base/text.h).
 */
#ifndef WEFT_BENCH_SIZE_TEXT_H
#define WEFT_BENCH_SIZE_TEXT_H

#include <stddef.h>
#include <stdint.h>

/*
 * Bytes: a decimal number, blanks, and K, M or G in either case (powers of 1024, also with B or iB
 * behind). A fraction needs a unit: "1.5M". The whole string must match. 0 or -EINVAL (also when it
 * does not fit); *out_bytes is only written on success.
 */
int size_parse(const char *s, int64_t *out_bytes);

/* Decimal integer with optional sign, the whole string; leading zeros mean nothing. 0 or -EINVAL.
 */
int int_parse(const char *s, int64_t *out);

/* "64K", "1500": the shortest form size_parse reads back. Returns buf. */
char *size_print(int64_t bytes, char *buf, size_t buf_bytes);

#endif

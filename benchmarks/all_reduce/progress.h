/* SPDX-License-Identifier: Apache-2.0 */
/* Shows progress on a terminal while one size takes long; prints nothing elsewhere. Rank 0 only. */
#ifndef WEFT_ALL_REDUCE_PROGRESS_H
#define WEFT_ALL_REDUCE_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

/* Call it first. `wanted`: this rank prints. */
void progress_init(bool wanted);

/* Reports that step i of n of `what` is about to begin. The line is shown after a second without other output. */
void progress_show(const char *what, int64_t i, int64_t n);

/* Erases the line. Call it before printing anything else. */
void progress_clear(void);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* A sign of life on a terminal while one size takes long; silent everywhere else. Rank 0 only. */
#ifndef WEFT_ALL_REDUCE_PROGRESS_H
#define WEFT_ALL_REDUCE_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

/* Before anything else. `wanted`: this is the rank that prints. */
void progress_init(bool wanted);

/* Step i of n of `what` is about to begin. Shows something once the same line has lasted a second.
 */
void progress_show(const char *what, int64_t i, int64_t n);

/* Takes away what is shown, before anything else is printed. */
void progress_clear(void);

#endif

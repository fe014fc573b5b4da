/* SPDX-License-Identifier: Apache-2.0 */
/* Random numbers that a stranger can't guess. */
#ifndef WEFT_BASE_RANDOM_H
#define WEFT_BASE_RANDOM_H

#include <stddef.h>

/* Fills buf from the kernel's generator or, before it is ready (early boot), from clocks: distinct, but not secret. */
void random_fill(void *buf, size_t bytes);

#endif

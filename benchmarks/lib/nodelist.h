/* SPDX-License-Identifier: Apache-2.0 */
/* Slurm's lists of nodes, such as "gpu[003-008,12],login1". */
#ifndef WEFT_BENCH_NODELIST_H
#define WEFT_BENCH_NODELIST_H

#include <stddef.h>

/* The first host: "gpu003". 0 or -EINVAL (the list is malformed, or the result is longer than buf). */
int nodelist_first(const char *list, char *buf, size_t buf_bytes);

/* All hosts, separated by commas. 0 or -EINVAL. */
int nodelist_all(const char *list, char *buf, size_t buf_bytes);

#endif

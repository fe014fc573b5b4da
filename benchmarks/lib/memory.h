/* SPDX-License-Identifier: Apache-2.0 */
/* The memory that this process may still use, limited by the machine and by its control groups. */
#ifndef WEFT_BENCH_MEMORY_H
#define WEFT_BENCH_MEMORY_H

/* In bytes; 0 if unknown. */
double memory_available(void);

/* The same with other directories in place of /proc and /sys/fs/cgroup. */
double memory_available_in(const char *proc, const char *cgroups);

#endif

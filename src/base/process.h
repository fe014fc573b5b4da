/* SPDX-License-Identifier: Apache-2.0 */
/* What identifies a process beyond its number, which is used again: proc(5). */
#ifndef WEFT_BASE_PROCESS_H
#define WEFT_BASE_PROCESS_H

#include <stdbool.h>
#include <stdint.h>

/* The state letter (may be NULL) and the start time, field 22, from /proc/PID/stat. False: there is no such process. */
bool process_stat(uint64_t pid, char *out_state, uint64_t *out_start);

/* The inode of /proc/self/ns/pid, or 0. */
uint64_t process_namespace(void);

/* The 16 bytes of /proc/sys/kernel/random/boot_id, in order. False: it cannot be read, and out is 0. */
bool process_boot_id(uint64_t out[2]);

/* Has another open of the file locked it, flock(LOCK_EX)? 1, 0, or -1: its file system does not tell. Does not wait. */
int process_lock_held(int fd);

/* ns that the calling thread was ready to run and had no core, and how often it got one. 0: the kernel does not tell. */
void process_core_wait(uint64_t *out_ns, uint64_t *out_runs);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The costs of a section of this thread besides time: instructions in user space, if the machine has a hardware counter and
 * the kernel permits its use; and preemptions, which indicate whether other processes disturbed the section. Start and stop
 * make system calls, so call them outside of the timed section.
 */
#ifndef WEFT_NET_PERF_EFFORT_H
#define WEFT_NET_PERF_EFFORT_H

#include <stdint.h>

struct effort {
	double instructions;  /* < 0: unknown */
	uint64_t preemptions; /* involuntary context switches */
};

/* Opens the instruction counter. 0, or a negative errno if it is unavailable. */
int effort_count_instructions(void);

void effort_start(void);

/* The costs since effort_start. */
struct effort effort_stop(void);

#endif

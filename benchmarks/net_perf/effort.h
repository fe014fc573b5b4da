/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a stretch of this thread took besides time: instructions in user space, by a hardware
 * counter where the machine has one and the kernel permits it; and how often the thread was
 * preempted, which tells whether the machine was quiet. Not inside the timed stretch: start and
 * stop are system calls.
 */
#ifndef WEFT_NET_PERF_EFFORT_H
#define WEFT_NET_PERF_EFFORT_H

#include <stdint.h>

struct effort {
	double instructions;  /* < 0: not known */
	uint64_t preemptions; /* involuntary context switches */
};

/* Asks for the instruction counter. 0, or a negative errno: there is none. */
int effort_count_instructions(void);

void effort_start(void);

/* Since effort_start. */
struct effort effort_stop(void);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * State machine shared by connect and accept. A table holds each state's name, step and permitted next states; one
 * function runs it. Internal to cm.
 */
#ifndef WEFT_CM_FSM_H
#define WEFT_CM_FSM_H

#include <limits.h>
#include <stdint.h>

/* Return value of a step that stays in its state until the next poll. */
#define FSM_STAY INT_MAX

struct fsm_state {
	const char *name;
	/* Returns FSM_STAY, the next state, or a negative errno after logging its cause. */
	int (*step)(void *machine);
	uint32_t next; /* permitted next states, one bit each */
};

/*
 * Runs steps until one stays or fails, or the final state is reached. *state: the current state of `machine`. `what`
 * names the machine in log lines. Returns 0 or the step's error; a transition outside the table is -EPROTO.
 */
int fsm_run(const struct fsm_state *table, int *state, void *machine, const char *what);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The state machine connect and accept share: a table says each state's name, its step and where it may go;
 * one function moves. Inside conn only.
 */
#ifndef WEFT_CONN_STEPS_H
#define WEFT_CONN_STEPS_H

#include <limits.h>
#include <stdint.h>

/* What a step returns to stay where it is until the next poll. */
#define STEP_STAY INT_MAX

struct steps_state {
	const char *name;
	/* Returns STEP_STAY, the next state's number, or a negative errno after logging its cause. */
	int (*step)(void *machine);
	uint32_t next; /* bit s: state s may follow */
};

/*
 * Takes steps until one stays or fails. *state is the machine's; `what` names it in debug lines. Returns 0
 * or the error; a move the table does not allow is -EPROTO.
 */
int steps_run(const struct steps_state *table, int *state, void *machine, const char *what);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* Runs the steps of a state machine. */
#include "cm/fsm.h"

#include <errno.h>

#include "base/log.h"

int fsm_run(const struct fsm_state *table, int *state, void *machine, const char *what)
{
	while (table[*state].step) {
		int next = table[*state].step(machine);

		if (next == FSM_STAY)
			return 0;
		if (next < 0)
			return next;
		if (!(table[*state].next & 1u << next)) {
			log_warn("%s: no way from %s to %s", what, table[*state].name, table[next].name);
			return -EPROTO;
		}
		log_debug("%s %p: %s -> %s", what, machine, table[*state].name, table[next].name);
		*state = next;
	}
	return 0;
}

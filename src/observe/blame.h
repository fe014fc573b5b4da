/* SPDX-License-Identifier: Apache-2.0 */
/* Who waits for whom on this host: only the last one of a chain of waiting processes is to blame. */
#ifndef WEFT_OBSERVE_BLAME_H
#define WEFT_OBSERVE_BLAME_H

#include "observe/view.h"

/*
 * Uses the peer's own record, if it is of this host. Acquits peers that wait for somebody else (CAUSE_BEHIND), unless
 * the chain is a circle, and both sides of a connection that call each other late (CAUSE_BOTH_WAIT). A peer that lives
 * is not gone.
 */
void blame_follow(struct view *v);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One connection whose ends are on two threads that take turns: a window of receives is posted, then a window of sends is
 * posted and completed, then the receives are completed. Neither end waits for the other inside the plugin, so all
 * instructions of a thread belong to its messages.
 */
#ifndef WEFT_SELF_TURNS_H
#define WEFT_SELF_TURNS_H

#include "ends.h"

/* Moves all messages of one connection. The receiving thread is started first, then the sending one. */
void turns(const struct load *l);

#endif

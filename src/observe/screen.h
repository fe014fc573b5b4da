/* SPDX-License-Identifier: Apache-2.0 */
/* weft-top on a terminal. */
#ifndef WEFT_OBSERVE_SCREEN_H
#define WEFT_OBSERVE_SCREEN_H

#include "observe/snapshot.h"

/* Was Weft built with ncurses, and is stdout a terminal that ncurses can use? */
bool screen_usable(void);

/* Shows a new view every `seconds` until q is pressed. 0 or -ENOMEM. */
int screen_run(const struct snapshot_want *want, double seconds);

#endif

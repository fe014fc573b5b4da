/* SPDX-License-Identifier: Apache-2.0 */
/* The processes of a view that have metrics. */
#ifndef WEFT_OBSERVE_SHOWN_H
#define WEFT_OBSERVE_SHOWN_H

#include "observe/view.h"

/*
 * Of processes with the same labels (host, pid, rank, job) one is shown: one that lives before one that has ended, then
 * the newest. Those without open endpoints, which wait for nobody, stand behind the others, beyond view.count.
 */
struct shown {
	struct view view; /* its processes are copies, which point into the view that it was made of */
	size_t closed;
};

/* 0 or -ENOMEM. */
int shown_make(struct shown *s, const struct view *v);
void shown_free(struct shown *s);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* Tests with several ranks on this host. */
#ifndef TESTS_BENCH_PLAY_H
#define TESTS_BENCH_PLAY_H

#include <sys/types.h>

#include "oob.h"

enum { NRANKS = 4, GOOD = 0, WRONG = 9 };

/* The actions of a rank that has met the others. Returns its exit status. */
typedef int (*play)(struct oob *o);

/* Starts NRANKS ranks that play, in a process of its own, because it gets children. Returns that process. */
pid_t play_begin(play act);

/* The same. Returns its exit status. */
int play_start(play act);

#endif

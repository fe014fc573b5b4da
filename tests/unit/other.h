/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Another process for the lifeline tests: a forked child that performs one lifeline operation at a time and reports its
 * result. Not for tests that need libfabric.
 */
#ifndef TESTS_UNIT_OTHER_H
#define TESTS_UNIT_OTHER_H

#include <sys/types.h>

#include "peer/lifeline.h"

enum other_what {
	OTHER_LISTEN, /* answer.addr */
	OTHER_FIND,   /* ask.id; waits until it exists; value: 1 */
	OTHER_DIAL,   /* ask.addr, ask.uuid; waits until it is alive; answer.id; value: the state */
	OTHER_CHECK,  /* value: the state */
	OTHER_PUT,
	OTHER_FORK, /* a child that sleeps for a while; value: its pid */
};

#define OTHER_SECRET 0x5ec7e7ull /* secret of all lifelines to and from the other process */

struct other_ask {
	enum other_what what;
	uint64_t id;
	struct lifeline_addr addr;
	uint8_t uuid[PEER_UUID_BYTES];
};

struct other_answer {
	int64_t value; /* the function's result, or as above */
	uint64_t id;
	struct lifeline_addr addr;
};

struct other {
	pid_t pid; /* 0: none */
	int in, out;
	struct peer_ident ident;
};

void other_start(struct other *o);

/* Makes it perform one operation and waits for the answer; fails the test if none comes. */
struct other_answer other_do(struct other *o, const struct other_ask *ask);

/* Sends SIGKILL and waits until the process is gone. No effect if it is. */
void other_kill(struct other *o);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Another process for the lifeline tests: a forked child that does one thing at a time with the
 * lifeline functions and tells how it went. Not for anything that needs libfabric.
 */
#ifndef TESTS_UNIT_OTHER_H
#define TESTS_UNIT_OTHER_H

#include <sys/types.h>

#include "peer/lifeline.h"

enum other_what {
	OTHER_LISTEN, /* answer.addr */
	OTHER_FIND,   /* ask.id; waits until it is there; value: 1 */
	OTHER_DIAL,   /* ask.addr, ask.uuid; waits until it is alive; answer.id; value: the state */
	OTHER_CHECK,  /* value: the state */
	OTHER_PUT,
	OTHER_FORK, /* a child that does nothing, for a while; value: its pid */
};

struct other_ask {
	enum other_what what;
	uint64_t id;
	struct lifeline_addr addr;
	uint8_t uuid[PEER_UUID_BYTES];
};

struct other_answer {
	int64_t value; /* what the function returned, or as above */
	uint64_t id;
	struct lifeline_addr addr;
};

struct other {
	pid_t pid; /* 0: none */
	int in, out;
	struct peer_ident ident;
};

void other_start(struct other *o);

/* Has it do something and waits for the answer; fails the test when none comes. */
struct other_answer other_do(struct other *o, const struct other_ask *ask);

/* SIGKILL, and waits until it is gone. Harmless when it is. */
void other_kill(struct other *o);

#endif

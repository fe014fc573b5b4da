/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Another process with comms to the test: the test program itself, executed again. It performs one operation at a time
 * and sleeps otherwise, so that only its wakeup thread polls its network.
 */
#ifndef TESTS_UNIT_REMOTE_H
#define TESTS_UNIT_REMOTE_H

#include <sys/types.h>

#include "wire/handle.h"

enum remote_what {
	REMOTE_CONNECT,		/* n comms to `handle`, all on one endpoint */
	REMOTE_CONNECT_THREADS, /* n comms, each on an endpoint of its own */
	REMOTE_LISTEN,		/* answer.handle */
	REMOTE_ACCEPT,		/* one comm */
	REMOTE_RECEIVE,		/* posts a receive of `bytes` on the accepted comm */
	REMOTE_SEND,		/* sends `bytes` on comm n and waits until they are sent */
	REMOTE_POLL,		/* polls the endpoint of comm n a few times */
	REMOTE_BREAK,		/* breaks the endpoint of comm n */
	REMOTE_CLOSE,		/* closes comm n */
};

struct remote_ask {
	enum remote_what what;
	int n;
	size_t bytes;
	struct wire_handle handle;
};

struct remote_answer {
	int value; /* 0 or a negative errno */
	struct wire_handle handle;
};

struct remote {
	pid_t pid; /* 0: none */
	int fd;
};

/* For main: runs the other process's loop, and does not return, if this is the other process. */
void remote_main(int argc, char **argv);

/* Starts the process with the environment's provider and protocol. */
void remote_start(struct remote *r);

/* Makes it perform one operation. The caller may do its part before it waits for the answer. */
void remote_ask(struct remote *r, const struct remote_ask *ask);
struct remote_answer remote_answer(struct remote *r);
/* Asks and waits; the operation must succeed. */
struct remote_answer remote_do(struct remote *r, const struct remote_ask *ask);

/* Sends SIGKILL and waits until the process is gone. No effect if it is. */
void remote_kill(struct remote *r);

#endif

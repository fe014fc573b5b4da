/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The threads of a process. Like NCCL's proxy threads, each owns its comms: it opens them, moves their messages and closes
 * them. The first one is the thread that calls these functions; the others sleep while there is nothing to do.
 */
#ifndef WEFT_NET_PERF_CREW_H
#define WEFT_NET_PERF_CREW_H

#define CREW_MAX 64

struct crew;

/* One thread's part of a job. Returns 0 or -1. */
typedef int (*crew_job)(void *arg, unsigned thread);

/* Starts threads - 1 threads. NULL after a message. */
struct crew *crew_open(unsigned threads);

unsigned crew_size(const struct crew *c);

/* Runs the job on all threads at once; or on one after another, which may then use what belongs to all. 0: all succeeded. */
int crew_do(struct crew *c, crew_job job, void *arg);
int crew_do_in_turn(struct crew *c, crew_job job, void *arg);

/* Ends the threads. Accepts NULL. */
void crew_close(struct crew *c);

#endif

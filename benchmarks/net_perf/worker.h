/* SPDX-License-Identifier: Apache-2.0 */
/* One of the two processes of a pair: sets up its side, then executes the coordinator's orders. */
#ifndef WEFT_NET_PERF_WORKER_H
#define WEFT_NET_PERF_WORKER_H

#include <stdbool.h>

/*
 * Runs a worker and returns its exit status. `control_fd` leads to the coordinator, `peer_fd` to the other process. Between
 * orders the worker sleeps in the kernel, so it does not disturb the pair that is measured.
 */
int worker_main(int control_fd, int peer_fd);

/*
 * Has pair.c started this program as a worker (--worker CONTROL_FD PEER_FD NAME)? Then it runs as one, and *out_status is its
 * exit status. Call it first.
 */
bool worker_ran(int argc, char **argv, int *out_status);

#endif

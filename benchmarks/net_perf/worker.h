/* SPDX-License-Identifier: Apache-2.0 */
/* One of the two processes of a pair: sets its side up, then does what the coordinator orders. */
#ifndef WEFT_NET_PERF_WORKER_H
#define WEFT_NET_PERF_WORKER_H

/*
 * `control_fd` leads to the coordinator, `peer_fd` to the other process. Returns the exit status.
 * While there is no order it sleeps in the kernel, so that it takes nothing from the pair that is
 * measured.
 */
int worker_main(int control_fd, int peer_fd);

#endif

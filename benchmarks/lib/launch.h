/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Starts the ranks of a benchmark as local processes and supervises them until the last one has ended. For ranks on
 * several hosts use mpirun, srun or torchrun (place.h).
 */
#ifndef WEFT_BENCH_LAUNCH_H
#define WEFT_BENCH_LAUNCH_H

#include "place.h"

enum { LAUNCH_MAX_RANKS = 1024 };

/* Exit status of a rank that can't reach another one. If the other one has failed, its status is more specific. */
enum { LAUNCH_STATUS_LOST = 3 };

/*
 * Forks nranks processes. Call it before any thread is started and before a plugin is loaded. In each rank it returns 0
 * with *out filled in.
 *
 * In the calling process it returns 1 when all ranks have ended. *out_status is then the exit status for this process:
 * that of the first rank that failed, preferably one other than LAUNCH_STATUS_LOST; 128 + n for a rank killed by signal n.
 * A rank killed by a signal is named on stderr. When a rank fails, the others get SIGTERM after 5 s, and SIGKILL 2 s
 * later. SIGINT, SIGTERM, SIGHUP and SIGQUIT are forwarded to the ranks. The ranks end with this process, however it ends.
 *
 * -1: the ranks could not be started; one message is on stderr, and no rank is left.
 */
int launch_ranks(int nranks, struct place *out, int *out_status);

/*
 * The same for a process that another launcher has started as rank *p. It becomes `each` ranks, like all other processes
 * of the job. In each rank, *p is the rank's own place.
 */
int launch_in_place(int each, struct place *p, int *out_status);

/*
 * Makes ranks that share a host use loopback, unless the user chose a NIC by WEFT_NICS, FI_TCP_IFACE or FI_NET_IFACE: sets
 * those of these variables and WEFT_PROVIDER that are not set. WEFT_NICS is kept unset if the user chose a provider that
 * does not use IP. Call it before a plugin is loaded. Returns whether it set a variable.
 */
bool launch_keep_local(void);

#endif

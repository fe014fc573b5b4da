/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Starts the ranks of a benchmark as local processes, and looks after them until the last one has
 * ended. Not for ranks on other hosts: mpirun, srun and torchrun start those, see place.h.
 */
#ifndef WEFT_BENCH_LAUNCH_H
#define WEFT_BENCH_LAUNCH_H

#include "place.h"

enum { LAUNCH_MAX_RANKS = 1024 };

/* Of a rank that can't reach another: maybe because that one has failed, whose status then says more. */
enum { LAUNCH_STATUS_LOST = 3 };

/*
 * Forks nranks processes, which all return from this call: 0 in each of them, with *out filled. To
 * be called before any thread is started and before a plugin is loaded.
 *
 * In the process that called, returns 1 when all ranks have ended, with what its exit status should
 * be in *out_status: that of the first rank that failed, rather not LAUNCH_STATUS_LOST; 128 + n if
 * signal n killed one. A rank killed by a signal is named on stderr. When a rank fails, the others
 * have 5 s to end by themselves before they get SIGTERM, and SIGKILL 2 s later. SIGINT, SIGTERM,
 * SIGHUP and SIGQUIT are passed on to the ranks, and no rank outlives this process, however it ends.
 *
 * -1: could not start; one message on stderr, no rank is left.
 */
int launch_ranks(int nranks, struct place *out, int *out_status);

/*
 * The same for a process that another launcher has started at *p, and that is to be `each` ranks instead of one, as all
 * others of the job are. In those *p is their own place.
 */
int launch_in_place(int each, struct place *p, int *out_status);

/*
 * Ranks that share a host stay off its real network unless the user says otherwise: sets WEFT_NICS
 * and WEFT_PROVIDER (where the user chose no other provider than an IP one), FI_TCP_IFACE and
 * FI_NET_IFACE for loopback where they are not set. To be called before a plugin is loaded. Returns
 * whether it set any.
 */
bool launch_keep_local(void);

#endif

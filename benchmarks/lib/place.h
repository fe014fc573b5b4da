/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which rank is this process, and where is rank 0? Read from what mpirun, srun, torchrun and the
 * like put into the environment. Pure functions of the environment; starting processes is
 * launch.h's work.
 */
#ifndef WEFT_BENCH_PLACE_H
#define WEFT_BENCH_PLACE_H

#include <stdbool.h>
#include <stddef.h>

struct place {
	int rank, nranks;
	bool all_local; /* every rank runs on this host */
	char root[256]; /* where rank 0 listens */
	int port;
	int listen_fd;      /* rank 0 of local ranks: a listening socket; else -1 */
	const char *origin; /* who said so, e.g. "Open MPI" */
};

/*
 * 1: found, *out filled. 0: nothing in the environment speaks of ranks. -1: it does, but something
 * is missing or contradictory; one message on stderr names the variable.
 */
int place_from_env(struct place *out);

/*
 * First host of a SLURM node list: "gpu[003-008,12],login1" -> "gpu003". 0 or -EINVAL (malformed,
 * or longer than buf).
 */
int place_first_host(const char *nodelist, char *buf, size_t buf_bytes);

#endif

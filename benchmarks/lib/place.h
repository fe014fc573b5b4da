/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The place of this process in its job: its rank, and the address of rank 0, read from the environment that mpirun, srun,
 * torchrun and similar launchers provide. launch.h starts processes.
 */
#ifndef WEFT_BENCH_PLACE_H
#define WEFT_BENCH_PLACE_H

#include <stdbool.h>
#include <stddef.h>

struct place {
	int rank, nranks;
	bool all_local;	       /* every rank runs on this host */
	char root[4096];       /* candidate hosts of rank 0, separated by commas */
	const char *root_from; /* the environment variable that root is from; NULL: root is certain */
	int port;
	int listen_fd;	    /* rank 0, if all ranks are local: a listening socket; else -1 */
	const char *origin; /* the launcher, e.g. "Open MPI" */
	int launcher;	    /* index of the launcher, for place_root_from_env */
	bool mpi;	    /* started by the launcher of an MPI, which can distribute the address of rank 0 */
};

/*
 * 1: success, *out is filled in. 0: the environment describes no rank. -1: a variable is missing or contradicts another
 * one; one message on stderr names it.
 */
int place_from_env(struct place *out);

/* The two halves of place_from_env: the first fills in all fields except root and port, the second those (0 or -1). */
int place_rank_from_env(struct place *out);
int place_root_from_env(struct place *p);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* For builds --with-mpi: MPI distributes the addresses of rank 0, so MASTER_ADDR is not needed. */
#ifndef WEFT_ALL_REDUCE_PLACE_MPI_H
#define WEFT_ALL_REDUCE_PLACE_MPI_H

#include "place.h"

/*
 * For a process that a launcher has started as p->rank of p->nranks: starts MPI, fills in the rest of *p, and ends MPI
 * again. Rank 0 listens on a port that the kernel chooses. 1: success. 0: this MPI does not support the launcher, and *p
 * is unchanged. -1: failure, after one message on stderr.
 */
int place_mpi_open(struct place *p);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* Built --with-mpi: MPI says which rank this is and carries rank 0's address to the others. */
#ifndef WEFT_ALL_REDUCE_PLACE_MPI_H
#define WEFT_ALL_REDUCE_PLACE_MPI_H

#include "place.h"

/*
 * Starts MPI and fills *out: rank 0 listens on a port of the kernel's choice. 0, or -1 after one
 * message on stderr. For processes that a launcher has started.
 */
int place_mpi_open(struct place *out);

/* Ends MPI; every rank calls it. Does nothing if MPI was not started. */
void place_mpi_close(void);

#endif

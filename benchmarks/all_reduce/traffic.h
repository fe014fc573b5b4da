/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How much each rank sends to each other one in an all-to-all of unequal shares: a matrix from a file, or shares that grow
 * with the distance from rank to rank. nccl-tests' variables NCCL_TESTS_ALLTOALLV_* choose.
 */
#ifndef WEFT_ALL_REDUCE_TRAFFIC_H
#define WEFT_ALL_REDUCE_TRAFFIC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct traffic {
	double spread;	  /* 0: equal shares, 1: in proportion to the distance; without a matrix */
	int ranks;	  /* rows and columns of the matrix; 0: none */
	int64_t *matrix;  /* bytes from the rank of the row to the rank of the column; NULL: none */
	const char *file; /* of the matrix, or NULL */
	bool print;	  /* what each rank sends and receives follows each row */
};

/* Reads the variables and the file. 0, or -1 after one message on stderr. */
int traffic_from_env(struct traffic *out);

/* The bytes that `from` sends to `to`, a multiple of 16. Without a matrix, all ranks together get share_bytes * nranks. */
int64_t traffic_bytes(const struct traffic *t, int nranks, int from, int to, size_t share_bytes);

#endif

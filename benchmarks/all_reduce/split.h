/* SPDX-License-Identifier: Apache-2.0 */
/* nccl-tests' NCCL_TESTS_SPLIT and NCCL_TESTS_SPLIT_MASK: ranks of one colour form a group. Pure but for the environment. */
#ifndef WEFT_ALL_REDUCE_SPLIT_H
#define WEFT_ALL_REDUCE_SPLIT_H

#include <stdbool.h>

enum split_how { SPLIT_NONE, SPLIT_AND, SPLIT_OR, SPLIT_MOD, SPLIT_DIV };

struct split {
	enum split_how how;
	int value;
	int together; /* ranks that nccl-tests has in one process, and which so have one colour; at least 1 */
};

/* Reads the variables. The mask, a hexadecimal number, wins. 0, or -1 after one message on stderr. */
int split_from_env(struct split *out);

/* The group of a rank. */
int split_color(const struct split *s, int rank);

/* The numbers of ranks in the smallest and the largest group of a job of nranks ranks. */
int split_smallest(const struct split *s, int nranks);
int split_largest(const struct split *s, int nranks);

#endif

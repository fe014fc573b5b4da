/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nccl-tests' element types and reductions, on host memory. Arithmetic uses the type of the elements, as on a GPU: integers
 * wrap around, and half and bfloat16 round after every operation (to nearest, ties to even). Pure functions.
 */
#ifndef WEFT_BENCH_TYPES_H
#define WEFT_BENCH_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* In nccl-tests' order for "all". */
enum elem_type {
	TYPE_INT8,
	TYPE_UINT8,
	TYPE_INT32,
	TYPE_UINT32,
	TYPE_INT64,
	TYPE_UINT64,
	TYPE_HALF,
	TYPE_FLOAT,
	TYPE_DOUBLE,
	TYPE_BFLOAT16,
	TYPE_COUNT
};

/* OP_NONE: for collectives that do not reduce; invalid for reduce(). */
enum redop { OP_SUM, OP_PROD, OP_MAX, OP_MIN, OP_AVG, OP_COUNT, OP_NONE = OP_COUNT };

struct type_facts {
	const char *name;
	size_t bytes;
	bool is_signed; /* integers */
	int digits;	/* floats: bits of the significand, including the hidden one; integers: 0 */
	int bias;	/* floats: bias of the exponent */
};

extern const struct type_facts type_facts[TYPE_COUNT];
extern const char *const op_names[OP_COUNT + 1]; /* the last one is the name of OP_NONE */

/* Find a type or an operation by nccl-tests' name (case-sensitive). The value, or -1. */
int type_find(const char *name);
int op_find(const char *name);

/*
 * Converts doubles to elements of a floating type. For half and bfloat16 the doubles must be exact in float; otherwise they
 * are rounded twice.
 */
void elems_from_doubles(enum elem_type type, const double *v, void *out, size_t count);

/* out[i] = a[i] op b[i]. OP_AVG adds; reduce_finish divides. out may be a or b. */
void reduce(enum elem_type type, enum redop op, void *out, const void *a, const void *b, size_t count);

/* The last step, after all nranks contributions have been reduced: OP_AVG divides, other operations do nothing. */
void reduce_finish(enum elem_type type, enum redop op, int nranks, void *data, size_t count);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nccl-tests' element types and reductions, on host memory. Arithmetic in the element's own type,
 * as a GPU would do it: integers wrap around, half and bfloat16 round after every operation (to
 * nearest, ties to even). Pure functions.
 */
#ifndef WEFT_BENCH_TYPES_H
#define WEFT_BENCH_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* In the order in which nccl-tests runs "all". */
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

/* OP_NONE: of what does not reduce; no operation that reduce() can do. */
enum redop { OP_SUM, OP_PROD, OP_MAX, OP_MIN, OP_AVG, OP_COUNT, OP_NONE = OP_COUNT };

struct type_facts {
	const char *name;
	size_t bytes;
	bool is_signed; /* integers */
	int digits;     /* floats: bits of the significand, the hidden one included; integers: 0 */
	int bias;       /* floats: of the exponent */
};

extern const struct type_facts type_facts[TYPE_COUNT];
extern const char *const op_names[OP_COUNT + 1]; /* the last one is OP_NONE's */

/* By nccl-tests' name, in its case. The value, or -1. */
int type_find(const char *name);
int op_find(const char *name);

/*
 * Elements of a floating type from doubles. For half and bfloat16 the doubles must be exact in
 * float, or they would be rounded twice.
 */
void elems_from_doubles(enum elem_type type, const double *v, void *out, size_t count);

/* out[i] = a[i] op b[i]. OP_AVG adds; reduce_finish divides. out may be a or b. */
void reduce(enum elem_type type, enum redop op, void *out, const void *a, const void *b,
	    size_t count);

/* What remains to be done once all of nranks contributions are in: OP_AVG divides, others nothing.
 */
void reduce_finish(enum elem_type type, enum redop op, int nranks, void *data, size_t count);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* The types and their conversions. reduce.c contains the arithmetic on arrays. */
#include "types.h"
#include "small_float.h"

#include <string.h>

const struct type_facts type_facts[TYPE_COUNT] = {
	[TYPE_INT8] = {.name = "int8", .bytes = 1, .is_signed = true},
	[TYPE_UINT8] = {.name = "uint8", .bytes = 1},
	[TYPE_INT32] = {.name = "int32", .bytes = 4, .is_signed = true},
	[TYPE_UINT32] = {.name = "uint32", .bytes = 4},
	[TYPE_INT64] = {.name = "int64", .bytes = 8, .is_signed = true},
	[TYPE_UINT64] = {.name = "uint64", .bytes = 8},
	[TYPE_HALF] = {.name = "half", .bytes = 2, .digits = 11, .bias = 15},
	[TYPE_FLOAT] = {.name = "float", .bytes = 4, .digits = 24, .bias = 127},
	[TYPE_DOUBLE] = {.name = "double", .bytes = 8, .digits = 53, .bias = 1023},
	[TYPE_BFLOAT16] = {.name = "bfloat16", .bytes = 2, .digits = 8, .bias = 127},
};

const char *const op_names[OP_COUNT + 1] = {"sum", "prod", "max", "min", "avg", "none"};

int type_find(const char *name)
{
	for (int t = 0; t < TYPE_COUNT; t++)
		if (!strcmp(name, type_facts[t].name))
			return t;
	return -1;
}

int op_find(const char *name)
{
	for (int o = 0; o < OP_COUNT; o++)
		if (!strcmp(name, op_names[o]))
			return o;
	return -1;
}

void elems_from_doubles(enum elem_type type, const double *v, void *out, size_t count)
{
	uint16_t *h = out;
	float *f = out;

	switch (type) {
	case TYPE_HALF:
		for (size_t i = 0; i < count; i++)
			h[i] = half_from_float((float)v[i]);
		break;
	case TYPE_BFLOAT16:
		for (size_t i = 0; i < count; i++)
			h[i] = bfloat16_from_float((float)v[i]);
		break;
	case TYPE_FLOAT:
		for (size_t i = 0; i < count; i++)
			f[i] = (float)v[i];
		break;
	default: memcpy(out, v, count * sizeof(*v));
	}
}

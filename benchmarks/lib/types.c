/* SPDX-License-Identifier: Apache-2.0 */
/* What the types are and how they convert. The arithmetic on arrays is reduce.c's work. */
#include "types.h"

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

const char *const op_names[OP_COUNT] = {"sum", "prod", "max", "min", "avg"};

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

static uint32_t float_bits(float f)
{
	uint32_t u;

	memcpy(&u, &f, sizeof(u));
	return u;
}

static float bits_float(uint32_t u)
{
	float f;

	memcpy(&f, &u, sizeof(f));
	return f;
}

float half_to_float(uint16_t h)
{
	uint32_t sign = (uint32_t)(h & 0x8000) << 16;
	uint32_t magnitude = (uint32_t)(h & 0x7fff) << 13;

	if ((h & 0x7c00) == 0x7c00) /* infinity, NaN */
		return bits_float(sign | 0x7f800000u | magnitude);
	/* The exponents differ by 112; multiplying instead of adding also serves subnormals. */
	return bits_float(sign | float_bits(bits_float(magnitude) * 0x1p112f));
}

uint16_t half_from_float(float f)
{
	uint32_t u = float_bits(f);
	uint32_t sign = (u >> 16) & 0x8000;
	uint32_t magnitude = u & 0x7fffffff;

	if (magnitude > 0x7f800000)
		return (uint16_t)(sign | 0x7e00); /* NaN */
	if (magnitude >= 0x477ff000)
		return (uint16_t)(sign | 0x7c00); /* rounds to 65536 or more: infinity */
	if (magnitude < 0x38800000)
		/* Below 2^-14: adding 1/2 makes the FPU round at half's last subnormal bit, 2^-24.
		 */
		return (uint16_t)(sign | (float_bits(bits_float(magnitude) + 0.5f) - 0x3f000000));
	magnitude += 0xfff + ((magnitude >> 13) & 1);
	return (uint16_t)(sign | ((magnitude - (112u << 23)) >> 13));
}

float bfloat16_to_float(uint16_t b)
{
	return bits_float((uint32_t)b << 16);
}

uint16_t bfloat16_from_float(float f)
{
	uint32_t u = float_bits(f);

	if ((u & 0x7fffffff) > 0x7f800000)
		return (uint16_t)((u >> 16) | 0x40); /* stays a NaN */
	return (uint16_t)((u + 0x7fff + ((u >> 16) & 1)) >> 16);
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

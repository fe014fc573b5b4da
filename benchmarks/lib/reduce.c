/* SPDX-License-Identifier: Apache-2.0 */
/* The reductions of types.h. One macro per family of types contains the loops that the compiler vectorises. */
#include "types.h"
#include "small_float.h"

#if defined(__GNUC__) && !defined(__clang__)
/* gcc vectorises very little at -O2, and the arithmetic must not dominate the measurement. */
#pragma GCC optimize("O3")
#endif

#define LOOP(T, expression)                                                                                            \
	for (size_t i = 0; i < count; i++) {                                                                           \
		const T x = a[i], y = b[i];                                                                            \
		out[i] = expression;                                                                                   \
	}

/* U: an unsigned type at least as wide as T in which overflow wraps around. */
#define INTEGER_REDUCTION(name, T, U)                                                                                  \
	static void reduce_##name(enum redop op, T *out, const T *a, const T *b, size_t count)                         \
	{                                                                                                              \
		switch (op) {                                                                                          \
		case OP_AVG:                                                                                           \
		case OP_SUM: LOOP(T, (T)((U)x + (U)y)) break;                                                          \
		case OP_PROD: LOOP(T, (T)((U)x * (U)y)) break;                                                         \
		case OP_MAX: LOOP(T, x > y ? x : y) break;                                                             \
		case OP_MIN: LOOP(T, x < y ? x : y) break;                                                             \
		case OP_COUNT: break;                                                                                  \
		}                                                                                                      \
	}                                                                                                              \
	static void divide_##name(int nranks, T *data, size_t count)                                                   \
	{                                                                                                              \
		for (size_t i = 0; i < count; i++)                                                                     \
			data[i] = (T)(sizeof(T) < sizeof(int) ? data[i] / nranks : data[i] / (T)nranks);               \
	}

/* F: the type of the arithmetic; `from` and `to` convert. */
#define FLOAT_REDUCTION(name, T, F, from, to)                                                                          \
	static void reduce_##name(enum redop op, T *out, const T *a, const T *b, size_t count)                         \
	{                                                                                                              \
		switch (op) {                                                                                          \
		case OP_AVG:                                                                                           \
		case OP_SUM: LOOP(T, to(from(x) + from(y))) break;                                                     \
		case OP_PROD: LOOP(T, to(from(x) * from(y))) break;                                                    \
		case OP_MAX: LOOP(T, from(x) > from(y) ? x : y) break;                                                 \
		case OP_MIN: LOOP(T, from(x) < from(y) ? x : y) break;                                                 \
		case OP_COUNT: break;                                                                                  \
		}                                                                                                      \
	}                                                                                                              \
	static void divide_##name(int nranks, T *data, size_t count)                                                   \
	{                                                                                                              \
		for (size_t i = 0; i < count; i++)                                                                     \
			data[i] = to(from(data[i]) / (F)nranks);                                                       \
	}

INTEGER_REDUCTION(int8, int8_t, uint32_t)
INTEGER_REDUCTION(uint8, uint8_t, uint32_t)
INTEGER_REDUCTION(int32, int32_t, uint32_t)
INTEGER_REDUCTION(uint32, uint32_t, uint32_t)
INTEGER_REDUCTION(int64, int64_t, uint64_t)
INTEGER_REDUCTION(uint64, uint64_t, uint64_t)
FLOAT_REDUCTION(half, uint16_t, float, half_to_float, half_from_float)
FLOAT_REDUCTION(bfloat16, uint16_t, float, bfloat16_to_float, bfloat16_from_float)
FLOAT_REDUCTION(float, float, float, , )
FLOAT_REDUCTION(double, double, double, , )

void reduce(enum elem_type type, enum redop op, void *out, const void *a, const void *b, size_t count)
{
	switch (type) {
	case TYPE_INT8: reduce_int8(op, out, a, b, count); break;
	case TYPE_UINT8: reduce_uint8(op, out, a, b, count); break;
	case TYPE_INT32: reduce_int32(op, out, a, b, count); break;
	case TYPE_UINT32: reduce_uint32(op, out, a, b, count); break;
	case TYPE_INT64: reduce_int64(op, out, a, b, count); break;
	case TYPE_UINT64: reduce_uint64(op, out, a, b, count); break;
	case TYPE_HALF: reduce_half(op, out, a, b, count); break;
	case TYPE_FLOAT: reduce_float(op, out, a, b, count); break;
	case TYPE_DOUBLE: reduce_double(op, out, a, b, count); break;
	case TYPE_BFLOAT16: reduce_bfloat16(op, out, a, b, count); break;
	case TYPE_COUNT: break;
	}
}

void reduce_finish(enum elem_type type, enum redop op, int nranks, void *data, size_t count)
{
	if (op != OP_AVG)
		return;
	switch (type) {
	case TYPE_INT8: divide_int8(nranks, data, count); break;
	case TYPE_UINT8: divide_uint8(nranks, data, count); break;
	case TYPE_INT32: divide_int32(nranks, data, count); break;
	case TYPE_UINT32: divide_uint32(nranks, data, count); break;
	case TYPE_INT64: divide_int64(nranks, data, count); break;
	case TYPE_UINT64: divide_uint64(nranks, data, count); break;
	case TYPE_HALF: divide_half(nranks, data, count); break;
	case TYPE_FLOAT: divide_float(nranks, data, count); break;
	case TYPE_DOUBLE: divide_double(nranks, data, count); break;
	case TYPE_BFLOAT16: divide_bfloat16(nranks, data, count); break;
	case TYPE_COUNT: break;
	}
}

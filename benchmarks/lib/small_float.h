/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Conversions of half and bfloat16 to float and back, in software, so all machines give the same bits. Inline and without
 * branches, because reductions call them for every element.
 *
 * Every half and bfloat16 is a float, so only the conversion from float rounds: to nearest, ties to even.
 */
#ifndef WEFT_BENCH_SMALL_FLOAT_H
#define WEFT_BENCH_SMALL_FLOAT_H

#include <stdint.h>
#include <string.h>

static inline uint32_t float_bits(float f)
{
	uint32_t u;

	memcpy(&u, &f, sizeof(u));
	return u;
}

static inline float bits_float(uint32_t u)
{
	float f;

	memcpy(&f, &u, sizeof(f));
	return f;
}

static inline float half_to_float(uint16_t h)
{
	uint32_t sign = (uint32_t)(h & 0x8000) << 16;
	uint32_t magnitude = (uint32_t)(h & 0x7fff) << 13;
	/* The exponents differ by 112. A multiplication, unlike an addition, also converts subnormals. */
	uint32_t scaled = float_bits(bits_float(magnitude) * 0x1p112f);
	/* Infinity and NaN have all exponent bits set in both formats. */
	uint32_t special = magnitude >= 0x1fu << 23 ? 0x7f800000 : 0;

	return bits_float(sign | scaled | special);
}

static inline uint16_t half_from_float(float f)
{
	uint32_t u = float_bits(f);
	uint32_t sign = (u >> 16) & 0x8000;
	uint32_t magnitude = u & 0x7fffffff;
	/* Below 2^-14, adding 1/2 makes the FPU round at the last bit of half's subnormals, 2^-24. */
	uint32_t tiny = float_bits(bits_float(magnitude) + 0.5f) - 0x3f000000;
	uint32_t rounded = magnitude + 0xfff + ((magnitude >> 13) & 1);
	uint32_t h = magnitude < 0x38800000 ? tiny : (rounded - (112u << 23)) >> 13;

	h = magnitude >= 0x477ff000 ? 0x7c00 : h; /* 65520 and more round to infinity */
	h = magnitude > 0x7f800000 ? 0x7e00 : h;  /* NaN */
	return (uint16_t)(sign | h);
}

static inline float bfloat16_to_float(uint16_t b)
{
	return bits_float((uint32_t)b << 16);
}

static inline uint16_t bfloat16_from_float(float f)
{
	uint32_t u = float_bits(f);
	uint32_t rounded = (u + 0x7fff + ((u >> 16) & 1)) >> 16;
	uint32_t nan = (u >> 16) | 0x40;

	return (uint16_t)((u & 0x7fffffff) > 0x7f800000 ? nan : rounded);
}

#endif

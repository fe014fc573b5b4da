/* SPDX-License-Identifier: Apache-2.0 */
/* Types, reductions and verification data: right, exact in any order, and sensitive to every fault. */
#include "unit/unit.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "guarded.h"
#include "small_float.h"
#include "types.h"
#include "verify.h"

enum { N = 3000 }; /* number of elements, more than two PIECEs of verify.c */

static uint64_t a[N], b[N], want[N];

static void names(void **state)
{
	(void)state;
	assert_int_equal(type_find("int8"), TYPE_INT8);
	assert_int_equal(type_find("bfloat16"), TYPE_BFLOAT16);
	assert_int_equal(type_find("Float"), -1);
	assert_int_equal(type_find(""), -1);
	assert_int_equal(op_find("avg"), OP_AVG);
	assert_int_equal(op_find("mulsum"), -1);
}

/* Computes the value of a small float from its parts, by the definition of the format. */
static double decode(uint16_t bits, int exponent_bits, int fraction_bits)
{
	int bias = (1 << (exponent_bits - 1)) - 1;
	int exponent = (bits >> fraction_bits) & ((1 << exponent_bits) - 1);
	int fraction = bits & ((1 << fraction_bits) - 1);
	double v;

	if (exponent == (1 << exponent_bits) - 1)
		v = fraction ? NAN : INFINITY;
	else if (exponent == 0)
		v = ldexp(fraction, 1 - bias - fraction_bits);
	else
		v = ldexp((1 << fraction_bits) + fraction, exponent - bias - fraction_bits);
	return bits & 0x8000 ? -v : v;
}

static void check_small_float(float (*to)(uint16_t), uint16_t (*from)(float), int exponent_bits, int fraction_bits)
{
	for (uint32_t i = 0; i < 65536; i++) {
		uint16_t bits = (uint16_t)i;
		double v = decode(bits, exponent_bits, fraction_bits);

		if (isnan(v)) {
			assert_true(isnan(to(bits)));
			assert_true(isnan(to(from(to(bits)))));
			continue;
		}
		assert_true((double)to(bits) == v);
		assert_int_equal(from((float)v), bits);
	}
}

/* A value between two neighbours rounds to the nearer one, a value in the middle to the even one. */
static void check_rounding(uint16_t (*from)(float), int exponent_bits, int fraction_bits)
{
	uint16_t infinity = (uint16_t)(((1 << exponent_bits) - 1) << fraction_bits);

	for (uint16_t low = 0; low + 1 < infinity; low++) {
		double v = decode(low, exponent_bits, fraction_bits);
		double w = decode((uint16_t)(low + 1), exponent_bits, fraction_bits);
		float middle = (float)((v + w) / 2);

		if (exponent_bits == 8 && low < 256)
			continue; /* skips bfloat16's subnormals and smallest normals */
		assert_int_equal(from(middle), low + (low & 1));
		assert_int_equal(from(nextafterf(middle, 0)), low);
		assert_int_equal(from(nextafterf(middle, INFINITY)), low + 1);
		assert_int_equal(from(-nextafterf(middle, 0)), low | 0x8000);
	}
	assert_int_equal(from(INFINITY), infinity);
	assert_int_equal(from(-INFINITY), infinity | 0x8000);
}

static void half(void **state)
{
	(void)state;
	check_small_float(half_to_float, half_from_float, 5, 10);
	check_rounding(half_from_float, 5, 10);
	assert_int_equal(half_from_float(65519.9f), 0x7bff);
	assert_int_equal(half_from_float(65520.0f), 0x7c00);
	assert_int_equal(half_from_float(0x1p-25f), 0);
	assert_int_equal(half_from_float(0x1.8p-25f), 1);
}

static void bfloat16(void **state)
{
	(void)state;
	check_small_float(bfloat16_to_float, bfloat16_from_float, 8, 7);
	check_rounding(bfloat16_from_float, 8, 7);
	assert_int_equal(bfloat16_from_float(0x1.ffp127f), 0x7f80);
}

#define CHECK_OPS(type, T, x, y, sum, prod, max, min, avg)                                                             \
	do {                                                                                                           \
		const T in[2] = {x, y}, expected[OP_COUNT] = {sum, prod, max, min, avg};                               \
		for (int op = 0; op < OP_COUNT; op++) {                                                                \
			T out;                                                                                         \
			reduce(type, (enum redop)op, &out, &in[0], &in[1], 1);                                         \
			reduce_finish(type, (enum redop)op, 2, &out, 1);                                               \
			if (out != expected[op])                                                                       \
				fail_msg("%s %s", type_facts[type].name, op_names[op]);                                \
		}                                                                                                      \
	} while (0)

static void reductions(void **state)
{
	(void)state;
	CHECK_OPS(TYPE_INT8, int8_t, 100, 60, -96, 112, 100, 60, -48);
	CHECK_OPS(TYPE_INT8, int8_t, -7, 2, -5, -14, 2, -7, -2);
	CHECK_OPS(TYPE_UINT8, uint8_t, 200, 100, 44, 32, 200, 100, 22);
	CHECK_OPS(TYPE_INT32, int32_t, INT32_MAX, 3, INT32_MIN + 2, INT32_MAX - 2, INT32_MAX, 3, (INT32_MIN + 2) / 2);
	CHECK_OPS(TYPE_UINT32, uint32_t, UINT32_MAX, 3, 2, UINT32_MAX - 2, UINT32_MAX, 3, 1);
	CHECK_OPS(TYPE_INT64, int64_t, INT64_MIN, -1, INT64_MAX, INT64_MIN, -1, INT64_MIN, INT64_MAX / 2);
	CHECK_OPS(TYPE_UINT64, uint64_t, UINT64_MAX, 3, 2, UINT64_MAX - 2, UINT64_MAX, 3, 1);
	CHECK_OPS(TYPE_HALF, uint16_t, 0x4200 /* 3 */, 0xc000 /* -2 */, 0x3c00, 0xc600, 0x4200, 0xc000, 0x3800);
	CHECK_OPS(TYPE_FLOAT, float, 3, -2, 1, -6, 3, -2, 0.5f);
	CHECK_OPS(TYPE_DOUBLE, double, 3, -2, 1, -6, 3, -2, 0.5);
	CHECK_OPS(TYPE_BFLOAT16, uint16_t, 0x4040 /* 3 */, 0xc000 /* -2 */, 0x3f80, 0xc0c0, 0x4040, 0xc000, 0x3f00);
}

static void half_sums_round_each_time(void **state)
{
	/* 2048 + 1 is in the middle between two halves, of which 2048 is even. */
	uint16_t big = 0x6800, one = 0x3c00, out;

	(void)state;
	reduce(TYPE_HALF, OP_SUM, &out, &big, &one, 1);
	assert_int_equal(out, 0x6800);
}

/* Reduces the data of all ranks in the given order: ranks[0], then the others one by one. */
static void reduce_in_order(const struct verify_case *c, const int *ranks, void *out)
{
	verify_fill(c, ranks[0], out, N);
	for (int i = 1; i < c->nranks; i++) {
		verify_fill(c, ranks[i], b, N);
		reduce(c->type, c->op, out, b, out, N);
	}
	reduce_finish(c->type, c->op, c->nranks, out, N);
}

static void shuffle(int *ranks, int n, uint64_t *seed)
{
	for (int i = 0; i < n; i++)
		ranks[i] = i;
	for (int i = n - 1; i > 0; i--) {
		int j = (int)(unit_random(seed) % (uint32_t)(i + 1)), swap = ranks[i];

		ranks[i] = ranks[j];
		ranks[j] = swap;
	}
}

static const int rank_counts[] = {1, 2, 3, 4, 7, 16, 65, 300};

/* Calls `check` for every type, operation and number of ranks. */
static void for_all_cases(void (*check)(const struct verify_case *))
{
	for (int t = 0; t < TYPE_COUNT; t++)
		for (int o = 0; o < OP_COUNT; o++)
			for (size_t i = 0; i < COUNT(rank_counts); i++) {
				struct verify_case c = {(enum elem_type)t, (enum redop)o, 5, rank_counts[i], 0};

				verify_expect(&c, want, N);
				check(&c);
			}
}

static void check_order(const struct verify_case *c)
{
	int ranks[300];
	uint64_t seed = 1;

	for (int i = 0; i < 2; i++) {
		shuffle(ranks, c->nranks, &seed);
		reduce_in_order(c, ranks, a);
		if (memcmp(a, want, N * type_facts[c->type].bytes))
			fail_msg("%s %s of %d ranks depends on the order", type_facts[c->type].name, op_names[c->op],
				 c->nranks);
		assert_int_equal(verify_compare(c, a, want, N), 0);
	}
}

static void results_do_not_depend_on_the_order(void **state)
{
	(void)state;
	for_all_cases(check_order);
}

/* NCCL's way: multiplies each contribution by 1/n, rounds, then adds. */
static void check_scaled_first(const struct verify_case *c)
{
	const struct type_facts *f = &type_facts[c->type];
	float scale = 1.0f / (float)c->nranks;

	if (c->op != OP_AVG || !f->digits)
		return;
	memset(a, 0, sizeof(a));
	for (int r = 0; r < c->nranks; r++) {
		verify_fill(c, r, b, N);
		for (int i = 0; i < N; i++) {
			uint16_t *h = (uint16_t *)b + i;

			if (c->type == TYPE_HALF)
				*h = half_from_float(half_to_float(*h) * half_to_float(half_from_float(scale)));
			else if (c->type == TYPE_BFLOAT16)
				*h = bfloat16_from_float(bfloat16_to_float(*h) *
							 bfloat16_to_float(bfloat16_from_float(scale)));
			else if (c->type == TYPE_FLOAT)
				((float *)b)[i] *= scale;
			else
				((double *)b)[i] *= 1.0 / c->nranks;
		}
		reduce(c->type, OP_SUM, a, a, b, N);
	}
	if (verify_compare(c, a, want, N))
		fail_msg("%s avg of %d ranks: %lld of %d beyond the tolerance", f->name, c->nranks,
			 (long long)verify_compare(c, a, want, N), N);
}

static void averages_may_scale_first(void **state)
{
	(void)state;
	for_all_cases(check_scaled_first);
}

/*
 * Checks that a fault changes at least this share of the N elements. Small types do not show every fault in every element,
 * and the minimum of many ranks rarely is the value with the fault, but some of N elements always show it.
 */
static void must_show(const struct verify_case *c, const char *fault, double share)
{
	int64_t wrong = verify_compare(c, a, want, N);

	if ((double)wrong < share * N)
		fail_msg("%s %s of %d ranks: %s shows in %lld of %d elements only", type_facts[c->type].name,
			 op_names[c->op], c->nranks, fault, (long long)wrong, N);
}

static void check_faults(const struct verify_case *c)
{
	size_t bytes = type_facts[c->type].bytes;
	struct verify_case other = *c;
	int ranks[300];
	uint64_t seed = 2;
	bool minmax = c->op == OP_MIN || c->op == OP_MAX;

	/* With 8 bits and many ranks, the average and the extremes are the same at all elements. */
	if (bytes == 1 && (minmax || c->op == OP_AVG) && c->nranks > 7)
		return;

	verify_poison(c, a, want, N);
	must_show(c, "what nobody wrote", 1.0);

	memcpy(a, (char *)want + bytes, (N - 1) * bytes);
	must_show(c, "a shift by one", 0.8);

	other.seed++;
	verify_expect(&other, a, N);
	must_show(c, "a stale result", 0.8);

	if (c->nranks == 1)
		return;
	shuffle(ranks, c->nranks, &seed);
	ranks[0] = ranks[1];
	reduce_in_order(c, ranks, a);
	/* At each element, one rank determines a minimum, and two ranks determine an average. */
	must_show(c, "one rank twice and another one not at all", minmax || c->op == OP_AVG ? 0.1 / c->nranks : 0.2);
}

static void faults_show(void **state)
{
	(void)state;
	for_all_cases(check_faults);
}

static void a_single_wrong_bit_is_one_wrong_element(void **state)
{
	(void)state;
	for (int t = 0; t < TYPE_COUNT; t++)
		for (int o = 0; o < OP_COUNT; o++) {
			struct verify_case c = {(enum elem_type)t, (enum redop)o, 9, 4, 0};
			size_t bytes = N * type_facts[t].bytes;
			uint8_t *at = (uint8_t *)a;

			verify_expect(&c, want, N);
			memcpy(a, want, bytes);
			at[bytes / 2] ^= 0x08;
			assert_int_equal(verify_compare(&c, a, want, N), 1);
			at[bytes / 2] ^= 0x08;
			at[bytes - 1] ^= 0x80;
			assert_int_equal(verify_compare(&c, a, want, N), 1);
			assert_int_equal(verify_compare(&c, a, want, N - 1), 0);
		}
}

static void float_averages_may_be_two_units_off(void **state)
{
	struct verify_case c = {TYPE_FLOAT, OP_AVG, 1, 3, 0};
	uint32_t *got = (uint32_t *)a;

	(void)state;
	verify_expect(&c, want, 4);
	memcpy(a, want, 16);
	got[0] += 2;
	got[1] -= 2;
	assert_int_equal(verify_compare(&c, a, want, 4), 0);
	got[2] += 3;
	got[3] -= 3;
	assert_int_equal(verify_compare(&c, a, want, 4), 2);
	c.op = OP_SUM;
	assert_int_equal(verify_compare(&c, a, want, 4), 4);
}

static void guards_notice_writes_on_either_side(void **state)
{
	struct guarded g;
	uint8_t *at;

	(void)state;
	assert_int_equal(guarded_open(&g, 1000, 6), 0);
	at = g.data;
	assert_int_equal((uintptr_t)at % 4096, 6);
	memset(at, 0xff, 1000);
	assert_int_equal(guarded_check(&g), 0);
	at[-1] ^= 1;
	at[1000] ^= 1;
	at[1000 + GUARD_BYTES - 1] ^= 1;
	at[-GUARD_BYTES] ^= 1;
	assert_int_equal(guarded_check(&g), 4);
	assert_int_equal(guarded_check(&g), 0);
	guarded_close(&g);
	guarded_close(&g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names),
		cmocka_unit_test(half),
		cmocka_unit_test(bfloat16),
		cmocka_unit_test(reductions),
		cmocka_unit_test(half_sums_round_each_time),
		cmocka_unit_test(results_do_not_depend_on_the_order),
		cmocka_unit_test(averages_may_scale_first),
		cmocka_unit_test(faults_show),
		cmocka_unit_test(a_single_wrong_bit_is_one_wrong_element),
		cmocka_unit_test(float_averages_may_be_two_units_off),
		cmocka_unit_test(guards_notice_writes_on_either_side),
	};

	return unit_run("bench/arithmetic", tests);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "verify.h"

#include <string.h>

#define ALWAYS_INLINE static inline __attribute__((always_inline))

enum {
	/* Smallest number of units per contributing rank; if necessary, only some of the ranks contribute. */
	MIN_SHARE = 4,
	/* Product: limits for the sum of all ranks' exponents, in half and in the wider types. */
	HALF_EXPONENTS = 12,
	WIDE_EXPONENTS = 100,
	AVERAGE_ULPS = 2,
	PIECE = 1024, /* elements processed at a time, so that they stay in the cache */
};

/* Finaliser of splitmix64: every input bit affects every output bit. */
ALWAYS_INLINE uint64_t mix(uint64_t x)
{
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
	return x ^ (x >> 31);
}

/* Hashed bits of one element, the same on all ranks, and hashed bits of one rank. */
ALWAYS_INLINE uint64_t hash_elem(uint64_t seed_key, uint64_t index)
{
	return mix(seed_key + index * 0x9e3779b97f4a7c15u);
}

ALWAYS_INLINE uint64_t hash_rank(uint64_t elem, int rank)
{
	return mix(elem + ((uint64_t)rank + 1) * 0xd1342543de82ef95u);
}

/* A number below n from 32 hashed bits, without a division. */
ALWAYS_INLINE int below(uint64_t bits, int n)
{
	return (int)(((bits & 0xffffffff) * (uint64_t)n) >> 32);
}

ALWAYS_INLINE double power_of_two(int exponent)
{
	uint64_t bits = (uint64_t)(1023 + exponent) << 52;
	double d;

	memcpy(&d, &bits, sizeof(d));
	return d;
}

/* Negates if the lowest bit is set. A branch on hashed bits would be mispredicted half of the time. */
ALWAYS_INLINE double with_sign(double v, uint64_t bit)
{
	uint64_t bits;

	memcpy(&bits, &v, sizeof(bits));
	bits ^= bit << 63;
	memcpy(&v, &bits, sizeof(v));
	return v;
}

/* A value in [1, 2) that uses all bits of the type's significand. */
ALWAYS_INLINE double one_to_two(const struct type_facts *f, uint64_t bits)
{
	uint64_t one = 1ull << (f->digits - 1);

	return 1.0 + (double)(int64_t)(bits & (one - 1)) * power_of_two(1 - f->digits);
}

/* The ranks' shares of a budget. Each part is at least `min`; if necessary, only every stride-th rank has one. */
struct shares {
	int stride;
	int64_t part; /* largest magnitude of one contribution */
};

static struct shares share_out(int64_t budget, int64_t min, int nranks)
{
	int64_t max_ranks = budget / min;
	int64_t stride = (nranks + max_ranks - 1) / max_ranks;
	int64_t ranks = (nranks + stride - 1) / stride;

	return (struct shares){(int)stride, budget / ranks};
}

/* Does the rank contribute at this element? The contributing ranks differ from element to element. */
ALWAYS_INLINE bool has_share(const struct shares *s, uint64_t elem, int rank)
{
	return s->stride == 1 || below(elem >> 16, s->stride) == rank % s->stride;
}

/* A whole number from -part to part except 0, times the element's common unit. part: a power of two. */
ALWAYS_INLINE double sum_value(const struct shares *s, uint64_t elem, int rank)
{
	uint64_t h = hash_rank(elem, rank);
	double magnitude = (double)(int64_t)(1 + ((h >> 1) & ((uint64_t)s->part - 1)));

	if (!has_share(s, elem, rank))
		return 0.0;
	return with_sign(magnitude * power_of_two(-(int)(elem % 8)), h);
}

ALWAYS_INLINE double prod_value(const struct shares *s, const struct type_facts *f, uint64_t elem, int rank, int nranks)
{
	uint64_t h = hash_rank(elem, rank);
	int part = has_share(s, elem, rank) ? (int)s->part : 0;
	double v = power_of_two(below(h >> 8, 2 * part + 1) - part);

	/* Only one rank has a significand, so the product is never rounded. */
	if (below(elem >> 8, nranks) == rank)
		v *= one_to_two(f, h >> 11);
	return with_sign(v, h);
}

/* Exponents from the middle half of the type's range, any significand, either sign. */
ALWAYS_INLINE double minmax_value(const struct type_facts *f, uint64_t elem, int rank)
{
	uint64_t h = hash_rank(elem, rank);
	double v = one_to_two(f, h >> 1) * power_of_two(below(elem + h, f->bias) - f->bias / 2);

	return with_sign(v, h);
}

/* Two ranks contribute, or a single rank alone. */
ALWAYS_INLINE double avg_value(const struct type_facts *f, uint64_t elem, int rank, int nranks)
{
	int first = below(elem >> 1, nranks);
	int second = first + 1 + below(elem >> 32, nranks - 1);
	double v = one_to_two(f, hash_rank(elem, rank) >> 1);

	if (rank != first && rank + nranks != second && rank != second)
		return 0.0;
	return with_sign(v, elem);
}

/* Each operation has a loop of its own, so the choice is made outside of the loops. */
static void make_floats(const struct verify_case *c, int rank, size_t first, double *v, size_t count)
{
	const struct type_facts *f = &type_facts[c->type];
	int64_t exponents = f->bias == 15 ? HALF_EXPONENTS : WIDE_EXPONENTS;
	uint64_t key = mix(c->seed);
	struct shares s;

	if (c->op == OP_PROD) {
		s = share_out(exponents, 1, c->nranks);
	} else {
		s = share_out((int64_t)1 << f->digits, MIN_SHARE, c->nranks);
		s.part = 1ll << (63 - __builtin_clzll((unsigned long long)s.part));
	}
	switch (c->op) {
	case OP_SUM:
		for (size_t i = 0; i < count; i++)
			v[i] = sum_value(&s, hash_elem(key, first + i), rank);
		break;
	case OP_PROD:
		for (size_t i = 0; i < count; i++)
			v[i] = prod_value(&s, f, hash_elem(key, first + i), rank, c->nranks);
		break;
	case OP_AVG:
		for (size_t i = 0; i < count; i++)
			v[i] = avg_value(f, hash_elem(key, first + i), rank, c->nranks);
		break;
	default:
		for (size_t i = 0; i < count; i++)
			v[i] = minmax_value(f, hash_elem(key, first + i), rank);
	}
}

static void make_integers(const struct verify_case *c, int rank, size_t first, void *data, size_t count)
{
	/* An even factor of a product loses bits permanently, and enough even factors give 0. */
	uint64_t odd = c->op == OP_PROD;
	uint64_t key = mix(c->seed);
	uint8_t *v8 = data;
	uint32_t *v32 = data;
	uint64_t *v64 = data;

	for (size_t i = 0; i < count; i++) {
		uint64_t v = hash_rank(hash_elem(key, first + i), rank) | odd;

		switch (type_facts[c->type].bytes) {
		case 1: v8[i] = (uint8_t)v; break;
		case 4: v32[i] = (uint32_t)v; break;
		default: v64[i] = v;
		}
	}
}

/* At most PIECE elements. */
static void make(const struct verify_case *c, int rank, size_t first, void *data, size_t count)
{
	double v[PIECE];

	if (!type_facts[c->type].digits) {
		make_integers(c, rank, first, data, count);
		return;
	}
	make_floats(c, rank, first, v, count);
	elems_from_doubles(c->type, v, data, count);
}

static size_t piece(size_t first, size_t count)
{
	return count - first < PIECE ? count - first : PIECE;
}

void verify_fill(const struct verify_case *c, int rank, void *data, size_t count)
{
	size_t bytes = type_facts[c->type].bytes;

	for (size_t i = 0; i < count; i += PIECE)
		make(c, rank, c->first + i, (char *)data + i * bytes, piece(i, count));
}

void verify_expect(const struct verify_case *c, void *data, size_t count)
{
	size_t bytes = type_facts[c->type].bytes;
	uint64_t other[PIECE];

	for (size_t i = 0; i < count; i += PIECE) {
		char *at = (char *)data + i * bytes;
		size_t n = piece(i, count);

		make(c, 0, c->first + i, at, n);
		for (int r = 1; r < c->nranks; r++) {
			make(c, r, c->first + i, other, n);
			reduce(c->type, c->op, at, at, other, n);
		}
		reduce_finish(c->type, c->op, c->nranks, at, n);
	}
}

void verify_poison(const struct verify_case *c, void *data, const void *expected, size_t count)
{
	size_t n = count * type_facts[c->type].bytes;
	const uint8_t *from = expected;
	uint8_t *to = data;

	for (size_t i = 0; i < n; i++)
		to[i] = (uint8_t)~from[i];
}

static uint64_t bits_at(const void *data, size_t bytes, size_t i)
{
	uint64_t v = 0;

	memcpy(&v, (const char *)data + i * bytes, bytes);
	return v;
}

int64_t verify_compare(const struct verify_case *c, const void *data, const void *expected, size_t count)
{
	const struct type_facts *f = &type_facts[c->type];
	uint64_t tolerance = f->digits && c->op == OP_AVG ? AVERAGE_ULPS : 0;
	int64_t wrong = 0;

	for (size_t i = 0; i < count; i += PIECE) {
		size_t n = piece(i, count), at = i * f->bytes;

		if (!memcmp((const char *)data + at, (const char *)expected + at, n * f->bytes))
			continue;
		for (size_t j = i; j < i + n; j++) {
			uint64_t a = bits_at(data, f->bytes, j), b = bits_at(expected, f->bytes, j);

			wrong += (a > b ? a - b : b - a) > tolerance;
		}
	}
	return wrong;
}

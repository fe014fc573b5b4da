/* SPDX-License-Identifier: Apache-2.0 */
/* The content of a round, derived from the seed: the same at both ends of a connection. */
#include <string.h>

#include "seeded.h"
#include "stress.h"

enum { OPS_MOST = 220, SLACK_MOST = 5000, USUAL_TAG = 7 };

static const uint64_t step = 0x9e3779b97f4a7c15ull;

uint64_t mix(uint64_t a, uint64_t b)
{
	return seeded_mix(seeded_mix(a * step + 1) + b * step);
}

uint64_t below(uint64_t *sequence, uint64_t n)
{
	return n ? seeded_mix(*sequence += step) % n : 0;
}

/* Mostly small, now and then of any size up to the largest, and often zero. */
static size_t message_bytes(uint64_t *s)
{
	static const struct {
		unsigned percent;
		size_t from, to;
	} kinds[] = {{8, 0, 0},		  {25, 1, 128},	     {30, 129, 8192}, {27, 8193, 256 << 10},
		     {7, 256 << 10, MEG}, {3, MEG, SIZE_MAX}};
	size_t largest = (size_t)settings.largest, from, to;
	unsigned roll = (unsigned)below(s, 100), i = 0;

	while (roll >= kinds[i].percent)
		roll -= kinds[i++].percent;
	from = kinds[i].from < largest ? kinds[i].from : largest;
	to = kinds[i].to < largest ? kinds[i].to : largest;
	return from + below(s, to - from + 1);
}

/*
 * Some connections begin with large messages and empty ones in turn or with empty ones only, and some carry nothing else:
 * whoever measures speeds meets operations without bytes while others are under way, and as the first ones of all.
 */
enum beginning { ANY, ALTERNATING, EMPTY };

static enum beginning beginning(const struct plan *p, int op)
{
	uint64_t kind = mix(p->key, 5) % 8;

	if (kind > 4 || (kind && op >= 8))
		return ANY;
	return kind < 3 ? ALTERNATING : EMPTY;
}

void plan_connection(struct plan *p, uint64_t key)
{
	uint64_t s = key;

	p->key = key;
	p->ops = 1 + (int)below(&s, beginning(p, OPS_MOST) ? OPS_MOST / 4 : OPS_MOST);
	p->style = PLAIN;
	if (below(&s, 100) < (uint64_t)settings.group_percent)
		p->style = below(&s, 2) ? GROUPS : TAGS;
	p->style_from = below(&s, 3) ? (int)below(&s, 60) : 0;
	p->abrupt = below(&s, 100) < (uint64_t)settings.abrupt_percent;
	p->send_stop = p->recv_stop = p->ops;
	if (p->abrupt) {
		p->send_stop = 1 + (int)below(&s, (uint64_t)p->ops);
		p->recv_stop = 1 + (int)below(&s, (uint64_t)p->ops);
	}
}

static size_t op_bytes(const struct plan *p, int op, uint64_t *s)
{
	size_t largest = (size_t)settings.largest, most = largest < 4 * MEG ? largest : 4 * (size_t)MEG;

	if (beginning(p, op) == ANY)
		return message_bytes(s);
	if (beginning(p, op) == EMPTY)
		return 0;
	return op % 2 ? 0 : most / 2 + below(s, most / 2);
}

void plan_op(const struct plan *p, int op, struct op_plan *out)
{
	uint64_t s = mix(p->key, 1000 + (uint64_t)op);
	enum style style = op >= p->style_from ? p->style : PLAIN;
	int i;

	memset(out, 0, sizeof(*out));
	out->n = style == GROUPS ? 1 + (int)below(&s, GROUP_MAX) : 1;
	for (i = 0; i < out->n; i++) {
		out->bytes[i] = op_bytes(p, op, &s);
		if (out->n > 1 && out->bytes[i] > MEG)
			out->bytes[i] %= MEG;
		out->room[i] = out->bytes[i] + (below(&s, 3) ? 0 : below(&s, SLACK_MOST));
		out->tags[i] = style == GROUPS ? (int)below(&s, 4) : style == TAGS ? (int)below(&s, 2) : USUAL_TAG;
	}
}

uint64_t plan_content(const struct plan *p, int op, int place)
{
	return mix(mix(p->key, 77 + (uint64_t)op), (uint64_t)place);
}

static inline uint64_t word(uint64_t key, size_t i)
{
	uint64_t z = key + i * step;

	return z ^ (z >> 29);
}

void content_fill(unsigned char *data, size_t bytes, uint64_t key)
{
	size_t i, words = bytes / 8;
	uint64_t w;

	for (i = 0; i < words; i++) {
		w = word(key, i);
		memcpy(data + 8 * i, &w, 8);
	}
	w = word(key, i);
	memcpy(data + 8 * i, &w, bytes % 8);
}

size_t content_verify(const unsigned char *data, size_t bytes, uint64_t key)
{
	size_t i, at, words = bytes / 8;
	uint64_t w;

	for (i = 0; i < words; i++) {
		w = word(key, i);
		if (memcmp(data + 8 * i, &w, 8))
			break;
	}
	w = word(key, i);
	for (at = 8 * i; at < bytes && at < 8 * i + 8; at++)
		if (data[at] != ((unsigned char *)&w)[at - 8 * i])
			return at;
	return bytes;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which rail carries what: by the bytes each has still to move and by the speed at which it was seen to move
 * them, so that all stripes of a message end together and a slow rail does not set the pace.
 */
#include "base/clock.h"
#include "xfer/internal.h"

#define STRIPE_MIN   (128 * 1024)
#define STRIPE_ALIGN 128
#define SAMPLE_BYTES (256 * 1024) /* a rail that stays busy is timed over so many at least ... */
#define SAMPLE_US    200	  /* ... and so long */
#define FORGIVE	     1.02	  /* by so much a slow rail that is left out counts as faster ... */
#define FORGIVE_US   100000	  /* ... after such a while */
#define NEARLY	     0.999

void rail_init(struct rail *r, const struct fab_nic *nic, int else_mbps)
{
	int mbps = nic->speed_mbps ? nic->speed_mbps : else_mbps;

	r->speed = mbps / 8.0; /* bytes in a microsecond */
}

void rail_posted(struct rail *r, size_t bytes)
{
	if (!r->outstanding) {
		r->since_us = clock_us();
		r->moved = 0;
	}
	r->outstanding += bytes;
}

void rail_completed(struct rail *r, size_t bytes)
{
	int64_t now, took;

	r->outstanding -= bytes;
	r->moved += bytes;
	if (r->moved < SAMPLE_BYTES)
		return;
	now = clock_us();
	took = now - r->since_us;
	if (took < SAMPLE_US)
		return;
	r->speed += ((double)r->moved / (double)took - r->speed) / (r->seen ? 4 : 1);
	r->seen = true;
	r->since_us = now;
	r->moved = 0;
}

/* A rail that serves several paths gives each its part. */
static double backlog(const struct path *p)
{
	return (double)p->rail->outstanding / p->sharing;
}

static double speed(const struct path *p)
{
	return p->rail->speed / p->sharing;
}

struct path *rail_best(struct xfer_peer *peer, size_t len)
{
	struct path *best = &peer->paths[0];
	double least = 0;
	int i;

	for (i = 0; i < peer->path_count; i++) {
		struct path *p = &peer->paths[i];
		double takes = (backlog(p) + (double)len) / speed(p);

		if (!i || takes < least) {
			best = p;
			least = takes;
		}
	}
	return best;
}

/* When all of `in` would end, if they shared len bytes and their backlogs. */
static double level(const struct xfer_peer *peer, unsigned in, size_t len)
{
	double bytes = (double)len, sum = 0;
	int i;

	for (i = 0; i < peer->path_count; i++) {
		if (!(in >> i & 1))
			continue;
		bytes += backlog(&peer->paths[i]);
		sum += speed(&peer->paths[i]);
	}
	return bytes / sum;
}

/* The path of `in` with the least part of the message, of equal ones the last; *out is the part. */
static int least_part(const struct xfer_peer *peer, unsigned in, double end_us, double *out)
{
	int i, least = -1;

	for (i = 0; i < peer->path_count; i++) {
		double part = end_us * speed(&peer->paths[i]) - backlog(&peer->paths[i]);

		if (!(in >> i & 1) || (least >= 0 && part > *out))
			continue;
		least = i;
		*out = part;
	}
	return least;
}

/* Nothing is measured on a rail that carries nothing: it must not stay out for ever. */
static void forgive(const struct xfer_peer *peer, unsigned in, struct rail *rail)
{
	int64_t now = clock_us();
	double fastest = 0;
	int i;

	if (now - rail->forgiven_us < FORGIVE_US)
		return;
	rail->forgiven_us = now;
	for (i = 0; i < peer->path_count; i++)
		if (in >> i & 1 && peer->paths[i].rail->speed > fastest)
			fastest = peer->paths[i].rail->speed;
	if (rail->speed < fastest)
		rail->speed *= FORGIVE;
}

static int cut(struct xfer_peer *peer, unsigned in, double end_us, size_t len, struct stripe *out)
{
	size_t at = 0;
	int i, n = 0;

	for (i = 0; i < peer->path_count; i++) {
		struct path *p = &peer->paths[i];
		size_t part = in >> i & 1 ? (size_t)(end_us * speed(p) - backlog(p)) : 0;

		part = part < len - at ? part / STRIPE_ALIGN * STRIPE_ALIGN : len - at;
		if (!part)
			continue;
		out[n++] = (struct stripe){.path = p, .at = at, .len = part};
		at += part;
	}
	out[n - 1].len += len - at; /* what rounding left */
	return n;
}

int rail_stripes(struct xfer_peer *peer, size_t len, struct stripe out[DEV_RAILS_MAX])
{
	unsigned in = (1u << peer->path_count) - 1;
	int active = peer->path_count;

	while (active > 1 && len >= 2 * STRIPE_MIN) {
		double end_us = level(peer, in, len), part = 0;
		int least = least_part(peer, in, end_us, &part);

		if (part >= STRIPE_MIN * NEARLY)
			return cut(peer, in, end_us, len, out);
		forgive(peer, in, peer->paths[least].rail);
		in &= ~(1u << least);
		active--;
	}
	out[0] = (struct stripe){.path = rail_best(peer, len), .len = len};
	return 1;
}

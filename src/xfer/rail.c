/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which rail carries what: by the bytes each has still to move and by the speed at which it was seen to move
 * them, so that all stripes of a message end together and a slow rail does not set the pace.
 *
 * A rail's speed can be seen only while it has enough to do; else the latency is what is seen. And what is seen
 * scatters, by other traffic and by when this process looks. Rails that differ by less than that count as equal, for
 * unequal stripes would cost more than the difference.
 */
#include "base/clock.h"
#include "xfer/internal.h"

#define STRIPE_MIN   (128 * 1024)
#define STRIPE_ALIGN 128
#define ENOUGH_US    40	     /* what a rail has to do takes it so long, several times a NIC's latency */
#define SAMPLE_US    1000    /* it is timed over so long at least: many stripes, of which a sample counts the whole ones */
#define SAMPLES	     8	     /* about so many of the last ones count */
#define LEEWAY_MAX   0.4     /* who is slower than the fastest by more is slower, however much is seen to scatter */
#define FORGET_US    1000000 /* a slow rail is tried again after such a while without a sample */
#define NEARLY	     0.999

void rail_init(struct rail *r, const struct fab_nic *nic, int else_mbps)
{
	int mbps = nic->speed_mbps ? nic->speed_mbps : else_mbps;

	r->nominal = r->speed = mbps / 8.0; /* bytes in a microsecond */
}

/* Part of its nominal speed that a rail was seen to reach; all of it, if it was not seen yet. */
static double reached(const struct rail *r)
{
	return r->samples ? r->seen / r->nominal : 1;
}

static bool alike(const struct rail *r, double fastest)
{
	double leeway = r->scatter < LEEWAY_MAX ? r->scatter : LEEWAY_MAX;

	return !r->samples || reached(r) >= fastest * (1 - leeway);
}

/* Those as fast as the fastest get the mean of what was seen of them; so do those not seen yet. */
static void weigh(struct xfer_port *port)
{
	double fastest = 0, sum = 0, common;
	int i, n = 0;

	for (i = 0; i < port->rail_count; i++)
		if (reached(&port->rails[i]) > fastest)
			fastest = reached(&port->rails[i]);
	for (i = 0; i < port->rail_count; i++) {
		const struct rail *r = &port->rails[i];

		if (!r->samples || !alike(r, fastest))
			continue;
		sum += reached(r);
		n++;
	}
	common = n ? sum / n : fastest;
	for (i = 0; i < port->rail_count; i++) {
		struct rail *r = &port->rails[i];

		r->slow = !alike(r, fastest);
		r->speed = r->slow ? r->seen : r->nominal * common;
	}
}

static void sample(struct rail *r, double speed)
{
	double off = r->samples ? speed / r->seen - 1 : 0;

	r->samples += r->samples < SAMPLES;
	if (r->samples == 1) {
		r->seen = speed;
		r->scatter = LEEWAY_MAX;
	}
	r->seen *= 1 + off / r->samples;
	r->scatter += ((off < 0 ? -off : off) - r->scatter) / SAMPLES;
	r->seen_us = clock_us();
	weigh(r->port);
}

static bool enough(const struct rail *r, uint64_t bytes)
{
	return (double)bytes >= r->nominal * ENOUGH_US;
}

void rail_posted(struct rail *r, size_t bytes)
{
	if (!r->outstanding && enough(r, bytes))
		r->since_us = clock_us();
	r->outstanding += bytes;
}

void rail_completed(struct rail *r, size_t bytes)
{
	bool was = r->since_us, is = enough(r, r->outstanding -= bytes);
	int64_t now = was || is ? clock_us() : 0;

	if (was) {
		r->moved += bytes;
		r->busy_us += now - r->since_us;
	}
	r->since_us = is ? now : 0;
	if (r->busy_us < SAMPLE_US)
		return;
	sample(r, (double)r->moved / (double)r->busy_us);
	r->busy_us = 0;
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
	unsigned n = (unsigned)peer->path_count, first, i;
	struct path *best = &peer->paths[0];
	double least = 0;

	if (n == 1)
		return best;
	first = peer->turn++ % n; /* of equal ones, each in its turn */
	for (i = 0; i < n; i++) {
		struct path *p = &peer->paths[(first + i) % n];
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

/* A slow rail gets little, so little is seen of it: it must not stay slow for ever. */
static void forget(const struct xfer_peer *peer)
{
	int i;

	for (i = 0; i < peer->path_count; i++) {
		struct rail *r = peer->paths[i].rail;

		if (!r->slow || clock_us() - r->seen_us < FORGET_US)
			continue;
		r->samples = 0;
		weigh(r->port);
	}
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

	forget(peer);
	while (active > 1 && len >= 2 * STRIPE_MIN) {
		double end_us = level(peer, in, len), part = 0;
		int least = least_part(peer, in, end_us, &part);

		if (part >= STRIPE_MIN * NEARLY)
			return cut(peer, in, end_us, len, out);
		in &= ~(1u << least);
		active--;
	}
	out[0] = (struct stripe){.path = rail_best(peer, len), .len = len};
	return 1;
}

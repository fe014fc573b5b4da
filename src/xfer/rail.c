/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which rail carries what: by the bytes each has still to move and by the speed at which it was seen to move
 * them, so that all stripes of a message end together and a slow rail does not set the pace.
 *
 * A rail's speed can be seen only while it has enough to do; else the latency is what is seen. And what is seen
 * scatters, by other traffic and by when this process looks. Rails that differ by less than that count as equal, for
 * unequal stripes would cost more than the difference.
 *
 * What goes by one rail takes them in turn, by what each was given so far and not by what it has still to do: that
 * is told late, and of many messages at once, so the least laden rail would get the next ones all at once.
 */
#include "base/clock.h"
#include "xfer/internal.h"

#define STRIPE_MIN   (128 * 1024)
#define STRIPE_ALIGN 128
#define ENOUGH_US    40	     /* what a rail has to do takes it so long, several times a NIC's latency */
#define REQUEST_BYTES 8192   /* a NIC moves so many in the time that a request costs it, whatever its size */
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
static double speed(const struct path *p)
{
	return p->rail->speed / p->sharing;
}

/* Until a rail has done what it has. */
static double left_us(const struct rail *r)
{
	return (double)r->outstanding / r->speed;
}

/* More than this is too much to be told from others' by when a rail last said that it has done something. */
static double laden_us(const struct xfer_peer *peer)
{
	double least = left_us(peer->paths[0].rail);
	int i;

	for (i = 1; i < peer->path_count; i++)
		if (left_us(peer->paths[i].rail) < least)
			least = left_us(peer->paths[i].rail);
	return least + ENOUGH_US;
}

static void give(struct rail *r, size_t bytes)
{
	r->given_us += (double)(bytes + REQUEST_BYTES) / r->speed;
}

struct path *rail_best(struct xfer_peer *peer, size_t len)
{
	struct path *best = NULL, *p, *end = peer->paths + peer->path_count;
	double laden, given_us;

	if (peer->path_count == 1)
		return peer->paths;
	laden = laden_us(peer);
	for (p = peer->paths; p < end; p++)
		if (left_us(p->rail) <= laden && (!best || p->rail->given_us < best->rail->given_us))
			best = p;
	given_us = best->rail->given_us;
	for (p = peer->paths; p < end; p++)
		if (p->rail->given_us < given_us) /* left out: its turns are over */
			p->rail->given_us = given_us;
	give(best->rail, len);
	return best;
}

/* A message to be divided among the paths in `in`, a bit each. */
struct division {
	struct xfer_peer *peer;
	size_t len;
	unsigned in;
	double backlog[DEV_RAILS_MAX]; /* bytes that the others shall get more than this path */
	double end_us;		       /* when all of `in` end, if they share the message and the backlogs */
};

static void weigh_paths(struct division *d)
{
	double laden = laden_us(d->peer);
	int i;

	for (i = 0; i < d->peer->path_count; i++) {
		const struct path *p = &d->peer->paths[i];
		double over_us = left_us(p->rail) - laden;

		d->backlog[i] = over_us > 0 ? over_us * speed(p) : 0;
	}
}

static void level(struct division *d)
{
	double bytes = (double)d->len, sum = 0;
	int i;

	for (i = 0; i < d->peer->path_count; i++) {
		if (!(d->in >> i & 1))
			continue;
		bytes += d->backlog[i];
		sum += speed(&d->peer->paths[i]);
	}
	d->end_us = bytes / sum;
}

static double part(const struct division *d, int i)
{
	return d->in >> i & 1 ? d->end_us * speed(&d->peer->paths[i]) - d->backlog[i] : 0;
}

/* The path with the least part, of equal ones that which has had the most. */
static int least_part(const struct division *d)
{
	int i, least = -1;

	for (i = 0; i < d->peer->path_count; i++) {
		if (!(d->in >> i & 1))
			continue;
		if (least < 0 || part(d, i) < part(d, least) ||
		    (part(d, i) <= part(d, least) &&
		     d->peer->paths[i].rail->given_us >= d->peer->paths[least].rail->given_us))
			least = i;
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

static int cut(const struct division *d, struct stripe *out)
{
	size_t at = 0;
	int i, n = 0;

	for (i = 0; i < d->peer->path_count; i++) {
		size_t bytes = (size_t)part(d, i);

		bytes = bytes < d->len - at ? bytes / STRIPE_ALIGN * STRIPE_ALIGN : d->len - at;
		if (!bytes)
			continue;
		out[n++] = (struct stripe){.path = &d->peer->paths[i], .at = at, .len = bytes};
		give(d->peer->paths[i].rail, bytes);
		at += bytes;
	}
	out[n - 1].len += d->len - at; /* what rounding left */
	return n;
}

int rail_stripes(struct xfer_peer *peer, size_t len, struct stripe out[DEV_RAILS_MAX])
{
	struct division d = {.peer = peer, .len = len, .in = (1u << peer->path_count) - 1};
	int active = len < 2 * STRIPE_MIN ? 1 : peer->path_count, least;

	forget(peer);
	if (active > 1)
		weigh_paths(&d);
	for (; active > 1; active--) {
		level(&d);
		least = least_part(&d);
		if (part(&d, least) >= STRIPE_MIN * NEARLY)
			return cut(&d, out);
		d.in &= ~(1u << least);
	}
	out[0] = (struct stripe){.path = rail_best(peer, len), .len = len};
	return 1;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rail scheduler. It weighs rails by backlog and measured bandwidth, so that all stripes of a message complete
 * together and a slow rail does not set the pace.
 *
 * Bandwidth is measured only while a rail is busy; otherwise the measurement would show the latency. Measurements
 * scatter with other traffic and with the times of our polls. Rails that differ by less than this scatter count as
 * equal, because unequal stripes would cost more than the difference.
 *
 * Unstriped messages go round-robin by bytes assigned. Choosing the least backlogged rail would herd: completions are
 * reported late and in batches.
 */
#include "base/clock.h"
#include "ep/peer.h"

#define STRIPE_ALIGN  128
#define ENOUGH_US     40      /* backlog from which a rail counts as busy: several times the latency of a NIC */
#define REQUEST_BYTES 8192    /* bytes that a NIC moves in the fixed time that a request costs */
#define SAMPLE_US     1000    /* minimum length of a sample: many stripes, since only completed ones are counted */
#define SAMPLES	      8	      /* number of recent samples in the average */
#define NOISE_MAX     0.4     /* a rail slower than the fastest by this part is slow, whatever the scatter */
#define FORGET_US     1000000 /* a slow rail without a sample for this time is tried with more bytes */
#define NEARLY	      0.999
#define HOME_BYTES    (64 * 1024) /* backlog with which a comm's own stream still counts as free */

void rail_init(struct rail *r, const struct fab_nic *nic, int else_mbps)
{
	int mbps = nic->speed_mbps ? nic->speed_mbps : else_mbps;

	r->nominal = r->speed = (mbps > 0 ? mbps : 1) / 8.0; /* bytes per microsecond: a divisor, never 0 */
}

/* The measured part of a rail's nominal speed; 1 before the first sample. */
static double reached(const struct rail *r)
{
	return r->samples ? r->seen / r->nominal : 1;
}

static bool within_noise(const struct rail *r, double fastest)
{
	double noise = r->scatter < NOISE_MAX ? r->scatter : NOISE_MAX;

	return !r->samples || reached(r) >= fastest * (1 - noise);
}

/* Rails as fast as the fastest, and rails without a sample, get the mean speed of the former. */
static void update_weights(struct xfer_ep *ep)
{
	double fastest = 0, sum = 0, common;
	int i, n = 0;

	for (i = 0; i < ep->rail_count; i++)
		if (reached(&ep->rails[i]) > fastest)
			fastest = reached(&ep->rails[i]);
	for (i = 0; i < ep->rail_count; i++) {
		const struct rail *r = &ep->rails[i];

		if (!r->samples || !within_noise(r, fastest))
			continue;
		sum += reached(r);
		n++;
	}
	common = n ? sum / n : fastest;
	for (i = 0; i < ep->rail_count; i++) {
		struct rail *r = &ep->rails[i];

		r->slow = !within_noise(r, fastest);
		r->speed = r->slow ? r->seen : r->nominal * common;
	}
}

/*
 * The sample's bytes must be > 0, because the speed is a divisor. Samples count by their time: where completions come in
 * bunches, a short sample may show far more than the speed.
 */
static void sample(struct rail *r)
{
	double speed = (double)r->moved / (double)r->busy_us, off = r->samples ? speed / r->seen - 1 : 0;
	double keep = r->samples < SAMPLES ? 1 : 1 - 1.0 / SAMPLES;

	if (!r->samples) {
		r->seen_bytes = r->seen_time = 0;
		r->scatter = NOISE_MAX;
	}
	r->samples += r->samples < SAMPLES;
	r->seen_bytes = r->seen_bytes * keep + (double)r->moved;
	r->seen_time = r->seen_time * keep + (double)r->busy_us;
	r->seen = r->seen_bytes / r->seen_time;
	r->scatter += ((off < 0 ? -off : off) - r->scatter) / SAMPLES;
	r->seen_us = clock_us();
	update_weights(r->ep);
}

static bool enough(const struct rail *r, uint64_t bytes)
{
	return (double)bytes >= r->speed * ENOUGH_US;
}

void rail_posted(struct rail *r, size_t bytes)
{
	if (r->measured && !r->outstanding && enough(r, bytes))
		r->since_us = clock_us();
	r->outstanding += bytes;
}

void rail_completed(struct rail *r, size_t bytes)
{
	bool was = r->since_us, is;
	int64_t now;

	r->outstanding -= bytes;
	if (!r->measured)
		return;
	is = enough(r, r->outstanding);
	now = was || is ? clock_us() : 0;
	if (was) {
		r->moved += bytes;
		r->busy_us += now - r->since_us;
	}
	r->since_us = is ? now : 0;
	/* A few small messages that overtake a large one do not show the speed; messages of 0 bytes would show 0. */
	if (r->busy_us < SAMPLE_US || !enough(r, r->moved))
		return;
	sample(r);
	r->busy_us = 0;
	r->moved = 0;
}

/* The paths of a rail share its speed. */
static double speed(const struct path *p)
{
	return p->rail->speed / p->sharing;
}

/* The first path of large messages. */
static int first_large(const struct xfer_peer *peer)
{
	return peer->ep->control_alone && peer->path_count > 1;
}

/* Time until a rail has completed its backlog. */
static double left_us(const struct rail *r)
{
	return (double)r->outstanding / r->speed;
}

/* A rail with more than this to do is backlogged. Smaller differences may come from the times of completions. */
static double backlogged_us(const struct xfer_peer *peer)
{
	int i = first_large(peer);
	double least = left_us(peer->paths[i].rail);

	for (; i < peer->path_count; i++)
		if (left_us(peer->paths[i].rail) < least)
			least = left_us(peer->paths[i].rail);
	return least + ENOUGH_US;
}

static void charge(struct rail *r, size_t bytes)
{
	r->given_us += (double)(bytes + REQUEST_BYTES) / r->speed;
}

static struct path *home_path(struct xfer_peer *peer, uint32_t home)
{
	uint32_t first = (uint32_t)first_large(peer);

	return &peer->paths[first + home % ((uint32_t)peer->path_count - first)];
}

struct path *rail_best(struct xfer_peer *peer, uint32_t home, size_t len)
{
	struct path *best, *p, *first = peer->paths + first_large(peer), *end = peer->paths + peer->path_count;
	double backlogged, given_us;

	if (peer->path_count == 1 || (first != peer->paths && len <= peer->ep->eager_max))
		return peer->paths;
	best = home_path(peer, home);
	if (peer->ep->nic_count == 1 && best->rail->outstanding <= HOME_BYTES) {
		charge(best->rail, len);
		return best;
	}
	best = NULL;
	backlogged = backlogged_us(peer);
	for (p = first; p < end; p++)
		if (left_us(p->rail) <= backlogged && (!best || p->rail->given_us < best->rail->given_us))
			best = p;
	given_us = best->rail->given_us;
	for (p = first; p < end; p++)
		if (p->rail->given_us < given_us) /* a backlogged rail that was skipped does not get its turns later */
			p->rail->given_us = given_us;
	charge(best->rail, len);
	return best;
}

/* A message to be divided among the paths in the bit mask `in`. */
struct division {
	struct xfer_peer *peer;
	size_t len;
	unsigned in;
	double backlog[WIRE_RAILS_MAX]; /* bytes that this path gets less than the others, because of its backlog */
	double end_us;			/* time at which all paths of `in` complete the message and the backlogs */
};

static void weigh_paths(struct division *d)
{
	double backlogged = backlogged_us(d->peer);
	int i;

	for (i = 0; i < d->peer->path_count; i++) {
		const struct path *p = &d->peer->paths[i];
		double over_us = left_us(p->rail) - backlogged;

		d->backlog[i] = over_us > 0 ? over_us * speed(p) : 0;
	}
}

static void waterfill(struct division *d)
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

/* The path with the smallest part; among equal ones, the one with the most bytes assigned so far. */
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

/*
 * A slow rail gets few bytes, so it is rarely measured. It counts as twice as fast from time to time, so that it does not
 * stay slow for ever. A full part of a message would delay the message too much.
 */
static void rail_retry_slow(const struct xfer_peer *peer)
{
	int i;

	for (i = 0; i < peer->path_count; i++) {
		struct rail *r = peer->paths[i].rail;

		if (!r->slow || clock_us() - r->seen_us < FORGET_US)
			continue;
		r->seen *= 2;
		r->seen_bytes = r->seen; /* as little as can be: the next sample counts */
		r->seen_time = 1;
		r->seen_us = clock_us();
		update_weights(r->ep);
	}
}

static int split(const struct division *d, struct stripe *out)
{
	size_t at = 0;
	int i, n = 0;

	for (i = 0; i < d->peer->path_count; i++) {
		size_t bytes = (size_t)part(d, i);

		bytes = bytes < d->len - at ? bytes / STRIPE_ALIGN * STRIPE_ALIGN : d->len - at;
		if (!bytes)
			continue;
		out[n++] = (struct stripe){.path = &d->peer->paths[i], .at = at, .len = bytes};
		charge(d->peer->paths[i].rail, bytes);
		at += bytes;
	}
	out[n - 1].len += d->len - at; /* the remainder of rounding */
	return n;
}

int rail_stripes(struct xfer_peer *peer, uint32_t home, size_t len, struct stripe out[WIRE_STRIPES_MAX])
{
	struct division d = {.peer = peer,
			     .len = len,
			     .in = ((1u << peer->path_count) - 1) & ~(unsigned)first_large(peer)};
	size_t stripe_min = peer->ep->stripe_min;
	int active = len < 2 * stripe_min ? 1 : peer->path_count - first_large(peer), least;

	rail_retry_slow(peer);
	if (active > 1)
		weigh_paths(&d);
	for (; active > 1; active--) {
		waterfill(&d);
		least = least_part(&d);
		if (active <= WIRE_STRIPES_MAX && part(&d, least) >= (double)stripe_min * NEARLY)
			return split(&d, out);
		d.in &= ~(1u << least);
	}
	out[0] = (struct stripe){.path = rail_best(peer, home, len), .len = len};
	return 1;
}

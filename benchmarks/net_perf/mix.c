/* SPDX-License-Identifier: Apache-2.0 */
/* See mix.h. */
#include "mix.h"

#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "complain.h"
#include "seconds.h"
#include "stats.h"

#define DEPTH	    8
#define SLOT_BYTES  (MIX_ARENA_BYTES / DEPTH)
#define PAUSE_US    200 /* longest pause between bursts */
#define BURST	    16	/* largest number of messages in a burst */
#define STAMP_BYTES sizeof(double)

/* One direction of one comm. */
struct lane {
	uint64_t sizes, pauses; /* states of the random generators; the sizes are the same at both ends */
	unsigned posted, done, burst_left;
	double free_at; /* end of the pause after a burst */
	double wanted;	/* sending: scheduled start of this burst, or 0 */
	bool filled;	/* sending: the content of the next message has been written */
	size_t next;	/* size of the next message; 0: not chosen yet */
	size_t bytes[DEPTH];
	void *reqs[DEPTH];
	unsigned char *arena;
};

struct mix {
	struct links *links;
	const struct mix_run *run;
	struct lane *tx, *rx; /* one of each per comm */
	double *small_s;      /* latencies of small messages */
	size_t smalls;
	struct mix_result *out;
};

static uint64_t chance(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15ull;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return z ^ z >> 31;
}

static size_t between(uint64_t *state, size_t low, size_t high)
{
	return low + chance(state) % (high - low + 1);
}

static size_t size_of_next(uint64_t *state)
{
	uint64_t kind = chance(state) % 100;

	if (kind < 50)
		return between(state, 64, 1024);
	if (kind < 80)
		return between(state, 1024, MIX_SMALL_BYTES);
	if (kind < 92)
		return between(state, MIX_SMALL_BYTES + 1, 64 << 10);
	if (kind < 98)
		return between(state, 64 << 10, SLOT_BYTES);
	return between(state, SLOT_BYTES + 1, MIX_ARENA_BYTES);
}

/* May the next message be posted? A large message needs the whole arena. */
static bool may_post(struct lane *l, const struct mix *m, double now)
{
	unsigned flying = l->posted - l->done;

	if (l->posted == m->run->messages || flying == DEPTH || now < l->free_at)
		return false;
	if (!l->next)
		l->next = size_of_next(&l->sizes);
	return !flying || (l->next <= SLOT_BYTES && l->bytes[(l->posted - 1) % DEPTH] <= SLOT_BYTES);
}

static unsigned char *place(const struct lane *l, unsigned k, size_t bytes)
{
	return bytes > SLOT_BYTES ? l->arena : l->arena + k % DEPTH * SLOT_BYTES;
}

static void was_posted(struct lane *l, double now)
{
	l->bytes[l->posted % DEPTH] = l->next;
	l->posted++;
	l->next = 0;
	l->filled = false;
	if (l->burst_left--)
		return;
	l->wanted = 0;
	l->burst_left = (unsigned)(chance(&l->pauses) % BURST);
	l->free_at = now + (double)(chance(&l->pauses) % PAUSE_US) * 1e-6;
}

static uint64_t number(unsigned comm, unsigned k)
{
	return (uint64_t)comm << 32 | k;
}

static int post_send(struct mix *m, unsigned i, double now)
{
	const struct links_one one = links_at(m->links, i);
	struct lane *l = &m->tx[i];
	unsigned char *data;

	if (!may_post(l, m, now))
		return 0;
	data = place(l, l->posted, l->next);
	if (l->wanted == 0)
		l->wanted = now;
	if (!l->filled) {
		l->filled = true;
		memcpy(data, &l->wanted, STAMP_BYTES);
		payload_fill(data + STAMP_BYTES, l->next - STAMP_BYTES, number(i, l->posted), PAYLOAD_STAMP);
	}
	if (net_check(one.net->isend(one.send, data, (int)l->next, 0, one.send_mr, &l->reqs[l->posted % DEPTH]),
		      "isend"))
		return -1;
	if (l->reqs[l->posted % DEPTH])
		was_posted(l, now);
	return 0;
}

static int post_recv(struct mix *m, unsigned i, double now)
{
	const struct links_one one = links_at(m->links, i);
	struct lane *l = &m->rx[i];
	void *data, *mr = one.recv_mr;
	int room, tag = 0;

	if (!may_post(l, m, now))
		return 0;
	data = place(l, l->posted, l->next);
	room = l->next > SLOT_BYTES ? MIX_ARENA_BYTES : SLOT_BYTES;
	if (net_check(one.net->irecv(one.recv, 1, &data, &room, &tag, &mr, &l->reqs[l->posted % DEPTH]), "irecv"))
		return -1;
	if (l->reqs[l->posted % DEPTH])
		was_posted(l, now);
	return 0;
}

static void received(struct mix *m, unsigned i, size_t bytes)
{
	struct lane *l = &m->rx[i];
	size_t expected = l->bytes[l->done % DEPTH];
	const unsigned char *data = place(l, l->done, expected);
	double sent;

	m->out->messages++;
	m->out->bytes += bytes;
	if (bytes != expected || payload_verify(data + STAMP_BYTES, bytes - STAMP_BYTES, number(i, l->done),
						PAYLOAD_STAMP) != bytes - STAMP_BYTES) {
		if (!m->out->wrong++)
			complain("message %u of comm %u is wrong: %zu bytes of %zu", l->done, i, bytes, expected);
		return;
	}
	memcpy(&sent, data, STAMP_BYTES);
	if (bytes <= MIX_SMALL_BYTES)
		m->small_s[m->smalls++] = seconds_now() - sent;
}

/* Like NCCL, tests only the oldest request. */
static int finish(struct mix *m, unsigned i, struct lane *l)
{
	int done = 0, bytes = 0;

	if (l->done == l->posted)
		return 0;
	if (net_check(links_at(m->links, i).net->test(l->reqs[l->done % DEPTH], &done, &bytes), "test"))
		return -1;
	if (!done)
		return 0;
	if (l == &m->rx[i])
		received(m, i, (size_t)bytes);
	l->done++;
	return 0;
}

static int go(struct mix *m, unsigned comms)
{
	bool yield = links_side(m->links)->yield;
	unsigned i, left = 1;

	while (left) {
		double now = seconds_now();

		for (i = left = 0; i < comms; i++) {
			if (post_recv(m, i, now) || post_send(m, i, now) || finish(m, i, &m->rx[i]) ||
			    finish(m, i, &m->tx[i]))
				return -1;
			left += m->rx[i].done < m->run->messages || m->tx[i].done < m->run->messages;
		}
		if (yield)
			sched_yield();
	}
	return 0;
}

static void begin(struct mix *m, unsigned comms)
{
	struct side *s = links_side(m->links);
	unsigned i, way;

	for (i = 0; i < comms; i++)
		for (way = 0; way < 2; way++) {
			struct lane *l = way ? &m->rx[i] : &m->tx[i];
			unsigned sender = (unsigned)s->rank ^ way;

			l->sizes = m->run->seed * 1000003 + i * 2 + sender;
			l->pauses = l->sizes ^ (way ? 0x5555 : 0xaaaa);
			l->arena = (way ? side_rx_area(s) : s->mem) + i * MIX_ARENA_BYTES;
		}
}

int mix_run(struct links *l, const struct mix_run *r, struct mix_result *out)
{
	unsigned comms = links_count(l);
	struct mix m = {.links = l, .run = r, .out = out};
	char c = 0;
	double start;
	int ret;

	memset(out, 0, sizeof(*out));
	m.tx = calloc(comms, sizeof(*m.tx));
	m.rx = calloc(comms, sizeof(*m.rx));
	m.small_s = malloc((size_t)comms * r->messages * sizeof(*m.small_s));
	if (m.tx && m.rx && m.small_s) {
		begin(&m, comms);
		ret = side_swap(links_side(l), &c, &c, 1); /* both processes begin at the same time */
		start = seconds_now();
		ret = ret ? ret : go(&m, comms);
		out->seconds = seconds_now() - start;
		out->p50_us = stats_median(m.small_s, m.smalls) * 1e6;
		out->p99_us = stats_percentile(m.small_s, m.smalls, 99) * 1e6;
	} else {
		complain("no memory for the workload");
		ret = -1;
	}
	free(m.tx);
	free(m.rx);
	free(m.small_s);
	return ret;
}

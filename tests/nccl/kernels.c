/* SPDX-License-Identifier: Apache-2.0 */
/*
 * NCCL 2.28.9's kernels on the CPU. One thread for each direction of a send-receive, and one for each channel of a
 * ring; protocol Simple. They take turns with NCCL's Progress thread by the same counters as on a GPU:
 *
 *	sender     waits until head + 8 steps has room, fills the slot, sets its length, raises tail
 *	receiver   waits until tail has come, empties the slot, raises head
 */
#include "device.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <time.h>

enum { STEPS = 8, SIMPLE = 2, MODE_OFFSET = 1, P2P_CONNECTION = 1, GRAIN_BYTES = 512, RING_STEPS = 2, RING_SLICES = 2 };
enum { PATIENCE = 20 };
enum { WORK_P2P, WORK_COLL };
enum { IN_ARGS, IN_FIFO };

struct fifo {
	int mode, offset;
	ssize_t bytes;
	void *ptr;
};

struct conn {
	char *buffs[3];
	void *mhandles[3];
	uint64_t *tail, *head;
	int flags, shared, step_bytes;
	void **ptr_exchange;
	uint64_t *arg_exchange;
	struct fifo *fifo;
	uint64_t step, ll_cleaning;
	char net_device[32];
};

struct peer {
	struct conn send[2], recv[2];
};

struct channel {
	struct peer **peers;
	int prev, next;
	int *ranks;
	int index;
	char more[368 - 32];
};

struct comm {
	int rank, nranks, node, nnodes, buff_bytes[3], p2p_chunk_bytes, all_nvlink;
	int *dense;
	volatile uint32_t *abort;
	struct channel *channels;
	void *more[3];
};

struct args {
	struct comm *comm;
	uint64_t channel_mask;
	uint8_t storage;
	uint32_t work_mask;
	char *work;
};

struct batch {
	uint32_t next_jump : 14, next_extends : 1, type : 2, function : 15;
	uint32_t offset;
	uint64_t set;
};

struct p2p {
	char *send, *recv;
	size_t send_bytes, recv_bytes;
	int send_rank, recv_rank;
	uint8_t channels, base, send_channels, recv_channels, send_chunk, recv_chunk, flags, pad;
};

struct coll {
	uint8_t channel_lo, channel_hi, warps, flags;
	uint32_t root;
	char *recv, *send;
	uintptr_t more[4];
	size_t count_lo, count_mid, count_hi;
	uint64_t grains_lo : 21, grains_mid : 21, grains_hi : 21;
	uint64_t arg;
};

_Static_assert(sizeof(struct conn) == 152, "NCCL's");
_Static_assert(sizeof(struct channel) == 368, "NCCL's");
_Static_assert(sizeof(struct comm) == 88, "NCCL's");
_Static_assert(sizeof(struct args) == 32, "NCCL's");
_Static_assert(sizeof(struct batch) == 16, "NCCL's");
_Static_assert(sizeof(struct p2p) == 48, "NCCL's");
_Static_assert(sizeof(struct coll) == 96, "NCCL's");

/* A part of a kernel with a thread of its own. */
struct job {
	struct comm *comm;
	struct conn *conn; /* connection of a send or receive */
	bool sends;
	char *data;
	size_t bytes, chunk_bytes;
	struct channel *channel; /* channel of a ring */
	int channel_index;
	struct coll coll;
};

static _Atomic int busy;

int kernel_busy(void)
{
	return atomic_load(&busy) > 0;
}

void kernel_wait(void)
{
	while (kernel_busy())
		nanosleep(&(struct timespec){.tv_nsec = 100000}, NULL);
}

static uint64_t peek(const uint64_t *counter)
{
	return __atomic_load_n(counter, __ATOMIC_ACQUIRE);
}

static void poke(uint64_t *counter, uint64_t v)
{
	__atomic_store_n(counter, v, __ATOMIC_RELEASE);
}

/* Waits until the counter plus `ahead` has reached v; false if NCCL aborts the kernel. */
static bool reaches(const struct comm *comm, const uint64_t *counter, uint64_t ahead, uint64_t v)
{
	int looks = 0;

	/* A sender's counter begins at -STEPS if NCCL has given it no slots yet: the sum wraps around. */
	while (peek(counter) + ahead < v) {
		if (*comm->abort)
			return false;
		/* There are more threads than cores, and NCCL's own threads poll. */
		if (++looks < PATIENCE)
			sched_yield();
		else
			nanosleep(&(struct timespec){.tv_nsec = 50000}, NULL);
	}
	return true;
}

static char *slot(const struct conn *c)
{
	const struct fifo *f = c->fifo ? &c->fifo[c->step % STEPS] : NULL;

	if (f && f->mode == MODE_OFFSET)
		return c->buffs[SIMPLE] + __atomic_load_n(&f->offset, __ATOMIC_ACQUIRE);
	return c->buffs[SIMPLE] + c->step % STEPS * (size_t)c->step_bytes;
}

/* The slot for the next `steps` steps of a send; NULL: abort. */
static char *send_slot(const struct comm *comm, struct conn *c, uint64_t steps)
{
	return reaches(comm, c->head, STEPS, c->step + steps) ? slot(c) : NULL;
}

static void send_done(struct conn *c, uint64_t steps, size_t bytes)
{
	if (c->fifo)
		__atomic_store_n(&c->fifo[c->step % STEPS].bytes, (ssize_t)bytes, __ATOMIC_RELAXED);
	c->step += steps;
	poke(c->tail, c->step);
}

static char *recv_slot(const struct comm *comm, struct conn *c, uint64_t steps)
{
	return reaches(comm, c->tail, 0, c->step + steps) ? slot(c) : NULL;
}

static void recv_done(struct conn *c, uint64_t steps)
{
	c->step += steps;
	poke(c->head, c->step);
}

/* Each chunk is one step; an empty message is one empty chunk. */
static void move(const struct job *j)
{
	size_t at = 0;

	do {
		size_t n = j->bytes - at < j->chunk_bytes ? j->bytes - at : j->chunk_bytes;
		char *s = j->sends ? send_slot(j->comm, j->conn, 1) : recv_slot(j->comm, j->conn, 1);

		if (!s)
			return;
		memcpy(j->sends ? s : j->data + at, j->sends ? j->data + at : s, n);
		if (j->sends)
			send_done(j->conn, 1, n);
		else
			recv_done(j->conn, 1);
		at += n;
	} while (at < j->bytes);
}

/* One chunk of a ring: `from` is NULL if nothing is received, `to` if nothing is sent. */
struct ring_step {
	const struct comm *comm;
	struct conn *from, *to;
	bool reduces, keeps;
	const uint32_t *in;
	uint32_t *out;
};

static bool ring_slice(const struct ring_step *s, size_t at, size_t n)
{
	const uint32_t *got = NULL;
	uint32_t *put = NULL;

	if (s->from && !(got = (const uint32_t *)(const void *)recv_slot(s->comm, s->from, RING_STEPS)))
		return false;
	if (s->to && !(put = (uint32_t *)(void *)send_slot(s->comm, s->to, RING_STEPS)))
		return false;
	for (size_t i = 0; i < n; i++) {
		uint32_t v = (got ? got[i] : 0) + (s->reduces || !got ? s->in[at + i] : 0);

		if (put)
			put[i] = v;
		if (s->keeps)
			s->out[at + i] = v;
	}
	if (s->from)
		recv_done(s->from, RING_STEPS);
	if (s->to)
		send_done(s->to, RING_STEPS, n * sizeof(uint32_t));
	return true;
}

static bool ring_chunk(const struct ring_step *s, size_t at, size_t n)
{
	size_t whole = (size_t)(s->to ? s->to : s->from)->step_bytes / sizeof(uint32_t) * RING_STEPS;
	size_t least = (n + 16 * RING_SLICES - 1) / (16 * RING_SLICES) * 16, done = 0;
	size_t slice = least > whole / 32 ? least : whole / 32;

	for (int i = 0; i < RING_SLICES; i++) {
		size_t now = n - done < slice ? n - done : slice;

		if (!ring_slice(s, at + done, now))
			return false;
		done += now;
	}
	return true;
}

/* This channel's part of the data, in elements. */
static void ring_part(const struct coll *c, int channel, size_t *offset, size_t *count, size_t *chunk)
{
	size_t grain = GRAIN_BYTES / sizeof(uint32_t), before = (size_t)(channel - c->channel_lo);

	*offset = before ? c->count_lo + (before - 1) * c->count_mid : 0;
	*count = !before ? c->count_lo : channel == c->channel_hi ? c->count_hi : c->count_mid;
	*chunk = grain * (!before ? c->grains_lo : channel == c->channel_hi ? c->grains_hi : c->grains_mid);
}

/* The steps of an operation begin at whole chunks. */
static uint64_t whole_chunks(uint64_t step)
{
	return (step + RING_STEPS * RING_SLICES - 1) / (RING_STEPS * RING_SLICES) * (RING_STEPS * RING_SLICES);
}

static void ring(const struct job *j)
{
	const struct coll *c = &j->coll;
	struct channel *ch = j->channel;
	struct conn *from = &ch->peers[ch->prev]->recv[0], *to = &ch->peers[ch->next]->send[0];
	int n = j->comm->nranks;
	size_t offset, count, chunk;

	from->step = whole_chunks(from->step);
	to->step = whole_chunks(to->step);
	poke(from->head, from->step);
	ring_part(c, j->channel_index, &offset, &count, &chunk);
	for (size_t at = 0; at < count; at += (size_t)n * chunk) {
		size_t left = count - at;

		if (left < (size_t)n * chunk)
			chunk = ((left + (size_t)n - 1) / (size_t)n + 3) / 4 * 4;
		for (int k = 0; k < 2 * n - 1; k++) {
			size_t first = (size_t)((ch->index - 1 - k + 2 * n) % n) * chunk;
			size_t now = first > left ? 0 : left - first < chunk ? left - first : chunk;
			const struct ring_step s = {
				.comm = j->comm,
				.from = k ? from : NULL,
				.to = k < 2 * n - 2 ? to : NULL,
				.reduces = k && k < n,
				.keeps = k >= n - 1,
				.in = (const uint32_t *)(const void *)c->send,
				.out = (uint32_t *)(void *)c->recv,
			};

			if (!ring_chunk(&s, offset + at + (now ? first : 0), now))
				return;
		}
	}
}

static void *work(void *arg)
{
	struct job *j = arg;

	if (j->channel)
		ring(j);
	else
		move(j);
	free(j);
	atomic_fetch_sub(&busy, 1);
	return NULL;
}

static int start(const struct job *template)
{
	struct job *j = malloc(sizeof(*j));
	pthread_t thread;

	if (!j)
		return -1;
	*j = *template;
	atomic_fetch_add(&busy, 1);
	if (pthread_create(&thread, NULL, work, j)) {
		atomic_fetch_sub(&busy, 1);
		free(j);
		return -1;
	}
	pthread_detach(thread);
	return 0;
}

/* NCCL's 8-bit floats: five bits of exponent, three of mantissa. */
static size_t chunk_of(uint8_t v)
{
	return v < 8 ? v : (size_t)(v % 8 + 8) << (v / 8 - 1);
}

/*
 * The number of the part of a message carried by this channel: the channel's distance from the base with its bits
 * reversed.
 */
static int part_of(const struct p2p *w, int channel)
{
	int delta = (channel - w->base) & (w->channels - 1), part = 0;

	for (int bit = 1; bit < w->channels; bit *= 2, delta /= 2)
		part = part * 2 + delta % 2;
	return part;
}

static int start_move(struct comm *comm, const struct p2p *w, int channel, bool sends)
{
	int parts = sends ? w->send_channels : w->recv_channels, part = part_of(w, channel);
	size_t bytes = sends ? w->send_bytes : w->recv_bytes, share, first, last;
	struct job j = {.comm = comm, .sends = sends};
	struct peer *peer;

	if (part >= parts)
		return 0;
	share = ((bytes + (size_t)parts - 1) / (size_t)parts + 4095) / 4096 * 4096;
	first = (size_t)part * share < bytes ? (size_t)part * share : bytes;
	last = first + share < bytes ? first + share : bytes;
	if (w->send_rank == comm->rank) {
		if (sends)
			memcpy(w->recv + first, w->send + first, last - first);
		return 0;
	}
	peer = comm->channels[channel].peers[sends ? w->send_rank : w->recv_rank];
	j.conn = sends ? &peer->send[P2P_CONNECTION] : &peer->recv[P2P_CONNECTION];
	j.data = (sends ? w->send : w->recv) + first;
	j.bytes = last - first;
	j.chunk_bytes = chunk_of(sends ? w->send_chunk : w->recv_chunk);
	return start(&j);
}

static int start_work(struct comm *comm, int channel, unsigned int type, const char *at)
{
	struct job j = {.comm = comm, .channel = &comm->channels[channel], .channel_index = channel};
	struct p2p p;

	if (type == WORK_P2P) {
		memcpy(&p, at, sizeof(p));
		return start_move(comm, &p, channel, true) || start_move(comm, &p, channel, false) ? -1 : 0;
	}
	if (type != WORK_COLL) {
		fprintf(stderr, "a kernel that the stand-in does not have: work of type %u\n", type);
		return -1;
	}
	memcpy(&j.coll, at, sizeof(j.coll));
	return start(&j);
}

static int start_batches(const char *block, const struct args *a, const struct batch *b, int channel)
{
	for (;; b += b->next_jump) {
		size_t bytes = b->type == WORK_P2P ? sizeof(struct p2p) : sizeof(struct coll);

		for (int bit = 0; bit < 64; bit++) {
			size_t at = b->offset + (size_t)bit * bytes;

			if (b->set >> bit & 1 && start_work(a->comm, channel, b->type,
							    a->storage == IN_ARGS   ? block + at
							    : a->storage == IN_FIFO ? a->work + (at & a->work_mask)
										    : a->work + at))
				return -1;
		}
		if (!b->next_jump)
			return 0;
	}
}

int kernel_launch(const void *args, size_t args_bytes, unsigned int blocks)
{
	const struct args *a = args;
	const struct batch *batches = (const struct batch *)(a + 1);
	uint64_t channels = a->channel_mask;

	(void)args_bytes;
	kernel_wait(); /* the kernels of a stream run in sequence */
	for (unsigned int i = 0; i < blocks && channels; i++, channels &= channels - 1)
		if (start_batches(args, a, &batches[i], __builtin_ctzll(channels)))
			return -1;
	return 0;
}

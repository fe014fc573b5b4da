/* SPDX-License-Identifier: Apache-2.0 */
/* Registrations: parts of one, several of one buffer, reused addresses; flush. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "cases.h"
#include "drive.h"

#define KIB   1024ul
#define MIB   (1024 * KIB)
#define LARGE (5120 * MIB)

/* One message from or into a part of a buffer; the rest of the buffer must stay unchanged. */
static void move_part(struct side *s, void *comm, struct drive_buf *b, void *mhandle, size_t from, int size,
		      uint64_t key)
{
	char what[64];

	if (s->rank == A) {
		drive_fill(b->data + from, (size_t)size, key);
		drive_send(s, comm, b->data + from, size, mhandle);
		return;
	}
	drive_canary(b->data, b->size);
	check(drive_recv(s, comm, b->data + from, size, mhandle) == size, "wrong size");
	snprintf(what, sizeof(what), "%d bytes at offset %zu of a registration", size, from);
	drive_expect(b->data + from, (size_t)size, key, what);
	drive_expect_canary(b->data, from, "what is before a received part");
	drive_expect_canary(b->data + from + size, b->size - from - (size_t)size, "what is behind a received part");
}

static void run_parts(struct side *s)
{
	void *comm = drive_one(s), *mhandle;
	uint64_t rng = s->seed;
	struct drive_buf b;
	size_t from, size;
	int i;

	drive_buf_open(&b, 300 * KIB, 40);
	mhandle = drive_reg(s, comm, b.data, b.size);
	for (i = 0; i < 100; i++) {
		from = rng_below(&rng, b.size);
		size = rng_below(&rng, b.size - from + 1);
		move_part(s, comm, &b, mhandle, from, (int)size, (uint64_t)i);
	}
	move_part(s, comm, &b, mhandle, 0, (int)b.size, 1000);
	move_part(s, comm, &b, mhandle, b.size, 0, 1001);
	drive_dereg(s, comm, mhandle);
	drive_buf_check_guards(&b, "a registered buffer");
	drive_buf_close(&b);
	drive_close_one(s, comm);
}

/* The limits of signed and unsigned 32-bit offsets within one registration. Most of its pages are never touched. */
static void run_beyond_4_gib(struct side *s)
{
	static const size_t from[] = {2048 * MIB - 70001, 4096 * MIB - 150000, 4096 * MIB + 5,
				      LARGE - 300000 - 64 * KIB};
	void *comm = drive_one(s), *mhandle;
	struct drive_buf b, window;
	size_t i;

	drive_buf_open_sparse(&b, LARGE, 0);
	mhandle = drive_reg(s, comm, b.data, b.size);
	for (i = 0; i < sizeof(from) / sizeof(from[0]); i++) {
		window = (struct drive_buf){.data = b.data + from[i] - 64 * KIB, .size = 300000 + 128 * KIB};
		move_part(s, comm, &window, mhandle, 64 * KIB, 300000, i);
		move_part(s, comm, &window, mhandle, 64 * KIB + 1, 100, i + 10);
	}
	drive_dereg(s, comm, mhandle);
	drive_buf_close(&b);
	drive_close_one(s, comm);
}

/* Overlapping registrations, deregistered in another order than registered. */
static void run_overlapping(struct side *s)
{
	enum { N = 12 };
	void *comm = drive_one(s), *mhandles[N];
	size_t from[N], len[N];
	uint64_t rng = s->seed;
	struct drive_buf b;
	int round, i, k;

	drive_buf_open(&b, 64 * KIB, 0);
	for (i = 0; i < N; i++) {
		from[i] = i < 2 ? 0 : rng_below(&rng, b.size - 1);
		len[i] = i < 2 ? b.size : 1 + rng_below(&rng, b.size - from[i]);
		mhandles[i] = drive_reg(s, comm, b.data + from[i], len[i]);
	}
	for (round = 0; round < N; round++) {
		for (i = round; i < N; i++) {
			k = (i * 7 + round) % (N - round) + round;
			move_part(s, comm, &b, mhandles[k], from[k], (int)len[k], (uint64_t)(round * N + k));
		}
		drive_dereg(s, comm, mhandles[round]);
	}
	drive_buf_check_guards(&b, "a registered buffer");
	drive_buf_close(&b);
	drive_close_one(s, comm);
}

/* The same buffer on every comm, as in NCCL's p2p pool. */
static void run_on_every_comm(struct side *s)
{
	enum { N = 16 };
	void *comms[N], *mhandles[N];
	struct drive_buf b;
	int i;

	drive_links(s, side_peer(s), s->rank == A ? N : 0, comms, s->rank == B ? N : 0, comms);
	drive_buf_open(&b, 256 * KIB, 0);
	for (i = 0; i < N; i++)
		mhandles[i] = drive_reg(s, comms[i], b.data, b.size);
	for (i = 0; i < N; i++) {
		move_part(s, comms[i], &b, mhandles[i], (size_t)i * 1000, 50000, (uint64_t)i);
		drive_dereg(s, comms[i], mhandles[i]);
	}
	drive_buf_close(&b);
	drive_close_links(s, s->rank == A ? N : 0, comms, s->rank == B ? N : 0, comms);
}

/* Memory freed and mapped anew at the same address: a registration must refer to the current memory. */
static void run_same_address_again(struct side *s)
{
	void *comm = drive_one(s), *mhandle, *where = NULL;
	const int size = 200000;
	unsigned char *p;
	int i;

	for (i = 0; i < 20; i++) {
		p = mmap(where, (size_t)size, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | (where ? MAP_FIXED_NOREPLACE : 0), -1, 0);
		check(p != MAP_FAILED && (!where || p == where), "cannot map the same address again");
		where = p;
		mhandle = drive_reg(s, comm, p, (size_t)size);
		if (s->rank == A) {
			drive_fill(p, (size_t)size, (uint64_t)i);
			drive_send(s, comm, p, size, mhandle);
		} else {
			check(drive_recv(s, comm, p, size, mhandle) == size, "wrong size");
			drive_expect(p, (size_t)size, (uint64_t)i, "memory mapped anew");
		}
		drive_dereg(s, comm, mhandle);
		munmap(p, (size_t)size);
	}
	drive_close_one(s, comm);
}

/* Many registrations at once, and many in sequence. */
static void run_many_registrations(struct side *s)
{
	enum { N = 2000 };
	void **mhandles = calloc(N, sizeof(*mhandles)), *comm = drive_one(s);
	struct drive_buf b;
	int i;

	check(mhandles != NULL, "out of memory");
	drive_buf_open(&b, N * 512ul, 0);
	for (i = 0; i < N; i++)
		mhandles[i] = drive_reg(s, comm, b.data + (size_t)i * 512, 512);
	for (i = 0; i < N; i += 100)
		move_part(s, comm, &b, mhandles[i], (size_t)i * 512, 512, (uint64_t)i);
	for (i = 0; i < N; i++)
		drive_dereg(s, comm, mhandles[i]);
	for (i = 0; i < N; i++)
		drive_dereg(s, comm, drive_reg(s, comm, b.data, 4096));
	drive_buf_close(&b);
	drive_close_one(s, comm);
	free(mhandles);
}

/* A flush of received host memory succeeds, at once or through a request that completes. */
static void run_flush(struct side *s)
{
	void *const stale = (void *)0x5a5a50;
	void *comm = drive_one(s), *mhandle, *req, *data;
	struct drive_buf b;
	int i, size = 10000, done;

	drive_buf_open(&b, (size_t)size, 0);
	data = b.data;
	mhandle = drive_reg(s, comm, b.data, b.size);
	for (i = 0; i < 20; i++) {
		move_part(s, comm, &b, mhandle, 0, size, (uint64_t)i);
		if (s->rank == A)
			continue;
		req = stale;
		check_ok(s->net->iflush(comm, 1, &data, &size, &mhandle, &req), "iflush");
		check(req != stale, "iflush left a stale request pointer");
		for (done = !req; !done;)
			check_ok(s->net->test(req, &done, NULL), "test of a flush");
		drive_expect(b.data, b.size, (uint64_t)i, "flushed memory");
	}
	drive_dereg(s, comm, mhandle);
	drive_buf_close(&b);
	drive_close_one(s, comm);
}

const struct suite_case memory_cases[] = {
	{.name = "memory/parts", .run = run_parts},
	{.name = "memory/beyond-4-gib", .run = run_beyond_4_gib},
	{.name = "memory/overlapping", .run = run_overlapping},
	{.name = "memory/on-every-comm", .run = run_on_every_comm},
	{.name = "memory/same-address-again", .run = run_same_address_again},
	{.name = "memory/many-registrations", .run = run_many_registrations},
	{.name = "memory/flush", .run = run_flush},
	{.name = NULL},
};

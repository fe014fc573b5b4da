/* SPDX-License-Identifier: Apache-2.0 */
/* Handles that connect must refuse: garbage, another plugin's, damaged ones. */
#include <string.h>

#include "cases.h"
#include "patience.h"
#include "drive.h"

#define BOUND_MS 30000
#define FLIPS	 48

static void expect_refusal(struct side *s, struct drive_handle *h, const char *what)
{
	uint64_t deadline = patience_ms() + BOUND_MS;
	weft_nccl_result r;
	void *comm;

	drive_canary(h->guard, sizeof(h->guard));
	side_step("connecting to %s", what);
	do {
		r = drive_connect_r(s, h, &comm);
		check(!comm, "connect to %s succeeds", what);
		check(patience_ms() < deadline, "connect to %s neither fails nor succeeds", what);
		drive_relax();
	} while (!r);
	check(bench_last_warn()[0], "connect to %s fails without a warning", what);
}

static void run_garbage(struct side *s)
{
	struct drive_handle h;
	uint64_t rng = s->seed;
	size_t j;
	int i;

	memset(h.bytes, 0, sizeof(h.bytes));
	expect_refusal(s, &h, "a handle of zeros");
	memset(h.bytes, 0xff, sizeof(h.bytes));
	expect_refusal(s, &h, "a handle of ones");
	for (i = 0; i < 20; i++) {
		for (j = 0; j < sizeof(h.bytes); j++)
			h.bytes[j] = (unsigned char)rng_next(&rng);
		expect_refusal(s, &h, "a handle of random bytes");
	}
	/* Like the handle of a socket transport: a family, a port, an IPv4 address. */
	memset(h.bytes, 0, sizeof(h.bytes));
	memcpy(h.bytes, "\x02\x00\x1f\x90\x7f\x00\x00\x01", 8);
	expect_refusal(s, &h, "a handle of another plugin");
}

/* The first bytes of a good handle, the rest lost. */
static void run_truncated(struct side *s)
{
	static const size_t keep[] = {4, 8, 16, 32, 56};
	struct drive_handle good, h;
	void *listen_comm, *comm;
	size_t i;

	if (s->rank == B) {
		listen_comm = drive_listen(s, &good);
		side_send(s, A, &good, sizeof(good));
		for (; !side_pending(s, A); drive_relax())
			check(!drive_accept(s, listen_comm), "a broken handle was accepted");
		side_barrier(s, A);
		drive_close_listen(s, listen_comm);
	} else {
		side_recv(s, B, &good, sizeof(good));
		for (i = 0; i < sizeof(keep) / sizeof(keep[0]); i++) {
			h = good;
			memset(h.bytes + keep[i], 0, sizeof(h.bytes) - keep[i]);
			expect_refusal(s, &h, "a truncated handle");
		}
		side_barrier(s, B);
	}
	comm = drive_one(s);
	drive_close_one(s, comm);
}

/* A polls all damaged handles until each has failed or, if its bit has no meaning, has connected. */
static void poll_flipped(struct side *s, struct drive_handle *h)
{
	bool settled[FLIPS] = {false};
	uint64_t deadline = patience_ms() + BOUND_MS;
	int i, left = FLIPS;
	weft_nccl_result r;
	void *comm;

	while (left) {
		side_step("%d of %d damaged handles are neither refused nor connected", left, FLIPS);
		check(patience_ms() < deadline, "%d of %d damaged handles are not refused", left, FLIPS);
		for (i = 0; i < FLIPS; i++) {
			if (settled[i])
				continue;
			r = drive_connect_r(s, &h[i], &comm);
			if (comm)
				drive_close_send(s, comm);
			settled[i] = r || comm;
			left -= settled[i];
		}
		drive_relax();
	}
}

/* A single flipped bit: an error or, if the bit has no meaning, a connection; never a crash or a hang. */
static void run_flipped(struct side *s)
{
	struct drive_handle h[FLIPS];
	void *listens[FLIPS], *comms[FLIPS] = {NULL}, *comm;
	uint64_t rng = s->seed;
	int i;

	for (i = 0; i < FLIPS; i++) {
		if (s->rank == B) {
			listens[i] = drive_listen(s, &h[i]);
			side_send(s, A, &h[i], sizeof(h[i]));
			continue;
		}
		side_recv(s, B, &h[i], sizeof(h[i]));
		h[i].bytes[rng_below(&rng, WEFT_NCCL_HANDLE_BYTES)] ^= (unsigned char)(1u << rng_below(&rng, 8));
	}
	if (s->rank == A) {
		poll_flipped(s, h);
		side_barrier(s, B);
	} else {
		side_step("accepting whatever damaged handles connect to");
		for (; !side_pending(s, A); drive_relax())
			for (i = 0; i < FLIPS; i++)
				if (!comms[i])
					drive_accept_r(s, listens[i], &comms[i]);
		side_barrier(s, A);
		for (i = 0; i < FLIPS; i++) {
			drive_close_recv(s, comms[i]);
			drive_close_listen(s, listens[i]);
		}
	}
	side_step("connecting with a good handle");
	comm = drive_one(s);
	if (s->rank == A)
		drive_say(s, comm, 5);
	else
		drive_hear(s, comm, 5);
	drive_close_one(s, comm);
}

const struct suite_case handle_cases[] = {
	{.name = "handle/garbage", .run = run_garbage, .nprocs = 1, .flags = SUITE_WEFT | SUITE_ONCE},
	{.name = "handle/truncated", .run = run_truncated, .flags = SUITE_WEFT},
	{.name = "handle/flipped-bit", .run = run_flipped, .flags = SUITE_WEFT, .env = "WEFT_CONNECT_TIMEOUT=20s"},
	{.name = NULL},
};

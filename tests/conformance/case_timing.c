/* SPDX-License-Identifier: Apache-2.0 */
/* Partners that are early, late or busy elsewhere: no data may land early, block other comms or get lost. */
#include <stdlib.h>
#include <string.h>

#include "cases.h"
#include "flow.h"

#define EARLY_MS 250 /* the head start of one side */

static const int probe_sizes[] = {0, 8, 1000, 4096, 40000, 1024 * 1024};
#define NPROBES 6

/* A's half: offers the message for a while, whether the plugin accepts it or not. */
static void send_early(struct side *s, void *comm, const struct drive_buf *b, int size, void *mhandle)
{
	uint64_t until = now_ms() + EARLY_MS;
	void *req = NULL;
	bool done = false;

	while (now_ms() < until) {
		if (!req)
			req = drive_try_isend(s, comm, b->data, size, mhandle);
		else if (!done)
			done = drive_test(s, req, NULL);
		drive_relax();
	}
	side_barrier(s, B);
	if (!req)
		req = drive_isend(s, comm, b->data, size, mhandle);
	if (!done)
		drive_wait(s, req);
}

/* No data may land in a buffer before its irecv, however long the sender has been offering it. */
static void run_early_sender(struct side *s)
{
	void *comm = drive_one(s), *mhandle;
	struct drive_buf b;
	int i, size;

	for (i = 0; i < NPROBES; i++) {
		size = probe_sizes[i];
		side_step("%d bytes are sent before their receive", size);
		drive_buf_open(&b, (size_t)size + 100, 0);
		mhandle = drive_reg(s, comm, b.data, b.size);
		if (s->rank == A) {
			drive_fill(b.data, (size_t)size, (uint64_t)i);
			send_early(s, comm, &b, size, mhandle);
		} else {
			side_barrier(s, A);
			drive_expect_canary(b.data, b.size, "a buffer without a posted receive");
			check(drive_recv(s, comm, b.data, size + 100, mhandle) == size, "wrong size");
			drive_expect(b.data, (size_t)size, (uint64_t)i, "an early message");
			drive_expect_canary(b.data + size, 100, "what is behind an early message");
		}
		drive_dereg(s, comm, mhandle);
		drive_buf_check_guards(&b, "an early message");
		drive_buf_close(&b);
	}
	drive_close_one(s, comm);
}

/* The receiver tests its receives for a while before the sender starts. */
static void run_early_receiver(struct side *s)
{
	void *comm = drive_one(s), *mhandle, *req;
	struct drive_buf b;
	uint64_t until;
	int i, size;

	for (i = 0; i < NPROBES; i++) {
		size = probe_sizes[i];
		drive_buf_open(&b, (size_t)size, 0);
		mhandle = drive_reg(s, comm, b.data, b.size);
		if (s->rank == A) {
			side_barrier(s, B);
			drive_fill(b.data, (size_t)size, (uint64_t)i);
			drive_send(s, comm, b.data, size, mhandle);
		} else {
			side_step("%d bytes are awaited before they are sent", size);
			req = drive_irecv(s, comm, b.data, size, mhandle);
			for (until = now_ms() + EARLY_MS; now_ms() < until;) {
				check(!drive_test(s, req, NULL), "a receive is done before the send");
				drive_relax();
			}
			drive_expect_canary(b.data, b.size, "a receive before the send");
			side_barrier(s, A);
			check(drive_wait(s, req) == size, "wrong size");
			drive_expect(b.data, (size_t)size, (uint64_t)i, "an awaited message");
		}
		drive_dereg(s, comm, mhandle);
		drive_buf_check_guards(&b, "an awaited message");
		drive_buf_close(&b);
	}
	drive_close_one(s, comm);
}

/*
 * When a send is done, its sender need not run any more: here it blocks in the kernel, without calls into the plugin,
 * until the receiver has all data. The receive is posted before the send (late false) or after it.
 */
static void done_means_delivered(struct side *s, bool late)
{
	void *comm = drive_one(s), *mhandle, *req;
	struct drive_buf b;
	int i, size;

	for (i = 0; i < NPROBES; i++) {
		size = probe_sizes[i];
		side_step("%d bytes, the receive is %s", size, late ? "late" : "early");
		drive_buf_open(&b, (size_t)size, 0);
		mhandle = drive_reg(s, comm, b.data, b.size);
		if (s->rank == A) {
			drive_fill(b.data, (size_t)size, (uint64_t)i);
			req = drive_isend(s, comm, b.data, size, mhandle);
			drive_wait(s, req);
			drive_set(b.data, 0, b.size);
		} else {
			if (late)
				sleep_ms(50);
			check(drive_recv(s, comm, b.data, size, mhandle) == size, "wrong size");
			drive_expect(b.data, (size_t)size, (uint64_t)i, "a message whose sender is gone");
		}
		side_barrier(s, side_peer(s));
		drive_dereg(s, comm, mhandle);
		drive_buf_close(&b);
	}
	drive_close_one(s, comm);
}

static void run_done_early(struct side *s)
{
	done_means_delivered(s, false);
}

static void run_done_late(struct side *s)
{
	done_means_delivered(s, true);
}

#define STUCK 12 /* comms in each direction without posted receives */

/*
 * Comms whose senders offer unmatched messages must not hold up another comm between the same processes; afterwards
 * they deliver all accepted messages. Each side is stuck in the same way.
 */
static void head_of_line(struct side *s, int depth, const int *sizes, int nsizes, int max_size)
{
	struct flow flows[2 * STUCK + 2] = {{0}};
	void *comms[2 * STUCK + 2];
	struct flow *sends = flows, *recvs = flows + STUCK, *live = flows + 2 * STUCK;
	bool moved = false;
	int i, j;

	drive_links(s, side_peer(s), STUCK, comms, STUCK, comms + STUCK);
	drive_links(s, side_peer(s), 1, comms + 2 * STUCK, 1, comms + 2 * STUCK + 1);
	for (i = 0; i < 2 * STUCK + 2; i++) {
		flows[i] = (struct flow){.comm = comms[i],
					 .sizes = sizes,
					 .nsizes = nsizes,
					 .max_size = max_size,
					 .count = depth,
					 .depth = depth};
		flows[i].sends = i < STUCK || i == 2 * STUCK;
		flows[i].key = flows[i].sends == (s->rank == A);
		if (i < 2 * STUCK) {
			flows[i].key += (uint64_t)(i % STUCK) * 2 + 2;
		} else {
			flows[i].count = 200;
			flows[i].depth = 8;
		}
		flow_open(s, &flows[i]);
	}
	side_step("offering messages that nobody receives");
	for (i = 0; i < 20; i++)
		for (j = 0; j < STUCK; j++)
			flow_step(&sends[j]);
	side_barrier(s, side_peer(s));
	side_step("moving data past %d stuck comms", STUCK);
	while (!flow_finished(&live[0]) || !flow_finished(&live[1])) {
		for (i = 0; i < 2; i++)
			if (!flow_finished(&live[i]))
				moved |= flow_step(&live[i]);
		for (j = 0; j < STUCK; j++)
			if (!flow_finished(&sends[j]))
				flow_step(&sends[j]);
		if (!moved)
			drive_relax();
		moved = false;
	}
	side_barrier(s, side_peer(s));
	for (i = 0; i < STUCK; i++)
		drive_expect_canary(recvs[i].buf.data, recvs[i].buf.size, "a buffer never offered");
	side_step("receiving what was stuck");
	flows_drive(flows, 2 * STUCK);
	for (i = 0; i < 2 * STUCK + 2; i++)
		flow_close(&flows[i]);
	drive_close_links(s, STUCK, comms, STUCK, comms + STUCK);
	drive_close_links(s, 1, comms + 2 * STUCK, 1, comms + 2 * STUCK + 1);
}

static void run_stuck_small(struct side *s)
{
	head_of_line(s, 32, (int[]){64, 700, 0, 2500}, 4, 2500);
}

static void run_stuck_large(struct side *s)
{
	head_of_line(s, 8, (int[]){100000, 300000}, 2, 300000);
}

/* A wakes only now and then: the plugin may depend on occasional polling, not on steady polling. */
static void run_drowsy(struct side *s)
{
	void *comm = drive_one(s);
	struct flow f = {
		.comm = comm, .sends = s->rank == A, .key = s->seed, .count = 80, .depth = 8, .max_size = 200000};
	int i;

	flow_open(s, &f);
	for (i = 0; !flow_finished(&f); i++) {
		flow_step(&f);
		if (i % 16 == (s->rank == A ? 0 : 8))
			sleep_ms(2);
	}
	flow_close(&f);
	drive_close_one(s, comm);
}

/* An idle connection, and one with a posted receive, still work after a pause without any call. */
static void run_pause(struct side *s)
{
	void *comm = drive_one(s);
	unsigned char data[72];
	void *mhandle = drive_reg(s, comm, data, sizeof(data)), *req = NULL;
	int i;

	for (i = 0; i < 2; i++) {
		if (s->rank == A) {
			side_barrier(s, B);
			sleep_ms(1500);
			drive_fill(data, sizeof(data), 3);
			drive_send(s, comm, data, sizeof(data), mhandle);
		} else {
			if (i)
				req = drive_irecv(s, comm, data, sizeof(data), mhandle);
			side_barrier(s, A);
			sleep_ms(1500);
			if (!i)
				req = drive_irecv(s, comm, data, sizeof(data), mhandle);
			drive_wait(s, req);
			drive_expect(data, sizeof(data), 3, "a message after a pause");
		}
	}
	drive_dereg(s, comm, mhandle);
	drive_close_one(s, comm);
}

const struct suite_case timing_cases[] = {
	{.name = "timing/early-sender", .run = run_early_sender},
	{.name = "timing/early-receiver", .run = run_early_receiver},
	{.name = "timing/done-means-delivered", .run = run_done_early},
	{.name = "timing/done-and-late-receive", .run = run_done_late},
	{.name = "timing/stuck-small", .run = run_stuck_small},
	{.name = "timing/stuck-large", .run = run_stuck_large},
	{.name = "timing/drowsy", .run = run_drowsy},
	{.name = "timing/pause", .run = run_pause, .flags = SUITE_ONCE},
	{.name = NULL},
};

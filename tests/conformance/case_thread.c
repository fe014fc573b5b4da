/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Several threads in the plugin at once, like NCCL's service and progress threads: registration beside traffic, comms
 * used by a thread other than their creator, several pairs of threads.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "cases.h"
#include "flow.h"

#define THREADS 4

struct worker {
	struct side *s;
	pthread_t thread;
	struct flow flows[2]; /* one sends, one receives */
	int index;
	_Atomic int *stop; /* NULL for workers that end by themselves */
	/* for workers that connect */
	void *listen_comm;
	struct drive_handle handle; /* the handle of the other process */
};

static void start(struct worker *w, void *(*run)(void *))
{
	check(!pthread_create(&w->thread, NULL, run, w), "cannot start a thread");
}

static void *run_flows(void *arg)
{
	struct worker *w = arg;

	flows_drive(w->flows, 2);
	return NULL;
}

/* Messages of all sizes in both directions over a pair of comms; opened (registered) by the calling thread. */
static void prepare_flows(struct worker *w, void *out, void *in, int count)
{
	int i;

	for (i = 0; i < 2; i++) {
		w->flows[i] = (struct flow){.comm = i ? in : out,
					    .sends = !i,
					    .count = count,
					    .depth = 8,
					    .max_size = 60000,
					    .max_slack = 64};
		w->flows[i].key = (uint64_t)w->index * 2 + (w->flows[i].sends == (w->s->rank == A));
		flow_open(w->s, &w->flows[i]);
	}
}

static void finish_flows(struct worker *w)
{
	flow_close(&w->flows[0]);
	flow_close(&w->flows[1]);
	drive_close_links(w->s, 1, &w->flows[0].comm, 1, &w->flows[1].comm);
}

/* Comms are created here, used by another thread, closed here. */
static void run_hand_over(struct side *s)
{
	struct worker w = {.s = s};
	void *out, *in;

	drive_links(s, side_peer(s), 1, &out, 1, &in);
	prepare_flows(&w, out, in, 300);
	side_step("another thread moves the data");
	start(&w, run_flows);
	pthread_join(w.thread, NULL);
	finish_flows(&w);
}

static void *register_on_and_on(void *arg)
{
	struct worker *w = arg;
	uint64_t rng = (uint64_t)w->index;
	unsigned char *data = malloc(1 << 20);
	void *held[8] = {NULL}, *comm = w->flows[w->index % 2].comm;
	size_t i, len;

	check(data != NULL, "out of memory");
	while (!atomic_load(w->stop)) {
		i = rng_below(&rng, 8);
		len = 1 + rng_below(&rng, 1 << 19);
		if (held[i])
			drive_dereg(w->s, comm, held[i]);
		held[i] = drive_reg(w->s, comm, data + rng_below(&rng, 1 << 19), len);
		drive_relax();
	}
	for (i = 0; i < 8; i++)
		if (held[i])
			drive_dereg(w->s, comm, held[i]);
	free(data);
	return NULL;
}

/* User buffers are registered on a comm while its progress thread transfers data. */
static void run_register_during_traffic(struct side *s)
{
	_Atomic int stop = 0;
	struct worker w[2];
	void *out, *in;
	int i;

	drive_links(s, side_peer(s), 1, &out, 1, &in);
	w[0] = (struct worker){.s = s, .stop = &stop};
	prepare_flows(&w[0], out, in, 600);
	w[1] = w[0];
	w[1].index = 1;
	side_step("two threads register while one moves data");
	for (i = 0; i < 2; i++)
		start(&w[i], register_on_and_on);
	flows_drive(w[0].flows, 2);
	atomic_store(&stop, 1);
	for (i = 0; i < 2; i++)
		pthread_join(w[i].thread, NULL);
	finish_flows(&w[0]);
}

/* Several communicators or GPUs in a process: each thread has its own comms on the same device. */
static void run_own_comms(struct side *s)
{
	struct worker w[THREADS];
	void *out, *in;
	int i;

	for (i = 0; i < THREADS; i++) {
		drive_links(s, side_peer(s), 1, &out, 1, &in);
		w[i] = (struct worker){.s = s, .index = i};
		prepare_flows(&w[i], out, in, 200);
	}
	side_step("%d threads move data at once", THREADS);
	for (i = 0; i < THREADS; i++)
		start(&w[i], run_flows);
	for (i = 0; i < THREADS; i++)
		pthread_join(w[i].thread, NULL);
	for (i = 0; i < THREADS; i++)
		finish_flows(&w[i]);
}

static void *connect_and_run(void *arg)
{
	struct worker *w = arg;
	void *out = NULL, *in = NULL;

	while (!out || !in) {
		if (!out)
			out = drive_connect(w->s, &w->handle);
		if (!in)
			in = drive_accept(w->s, w->listen_comm);
		drive_relax();
	}
	drive_close_listen(w->s, w->listen_comm);
	prepare_flows(w, out, in, 60);
	flows_drive(w->flows, 2);
	finish_flows(w);
	return NULL;
}

/* Threads that connect, register, transfer data and close, all at the same time. */
static void run_connect_at_once(struct side *s)
{
	struct worker w[THREADS];
	struct drive_handle mine;
	int round, i;

	for (round = 0; round < 5; round++) {
		side_step("%d threads connect and move data at once, round %d", THREADS, round);
		for (i = 0; i < THREADS; i++) {
			w[i] = (struct worker){.s = s, .index = i};
			w[i].listen_comm = drive_listen(s, &mine);
			side_send(s, side_peer(s), &mine, sizeof(mine));
			side_recv(s, side_peer(s), &w[i].handle, sizeof(w[i].handle));
		}
		for (i = 0; i < THREADS; i++)
			start(&w[i], connect_and_run);
		for (i = 0; i < THREADS; i++)
			pthread_join(w[i].thread, NULL);
	}
}

/* One thread connects and closes other comms between the same processes during transfers. */
static void run_connect_during_traffic(struct side *s)
{
	struct worker w = {.s = s};
	void *out, *in;
	int i;

	drive_links(s, side_peer(s), 1, &out, 1, &in);
	prepare_flows(&w, out, in, 800);
	start(&w, run_flows);
	for (i = 0; i < 15; i++) {
		drive_links(s, side_peer(s), 1, &out, 1, &in);
		side_step("closing comms beside traffic, round %d", i);
		drive_close_links(s, 1, &out, 1, &in);
	}
	side_step("waiting for the traffic to end");
	pthread_join(w.thread, NULL);
	finish_flows(&w);
}

const struct suite_case thread_cases[] = {
	{.name = "thread/hand-over", .run = run_hand_over},
	{.name = "thread/register-during-traffic", .run = run_register_during_traffic},
	{.name = "thread/own-comms", .run = run_own_comms},
	{.name = "thread/connect-at-once", .run = run_connect_at_once},
	{.name = "thread/connect-during-traffic", .run = run_connect_during_traffic},
	{.name = NULL},
};

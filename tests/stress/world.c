/* SPDX-License-Identifier: Apache-2.0 */
/* A communicator: its service thread, and the progress thread that the service thread starts in each round. */
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "seconds.h"
#include "stress.h"

void check_call(weft_nccl_result r, const char *call)
{
	if (r)
		fail("%s returned %d", call, (int)r);
}

static void set_up(struct world *w, struct comm *c, int peer, int lane, bool sends)
{
	int from = sends ? me : peer, to = sends ? peer : me;
	struct arena arena = c->arena;

	memset(c, 0, sizeof(*c));
	c->arena = arena;
	arena_open(&c->arena);
	c->world = w;
	c->peer = peer;
	c->lane = lane;
	c->sends = sends;
	plan_connection(&c->plan, mix(mix(w->key, (uint64_t)(from * PROCS_MAX + to)), (uint64_t)lane));
	c->sequence = mix(w->sequence, (uint64_t)w->count);
	shared->abrupt += c->plan.abrupt && sends;
}

static void set_up_all(struct world *w)
{
	int peer, lane;

	w->count = 0;
	for (peer = 0; peer < settings.procs; peer++) {
		for (lane = 0; peer != me && lane < settings.lanes; lane++) {
			set_up(w, &w->comms[w->count++], peer, lane, true);
			set_up(w, &w->comms[w->count++], peer, lane, false);
		}
	}
}

static void listen_all(struct world *w)
{
	int i;

	for (i = 0; i < w->count; i++) {
		struct comm *c = &w->comms[i];
		struct mailbox *mail = &shared->mail[w->number][me][c->peer][c->lane];

		if (c->sends)
			continue;
		check_call(net->listen(w->context, 0, mail->handle, &c->listen), "listen");
		atomic_store(&mail->turn, w->round);
	}
}

static void connect_all(struct world *w)
{
	int i, left = w->count;

	listen_all(w);
	while (left) {
		for (i = 0; i < w->count; i++)
			if (!w->comms[i].comm && comm_connect(&w->comms[i], w->round))
				left--;
		relax();
	}
}

/* False while a comm still has something to do. */
static bool all_over(const struct world *w)
{
	int i;

	for (i = 0; i < w->count; i++)
		if (!comm_over(&w->comms[i]) && !comm_abandoned(&w->comms[i]))
			return false;
	return true;
}

/* NCCL's threads wait for the GPU at times; its peers then have operations under way that don't move. */
static void pause_for_a_while(uint64_t *s)
{
	usleep((useconds_t)below(s, 30000));
}

static void *progress(void *arg)
{
	struct world *w = arg;
	uint64_t s = mix(w->key, 31 * (uint64_t)me + 5);
	unsigned turns = 0, burst, pause_at = 20 + (unsigned)below(&s, 400);

	while (++turns % 256 || !all_over(w)) {
		struct comm *c = &w->comms[below(&s, (uint64_t)w->count)];

		for (burst = 1 + (unsigned)below(&s, 4); burst && !comm_over(c); burst--)
			comm_step(c);
		if (turns % 256 == 0)
			relax();
		if (turns == pause_at || !below(&s, 20000))
			pause_for_a_while(&s);
	}
	return NULL;
}

/* In any order; the other ends may still be at work, as no barrier comes before in most rounds. */
static void close_all(struct world *w)
{
	bool closed[COMMS_MAX] = {false};
	int i, n;

	for (n = 0; n < w->count; n++) {
		for (i = (int)below(&w->sequence, (uint64_t)w->count); closed[i];)
			i = (i + 1) % w->count;
		closed[i] = true;
		comm_close(&w->comms[i]);
		if (w->comms[i].plan.abrupt)
			w->comms[i].left_behind = arena_hash(&w->comms[i].arena);
	}
}

/* Nobody writes into the memory of a comm after its close. */
static void check_left_behind(const struct world *w)
{
	int i;

	for (i = 0; i < w->count; i++) {
		const struct comm *c = &w->comms[i];

		if (c->plan.abrupt && arena_hash(&c->arena) != c->left_behind)
			fail("memory of a %s comm was written after its close", c->sends ? "send" : "receive");
	}
}

static void round_run(struct world *w)
{
	pthread_t thread;
	int i, visits;

	w->key = mix(mix((uint64_t)settings.seed, (uint64_t)w->number), (uint64_t)w->round);
	w->sequence = mix(w->key, 900 + (uint64_t)me);
	set_up_all(w);
	connect_all(w);
	if (pthread_create(&thread, NULL, progress, w))
		fail("no thread");
	pause_for_a_while(&w->sequence);
	visits = 1 + w->round % 3;
	for (i = 0; i < visits; i++)
		visit(w, i);
	pthread_join(thread, NULL);
	if (w->round % 4 == 0)
		barrier(w->number);
	close_all(w);
}

/* The first process decides when it ends, so that all make the same number of rounds. */
static bool was_last(const struct world *w, double deadline)
{
	bool out_of_time = seconds_now() > deadline;

	if (me == 0) {
		shared->rounds++;
		if (settings.rounds ? w->round == settings.rounds : out_of_time)
			atomic_store(&shared->last_round[w->number], w->round);
	}
	barrier(w->number);
	return atomic_load(&shared->last_round[w->number]) == w->round;
}

void *world_run(void *arg)
{
	struct world *w = arg;
	double deadline = seconds_now() + (double)settings.seconds;
	bool last = false;

	while (!last) {
		w->round++;
		round_run(w);
		last = was_last(w, deadline);
		check_left_behind(w);
	}
	check_call(net->finalize(w->context), "finalize");
	atomic_store(&w->ended, true);
	return NULL;
}

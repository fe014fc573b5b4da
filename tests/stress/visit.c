/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An additional connection while the other comms of the same communicator carry traffic: what the service thread does
 * when a collective of a new kind begins. It is there for some messages only.
 */
#include <stdlib.h>
#include <string.h>

#include "stress.h"

enum { ROOM = 128 * 1024, MESSAGES = 20, TAG = 3 };

struct side {
	void *comm, *mhandle, *request;
	unsigned char *data;
};

struct trip {
	struct world *world;
	int to, from;
	struct side out, in;
};

static void connect_both(struct trip *t, int64_t turn)
{
	struct mailbox *theirs = &shared->mail[t->world->number][t->to][me][LANES_MAX];
	struct mailbox *ours = &shared->mail[t->world->number][me][t->from][LANES_MAX];
	unsigned char handle[WEFT_NCCL_HANDLE_BYTES] __attribute__((aligned(8)));
	void *listen;

	check_call(net->listen(t->world->context, 0, ours->handle, &listen), "listen");
	atomic_store(&ours->turn, turn);
	while (atomic_load(&theirs->turn) != turn)
		relax();
	memcpy(handle, theirs->handle, sizeof(handle));
	while (!t->out.comm || !t->in.comm) {
		if (!t->out.comm)
			check_call(net->connect(t->world->context, 0, handle, &t->out.comm, NULL), "connect");
		if (!t->in.comm)
			check_call(net->accept(listen, &t->in.comm, NULL), "accept");
		relax();
	}
	check_call(net->close_listen(listen), "closeListen");
	shared->comms += 2;
}

static void poll_side(struct side *s, int expected)
{
	int done = 0, size = -1;

	if (!s->request)
		return;
	check_call(net->test(s->request, &done, &size), "test");
	if (!done)
		return;
	if (size != expected)
		fail("a message of a visit has %d bytes instead of %d", size, expected);
	s->request = NULL;
}

/* What process `sender` sends. */
static uint64_t message_key(const struct world *w, int sender, int number)
{
	return mix(mix(w->key, 31 + (uint64_t)sender), (uint64_t)number);
}

static void exchange(struct trip *t, int number)
{
	uint64_t out_key = message_key(t->world, me, number), in_key = message_key(t->world, t->from, number);
	int out_bytes = (int)(out_key % ROOM), in_bytes = (int)(in_key % ROOM), tag = TAG;
	void *data = t->in.data;
	size_t room = ROOM;

	content_fill(t->out.data, (size_t)out_bytes, out_key);
	while (!t->in.request)
		check_call(net->irecv(t->in.comm, 1, &data, &room, &tag, &t->in.mhandle, NULL, &t->in.request),
			   "irecv");
	while (!t->out.request)
		check_call(net->isend(t->out.comm, t->out.data, (size_t)out_bytes, TAG, t->out.mhandle, NULL,
				      &t->out.request),
			   "isend");
	while (t->in.request || t->out.request) {
		poll_side(&t->in, in_bytes);
		poll_side(&t->out, out_bytes);
		relax();
	}
	if (content_verify(t->in.data, (size_t)in_bytes, in_key) != (size_t)in_bytes)
		fail("message %d of a visit from process %d has wrong bytes", number, t->from);
	shared->visits++;
}

/* Registrations of memory that the progress thread uses at the same time, with its own registration of it. */
static void register_under_traffic(struct world *w)
{
	int i, n;

	for (i = 0; i < 10; i++) {
		struct comm *c = &w->comms[n = (int)below(&w->sequence, (uint64_t)w->count)];
		size_t at = below(&w->sequence, c->arena.memory.bytes - ROOM);
		void *mhandle;

		check_call(net->reg_mr(c->comm, (char *)c->arena.memory.data + at, ROOM, WEFT_NCCL_PTR_HOST, &mhandle),
			   "regMr");
		relax();
		check_call(net->dereg_mr(c->comm, mhandle), "deregMr");
	}
}

static void close_side(struct side *s, bool sends)
{
	check_call(net->dereg_mr(s->comm, s->mhandle), "deregMr");
	check_call(sends ? net->close_send(s->comm) : net->close_recv(s->comm), sends ? "closeSend" : "closeRecv");
}

void visit(struct world *w, int number)
{
	int procs = (int)settings.procs, i;
	struct trip t = {.world = w, .to = (me + 1) % procs, .from = (me + procs - 1) % procs};
	unsigned char *memory = malloc(2 * ROOM);

	if (!memory)
		fail("out of memory");
	t.out.data = memory;
	t.in.data = memory + ROOM;
	connect_both(&t, (int64_t)w->round * 1000 + number);
	check_call(net->reg_mr(t.out.comm, t.out.data, ROOM, WEFT_NCCL_PTR_HOST, &t.out.mhandle), "regMr");
	check_call(net->reg_mr(t.in.comm, t.in.data, ROOM, WEFT_NCCL_PTR_HOST, &t.in.mhandle), "regMr");
	for (i = 0; i < MESSAGES; i++)
		exchange(&t, 100 * number + i);
	register_under_traffic(w);
	if (below(&w->sequence, 2)) {
		close_side(&t.in, false);
		close_side(&t.out, true);
	} else {
		close_side(&t.out, true);
		close_side(&t.in, false);
	}
	free(memory);
}

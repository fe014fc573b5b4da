/* SPDX-License-Identifier: Apache-2.0 */
/* One end of a connection: starts and tests operations in any order, and verifies what arrives. */
#include <stdio.h>
#include <string.h>

#include "seconds.h"
#include "stress.h"

enum { SLACK_BYTE = 0x5a, GUARD_BYTE = 0xa5, USED_BYTE = 0xdd };

static size_t space_of(size_t room)
{
	return (room + GUARD + 63) / 64 * 64 + 64; /* 64 more for a start that isn't aligned */
}

static int stop_of(const struct comm *c)
{
	return c->sends ? c->plan.send_stop : c->plan.recv_stop;
}

bool comm_over(const struct comm *c)
{
	return c->broken || c->done == c->plan.ops || (c->plan.abrupt && c->begun >= stop_of(c));
}

bool comm_abandoned(const struct comm *c)
{
	return c->plan.abrupt && seconds_now() - c->moved_at > 0.5;
}

void comm_report(const struct comm *c)
{
	fprintf(stderr,
		"# process %d, world %d, round %d: %s comm, lane %d with process %d: %s, %d of %d operations done, "
		"%d begun, style %d from %d%s\n",
		me, c->world->number, c->world->round, c->sends ? "send" : "receive", c->lane, c->peer,
		c->comm ? "connected" : "not connected", c->done, c->plan.ops, c->begun, c->plan.style,
		c->plan.style_from, c->plan.abrupt ? ", abrupt" : "");
}

/* An error: allowed on an abrupt comm, as the other end may have closed. */
static void met_error(struct comm *c, weft_nccl_result r, const char *call)
{
	if (!c->plan.abrupt) {
		comm_report(c);
		fail("%s returned %d on a comm that nobody closed", call, (int)r);
	}
	if (r < WEFT_NCCL_SYSTEM_ERROR || r > WEFT_NCCL_REMOTE_ERROR)
		fail("%s returned %d, which a plugin may not", call, (int)r);
	c->broken = true;
	shared->abrupt_errors++;
}

static void moved(struct comm *c)
{
	c->moved_at = seconds_now();
}

/* Space for the next operation, whose plan is in its slot. */
static bool begin(struct comm *c, struct op *o)
{
	unsigned char *at;
	size_t bytes = 0;
	int i;

	plan_op(&c->plan, c->begun, &o->plan);
	for (i = 0; i < o->plan.n; i++)
		bytes += space_of(o->plan.room[i]);
	if (!arena_take(&c->arena, bytes, &at, &o->end))
		return false;
	for (i = 0; i < o->plan.n; i++) {
		o->at[i] = at + below(&c->sequence, 2) * below(&c->sequence, 64);
		at += space_of(o->plan.room[i]);
	}
	memset(o->requests, 0, sizeof(o->requests));
	o->sent = 0;
	o->over = o->started = false;
	return true;
}

/* Operations end in any order; their space returns in the order of their beginning. */
static void end(struct comm *c, struct op *o)
{
	o->over = true;
	while (c->done < c->begun && c->ops[c->done % WINDOW].over)
		arena_give(&c->arena, c->ops[c->done++ % WINDOW].end);
	moved(c);
}

static bool may_begin(const struct comm *c)
{
	return c->begun < stop_of(c) && c->begun - c->done < WINDOW;
}

/* Mostly the oldest operation, at times any other: the order in which a caller tests is free. */
static struct op *choose(struct comm *c)
{
	int i = c->done;

	if (c->begun == c->done)
		return NULL;
	if (!below(&c->sequence, 4))
		i += (int)below(&c->sequence, (uint64_t)(c->begun - c->done));
	return c->ops[i % WINDOW].over ? NULL : &c->ops[i % WINDOW];
}

/* ---- receives ---- */

static void prepare_receive(struct op *o)
{
	int i;

	for (i = 0; i < o->plan.n; i++) {
		memset(o->at[i] + o->plan.bytes[i], SLACK_BYTE, o->plan.room[i] - o->plan.bytes[i]);
		memset(o->at[i] + o->plan.room[i], GUARD_BYTE, GUARD);
	}
}

static void start_receive(struct comm *c)
{
	struct op *o = &c->ops[c->begun % WINDOW];
	void *data[GROUP_MAX], *mhandles[GROUP_MAX], *request = (void *)1;
	weft_nccl_result r;
	int i;

	/* A receive that the plugin did not take is offered again, with the same buffers. */
	if (!o->started && !begin(c, o))
		return;
	o->started = true;
	prepare_receive(o);
	for (i = 0; i < o->plan.n; i++) {
		data[i] = o->at[i];
		mhandles[i] = c->mhandle;
	}
	r = net->irecv(c->comm, o->plan.n, data, o->plan.room, o->plan.tags, mhandles, NULL, &request);
	if (r) {
		met_error(c, r, "irecv");
	} else if (request) {
		o->requests[0] = request;
		shared->groups += o->plan.n > 1;
		c->ops[++c->begun % WINDOW].started = false;
		moved(c);
	}
}

static size_t unchanged(const unsigned char *data, size_t n, int byte)
{
	size_t i = 0;

	while (i < n && data[i] == byte)
		i++;
	return i;
}

static void verify(const struct comm *c, const struct op *o, int op, int place, int size)
{
	size_t bytes = o->plan.bytes[place], room = o->plan.room[place], at;
	const unsigned char *data = o->at[place];
	const char *wrong = NULL;

	if ((size_t)size != bytes)
		wrong = "has the wrong size", at = (size_t)size;
	else if ((at = content_verify(data, bytes, plan_content(&c->plan, op, place))) < bytes)
		wrong = "has a wrong byte";
	else if ((at = bytes + unchanged(data + bytes, room - bytes, SLACK_BYTE)) < room)
		wrong = "was written behind the message";
	else if ((at = room + unchanged(data + room, GUARD, GUARD_BYTE)) < room + GUARD)
		wrong = "was written behind the buffer";
	if (!wrong)
		return;
	comm_report(c);
	fail("operation %d, message %d of %d, %zu bytes in %zu: %s (%zu)", op, place + 1, o->plan.n, bytes, room, wrong,
	     at);
}

static void test_receive(struct comm *c, struct op *o)
{
	int done = 0, sizes[GROUP_MAX], i, op = c->done + (int)((o - c->ops) - c->done % WINDOW + WINDOW) % WINDOW;
	weft_nccl_result r;

	memset(sizes, 0x7f, sizeof(sizes));
	r = net->test(o->requests[0], &done, sizes);
	if (r) {
		met_error(c, r, "test of a receive");
		return;
	}
	if (!done)
		return;
	for (i = 0; i < o->plan.n; i++) {
		verify(c, o, op, i, sizes[i]);
		shared->bytes += (long)o->plan.bytes[i];
	}
	shared->messages += o->plan.n;
	end(c, o);
}

/* ---- sends ---- */

static bool all_sent(const struct op *o)
{
	return o->sent == (1u << o->plan.n) - 1;
}

static void begin_send(struct comm *c)
{
	struct op *o = &c->ops[c->begun % WINDOW];
	int i;

	if (!begin(c, o))
		return;
	for (i = 0; i < o->plan.n; i++)
		content_fill(o->at[i], o->plan.bytes[i], plan_content(&c->plan, c->begun, i));
	c->begun++;
	moved(c);
}

/* Messages of a group go in any order, but those with equal tags in the order of their places. */
static int choose_place(struct comm *c, const struct op *o)
{
	int i, place = (int)below(&c->sequence, (uint64_t)o->plan.n);

	while (o->sent >> place & 1)
		place = (place + 1) % o->plan.n;
	for (i = 0; i < place; i++)
		if (!(o->sent >> i & 1) && o->plan.tags[i] == o->plan.tags[place])
			return i;
	return place;
}

static void send_one(struct comm *c, struct op *o)
{
	int place = choose_place(c, o);
	void *request = (void *)1;
	weft_nccl_result r = net->isend(c->comm, o->at[place], o->plan.bytes[place], o->plan.tags[place], c->mhandle,
					NULL, &request);

	if (r) {
		met_error(c, r, "isend");
	} else if (request) {
		o->requests[place] = request;
		o->sent |= 1u << place;
		moved(c);
	}
}

/* True once that message is over; its memory is overwritten at once, as NCCL may. */
static bool test_send(struct comm *c, struct op *o, int place)
{
	int done = 0, size = -1;
	size_t bytes = o->plan.bytes[place];
	weft_nccl_result r = net->test(o->requests[place], &done, &size);

	if (r) {
		met_error(c, r, "test of a send");
		return false;
	}
	if (!done)
		return false;
	if ((size_t)size != bytes)
		fail("a send of %zu bytes completed with a size of %d", bytes, size);
	memset(o->at[place], USED_BYTE, bytes);
	o->requests[place] = NULL;
	return true;
}

static void test_sends(struct comm *c, struct op *o)
{
	bool over = all_sent(o);
	int i;

	for (i = 0; i < o->plan.n && !c->broken; i++)
		if (o->requests[i] && !test_send(c, o, i))
			over = false;
	if (over && !c->broken)
		end(c, o);
}

static void step_send(struct comm *c)
{
	struct op *newest = c->begun ? &c->ops[(c->begun - 1) % WINDOW] : NULL;

	if (may_begin(c) && (!newest || all_sent(newest)))
		begin_send(c);
	newest = c->begun ? &c->ops[(c->begun - 1) % WINDOW] : NULL;
	if (newest && c->begun > c->done && !newest->over && !all_sent(newest))
		send_one(c, newest);
}

void comm_step(struct comm *c)
{
	struct op *o;

	if (c->sends)
		step_send(c);
	else if (may_begin(c) && below(&c->sequence, 3))
		start_receive(c);
	o = c->broken ? NULL : choose(c);
	if (o && c->sends)
		test_sends(c, o);
	else if (o)
		test_receive(c, o);
}

/* ---- connecting and closing ---- */

bool comm_connect(struct comm *c, int64_t turn)
{
	struct mailbox *mail = &shared->mail[c->world->number][c->peer][me][c->lane];
	weft_nccl_result r;

	if (c->sends && !c->have_handle) {
		if (atomic_load(&mail->turn) != turn)
			return false;
		memcpy(c->handle, mail->handle, sizeof(c->handle));
		c->have_handle = true;
	}
	r = c->sends ? net->connect(c->world->context, 0, c->handle, &c->comm, NULL)
		     : net->accept(c->listen, &c->comm, NULL);
	if (r) {
		comm_report(c);
		fail("%s returned %d", c->sends ? "connect" : "accept", (int)r);
	}
	if (!c->comm)
		return false;
	if (!c->sends)
		check_call(net->close_listen(c->listen), "closeListen");
	check_call(net->reg_mr(c->comm, c->arena.memory.data, c->arena.memory.bytes, WEFT_NCCL_PTR_HOST, &c->mhandle),
		   "regMr");
	shared->comms++;
	moved(c);
	return true;
}

void comm_close(struct comm *c)
{
	check_call(net->dereg_mr(c->comm, c->mhandle), "deregMr");
	check_call(c->sends ? net->close_send(c->comm) : net->close_recv(c->comm),
		   c->sends ? "closeSend" : "closeRecv");
	c->comm = NULL;
	if (guarded_check(&c->arena.memory))
		fail("bytes outside a comm's memory were written");
}

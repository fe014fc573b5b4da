/* SPDX-License-Identifier: Apache-2.0 */
/* Runs an operation: advances all channels in passes until the operation is done. */
#include "exchange.h"
#include "ring_priv.h"

#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

/* One operation. */
struct job {
	enum elem_type type;
	enum redop op;
	const char *in;
	char *out;
	size_t count, elem_bytes;
};

int64_t ring_now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

int ring_fail(struct ring *r, enum engine_failure failure, const char *fmt, ...)
{
	va_list ap;

	if (*r->error)
		return failure;
	va_start(ap, fmt);
	vsnprintf(r->error, sizeof(r->error), fmt, ap);
	va_end(ap);
	return failure;
}

int ring_fail_plugin(struct ring *r, const char *call, const struct channel *c, int peer, weft_nccl_result result)
{
	return ring_fail(r, FAIL_ENGINE, "%s, channel %d, rank %d with rank %d: '%s / %s'", call, c->index,
			 team_job_rank(r->team, r->rank), team_job_rank(r->team, peer), bench_result_text(result),
			 bench_last_warn());
}

static const char *ring_error(const struct engine *e)
{
	return ((const struct ring *)(const void *)e)->error;
}

int ring_idle(struct ring *r, int64_t deadline_us, const char *doing)
{
	if (oob_check(r->team->oob))
		return FAIL_PEER;
	if (deadline_us && ring_now_us() > deadline_us)
		return ring_fail(r, FAIL_TIMEOUT, "%s took too long", doing);
	/* With more ranks than cores, a rank that has work may wait for this core. */
	sched_yield();
	return 0;
}

static void *slot(const struct ring *r, const struct guarded *buf, uint64_t message)
{
	return (char *)buf->data + (message % RING_SLOTS) * r->slot_bytes;
}

/* Like NCCL, posts receives as soon as a slot is free, with the full size of a slot. */
static int post_receives(struct ring *r, struct channel *c, bool *moved)
{
	while (c->posted < c->to_post && c->posted < c->consumed + RING_SLOTS) {
		void **request = &c->recv_requests[c->posted % RING_SLOTS];
		void *data = slot(r, &c->recv_buf, c->posted);
		int size = (int)r->slot_bytes, tag = c->prev;
		weft_nccl_result result = r->net->irecv(c->recv_comm, 1, &data, &size, &tag, &c->recv_mhandle, request);

		if (result)
			return ring_fail_plugin(r, "irecv", c, c->prev, result);
		if (!*request)
			return 0;
		c->posted++;
		*moved = true;
	}
	return 0;
}

static int test_receives(struct ring *r, struct channel *c, bool *moved)
{
	while (c->arrived < c->posted) {
		uint64_t s = c->arrived % RING_SLOTS;
		int done = 0;
		weft_nccl_result result;

		c->recv_bytes[s] = -1;
		result = r->net->test(c->recv_requests[s], &done, &c->recv_bytes[s]);
		if (result)
			return ring_fail_plugin(r, "test (receive)", c, c->prev, result);
		if (!done)
			return 0;
		c->arrived++;
		*moved = true;
	}
	return 0;
}

static int post_sends(struct ring *r, struct channel *c, bool *moved)
{
	while (c->sent < c->staged) {
		uint64_t s = c->sent % RING_SLOTS;
		weft_nccl_result result = r->net->isend(c->send_comm, slot(r, &c->send_buf, c->sent), c->send_bytes[s],
							r->rank, c->send_mhandle, &c->send_requests[s]);

		if (result)
			return ring_fail_plugin(r, "isend", c, c->next, result);
		if (!c->send_requests[s])
			return 0;
		c->sent++;
		*moved = true;
	}
	return 0;
}

static int test_sends(struct ring *r, struct channel *c, bool *moved)
{
	while (c->done < c->sent) {
		uint64_t s = c->done % RING_SLOTS;
		int done = 0, size = 0;
		weft_nccl_result result = r->net->test(c->send_requests[s], &done, &size);

		if (result)
			return ring_fail_plugin(r, "test (send)", c, c->next, result);
		if (!done)
			return 0;
		c->done++;
		*moved = true;
	}
	return 0;
}

/* Reduces and copies one slice; see ring_plan.h. */
static void work_on(const struct ring *r, const struct job *j, const struct channel *c, unsigned int actions,
		    const struct ring_range *range)
{
	size_t bytes = range->count * j->elem_bytes;
	const char *in = j->in + range->in * j->elem_bytes;
	char *out = j->out + range->out * j->elem_bytes;
	void *to = actions & RING_SEND ? slot(r, &c->send_buf, c->staged) : out;
	const void *from = actions & RING_RECV ? slot(r, &c->recv_buf, c->consumed) : in;

	if (actions & RING_REDUCE)
		reduce(j->type, j->op, to, in, from, range->count);
	else if (to != from)
		memcpy(to, from, bytes);
	if (actions & RING_FINISH)
		reduce_finish(j->type, j->op, r->nranks, to, range->count);
	if (actions & RING_KEEP && to != out && (actions & RING_RECV || in != out))
		memcpy(out, to, bytes);
}

/* The slot is free again. Like NCCL, reports this only to a plugin that has the call. */
static void consume(const struct ring *r, struct channel *c)
{
	if (r->net->irecv_consumed)
		(void)r->net->irecv_consumed(c->recv_comm, 1, c->recv_requests[c->consumed % RING_SLOTS]);
	c->consumed++;
}

/* Advances a plan as far as arrived messages and free send slots allow. */
static int advance(struct ring *r, const struct job *j, struct channel *c, int which, bool *moved)
{
	const struct ring_plan *plan = &c->plans[which];
	struct ring_cursor *cursor = &c->cursors[which];

	while (!cursor->end) {
		unsigned int actions = ring_cursor_actions(plan, cursor);
		int got = c->recv_bytes[c->consumed % RING_SLOTS];
		struct ring_range range;
		size_t bytes;

		if ((actions & RING_RECV && c->consumed == c->arrived) ||
		    (actions & RING_SEND && c->staged == c->done + RING_SLOTS))
			return 0;
		range = ring_cursor_range(plan, cursor);
		bytes = range.count * j->elem_bytes;
		if (actions & RING_RECV && got != (int)bytes)
			return ring_fail(r, FAIL_ENGINE,
					 "test (receive), channel %d, rank %d with rank %d: reports "
					 "%d bytes, sent were %zu",
					 c->index, team_job_rank(r->team, r->rank), team_job_rank(r->team, c->prev),
					 got, bytes);
		work_on(r, j, c, actions, &range);
		if (actions & RING_RECV)
			consume(r, c);
		if (actions & RING_SEND)
			c->send_bytes[c->staged++ % RING_SLOTS] = (int)bytes;
		ring_cursor_next(plan, cursor);
		*moved = true;
	}
	return 0;
}

/* One pass over a channel, in the order of NCCL's proxy. */
static int pass(struct ring *r, const struct job *j, struct channel *c, bool *moved)
{
	int err = post_receives(r, c, moved);

	if (!err)
		err = test_receives(r, c, moved);
	for (int i = 0; !err && i < c->nplans; i++)
		err = advance(r, j, c, i, moved);
	if (!err)
		err = post_sends(r, c, moved);
	if (!err)
		err = test_sends(r, c, moved);
	return err;
}

static bool finished(const struct channel *c)
{
	for (int i = 0; i < c->nplans; i++)
		if (!c->cursors[i].end)
			return false;
	return c->done == c->staged;
}

static int run(struct ring *r, const struct job *j)
{
	int64_t deadline_us = r->timeout_us ? ring_now_us() + r->timeout_us : 0;

	for (;;) {
		bool moved = false, busy = false;
		int err;

		for (int i = 0; i < r->nchannels; i++) {
			struct channel *c = &r->channels[i];

			if (finished(c))
				continue;
			err = pass(r, j, c, &moved);
			if (err)
				return err;
			busy |= !finished(c);
		}
		if (!busy)
			return 0;
		if (!moved) {
			err = ring_idle(r, deadline_us, collective_facts[r->what].what);
			if (err)
				return err;
		}
	}
}

static void add_plan(struct ring *r, struct channel *c, const struct ring_task *task)
{
	struct ring_plan *p = &c->plans[c->nplans];

	ring_plan_make(p, task, r->slot_bytes, r->lanes, c->lane);
	ring_cursor_init(p, &c->cursors[c->nplans++]);
	c->to_post += ring_plan_messages(p);
}

static int run_exchange(struct ring *r, const struct job *j, const struct exchange *x)
{
	struct ring_task task = {.what = r->what, .nranks = r->nranks, .rank = r->rank, .elem_bytes = j->elem_bytes};
	struct part own = exchange_part(x, r->rank, r->rank);

	if (own.count)
		memmove(j->out + own.out * j->elem_bytes, j->in + own.in * j->elem_bytes, own.count * j->elem_bytes);
	for (int i = 0; r->nranks > 1 && i < r->nchannels; i++) {
		struct channel *c = &r->channels[i];
		struct part gives = exchange_part(x, r->rank, c->next), gets = exchange_part(x, c->prev, r->rank);

		c->nplans = 0;
		task.half = RING_RECEIVER;
		task.count = gets.count;
		task.first = gets.out;
		add_plan(r, c, &task);
		task.half = RING_SENDER;
		task.count = gives.count;
		task.first = gives.in;
		add_plan(r, c, &task);
	}
	return r->nranks > 1 ? run(r, j) : 0;
}

static int run_steps(struct ring *r, struct job *j, const struct engine_op *op)
{
	struct exchange x = {r->what, r->nranks, op->root, op->count, j->elem_bytes, r->traffic, 0};
	int err = 0;

	for (; !err && x.step < exchange_steps(r->what, r->nranks); x.step++) {
		err = run_exchange(r, j, &x);
		j->in = j->out;
	}
	return err;
}

/* All data of a single rank stays there. */
static int run_alone(const struct job *j)
{
	memmove(j->out, j->in, j->count * j->elem_bytes);
	reduce_finish(j->type, j->op, 1, j->out, j->count);
	return 0;
}

static int ring_run(struct engine *e, const struct engine_op *op, const void *in, void *out)
{
	struct ring *r = ring_of(e);
	struct job j = {op->type, op->op, in, out, op->count, type_facts[op->type].bytes};
	const struct ring_task task = {.what = r->what,
				       .nranks = r->nranks,
				       .rank = r->rank,
				       .root = op->root,
				       .count = op->count,
				       .elem_bytes = j.elem_bytes};

	if (collective_facts[r->what].exchanges)
		return run_steps(r, &j, op);
	if (r->nranks == 1)
		return run_alone(&j);
	for (int i = 0; i < r->nchannels; i++) {
		r->channels[i].nplans = 0;
		add_plan(r, &r->channels[i], &task);
	}
	return run(r, &j);
}

static int64_t ring_check_guards(struct engine *e)
{
	struct ring *r = ring_of(e);
	int64_t changed = 0;

	for (int i = 0; r->nranks > 1 && i < r->nchannels; i++)
		changed += guarded_check(&r->channels[i].send_buf) + guarded_check(&r->channels[i].recv_buf);
	return changed;
}

/* The PCI address at the end of a /sys path: "0000:3b:00.0". */
static void pci_address(const char *path, char *buf, size_t buf_bytes)
{
	const char *slash = path ? strrchr(path, '/') : NULL;
	unsigned int domain, bus, dev, function;

	buf[0] = '\0';
	if (slash && sscanf(slash + 1, "%x:%x:%x.%x", &domain, &bus, &dev, &function) == 4)
		snprintf(buf, buf_bytes, "%04x:%02x:%02x.%x", domain, bus, dev, function);
}

static void describe_device(const struct ring *r, int device, struct device_info *out)
{
	struct weft_nccl_props_v8 props = {0};

	*out = (struct device_info){.device = device};
	if (r->net->get_properties(device, &props))
		return;
	pci_address(props.pci_path, out->pci, sizeof(out->pci));
	snprintf(out->name, sizeof(out->name), "%s/%s", r->net->name, props.name);
}

/* The devices of all channels, without duplicates. */
static void ring_describe(const struct engine *e, struct rank_info *out)
{
	const struct ring *r = (const struct ring *)(const void *)e;

	out->ndevices = 0;
	for (int i = 0; i < r->nchannels && out->ndevices < RANK_DEVICES; i++) {
		int device = r->channels[i].device, known = 0;

		while (known < out->ndevices && out->devices[known].device != device)
			known++;
		if (known == out->ndevices)
			describe_device(r, device, &out->devices[out->ndevices++]);
	}
}

const struct engine_calls ring_calls = {
	.run = ring_run,
	.check_guards = ring_check_guards,
	.describe = ring_describe,
	.error = ring_error,
	.close = ring_close,
};

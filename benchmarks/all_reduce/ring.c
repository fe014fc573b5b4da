/* SPDX-License-Identifier: Apache-2.0 */
/* An operation at work: moves every channel a little, over and over, until the operation is done. */
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

int ring_fail_plugin(struct ring *r, const char *call, const struct channel *c, int peer,
		     weft_nccl_result result)
{
	return ring_fail(r, FAIL_ENGINE, "%s, channel %d, rank %d with rank %d: '%s / %s'",
			 call, c->index, r->rank, peer, bench_result_text(result),
			 bench_last_warn());
}

static const char *ring_error(const struct engine *e)
{
	return ((const struct ring *)(const void *)e)->error;
}

int ring_idle(struct ring *r, int64_t deadline_us, const char *doing)
{
	if (oob_check(r->oob))
		return FAIL_PEER;
	if (deadline_us && ring_now_us() > deadline_us)
		return ring_fail(r, FAIL_TIMEOUT, "%s took too long", doing);
	/* With more ranks than cores, whoever has something to do is waiting for this one to stop.
	 */
	sched_yield();
	return 0;
}

static void *slot(const struct ring *r, const struct guarded *buf, uint64_t message)
{
	return (char *)buf->data + (message % RING_SLOTS) * r->slot_bytes;
}

/* Receives are posted as early as there is room, at the full size of a slot, as NCCL does. */
static int post_receives(struct ring *r, struct channel *c, bool *moved)
{
	while (c->posted < c->to_post && c->posted < c->consumed + RING_SLOTS) {
		void **request = &c->recv_requests[c->posted % RING_SLOTS];
		void *data = slot(r, &c->recv_buf, c->posted);
		int size = (int)r->slot_bytes, tag = c->prev;
		weft_nccl_result result = r->net->irecv(c->recv_comm, 1, &data, &size, &tag,
							&c->recv_mhandle, request);

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
		weft_nccl_result result = r->net->isend(
			c->send_comm, slot(r, &c->send_buf, c->sent), c->send_bytes[s], r->rank,
			c->send_mhandle, &c->send_requests[s]);

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

/* The arithmetic and copying of one slice; see ring_plan.h. */
static void work_on(const struct ring *r, const struct job *j, const struct channel *c, unsigned int actions,
		    const struct ring_range *range)
{
	size_t bytes = range->count * j->elem_bytes;
	/* An all-to-all has a share for each peer. */
	size_t in_first = r->what == ALL_TO_ALL ? (size_t)c->next * j->count : 0;
	size_t out_first = r->what == ALL_TO_ALL ? (size_t)c->prev * j->count : 0;
	const char *in = j->in + (in_first + range->in) * j->elem_bytes;
	char *out = j->out + (out_first + range->out) * j->elem_bytes;
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

/* The slot is free again. NCCL tells a plugin only if it offers the call. */
static void consume(const struct ring *r, struct channel *c)
{
	if (r->net->irecv_consumed)
		(void)r->net->irecv_consumed(c->recv_comm, 1,
					     c->recv_requests[c->consumed % RING_SLOTS]);
	c->consumed++;
}

/* Takes the plan forward as far as what has arrived, and room to send, allow. */
static int advance(struct ring *r, const struct job *j, struct channel *c, bool *moved)
{
	while (!c->cursor.end) {
		unsigned int actions = ring_cursor_actions(&c->plan, &c->cursor);
		int got = c->recv_bytes[c->consumed % RING_SLOTS];
		struct ring_range range;
		size_t bytes;

		if ((actions & RING_RECV && c->consumed == c->arrived) ||
		    (actions & RING_SEND && c->staged == c->done + RING_SLOTS))
			return 0;
		range = ring_cursor_range(&c->plan, &c->cursor);
		bytes = range.count * j->elem_bytes;
		if (actions & RING_RECV && got != (int)bytes)
			return ring_fail(r, FAIL_ENGINE,
					 "test (receive), channel %d, rank %d with rank %d: reports "
					 "%d bytes, sent were %zu",
					 c->index, r->rank, c->prev, got, bytes);
		work_on(r, j, c, actions, &range);
		if (actions & RING_RECV)
			consume(r, c);
		if (actions & RING_SEND)
			c->send_bytes[c->staged++ % RING_SLOTS] = (int)bytes;
		ring_cursor_next(&c->plan, &c->cursor);
		*moved = true;
	}
	return 0;
}

/* One pass over a channel, in the order in which NCCL's proxy works. */
static int pass(struct ring *r, const struct job *j, struct channel *c, bool *moved)
{
	int err = post_receives(r, c, moved);

	if (!err)
		err = test_receives(r, c, moved);
	if (!err)
		err = advance(r, j, c, moved);
	if (!err)
		err = post_sends(r, c, moved);
	if (!err)
		err = test_sends(r, c, moved);
	return err;
}

static bool finished(const struct channel *c)
{
	return c->cursor.end && c->done == c->staged;
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

/* What does not cross the network: a rank's share for itself, and everything of a single rank. */
static void copy_own(const struct ring *r, const struct job *j)
{
	size_t bytes = j->count * j->elem_bytes, at = (size_t)r->rank * bytes;

	if (r->nranks == 1) {
		memmove(j->out, j->in, bytes);
		reduce_finish(j->type, j->op, 1, j->out, j->count);
	} else if (r->what == ALL_TO_ALL && j->in != j->out) {
		memcpy(j->out + at, j->in + at, bytes);
	}
}

static int ring_run(struct engine *e, const struct engine_op *op, const void *in, void *out)
{
	struct ring *r = ring_of(e);
	const struct job j = {op->type, op->op, in, out, op->count, type_facts[op->type].bytes};
	const struct ring_task task = {r->what, r->nranks, r->rank, op->root, op->count, j.elem_bytes};

	copy_own(r, &j);
	if (r->nranks == 1)
		return 0;
	for (int i = 0; i < r->nchannels; i++) {
		struct channel *c = &r->channels[i];

		ring_plan_make(&c->plan, &task, r->slot_bytes, r->lanes, c->lane);
		ring_cursor_init(&c->plan, &c->cursor);
		c->to_post = c->posted + ring_plan_messages(&c->plan);
	}
	return run(r, &j);
}

static int64_t ring_check_guards(struct engine *e)
{
	struct ring *r = ring_of(e);
	int64_t changed = 0;

	for (int i = 0; r->nranks > 1 && i < r->nchannels; i++)
		changed += guarded_check(&r->channels[i].send_buf) +
			   guarded_check(&r->channels[i].recv_buf);
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

/* Of channel 0's device. */
static void ring_describe(const struct engine *e, struct rank_info *out)
{
	const struct ring *r = (const struct ring *)(const void *)e;
	struct weft_nccl_props_v8 props = {0};

	out->device = r->channels[0].device;
	if (r->net->get_properties(out->device, &props))
		return;
	pci_address(props.pci_path, out->pci, sizeof(out->pci));
	snprintf(out->name, sizeof(out->name), "%s/%s", r->net->name, props.name);
}

const struct engine_calls ring_calls = {
	.run = ring_run,
	.check_guards = ring_check_guards,
	.describe = ring_describe,
	.error = ring_error,
	.close = ring_close,
};

/* SPDX-License-Identifier: Apache-2.0 */
#include "flow.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SHOWN	  8    /* unfinished flows in the report of a hang */
#define SCRAMBLED 0xee /* a sender's overwrite of a buffer reported free */

/* The flows driven by the main thread, for the report of a hang. */
static struct flow *driven;
static int ndriven;

static void show_driven(void)
{
	const struct flow *f;
	int i, shown = 0;

	for (i = 0; i < ndriven && shown < SHOWN; i++) {
		f = &driven[i];
		if (!flow_finished(f) && ++shown)
			fprintf(stderr, "flow %d %s: %d posted, %d finished of %d, %d deep\n", i,
				f->sends ? "sends" : "receives", f->posted, f->finished, f->count, f->depth);
	}
}

/* A value of message i: the same on both sides, independent of other messages. */
static uint64_t message_key(const struct flow *f, int i, uint64_t what)
{
	uint64_t state = f->key * 31 + (uint64_t)i * 3 + what;

	return rng_next(&state);
}

static int message_size(const struct flow *f, int i)
{
	if (f->sizes)
		return f->sizes[i % f->nsizes];
	/* Small and large sizes are equally likely: the number of bits is uniform. */
	return (int)(message_key(f, i, 1) % ((uint64_t)f->max_size + 1)) >> (message_key(f, i, 3) % 16);
}

static size_t slot_stride(const struct flow *f)
{
	size_t n = (size_t)f->max_size + (size_t)f->max_slack + DRIVE_GUARD_BYTES;

	/* With an odd stride, slots start at all alignments. */
	return f->unaligned ? n | 1 : (n + 63) & ~63ul;
}

void flow_open(struct side *s, struct flow *f)
{
	size_t stride = slot_stride(f);
	int i;

	f->s = s;
	f->rng = f->key;
	f->slots = calloc((size_t)f->depth, sizeof(*f->slots));
	check(f->slots, "out of memory");
	drive_buf_open(&f->buf, stride * (size_t)f->depth, f->unaligned ? 3 : 0);
	for (i = 0; i < f->depth; i++)
		f->slots[i].data = f->buf.data + (size_t)i * stride;
	f->mhandle = drive_reg(s, f->comm, f->buf.data, f->buf.size);
}

void flow_close(struct flow *f)
{
	drive_dereg(f->s, f->comm, f->mhandle);
	drive_buf_check_guards(&f->buf, "the buffers of a flow");
	drive_buf_close(&f->buf);
	free(f->slots);
	f->slots = NULL;
}

static void prepare(struct flow *f, int i)
{
	struct flow_slot *slot = &f->slots[i % f->depth];

	slot->size = message_size(f, i);
	slot->room = slot->size;
	if (f->sends) {
		drive_fill(slot->data, (size_t)slot->size, message_key(f, i, 0));
	} else {
		if (f->max_slack)
			slot->room += (int)(message_key(f, i, 2) % ((uint64_t)f->max_slack + 1));
		drive_canary(slot->data, (size_t)slot->room + DRIVE_GUARD_BYTES);
	}
	slot->ready = true;
}

/* Posts messages until the plugin accepts no more. */
static weft_nccl_result post(struct flow *f, bool *moved)
{
	struct flow_slot *slot;
	weft_nccl_result r;

	while (f->posted < f->count && f->posted - f->finished < f->depth) {
		slot = &f->slots[f->posted % f->depth];
		if (!slot->ready)
			prepare(f, f->posted);
		if (f->sends)
			r = drive_isend_r(f->s, f->comm, slot->data, slot->size, f->mhandle, &slot->req);
		else
			r = drive_irecv_r(f->s, f->comm, slot->data, slot->room, f->mhandle, &slot->req);
		if (r || !slot->req)
			return r;
		f->posted++;
		*moved = true;
	}
	return WEFT_NCCL_SUCCESS;
}

static void finish(struct flow *f, int i, int size)
{
	struct flow_slot *slot = &f->slots[i % f->depth];
	char what[96];

	snprintf(what, sizeof(what), "%s %d of %d, %d bytes in %d", f->sends ? "send" : "receive", i, f->count,
		 slot->size, slot->room);
	check(size == slot->size, "%s: test says %d bytes", what, size);
	slot->req = NULL;
	slot->ready = false;
	if (f->sends) {
		drive_set(slot->data, SCRAMBLED, (size_t)slot->size);
		return;
	}
	drive_expect(slot->data, (size_t)slot->size, message_key(f, i, 0), what);
	strcat(what, ": what is behind it");
	drive_expect_canary(slot->data + slot->size, (size_t)(slot->room - slot->size) + DRIVE_GUARD_BYTES, what);
}

static weft_nccl_result test_one(struct flow *f, int i, bool *moved)
{
	struct flow_slot *slot = &f->slots[i % f->depth];
	weft_nccl_result r;
	bool done;
	int size;

	if (!slot->req)
		return WEFT_NCCL_SUCCESS;
	r = drive_test_r(f->s, slot->req, &done, &size);
	if (!r && done) {
		finish(f, i, size);
		*moved = true;
	}
	return r;
}

weft_nccl_result flow_step_r(struct flow *f, bool *out_moved)
{
	weft_nccl_result r = post(f, out_moved);
	int out = f->posted - f->finished;

	if (r || !out)
		return r;
	/* NCCL tests the oldest first; tests of any other are allowed, too. */
	r = test_one(f, f->finished, out_moved);
	if (!r && !rng_below(&f->rng, 4))
		r = test_one(f, f->finished + (int)rng_below(&f->rng, (uint64_t)out), out_moved);
	while (f->finished < f->posted && !f->slots[f->finished % f->depth].req)
		f->finished++;
	return r;
}

bool flow_step(struct flow *f)
{
	bool moved = false;

	check_ok(flow_step_r(f, &moved), f->sends ? "sending" : "receiving");
	return moved;
}

void flows_drive(struct flow *flows, int n)
{
	bool moved, main_thread = gettid() == getpid();
	int i, left;

	if (main_thread) {
		driven = flows;
		ndriven = n;
		side_on_hang(show_driven);
	}
	do {
		moved = false;
		left = 0;
		for (i = 0; i < n; i++) {
			if (flow_finished(&flows[i]))
				continue;
			moved |= flow_step(&flows[i]);
			left += !flow_finished(&flows[i]);
		}
		if (!moved)
			drive_relax();
	} while (left);
	if (main_thread)
		ndriven = 0;
}

void flows_run(struct side *s, struct flow *flows, int n)
{
	int i;

	for (i = 0; i < n; i++)
		flow_open(s, &flows[i]);
	side_step("moving %d flows", n);
	flows_drive(flows, n);
	for (i = 0; i < n; i++)
		flow_close(&flows[i]);
}

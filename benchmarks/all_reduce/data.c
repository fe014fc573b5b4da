/* SPDX-License-Identifier: Apache-2.0 */
#include "data.h"
#include "exchange.h"
#include "guarded.h"
#include "verify.h"

#include <stdlib.h>
#include <string.h>

struct data {
	const struct settings *s;
	struct engine *engine;
	int rank, nranks; /* in the team */
	uint64_t salt;	  /* data of another group are wrong */
	struct guarded send, recv;
	char *gpu_send, *gpu_recv; /* the same buffers on the GPU, including their strips; NULL: no GPU */
	void *expected;		   /* NULL without verification */
};

static char *place_in(const struct guarded *g, const struct test *t, int64_t op)
{
	return (char *)g->data + (size_t)(op % t->places) * t->bytes;
}

static struct exchange exchange_of(const struct data *d, const struct row *row, int step)
{
	return (struct exchange){.what = d->s->what,
				 .nranks = d->nranks,
				 .root = row->root < 0 ? 0 : (int)row->root,
				 .count = (size_t)row->count,
				 .elem_bytes = type_facts[row->type].bytes,
				 .traffic = &d->s->traffic,
				 .step = step};
}

struct test data_test(const struct data *d, const struct row *row, bool in_place)
{
	struct exchange x = exchange_of(d, row, 0);
	bool unequal = d->s->what == ALL_TO_ALL_V;

	return (struct test){
		.row = row,
		.in_place = in_place,
		.root = x.root,
		.count = x.count,
		.sends = unequal ? exchange_sends(&x, d->rank)
				 : (size_t)collective_send_count(d->s->what, d->nranks, row->count),
		.expects = unequal ? exchange_receives(&x, d->rank)
				   : (size_t)collective_recv_count(d->s->what, d->nranks, row->count),
		.bytes = (size_t)row->bytes,
		.places = 1,
	};
}

/* The offset of this rank's share in a buffer with the shares of all ranks. */
static size_t own_share(const struct data *d, const struct test *t)
{
	return (size_t)d->rank * t->count * type_facts[t->row->type].bytes;
}

/* In place, the smaller buffer is this rank's share of the larger one. The count for a matrix of traffic is 0. */
static char *input_of(const struct data *d, const struct test *t, int64_t op)
{
	if (!t->in_place)
		return place_in(&d->send, t, op);
	return place_in(&d->recv, t, op) + (t->sends < t->expects ? own_share(d, t) : 0);
}

static char *result_of(const struct data *d, const struct test *t, int64_t op)
{
	return place_in(&d->recv, t, op) + (t->in_place && t->expects < t->sends ? own_share(d, t) : 0);
}

/* The engine's address for address p in a host buffer. */
static char *there(const struct data *d, char *p)
{
	const struct guarded *s = &d->send, *r = &d->recv;
	size_t in_send = (size_t)(p - (char *)s->map);

	if (!d->gpu_send)
		return p;
	return in_send < s->map_bytes ? d->gpu_send + in_send : d->gpu_recv + (p - (char *)r->map);
}

const void *data_input(const struct data *d, const struct test *t, int64_t op)
{
	return there(d, input_of(d, t, op));
}

void *data_result(const struct data *d, const struct test *t, int64_t op)
{
	return there(d, result_of(d, t, op));
}

/* Copy to and from the GPU, if there is one. */
static int upload(struct data *d, char *p, size_t bytes)
{
	return d->gpu_send && bytes ? d->engine->calls->put(d->engine, there(d, p), p, bytes) : 0;
}

static int download(struct data *d, char *p, size_t bytes)
{
	return d->gpu_send && bytes ? d->engine->calls->get(d->engine, p, there(d, p), bytes) : 0;
}
static struct verify_case verify_case(const struct data *d, const struct test *t, uint64_t seed)
{
	return (struct verify_case){t->row->type, t->row->op, seed + d->salt, d->nranks, 0};
}

/* Fills in the input of operation `op`. A buffer that the root's data overwrites is no input. */
static int fill(struct data *d, const struct test *t, const struct verify_case *c, int64_t op)
{
	char *input = input_of(d, t, op);

	if ((d->s->what == BROADCAST || d->s->what == SCATTER) && t->in_place && d->rank != t->root)
		return 0;
	verify_fill(c, d->rank, input, t->sends);
	return upload(d, input, t->sends * type_facts[t->row->type].bytes);
}

/* Fills in what all ranks send to this one. */
static void expect_parts(const struct data *d, const struct test *t, struct verify_case c)
{
	struct exchange x = exchange_of(d, t->row, 0);

	for (int from = 0; from < d->nranks; from++) {
		struct part p = exchange_part(&x, from, d->rank);

		c.first = p.in;
		verify_fill(&c, from, (char *)d->expected + p.out * x.elem_bytes, p.count);
	}
}

/* Fills in the shares of all ranks. */
static void expect_shares(const struct data *d, const struct test *t, const struct verify_case *c)
{
	size_t share_bytes = t->count * type_facts[t->row->type].bytes;

	for (int r = 0; r < d->nranks; r++)
		verify_fill(c, r, (char *)d->expected + (size_t)r * share_bytes, t->count);
}

static void expect(const struct data *d, const struct test *t, struct verify_case c)
{
	switch (d->s->what) {
	case REDUCE_SCATTER:
		c.first = (size_t)d->rank * t->count;
		verify_expect(&c, d->expected, t->count);
		break;
	case ALL_GATHER:
	case GATHER:
	case HYPERCUBE: expect_shares(d, t, &c); break;
	case BROADCAST: verify_fill(&c, t->root, d->expected, t->count); break;
	case ALL_REDUCE:
	case REDUCE: verify_expect(&c, d->expected, t->count); break;
	default: expect_parts(d, t, c);
	}
}

int data_fill(struct data *d, const struct test *t, uint64_t seed, int64_t op)
{
	struct verify_case c = verify_case(d, t, seed);

	return fill(d, t, &c, op);
}

int data_prepare(struct data *d, const struct test *t, uint64_t seed, int64_t op)
{
	struct verify_case c = verify_case(d, t, seed);
	char *result = result_of(d, t, op);
	size_t bytes = t->expects * type_facts[t->row->type].bytes;
	int err;

	expect(d, t, c);
	verify_poison(&c, result, d->expected, t->expects);
	err = upload(d, result, bytes);
	if (!err)
		err = fill(d, t, &c, op);
	/* A rank without a result keeps what it has. */
	if (!err && collective_facts[d->s->what].root_only && d->rank != t->root)
		memcpy(d->expected, result, bytes);
	return err;
}

static int64_t check_guards(struct data *d)
{
	const struct engine_calls *calls = d->engine->calls;

	return guarded_check(&d->send) + guarded_check(&d->recv) +
	       (calls->check_guards ? calls->check_guards(d->engine) : 0);
}

static int move_strips(struct data *d, int (*move)(struct data *d, char *p, size_t bytes))
{
	const struct guarded *const both[] = {&d->send, &d->recv};
	int err = 0;

	for (int i = 0; !err && i < 2; i++) {
		err = move(d, (char *)both[i]->data - GUARD_BYTES, GUARD_BYTES);
		if (!err)
			err = move(d, (char *)both[i]->data + both[i]->bytes, GUARD_BYTES);
	}
	return err;
}

int data_check(struct data *d, const struct test *t, uint64_t seed, int64_t op, int64_t *out_wrong)
{
	struct verify_case c = verify_case(d, t, seed);
	char *result = result_of(d, t, op);
	int err = download(d, result, t->expects * type_facts[t->row->type].bytes);

	if (!err)
		err = move_strips(d, download);
	if (!err)
		*out_wrong = verify_compare(&c, result, d->expected, t->expects) + check_guards(d);
	return err;
}

static int allocate_on_gpu(struct data *d)
{
	const struct engine_calls *calls = d->engine->calls;
	void *send, *recv;
	int err = calls->alloc(d->engine, d->send.map_bytes, &send);

	if (!err)
		err = calls->alloc(d->engine, d->recv.map_bytes, &recv);
	if (err)
		return err;
	d->gpu_send = send;
	d->gpu_recv = recv;
	return move_strips(d, upload);
}

static int allocate(struct data *d)
{
	size_t bytes = (size_t)d->s->max_bytes, largest = 0, shift_bytes;

	for (int i = 0; i < d->s->ntypes; i++)
		if (type_facts[d->s->types[i]].bytes > largest)
			largest = type_facts[d->s->types[i]].bytes;
	/* One shift for all types: a multiple of every type's size. */
	shift_bytes = largest * (size_t)d->s->unalign;
	if (guarded_open(&d->send, bytes, shift_bytes) || guarded_open(&d->recv, bytes, shift_bytes))
		return FAIL_SYSTEM;
	if (d->engine->calls->alloc) {
		int err = allocate_on_gpu(d);

		if (err)
			return err;
	}
	if (d->s->check || d->s->check_timed)
		d->expected = malloc(bytes);
	return d->expected || !(d->s->check || d->s->check_timed) ? 0 : FAIL_SYSTEM;
}

int data_open(const struct settings *s, struct engine *engine, const struct team *team, struct data **out_data)
{
	struct data *d = calloc(1, sizeof(*d));

	*out_data = d;
	if (!d)
		return FAIL_SYSTEM;
	*d = (struct data){.s = s,
			   .engine = engine,
			   .rank = team->rank,
			   .nranks = team->nranks,
			   .salt = (uint64_t)team->color << 32};
	return allocate(d);
}

void data_close(struct data *d)
{
	if (!d)
		return;
	guarded_close(&d->send);
	guarded_close(&d->recv);
	free(d->expected);
	free(d);
}

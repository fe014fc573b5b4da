/* SPDX-License-Identifier: Apache-2.0 */
/* Delivery: every byte, every size, in order, with many messages and comms in flight. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cases.h"
#include "flow.h"
#include "patience.h"

#define KIB	    1024
#define MIB	    (1024 * 1024)
#define LANES	    16 /* comms in each direction, in the cases with many */
#define COUNT_OF(a) ((int)(sizeof(a) / sizeof((a)[0])))

static const int small_sizes[] = {0,   1,   2,	 3,   7,    8,	  9,	15,   16,   17,	  31,	32,
				  33,  63,  64,	 65,  100,  127,  128,	129,  191,  192,  255,	256,
				  257, 511, 512, 513, 1000, 1023, 1024, 1025, 4095, 4096, 4097, 0};
static const int medium_sizes[] = {8191,   8192,    8193, 16384,   16385, 65535,     65536,	  65537,      131072,
				   131073, MIB - 1, MIB,  MIB + 1, 1,	  256 * KIB, 3 * KIB + 1, 2 * MIB + 7};
static const int large_sizes[] = {4 * MIB + 3, 32 * MIB, 1, 16 * MIB - 1};

/* One connection from A to B that carries `f`; B receives. Unset fields of the flow are set here. */
static void one_way(struct side *s, struct flow f)
{
	f.sends = s->rank == A;
	f.comm = drive_one(s);
	f.key = s->seed;
	flows_run(s, &f, 1);
	drive_close_one(s, f.comm);
}

/* n connections in each direction that all carry `f` at the same time. */
static void both_ways(struct side *s, int n, struct flow f)
{
	struct flow *flows = calloc((size_t)n * 2, sizeof(*flows));
	void **comms = calloc((size_t)n * 2, sizeof(*comms));
	int i;

	check(flows && comms, "out of memory");
	drive_links(s, side_peer(s), n, comms, n, comms + n);
	for (i = 0; i < 2 * n; i++) {
		flows[i] = f;
		flows[i].comm = comms[i];
		flows[i].sends = i < n;
		/* Flow i of A's sends is flow i of B's receives. */
		flows[i].key = s->seed + (uint64_t)(i % n) * 2 + ((i < n) == (s->rank == A));
	}
	flows_run(s, flows, 2 * n);
	drive_close_links(s, n, comms, n, comms + n);
	free(flows);
	free(comms);
}

static void run_small_sizes(struct side *s)
{
	one_way(s, (struct flow){.sizes = small_sizes,
				 .nsizes = COUNT_OF(small_sizes),
				 .max_size = 4097,
				 .count = 4 * COUNT_OF(small_sizes),
				 .depth = 1});
	one_way(s, (struct flow){.sizes = small_sizes,
				 .nsizes = COUNT_OF(small_sizes),
				 .max_size = 4097,
				 .count = 10 * COUNT_OF(small_sizes),
				 .depth = 8});
}

static void run_medium_sizes(struct side *s)
{
	one_way(s, (struct flow){.sizes = medium_sizes,
				 .nsizes = COUNT_OF(medium_sizes),
				 .max_size = 2 * MIB + 7,
				 .count = 3 * COUNT_OF(medium_sizes),
				 .depth = 4});
}

static void run_large_sizes(struct side *s)
{
	one_way(s, (struct flow){.sizes = large_sizes,
				 .nsizes = COUNT_OF(large_sizes),
				 .max_size = 32 * MIB,
				 .count = COUNT_OF(large_sizes),
				 .depth = 2});
}

/* Receives larger than the sends: the reported size is the sender's, and the rest of the buffer stays untouched. */
static void run_larger_receives(struct side *s)
{
	one_way(s, (struct flow){.max_size = 100 * KIB, .max_slack = 100 * KIB, .count = 200, .depth = 8});
	one_way(s, (struct flow){.sizes = small_sizes,
				 .nsizes = COUNT_OF(small_sizes),
				 .max_size = 4097,
				 .max_slack = 2 * MIB,
				 .count = 2 * COUNT_OF(small_sizes),
				 .depth = 4});
}

static void run_zero_bytes(struct side *s)
{
	static const int zero[] = {0};

	one_way(s, (struct flow){.sizes = zero, .nsizes = 1, .count = 200, .depth = 16});
	one_way(s, (struct flow){.sizes = zero, .nsizes = 1, .max_slack = 5000, .count = 100, .depth = 8});
}

static void run_depth(struct side *s)
{
	static const int depths[] = {8, 16, WEFT_NCCL_MAX_REQUESTS};
	size_t i;

	for (i = 0; i < sizeof(depths) / sizeof(depths[0]); i++) {
		side_step("depth %d", depths[i]);
		one_way(s, (struct flow){.max_size = 20 * KIB, .count = 400, .depth = depths[i]});
		one_way(s, (struct flow){.sizes = (int[]){256 * KIB},
					 .nsizes = 1,
					 .max_size = 256 * KIB,
					 .count = 64,
					 .depth = depths[i]});
	}
}

/* More posts than the depth required of a comm: an excess post returns a NULL request and is not lost. */
static void run_deeper_than_promised(struct side *s)
{
	one_way(s, (struct flow){.max_size = 8 * KIB, .count = 1000, .depth = 100});
	one_way(s, (struct flow){
			   .sizes = (int[]){64 * KIB}, .nsizes = 1, .max_size = 64 * KIB, .count = 300, .depth = 100});
}

/* A comm must accept 32 requests, whatever the other side does. */
static void run_promised_depth(struct side *s)
{
	unsigned char data[WEFT_NCCL_MAX_REQUESTS][64];
	void *reqs[WEFT_NCCL_MAX_REQUESTS], *comm, *mhandle;
	uint64_t deadline;
	int i;

	comm = drive_one(s);
	mhandle = drive_reg(s, comm, data, sizeof(data));
	side_step("posting %d receives before any send", WEFT_NCCL_MAX_REQUESTS);
	for (i = 0; s->rank == B && i < WEFT_NCCL_MAX_REQUESTS; i++) {
		deadline = patience_ms() + 20000;
		while (!(reqs[i] = drive_try_irecv(s, comm, data[i], 64, mhandle)))
			check(patience_ms() < deadline, "a comm takes only %d receives", i);
	}
	side_barrier(s, side_peer(s));
	side_step("posting %d sends, none tested", WEFT_NCCL_MAX_REQUESTS);
	for (i = 0; s->rank == A && i < WEFT_NCCL_MAX_REQUESTS; i++) {
		drive_fill(data[i], 64, (uint64_t)i);
		deadline = patience_ms() + 20000;
		while (!(reqs[i] = drive_try_isend(s, comm, data[i], 64, mhandle)))
			check(patience_ms() < deadline, "a comm takes only %d sends", i);
	}
	/* The last first: every request makes progress, whether the others are tested or not. */
	for (i = WEFT_NCCL_MAX_REQUESTS - 1; i >= 0; i--) {
		side_step("waiting for number %d of %d", i, WEFT_NCCL_MAX_REQUESTS);
		check(drive_wait(s, reqs[i]) == 64, "message %d has a wrong size", i);
		if (s->rank == B)
			drive_expect(data[i], 64, (uint64_t)i, "a message tested out of order");
	}
	drive_dereg(s, comm, mhandle);
	drive_close_one(s, comm);
}

static void run_unaligned(struct side *s)
{
	one_way(s, (struct flow){.max_size = 70 * KIB, .max_slack = 99, .count = 200, .depth = 8, .unaligned = true});
	one_way(s, (struct flow){.sizes = medium_sizes,
				 .nsizes = COUNT_OF(medium_sizes),
				 .max_size = 2 * MIB + 7,
				 .count = COUNT_OF(medium_sizes),
				 .depth = 4,
				 .unaligned = true});
}

static void run_many_comms(struct side *s)
{
	both_ways(s, LANES, (struct flow){.max_size = 32 * KIB, .max_slack = 100, .count = 60, .depth = 8});
}

static void run_both_ways_large(struct side *s)
{
	both_ways(s, 2, (struct flow){.sizes = (int[]){MIB}, .nsizes = 1, .max_size = MIB, .count = 40, .depth = 8});
}

static void run_random(struct side *s)
{
	both_ways(s, 4,
		  (struct flow){
			  .max_size = 512 * KIB, .max_slack = 4 * KIB, .count = 150, .depth = 12, .unaligned = true});
}

static void run_ping_pong(struct side *s)
{
	static const int sizes[] = {8, 0, 1, 4096, 100000};
	unsigned char *data = malloc(100000);
	void *out, *in, *out_mh, *in_mh;
	int i, turn, size;

	check(data != NULL, "out of memory");
	drive_links(s, side_peer(s), 1, &out, 1, &in);
	out_mh = drive_reg(s, out, data, 100000);
	in_mh = drive_reg(s, in, data, 100000);
	for (i = 0; i < 100; i++) {
		size = sizes[i % 5];
		side_step("round trip %d, %d bytes", i, size);
		for (turn = 0; turn < 2; turn++) {
			if (turn == s->rank) {
				drive_fill(data, (size_t)size, (uint64_t)(2 * i + turn));
				drive_send(s, out, data, size, out_mh);
			} else {
				check(drive_recv(s, in, data, size, in_mh) == size, "wrong size");
				drive_expect(data, (size_t)size, (uint64_t)(2 * i + turn), "ping-pong");
			}
		}
	}
	drive_dereg(s, out, out_mh);
	drive_dereg(s, in, in_mh);
	drive_close_links(s, 1, &out, 1, &in);
	free(data);
}

/* NCCL's bootstrap passes no sizes to test. */
static void run_test_without_sizes(struct side *s)
{
	unsigned char data[300];
	void *comm = drive_one(s);
	void *mhandle = drive_reg(s, comm, data, sizeof(data)), *req;
	int i;

	for (i = 0; i < 50; i++) {
		if (s->rank == A) {
			drive_fill(data, sizeof(data), (uint64_t)i);
			req = drive_isend(s, comm, data, sizeof(data), mhandle);
		} else {
			req = drive_irecv(s, comm, data, sizeof(data), mhandle);
		}
		while (!drive_test(s, req, NULL))
			drive_relax();
		if (s->rank == B)
			drive_expect(data, sizeof(data), (uint64_t)i, "a message tested without sizes");
	}
	drive_dereg(s, comm, mhandle);
	drive_close_one(s, comm);
}

enum { GROUP_MOST = 32, GROUP_EACH = 3000 };
static struct drive_buf group;

static unsigned char *group_data(int i)
{
	return group.data + (size_t)i * GROUP_EACH;
}

/* The sends of one grouped receive, in an order that depends on the round. */
static void send_group(struct side *s, void *comm, void *mhandle, int n, int round)
{
	void *reqs[GROUP_MOST];
	int i, tag;

	for (i = 0; i < n; i++) {
		tag = (n - 1 - i + round) % n;
		drive_fill(group_data(i), (size_t)(tag * 90), (uint64_t)(round * n + tag));
		do {
			check_ok(s->net->isend(comm, group_data(i), tag * 90, 1000 + tag, mhandle, &reqs[i]), "isend");
		} while (!reqs[i]);
	}
	for (i = 0; i < n; i++)
		drive_wait(s, reqs[i]);
}

static void receive_group(struct side *s, void *comm, void *mhandle, int n, int round)
{
	void *bufs[GROUP_MOST], *mhandles[GROUP_MOST], *req;
	int i, done, rooms[GROUP_MOST], tags[GROUP_MOST], sizes[64];

	for (i = 0; i < n; i++) {
		bufs[i] = group_data(i);
		rooms[i] = GROUP_EACH;
		tags[i] = 1000 + i;
		mhandles[i] = mhandle;
	}
	do {
		check_ok(s->net->irecv(comm, n, bufs, rooms, tags, mhandles, &req), "irecv");
	} while (!req);
	do {
		memset(sizes, 0, sizeof(sizes));
		check_ok(s->net->test(req, &done, sizes), "test");
	} while (!done);
	drive_flush(s, comm, n, bufs, sizes, mhandles);
	for (i = 0; i < n; i++) {
		check(sizes[i] == i * 90, "buffer %d got %d bytes instead of %d", i, sizes[i], i * 90);
		drive_expect(group_data(i), (size_t)(i * 90), (uint64_t)(round * n + i),
			     "a buffer of a grouped receive");
	}
}

/* A receive with the device's largest number of buffers, filled by sends with their tags in any order. */
static void run_grouped(struct side *s)
{
	struct weft_nccl_props_v8 p;
	void *comm, *mhandle;
	int round, n;

	check_ok(s->net->get_properties(s->dev, &p), "getProperties");
	if (p.max_recvs == 1)
		side_skip("maxRecvs is 1: no grouped receives");
	n = p.max_recvs < GROUP_MOST ? p.max_recvs : GROUP_MOST;
	comm = drive_one(s);
	drive_buf_open(&group, (size_t)GROUP_MOST * GROUP_EACH, 0);
	mhandle = drive_reg(s, comm, group.data, group.size);
	for (round = 0; round < 40; round++) {
		side_step("grouped receive %d of %d buffers", round, n);
		if (s->rank == A)
			send_group(s, comm, mhandle, n, round);
		else
			receive_group(s, comm, mhandle, n, round);
	}
	drive_dereg(s, comm, mhandle);
	drive_buf_close(&group);
	drive_close_one(s, comm);
}

/*
 * Single-buffer receives with different tags, several posted at a time. A message whose turn has not come may be
 * accepted early or not, but must end in the buffer of its tag.
 */
static void run_tags(struct side *s)
{
	static const int tags[] = {1000, 1001, 1000, 1002};
	enum { N = sizeof(tags) / sizeof(tags[0]) };
	struct weft_nccl_props_v8 p;
	void *comm, *mhandle, *reqs[N];
	int round, i;

	check_ok(s->net->get_properties(s->dev, &p), "getProperties");
	if (p.max_recvs == 1)
		side_skip("maxRecvs is 1: tags mean nothing");
	comm = drive_one(s);
	drive_buf_open(&group, (size_t)GROUP_MOST * GROUP_EACH, 0);
	mhandle = drive_reg(s, comm, group.data, group.size);
	for (round = 0; round < 100; round++) {
		for (i = 0; i < N; i++) {
			void *buf = group_data(i);
			int room = GROUP_EACH, tag = tags[i];

			if (s->rank == A)
				drive_fill(buf, 200, (uint64_t)(round * N + i));
			do {
				check_ok(s->rank == A ? s->net->isend(comm, buf, 200, tag, mhandle, &reqs[i])
						      : s->net->irecv(comm, 1, &buf, &room, &tag, &mhandle, &reqs[i]),
					 "isend or irecv");
			} while (!reqs[i]);
		}
		for (i = 0; i < N; i++)
			drive_wait(s, reqs[i]);
		for (i = 0; i < N && s->rank == B; i++) {
			void *buf = group_data(i);
			int got = 200;

			drive_flush(s, comm, 1, &buf, &got, &mhandle);
		}
		for (i = 0; i < N && s->rank == B; i++)
			drive_expect(group_data(i), 200, (uint64_t)(round * N + i), "a buffer with its own tag");
	}
	drive_dereg(s, comm, mhandle);
	drive_buf_close(&group);
	drive_close_one(s, comm);
}

const struct suite_case data_cases[] = {
	{.name = "data/small-sizes", .run = run_small_sizes},
	{.name = "data/medium-sizes", .run = run_medium_sizes},
	{.name = "data/large-sizes", .run = run_large_sizes},
	{.name = "data/larger-receives", .run = run_larger_receives},
	{.name = "data/zero-bytes", .run = run_zero_bytes},
	{.name = "data/depth", .run = run_depth},
	{.name = "data/promised-depth", .run = run_promised_depth},
	{.name = "data/deeper-than-promised", .run = run_deeper_than_promised},
	{.name = "data/unaligned", .run = run_unaligned},
	{.name = "data/many-comms", .run = run_many_comms},
	{.name = "data/both-ways-large", .run = run_both_ways_large},
	{.name = "data/random", .run = run_random},
	{.name = "data/ping-pong", .run = run_ping_pong},
	{.name = "data/test-without-sizes", .run = run_test_without_sizes, .flags = SUITE_ONCE},
	{.name = "data/grouped", .run = run_grouped},
	{.name = "data/tags", .run = run_tags},
	{.name = NULL},
};

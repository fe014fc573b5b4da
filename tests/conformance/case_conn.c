/* SPDX-License-Identifier: Apache-2.0 */
/* Connection setup: listen, connect and accept in every order. They are polled and never block. */
#include <dirent.h>
#include <stdlib.h>

#include "cases.h"
#include "flow.h"

#define POLLS 3000 /* polls of an operation that cannot succeed yet */
#define MANY  24   /* connections in each direction */

/* One message from A to B: the connection works and leads to the right peer. */
static void prove_link(struct side *s, void *comm, uint64_t key)
{
	if (s->rank == A)
		drive_say(s, comm, key);
	else
		drive_hear(s, comm, key);
}

static void *connect_until_done(struct side *s, struct drive_handle *h)
{
	void *comm;

	while (!(comm = drive_connect(s, h)))
		drive_relax();
	return comm;
}

static void *accept_until_done(struct side *s, void *listen_comm)
{
	void *comm;

	while (!(comm = drive_accept(s, listen_comm)))
		drive_relax();
	return comm;
}

/* A polls connect thousands of times before B first calls accept. */
static void run_connect_first(struct side *s)
{
	struct drive_handle h;
	void *comm = NULL, *listen_comm;
	int i;

	if (s->rank == A) {
		side_recv(s, B, &h, sizeof(h));
		side_step("polling connect before any accept");
		for (i = 0; i < POLLS && !comm; i++)
			comm = drive_connect(s, &h);
		side_barrier(s, B);
		side_step("polling connect while the peer accepts");
		if (!comm)
			comm = connect_until_done(s, &h);
	} else {
		listen_comm = drive_listen(s, &h);
		side_send(s, A, &h, sizeof(h));
		side_barrier(s, A);
		side_step("polling accept");
		comm = accept_until_done(s, listen_comm);
		drive_close_listen(s, listen_comm);
	}
	prove_link(s, comm, 1);
	drive_close_one(s, comm);
}

/* B polls accept thousands of times before A has the handle. */
static void run_accept_first(struct side *s)
{
	struct drive_handle h;
	void *comm, *listen_comm;
	int i;

	if (s->rank == A) {
		side_recv(s, B, &h, sizeof(h));
		comm = connect_until_done(s, &h);
	} else {
		listen_comm = drive_listen(s, &h);
		side_step("polling accept before any connect");
		for (i = 0; i < POLLS; i++)
			check(!drive_accept(s, listen_comm), "accept returned a comm that nobody connected");
		side_send(s, A, &h, sizeof(h));
		side_step("polling accept while the peer connects");
		comm = accept_until_done(s, listen_comm);
		drive_close_listen(s, listen_comm);
	}
	prove_link(s, comm, 2);
	drive_close_one(s, comm);
}

/* Both ends in one thread: any blocking call blocks forever. */
static void run_self(struct side *s)
{
	struct drive_handle h;
	void *listen_comm = drive_listen(s, &h);
	void *out = NULL, *in = NULL;
	unsigned char from[100], to[100];
	void *from_mh, *to_mh, *send_req, *recv_req;
	bool sent = false, received = false;

	side_step("connecting to itself");
	while (!out || !in) {
		if (!out)
			out = drive_connect(s, &h);
		if (!in)
			in = drive_accept(s, listen_comm);
	}
	drive_close_listen(s, listen_comm);
	from_mh = drive_reg(s, out, from, sizeof(from));
	to_mh = drive_reg(s, in, to, sizeof(to));
	drive_fill(from, sizeof(from), 9);
	side_step("sending to itself");
	recv_req = drive_irecv(s, in, to, sizeof(to), to_mh);
	while (!(send_req = drive_try_isend(s, out, from, sizeof(from), from_mh)) && !received)
		received = drive_test(s, recv_req, NULL);
	while (!sent || !received) {
		if (!sent)
			sent = drive_test(s, send_req, NULL);
		if (!received)
			received = drive_test(s, recv_req, NULL);
	}
	drive_expect(to, sizeof(to), 9, "a message to itself");
	drive_dereg(s, out, from_mh);
	drive_dereg(s, in, to_mh);
	drive_close_links(s, 1, &out, 1, &in);
}

static void shuffle(int *order, int n, uint64_t *rng)
{
	int i, j, t;

	for (i = 0; i < n; i++)
		order[i] = i;
	for (i = n - 1; i > 0; i--) {
		j = (int)rng_below(rng, (uint64_t)i + 1);
		t = order[i];
		order[i] = order[j];
		order[j] = t;
	}
}

/* Connects and accepts in random order, each polled at random, half of the connects before any accept. */
static void run_random_order(struct side *s)
{
	struct drive_handle h[MANY];
	void *listens[MANY], *comms[MANY] = {NULL};
	uint64_t rng = s->seed + (uint64_t)s->rank;
	int order[MANY], i, left = MANY;

	for (i = 0; i < MANY; i++) {
		if (s->rank == B) {
			listens[i] = drive_listen(s, &h[i]);
			side_send(s, A, &h[i], sizeof(h[i]));
		} else {
			side_recv(s, B, &h[i], sizeof(h[i]));
		}
	}
	shuffle(order, MANY, &rng);
	if (s->rank == A) {
		side_step("starting half of the connects");
		for (i = 0; i < MANY / 2; i++)
			if ((comms[order[i]] = drive_connect(s, &h[order[i]])))
				left--;
	}
	side_barrier(s, side_peer(s));
	side_step("polling at random");
	while (left) {
		drive_relax();
		i = (int)rng_below(&rng, MANY);
		if (comms[i])
			continue;
		comms[i] = s->rank == A ? drive_connect(s, &h[i]) : drive_accept(s, listens[i]);
		left -= comms[i] != NULL;
	}
	side_step("checking that each connection ends where it should");
	for (i = 0; i < MANY; i++)
		prove_link(s, comms[i], 100 + (uint64_t)i);
	for (i = 0; i < MANY; i++) {
		if (s->rank == B)
			drive_close_listen(s, listens[i]);
		drive_close_one(s, comms[i]);
	}
}

/* Each side listens, connects and accepts; at first both poll only connects. */
static void run_both_ways(struct side *s)
{
	struct drive_handle mine, theirs[MANY];
	void *listens[MANY], *out[MANY] = {NULL}, *in[MANY] = {NULL};
	int i, round, left = 2 * MANY;

	for (i = 0; i < MANY; i++) {
		listens[i] = drive_listen(s, &mine);
		side_send(s, side_peer(s), &mine, sizeof(mine));
	}
	for (i = 0; i < MANY; i++)
		side_recv(s, side_peer(s), &theirs[i], sizeof(theirs[i]));
	side_step("both sides poll only connects");
	for (round = 0; round < 200; round++)
		for (i = 0; i < MANY; i++)
			if (!out[i] && (out[i] = drive_connect(s, &theirs[i])))
				left--;
	side_step("both sides poll connects and accepts");
	while (left) {
		for (i = 0; i < MANY; i++) {
			if (!out[i] && (out[i] = drive_connect(s, &theirs[i])))
				left--;
			if (!in[i] && (in[i] = drive_accept(s, listens[i])))
				left--;
		}
		drive_relax();
	}
	side_step("using the connections");
	for (i = 0; i < MANY; i++) {
		if (s->rank == A)
			drive_say(s, out[i], (uint64_t)i);
		drive_hear(s, in[i], (uint64_t)i);
		if (s->rank == B)
			drive_say(s, out[i], (uint64_t)i);
		drive_close_listen(s, listens[i]);
	}
	drive_close_links(s, MANY, out, MANY, in);
}

/*
 * A completed connect must not hold up the other side's accept, and vice versa: the side that completes first makes no
 * further call into the plugin.
 */
static void run_done_is_done(struct side *s)
{
	void *comm;
	int i;

	for (i = 0; i < 6; i++) {
		comm = drive_one(s);
		side_step("waiting for the other side to be connected too, round %d", i);
		side_barrier(s, side_peer(s));
		prove_link(s, comm, (uint64_t)i);
		drive_close_one(s, comm);
	}
}

/* 1,000 connections: 500 each way, all open at once, then data on all of them at once. */
static void run_thousand(struct side *s)
{
	enum { EACH_WAY = 500, BATCH = 50 };
	struct flow *flows = calloc(2 * EACH_WAY, sizeof(*flows));
	void **comms = calloc(2 * EACH_WAY, sizeof(*comms));
	int i;

	check(flows && comms, "out of memory");
	for (i = 0; i < EACH_WAY; i += BATCH) {
		drive_links(s, side_peer(s), BATCH, comms + i, BATCH, comms + EACH_WAY + i);
		side_step("%d connections each way are open", i + BATCH);
	}
	for (i = 0; i < 2 * EACH_WAY; i++) {
		flows[i] = (struct flow){
			.comm = comms[i], .sends = i < EACH_WAY, .count = 3, .depth = 2, .max_size = 1000};
		flows[i].key = (uint64_t)(i % EACH_WAY) * 2 + (flows[i].sends == (s->rank == A));
	}
	flows_run(s, flows, 2 * EACH_WAY);
	side_step("closing");
	drive_close_links(s, EACH_WAY, comms, EACH_WAY, comms + EACH_WAY);
	free(flows);
	free(comms);
}

static int open_files(void)
{
	DIR *d = opendir("/proc/self/fd");
	int n = 0;

	check(d != NULL, "cannot read /proc/self/fd");
	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

/* Connects and closes repeatedly; the number of open files must not grow after the first rounds. */
static void come_and_go(struct side *s, int rounds, int warm)
{
	int i, before = 0;
	void *out, *in;

	for (i = 0; i < rounds; i++) {
		if (i == warm)
			before = open_files();
		drive_links(s, side_peer(s), 1, &out, 1, &in);
		drive_close_links(s, 1, &out, 1, &in);
		side_barrier(s, side_peer(s));
	}
	check(open_files() < before + (rounds - warm) / 2, "%d open files became %d in %d rounds of connect and close",
	      before, open_files(), rounds - warm);
}

/* Once beside a connection that stays, and once alone, so that the last close shuts everything down. */
static void run_come_and_go(struct side *s)
{
	void *stays = drive_one(s);

	come_and_go(s, 60, 20);
	prove_link(s, stays, 1);
	drive_close_one(s, stays);
	come_and_go(s, 12, 4);
}

/* NCCL may close a listen comm without an accept. The connecting side must cope with the result. */
static void run_never_accepted(struct side *s)
{
	struct drive_handle h;
	void *listen_comm, *comm = NULL;
	weft_nccl_result r = WEFT_NCCL_SUCCESS;
	int i;

	if (s->rank == B) {
		listen_comm = drive_listen(s, &h);
		drive_close_listen(s, listen_comm);
		listen_comm = drive_listen(s, &h);
		side_send(s, A, &h, sizeof(h));
		side_barrier(s, A);
		side_step("closing a listen comm with a connect in progress");
		drive_close_listen(s, listen_comm);
		side_barrier(s, A);
	} else {
		side_recv(s, B, &h, sizeof(h));
		for (i = 0; i < POLLS && !comm && !r; i++)
			r = drive_connect_r(s, &h, &comm);
		check_ok(r, "connect to a living listen comm");
		side_barrier(s, B);
		side_barrier(s, B);
		side_step("connecting to a listen comm that is gone");
		for (i = 0; i < POLLS && !comm && !r; i++)
			r = drive_connect_r(s, &h, &comm);
		if (comm)
			drive_close_send(s, comm);
	}
	side_step("connecting anew");
	comm = drive_one(s);
	prove_link(s, comm, 3);
	drive_close_one(s, comm);
}

/* After a failed connect or accept, NCCL closes a NULL comm. */
static void run_close_nothing(struct side *s)
{
	drive_close_send(s, NULL);
	drive_close_recv(s, NULL);
	if (s->is_weft)
		drive_close_listen(s, NULL);
}

/* NCCL's own bootstrap passes no device handles. */
static void run_without_device_handle(struct side *s)
{
	struct drive_handle h;
	void *listen_comm, *comm = NULL;

	if (s->rank == A) {
		side_recv(s, B, &h, sizeof(h));
		while (!comm)
			check_ok(s->net->connect(s->dev, h.bytes, &comm, NULL), "connect");
	} else {
		listen_comm = drive_listen(s, &h);
		side_send(s, A, &h, sizeof(h));
		while (!comm)
			check_ok(s->net->accept(listen_comm, &comm, NULL), "accept");
		drive_close_listen(s, listen_comm);
	}
	prove_link(s, comm, 4);
	drive_close_one(s, comm);
}

/* Every device of the plugin transfers data. */
static void run_each_device(struct side *s)
{
	void *comm;

	for (s->dev = 0; s->dev < s->plugin.ndev; s->dev++) {
		side_step("device %d", s->dev);
		comm = drive_one(s);
		prove_link(s, comm, (uint64_t)s->dev);
		drive_close_one(s, comm);
	}
}

const struct suite_case conn_cases[] = {
	{.name = "conn/connect-first", .run = run_connect_first},
	{.name = "conn/accept-first", .run = run_accept_first},
	{.name = "conn/self", .run = run_self, .nprocs = 1},
	{.name = "conn/random-order", .run = run_random_order},
	{.name = "conn/both-ways", .run = run_both_ways},
	{.name = "conn/done-is-done", .run = run_done_is_done},
	{.name = "conn/thousand", .run = run_thousand},
	{.name = "conn/come-and-go", .run = run_come_and_go},
	{.name = "conn/never-accepted", .run = run_never_accepted},
	{.name = "conn/close-nothing", .run = run_close_nothing, .nprocs = 1, .flags = SUITE_ONCE},
	{.name = "conn/without-device-handle", .run = run_without_device_handle, .flags = SUITE_ONCE},
	{.name = "conn/each-device", .run = run_each_device},
	{.name = NULL},
};

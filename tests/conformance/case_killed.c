/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A peer that is killed, in each state of a connection and of a transfer. The survivor gets an error within a bounded
 * time, with Weft one that names the dead process; it never hangs, and other peers are unaffected. A silent peer is not
 * reported dead.
 *
 * A survives, B dies, C lives on.
 */
#include <signal.h>
#include <stdlib.h>

#include "cases.h"
#include "flow.h"
#include "patience.h"

#define BOUND_MS 30000 /* time limit for the survivor's error */
#define OUT	 8

static unsigned char data[OUT][64 * 1024];

struct bound {
	struct side *s;
	uint64_t deadline_ms;
	const char *what;
};

static struct bound bound_start(struct side *s, const char *what)
{
	side_step("waiting for the error: %s", what);
	return (struct bound){.s = s, .deadline_ms = patience_ms() + BOUND_MS, .what = what};
}

static void bound_check(const struct bound *b)
{
	check(patience_ms() < b->deadline_ms, "no error within %d s of the peer's death: %s", BOUND_MS / 1000, b->what);
	drive_relax();
}

/* Tests until the plugin reports an error. Completion is fine too: the request had all its data. */
static weft_nccl_result test_to_the_end(struct side *s, void *req, const char *what)
{
	struct bound b = bound_start(s, what);
	weft_nccl_result r;
	bool done;

	do {
		bound_check(&b);
		r = drive_test_r(s, req, &done, NULL);
	} while (!r && !done);
	return r;
}

/* Posts and tests receives (or sends) on the comm until one of the calls fails. */
static void use_until_error(struct side *s, void *comm, bool sends, void *mhandle, const char *what)
{
	struct bound b = bound_start(s, what);
	void *req = NULL;
	weft_nccl_result r;
	bool done;

	for (;;) {
		bound_check(&b);
		done = false;
		if (req)
			r = drive_test_r(s, req, &done, NULL);
		else if (sends)
			r = drive_isend_r(s, comm, data[0], sizeof(data[0]), mhandle, &req);
		else
			r = drive_irecv_r(s, comm, data[0], sizeof(data[0]), mhandle, &req);
		if (r)
			break;
		check(sends || !done, "a receive from a dead peer is done: %s", what);
		if (done)
			req = NULL;
	}
	drive_check_death(s, B, r, what);
}

/* The usual end of a survivor: every object can be closed, with or without errors. */
static void clean_up(struct side *s, void *comm, bool sends, void *mhandle)
{
	side_step("closing what is left of a dead peer");
	if (mhandle)
		drive_dereg(s, comm, mhandle);
	if (sends)
		drive_close_send(s, comm);
	else
		drive_close_recv(s, comm);
}

static void *reg_data(struct side *s, void *comm)
{
	return drive_reg(s, comm, data, sizeof(data));
}

/* B is killed after A has polled connect `polls` times. */
static void killed_listener(struct side *s, int polls)
{
	weft_nccl_result r = WEFT_NCCL_SUCCESS;
	struct drive_handle h;
	struct bound b;
	void *comm = NULL, *mhandle;
	int i;

	if (s->rank == B) {
		drive_listen(s, &h);
		side_send(s, A, &h, sizeof(h));
		side_await_death();
	}
	side_recv(s, B, &h, sizeof(h));
	for (i = 0; i < polls && !comm; i++)
		comm = drive_connect(s, &h);
	side_kill(s, B);
	b = bound_start(s, "connect to a dead listener");
	while (!r && !comm) {
		bound_check(&b);
		r = drive_connect_r(s, &h, &comm);
	}
	if (r) {
		drive_check_death(s, B, r, "connect");
		drive_close_send(s, NULL);
		return;
	}
	/* A plugin may report this as connected; the first use must then fail. */
	mhandle = reg_data(s, comm);
	use_until_error(s, comm, true, mhandle, "isend to a listener that died before it accepted");
	clean_up(s, comm, true, mhandle);
}

static void run_before_connect(struct side *s)
{
	killed_listener(s, 0);
}

static void run_during_connect(struct side *s)
{
	killed_listener(s, 3000);
}

/*
 * B is killed while it polls connect; A has not accepted yet. B's request may or may not have reached A, so the error
 * may be a timeout without the name of a peer.
 */
static void run_during_accept(struct side *s)
{
	weft_nccl_result r = WEFT_NCCL_SUCCESS;
	void *listen_comm, *comm = NULL, *mhandle;
	struct drive_handle h;
	struct bound b;
	int i;

	if (s->rank == B) {
		side_recv(s, A, &h, sizeof(h));
		for (i = 0; i < 3000 && !comm; i++)
			comm = drive_connect(s, &h);
		side_barrier(s, A);
		side_await_death();
	}
	listen_comm = drive_listen(s, &h);
	side_send(s, B, &h, sizeof(h));
	side_barrier(s, B);
	side_kill(s, B);
	b = bound_start(s, "accept of a dead connector");
	while (!r && !comm) {
		bound_check(&b);
		r = drive_accept_r(s, listen_comm, &comm);
	}
	if (r) {
		check(bench_last_warn()[0], "accept of a dead connector fails without a warning");
		drive_close_recv(s, NULL);
	} else {
		mhandle = reg_data(s, comm);
		use_until_error(s, comm, false, mhandle, "irecv from a connector that died at once");
		clean_up(s, comm, false, mhandle);
	}
	drive_close_listen(s, listen_comm);
}

/* No peer ever connects: with a timeout that is an error too. */
static void run_accept_of_nobody(struct side *s)
{
	weft_nccl_result r = WEFT_NCCL_SUCCESS;
	void *listen_comm, *comm;
	struct drive_handle h;
	struct bound b;

	if (s->rank == B)
		side_await_death();
	listen_comm = drive_listen(s, &h);
	side_kill(s, B);
	b = bound_start(s, "accept of nobody");
	while (!r) {
		bound_check(&b);
		r = drive_accept_r(s, listen_comm, &comm);
		check(!comm, "accept of nobody succeeds");
	}
	check(bench_last_warn()[0], "accept of nobody fails without a warning");
	drive_close_listen(s, listen_comm);
}

/* Connected and idle; the survivor's next operation finds a dead peer. */
static void run_idle(struct side *s)
{
	void *out, *in, *mh_out, *mh_in;

	drive_links(s, side_peer(s), 1, &out, 1, &in);
	if (s->rank == B) {
		drive_hear(s, in, 1);
		side_await_death();
	}
	drive_say(s, out, 1);
	side_kill(s, B);
	mh_in = reg_data(s, in);
	use_until_error(s, in, false, mh_in, "irecv from a peer that died idle");
	mh_out = reg_data(s, out);
	use_until_error(s, out, true, mh_out, "isend to a peer that died idle");
	clean_up(s, out, true, mh_out);
	clean_up(s, in, false, mh_in);
}

/* The survivor waits in receives without matching sends. */
static void run_receiver_waits(struct side *s)
{
	void *comm = s->rank == A ? drive_link_in(s, B) : drive_link_out(s, A), *mhandle, *reqs[OUT];
	uint64_t until;
	int i;

	if (s->rank == B)
		side_await_death();
	mhandle = reg_data(s, comm);
	for (i = 0; i < OUT; i++)
		reqs[i] = drive_irecv(s, comm, data[i], sizeof(data[i]), mhandle);
	for (until = now_ms() + 100; now_ms() < until; drive_relax())
		check(!drive_test(s, reqs[0], NULL), "a receive is done without a send");
	side_kill(s, B);
	for (i = 0; i < OUT; i++)
		drive_check_death(s, B, test_to_the_end(s, reqs[i], "a posted receive"), "test");
	clean_up(s, comm, false, mhandle);
}

/* The survivor offers messages without matching receives. */
static void sender_waits(struct side *s, int size)
{
	void *comm = drive_one(s), *mhandle, *req = NULL;
	uint64_t until;
	struct bound b;
	weft_nccl_result r = WEFT_NCCL_SUCCESS;
	bool done = false;

	if (s->rank == B)
		side_await_death();
	mhandle = reg_data(s, comm);
	for (until = now_ms() + 100; now_ms() < until; drive_relax()) {
		if (!req)
			req = drive_try_isend(s, comm, data, size, mhandle);
		else if (drive_test(s, req, NULL))
			req = NULL;
	}
	side_kill(s, B);
	b = bound_start(s, "a send that nobody receives");
	while (!r) {
		bound_check(&b);
		if (!req)
			r = drive_isend_r(s, comm, data, size, mhandle, &req);
		else
			r = drive_test_r(s, req, &done, NULL);
		if (done)
			req = NULL;
		done = false;
	}
	drive_check_death(s, B, r, req ? "test" : "isend");
	clean_up(s, comm, true, mhandle);
}

static void run_sender_waits_small(struct side *s)
{
	sender_waits(s, 64);
}

static void run_sender_waits_large(struct side *s)
{
	sender_waits(s, sizeof(data));
}

/* Drives all flows until each of them has failed. */
static void fail_all(struct side *s, struct flow *flows, int n)
{
	struct bound b = bound_start(s, "streaming");
	bool failed[64] = {false}, moved;
	weft_nccl_result r;
	int i, left = n;

	while (left) {
		side_step("%d of %d comms with the dead peer have not failed", left, n);
		bound_check(&b);
		for (i = 0; i < n; i++) {
			if (failed[i] || !(r = flow_step_r(&flows[i], &moved)))
				continue;
			drive_check_death(s, B, r, flows[i].sends ? "sending" : "receiving");
			failed[i] = true;
			left--;
		}
	}
}

/* n (up to 32) pairs of comms full of traffic; B dies in the middle of it; every comm of the survivor must fail. */
static void streaming(struct side *s, int n, int size, int depth)
{
	struct flow *flows = calloc((size_t)n * 2, sizeof(*flows));
	void **comms = calloc((size_t)n * 2, sizeof(*comms));
	int i;

	check(flows && comms, "out of memory");
	drive_links(s, side_peer(s), n, comms, n, comms + n);
	for (i = 0; i < 2 * n; i++) {
		flows[i] = (struct flow){.comm = comms[i],
					 .sends = i < n,
					 .sizes = &size,
					 .nsizes = 1,
					 .max_size = size,
					 .depth = depth,
					 .count = 1 << 30};
		flows[i].key = (uint64_t)(i % n) * 2 + (flows[i].sends == (s->rank == A));
		flow_open(s, &flows[i]);
	}
	if (s->rank == B)
		flows_drive(flows, 2 * n); /* until B's death */
	side_step("streaming until the peer dies");
	while (flows[n].finished < 20)
		for (i = 0; i < 2 * n; i++)
			flow_step(&flows[i]);
	side_kill(s, B);
	fail_all(s, flows, 2 * n);
	side_step("closing comms full of traffic with a dead peer");
	for (i = 0; i < 2 * n; i++)
		flow_close(&flows[i]);
	drive_close_links(s, n, comms, n, comms + n);
	free(flows);
	free(comms);
}

static void run_streaming_large(struct side *s)
{
	streaming(s, 1, 1024 * 1024, 8);
}

static void run_streaming_small(struct side *s)
{
	streaming(s, 1, 100, 32);
}

static void run_many_comms(struct side *s)
{
	streaming(s, 16, 20000, 8);
}

/* The peer is dead but no operation is outstanding: closing succeeds at once. */
static void run_no_request(struct side *s)
{
	void *out, *in, *mhandle;

	drive_links(s, side_peer(s), 1, &out, 1, &in);
	if (s->rank == B)
		side_await_death();
	mhandle = reg_data(s, out);
	side_kill(s, B);
	clean_up(s, out, true, mhandle);
	clean_up(s, in, false, NULL);
}

/* B dies; A and C go on over their existing connection, and over a new one. */
static void run_third_process(struct side *s)
{
	struct flow f = {.sends = s->rank == A, .key = 3, .count = 400, .depth = 8, .max_size = 60000};
	void *dead = NULL, *fresh, *mhandle, *reqs[2];

	if (s->rank == C) {
		f.comm = drive_link_in(s, A);
		flow_open(s, &f);
		flows_drive(&f, 1);
		fresh = drive_link_in(s, A);
		drive_hear(s, fresh, 4);
		flow_close(&f);
		drive_close_recv(s, f.comm);
		drive_close_recv(s, fresh);
		return;
	}
	dead = s->rank == A ? drive_link_in(s, B) : drive_link_out(s, A);
	if (s->rank == B)
		side_await_death();
	f.comm = drive_link_out(s, C);
	flow_open(s, &f);
	mhandle = reg_data(s, dead);
	reqs[0] = drive_irecv(s, dead, data[0], sizeof(data[0]), mhandle);
	reqs[1] = drive_irecv(s, dead, data[1], sizeof(data[1]), mhandle);
	while (f.finished < 100)
		flow_step(&f);
	side_kill(s, B);
	side_step("moving data with C after B's death");
	while (f.finished < 200)
		flow_step(&f);
	drive_check_death(s, B, test_to_the_end(s, reqs[0], "a receive from the dead one"), "test");
	drive_check_death(s, B, test_to_the_end(s, reqs[1], "a receive from the dead one"), "test");
	clean_up(s, dead, false, mhandle);
	side_step("moving data with C after the dead connection is closed");
	flows_drive(&f, 1);
	flow_close(&f);
	fresh = drive_link_out(s, C);
	drive_say(s, fresh, 4);
	drive_close_send(s, f.comm);
	drive_close_send(s, fresh);
}

/* B is stopped and C makes no call, both for 8 s while A waits for them: neither is reported dead. */
static void run_silent_is_not_dead(struct side *s)
{
	void *comm[2], *mhandle[2], *reqs[2];
	bool done[2] = {false};
	uint64_t until;
	int i;

	if (s->rank != A) {
		comm[0] = drive_link_out(s, A);
		side_barrier(s, A);
		if (s->rank == C)
			sleep_ms(8000);
		drive_say(s, comm[0], 6);
		drive_close_send(s, comm[0]);
		return;
	}
	for (i = 0; i < 2; i++) {
		comm[i] = drive_link_in(s, B + i);
		mhandle[i] = reg_data(s, comm[i]);
		reqs[i] = drive_irecv(s, comm[i], data[i], sizeof(data[i]), mhandle[i]);
	}
	check(!kill(s->pids[B], SIGSTOP), "cannot stop B");
	side_barrier(s, C);
	side_step("waiting for a stopped and a silent peer");
	for (until = now_ms() + 8000; now_ms() < until;) {
		for (i = 0; i < 2; i++)
			if (!done[i])
				done[i] = drive_test(s, reqs[i], NULL);
		check(!done[0], "a stopped process has sent something");
		sleep_ms(1);
	}
	check(!kill(s->pids[B], SIGCONT), "cannot wake B");
	side_barrier(s, B);
	side_step("receiving from a peer that was stopped");
	for (i = 0; i < 2; i++) {
		while (!done[i] && !(done[i] = drive_test(s, reqs[i], NULL)))
			drive_relax();
		drive_expect(data[i], 72, 6, "a message after a silence");
		clean_up(s, comm[i], false, mhandle[i]);
	}
}

#define SHORT_TIMEOUT "WEFT_CONNECT_TIMEOUT=5s"

/* NCCL's contract does not cover dead peers: detecting them is Weft's promise. */
#define DEATH(what, function)                                                                                          \
	{                                                                                                              \
		.name = "killed/" what, .run = function, .flags = SUITE_WEFT                                           \
	}

const struct suite_case killed_cases[] = {
	{.name = "killed/silent-is-not-dead", .run = run_silent_is_not_dead, .nprocs = 3, .flags = SUITE_ONCE},
	{.name = "killed/no-request", .run = run_no_request},
	DEATH("before-connect", run_before_connect),
	DEATH("during-connect", run_during_connect),
	{.name = "killed/during-accept", .run = run_during_accept, .flags = SUITE_WEFT, .env = SHORT_TIMEOUT},
	{.name = "killed/accept-of-nobody",
	 .run = run_accept_of_nobody,
	 .flags = SUITE_WEFT | SUITE_ONCE,
	 .env = SHORT_TIMEOUT},
	DEATH("idle", run_idle),
	DEATH("receiver-waits", run_receiver_waits),
	DEATH("sender-waits-small", run_sender_waits_small),
	DEATH("sender-waits-large", run_sender_waits_large),
	DEATH("streaming-large", run_streaming_large),
	DEATH("streaming-small", run_streaming_small),
	DEATH("many-comms", run_many_comms),
	{.name = "killed/third-process", .run = run_third_process, .nprocs = 3, .flags = SUITE_WEFT},
	{.name = NULL},
};

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Closing and deregistering in every state: both always succeed, the memory is free afterwards, and other connections
 * between the same processes are unaffected.
 */
#include <string.h>
#include <sys/mman.h>

#include "cases.h"
#include "flow.h"
#include "gpu.h"
#include "patience.h"

#define OUT   8 /* operations left outstanding */
#define CHUNK (256 * 1024)

/* Memory that is released under an operation: unmapped, then mapped anew as canary. */
struct patch {
	unsigned char *data;
	size_t size;
};

static struct patch patch_open(size_t size)
{
	struct patch p = {.size = size};

	if (gpu_used())
		p.data = gpu_alloc(size);
	else
		p.data = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	check(p.data && p.data != MAP_FAILED, "out of memory");
	drive_set(p.data, 0x11, size);
	return p;
}

/* Freed GPU memory is gone: a later write to it crashes the process. */
static void patch_free_and_watch(struct patch *p)
{
	if (gpu_is(p->data)) {
		gpu_free(p->data);
		return;
	}
	check(!munmap(p->data, p->size), "munmap failed");
	check(mmap(p->data, p->size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == p->data,
	      "cannot map the same address again");
	drive_canary(p->data, p->size);
}

static void patch_check_and_close(struct patch *p)
{
	if (gpu_used())
		return;
	drive_expect_canary(p->data, p->size, "memory that was deregistered and freed");
	munmap(p->data, p->size);
}

/* Both sides: some traffic over a connection unrelated to the closed one. */
static void prove_other(struct side *s, void *comm)
{
	struct flow f = {.comm = comm, .sends = s->rank == A, .key = 77, .count = 60, .depth = 8, .max_size = 100000};

	flows_run(s, &f, 1);
}

static void prove_new(struct side *s)
{
	void *comm;

	side_step("connecting anew");
	comm = drive_one(s);
	prove_other(s, comm);
	drive_close_one(s, comm);
}

/* A offers messages for a while and ignores all results. */
static void offer_for_a_while(struct side *s, void *comm, unsigned char *data, int size, void *mhandle, unsigned ms)
{
	uint64_t until = now_ms() + ms;
	void *reqs[OUT] = {NULL};
	weft_nccl_result r = WEFT_NCCL_SUCCESS;
	bool done;
	int i;

	while (now_ms() < until && !r) {
		for (i = 0; i < OUT && !r; i++) {
			if (!reqs[i]) {
				r = drive_isend_r(s, comm, data, size, mhandle, &reqs[i]);
			} else {
				r = drive_test_r(s, reqs[i], &done, NULL);
				if (!r && done)
					reqs[i] = NULL;
			}
		}
		drive_relax();
	}
}

/* A closes with unmatched sends outstanding, and frees their memory. */
static void sends_outstanding(struct side *s, int size)
{
	void *other = drive_one(s), *comm = drive_one(s), *mhandle;
	struct patch p = patch_open((size_t)size);
	int i;

	if (s->rank == A) {
		mhandle = drive_reg(s, comm, p.data, p.size);
		for (i = 0; i < OUT; i++)
			drive_try_isend(s, comm, p.data, size, mhandle);
		side_step("closing with sends of %d bytes outstanding", size);
		drive_dereg(s, comm, mhandle);
		patch_free_and_watch(&p);
		drive_close_send(s, comm);
		patch_check_and_close(&p);
		side_barrier(s, B);
	} else {
		side_barrier(s, A);
		drive_close_recv(s, comm);
		munmap(p.data, p.size);
	}
	prove_other(s, other);
	drive_close_one(s, other);
	prove_new(s);
}

static void run_sends_outstanding(struct side *s)
{
	sends_outstanding(s, 64);
	sends_outstanding(s, 4 * CHUNK);
}

/*
 * B has given the memory back, and perhaps closed its comm: the other comm works, both ends close, nothing was written to
 * the memory afterwards, and a new comm works.
 */
static void give_back_and_prove(struct side *s, void *other, void *comm, void *mhandle, struct patch *p, bool closed)
{
	prove_other(s, other);
	if (s->rank == B) {
		if (!closed)
			drive_close_recv(s, comm);
		patch_check_and_close(p);
	} else {
		drive_dereg(s, comm, mhandle);
		munmap(p->data, p->size);
		drive_close_send(s, comm);
	}
	drive_close_one(s, other);
	prove_new(s);
}

/*
 * B releases the memory of posted receives; then A sends into nowhere. Traffic on the other comm keeps both plugins
 * running: any late write would happen now.
 */
static void receives_outstanding(struct side *s, bool close_first, int size)
{
	void *other = drive_one(s), *comm = drive_one(s), *mhandle;
	struct patch p = patch_open((size_t)size * OUT);
	int i;

	mhandle = drive_reg(s, comm, p.data, p.size);
	if (s->rank == B) {
		for (i = 0; i < OUT; i++)
			drive_irecv(s, comm, p.data + i * size, size, mhandle);
		side_step("deregistering with receives of %d bytes outstanding", size);
		drive_dereg(s, comm, mhandle);
		patch_free_and_watch(&p);
		if (close_first)
			drive_close_recv(s, comm);
		side_barrier(s, A);
	} else {
		side_barrier(s, B);
		side_step("sending to receives that are gone");
		offer_for_a_while(s, comm, p.data, size, mhandle, 200);
	}
	give_back_and_prove(s, other, comm, mhandle, &p, close_first);
}

static void run_dereg_with_receives(struct side *s)
{
	receives_outstanding(s, false, 1000);
	receives_outstanding(s, false, CHUNK);
}

static void run_close_with_receives(struct side *s)
{
	receives_outstanding(s, true, 1000);
	receives_outstanding(s, true, CHUNK);
}

/* The same while bytes are moving: A streams into B's receives, and B releases the memory. */
static void dereg_in_flight(struct side *s, unsigned after_ms)
{
	const int size = 4 * CHUNK;
	void *other = drive_one(s), *comm = drive_one(s), *mhandle, *reqs[OUT];
	struct patch p = patch_open((size_t)size * OUT);
	uint64_t until;
	int i;

	mhandle = drive_reg(s, comm, p.data, p.size);
	if (s->rank == B) {
		for (i = 0; i < OUT; i++)
			reqs[i] = drive_irecv(s, comm, p.data + i * size, size, mhandle);
		side_barrier(s, A);
		/* Testing only the last receive keeps the plugin running while the others are outstanding. */
		for (until = now_ms() + after_ms; now_ms() < until;)
			if (drive_test(s, reqs[OUT - 1], NULL))
				break;
		side_step("deregistering while data arrives");
		drive_dereg(s, comm, mhandle);
		patch_free_and_watch(&p);
	} else {
		side_barrier(s, B);
		side_step("streaming to a receiver that gives up");
		offer_for_a_while(s, comm, p.data, size, mhandle, 300);
	}
	give_back_and_prove(s, other, comm, mhandle, &p, false);
}

static void run_dereg_in_flight(struct side *s)
{
	dereg_in_flight(s, 0);
	dereg_in_flight(s, 1);
	dereg_in_flight(s, 4);
}

/* One more message on the stream that B closes. False once A gets an error. */
static bool stream_on(struct side *s, void *comm, unsigned char *data, void *mhandle, void **req)
{
	weft_nccl_result r;
	bool done = false;

	if (*req)
		r = drive_test_r(s, *req, &done, NULL);
	else if (s->rank == A)
		r = drive_isend_r(s, comm, data, CHUNK, mhandle, req);
	else
		r = drive_irecv_r(s, comm, data, CHUNK, mhandle, req);
	if (done)
		*req = NULL;
	if (s->rank == B)
		check_ok(r, "a receive whose sender is alive");
	return !r;
}

/* B closes a receive comm into which A streams; a second stream goes on. */
static void run_close_beside_traffic(struct side *s)
{
	static unsigned char data[CHUNK];
	void *other = drive_one(s), *comm = drive_one(s);
	void *mhandle = drive_reg(s, comm, data, sizeof(data)), *req = NULL;
	struct flow f = {.comm = other, .sends = s->rank == A, .key = 5, .count = 300, .depth = 8, .max_size = 50000};
	bool open = true;

	flow_open(s, &f);
	side_step("closing one of two streams");
	while (!flow_finished(&f)) {
		flow_step(&f);
		if (open)
			open = stream_on(s, comm, data, mhandle, &req);
		if (open && f.finished > 100 && s->rank == B) {
			drive_dereg(s, comm, mhandle);
			drive_close_recv(s, comm);
			open = false;
		}
	}
	flow_close(&f);
	if (s->rank == A) {
		drive_dereg(s, comm, mhandle);
		drive_close_send(s, comm);
	}
	drive_close_one(s, other);
}

/* The sender first, the receiver first, both at once; the listen comm last. */
static void run_each_order(struct side *s)
{
	void *comms[3], *listen_comm = NULL, *comm = NULL;
	struct drive_handle h;
	int first, i;

	for (first = 0; first < 3; first++) {
		comms[first] = drive_one(s);
		side_step("%s closes first", first == 2 ? "nobody" : first ? "the receiver" : "the sender");
		if (s->rank == A)
			drive_say(s, comms[first], 1);
		else
			drive_hear(s, comms[first], 1);
		if (s->rank == first)
			drive_close_one(s, comms[first]);
		if (first < 2)
			side_barrier(s, side_peer(s));
		if (s->rank != first)
			drive_close_one(s, comms[first]);
	}
	if (s->rank == B) {
		listen_comm = drive_listen(s, &h);
		side_send(s, A, &h, sizeof(h));
		while (!comm)
			comm = drive_accept(s, listen_comm);
	} else {
		side_recv(s, B, &h, sizeof(h));
		while (!comm)
			comm = drive_connect(s, &h);
	}
	for (i = 0; i < 10; i++) {
		if (s->rank == A)
			drive_say(s, comm, 2);
		else
			drive_hear(s, comm, 2);
	}
	drive_close_one(s, comm);
	if (listen_comm)
		drive_close_listen(s, listen_comm);
	prove_new(s);
}

/* A peer that closes or exits causes no error while no operation is outstanding. */
static void run_peer_gone_while_idle(struct side *s)
{
	void *comm = drive_one(s), *mhandle;
	static unsigned char data[4096];

	if (s->rank == A) {
		drive_say(s, comm, 3);
		drive_close_send(s, comm);
		return;
	}
	drive_hear(s, comm, 3);
	sleep_ms(300);
	side_step("using a comm whose peer has closed it and is gone");
	mhandle = drive_reg(s, comm, data, sizeof(data));
	drive_dereg(s, comm, mhandle);
	drive_close_recv(s, comm);
}

/* Posts on the comm, or tests, until the plugin reports an error. */
static void expect_closed(struct side *s, void *comm)
{
	uint64_t deadline = patience_ms() + 30000;
	static unsigned char data[CHUNK];
	void *mhandle = drive_reg(s, comm, data, sizeof(data)), *req = NULL;
	weft_nccl_result r;
	bool done = false;

	side_step("waiting for the error of a %s that the peer has given up", s->rank == A ? "send" : "receive");
	do {
		check(patience_ms() < deadline, "no error for an operation that the peer has given up");
		if (req)
			r = drive_test_r(s, req, &done, NULL);
		else if (s->rank == A)
			r = drive_isend_r(s, comm, data, CHUNK, mhandle, &req);
		else
			r = drive_irecv_r(s, comm, data, CHUNK, mhandle, &req);
		if (done)
			req = NULL;
		done = false;
	} while (!r);
	drive_dereg(s, comm, mhandle);
}

/* A peer that closes its half while we wait for it causes an error, not an endless wait. */
static void run_peer_gone_while_waiting(struct side *s)
{
	void *other = drive_one(s), *comm;
	int closes;

	for (closes = A; closes <= B; closes++) {
		comm = drive_one(s);
		if (s->rank != closes)
			expect_closed(s, comm);
		drive_close_one(s, comm);
		side_barrier(s, side_peer(s));
	}
	prove_other(s, other);
	drive_close_one(s, other);
}

/* The sender is done, closes and exits: the receiver still gets all data, whether its receives are early or late. */
static void then_exit(struct side *s, const int *sizes, int n, unsigned late_ms)
{
	void *comm = drive_one(s), *mhandle, *reqs[OUT];
	static unsigned char data[OUT][4 * CHUNK];
	int i;

	mhandle = drive_reg(s, comm, data, sizeof(data));
	if (s->rank == B)
		sleep_ms(late_ms);
	side_step("moving the last %d messages", n);
	for (i = 0; i < n; i++) {
		if (s->rank == A) {
			drive_fill(data[i], (size_t)sizes[i], (uint64_t)i);
			reqs[i] = drive_isend(s, comm, data[i], sizes[i], mhandle);
		} else {
			reqs[i] = drive_irecv(s, comm, data[i], sizes[i], mhandle);
			/* Most receives are posted after the sender has exited. */
			if (i == 0)
				sleep_ms(late_ms);
		}
	}
	for (i = 0; i < n; i++) {
		check(drive_wait(s, reqs[i]) == sizes[i], "wrong size");
		if (s->rank == B)
			drive_expect(data[i], (size_t)sizes[i], (uint64_t)i, "a last message");
	}
	drive_dereg(s, comm, mhandle);
	drive_close_one(s, comm);
}

static void run_then_exit_small(struct side *s)
{
	then_exit(s, (int[]){8, 0, 100, 1000, 64, 1, 4000, 9}, 8, 200);
}

static void run_then_exit_large(struct side *s)
{
	then_exit(s, (int[]){4 * CHUNK, CHUNK, 70000, 4 * CHUNK}, 4, 0);
}

const struct suite_case close_cases[] = {
	{.name = "close/sends-outstanding", .run = run_sends_outstanding},
	{.name = "close/dereg-with-receives", .run = run_dereg_with_receives},
	{.name = "close/close-with-receives", .run = run_close_with_receives},
	{.name = "close/dereg-in-flight", .run = run_dereg_in_flight},
	{.name = "close/beside-traffic", .run = run_close_beside_traffic},
	{.name = "close/each-order", .run = run_each_order},
	{.name = "close/peer-gone-while-idle", .run = run_peer_gone_while_idle},
	{.name = "close/peer-gone-while-waiting", .run = run_peer_gone_while_waiting, .flags = SUITE_WEFT},
	{.name = "close/then-exit-small", .run = run_then_exit_small},
	{.name = "close/then-exit-large", .run = run_then_exit_large},
	{.name = NULL},
};

/* SPDX-License-Identifier: Apache-2.0 */
/* Wrong use: an error or a harmless result, never a crash, a hang or bytes in the wrong place. */
#include <limits.h>

#include "cases.h"
#include "patience.h"
#include "drive.h"

#define BOUND_MS 30000

/* Tests until done or an error; both are valid results. */
static weft_nccl_result answer_of(struct side *s, void *req, const char *what)
{
	uint64_t deadline = patience_ms() + BOUND_MS;
	weft_nccl_result r;
	bool done;

	side_step("waiting for an answer: %s", what);
	do {
		check(patience_ms() < deadline, "neither done nor an error: %s", what);
		r = drive_test_r(s, req, &done, NULL);
		drive_relax();
	} while (!r && !done);
	return r;
}

/*
 * A sends more than B's receive holds. The sender gets a result, and so does the receiver, at the latest when the
 * sender closes; no byte is written beyond the posted size.
 */
static void too_large(struct side *s, int room, int size)
{
	void *comm = drive_one(s), *mhandle, *req = NULL;
	uint64_t deadline = patience_ms() + BOUND_MS;
	weft_nccl_result r = WEFT_NCCL_SUCCESS;
	struct drive_buf b;

	drive_buf_open(&b, (size_t)size, 0);
	mhandle = drive_reg(s, comm, b.data, b.size);
	side_step("%d bytes into a receive of %d", size, room);
	if (s->rank == A) {
		drive_fill(b.data, b.size, 1);
		sleep_ms(50); /* lets the receive arrive first, so that the outcome is certain */
		while (!req && !r) {
			check(patience_ms() < deadline, "isend is neither started nor refused");
			r = drive_isend_r(s, comm, b.data, size, mhandle, &req);
		}
		if (!r)
			answer_of(s, req, "a send that is too large");
		drive_dereg(s, comm, mhandle);
		drive_close_send(s, comm);
		side_barrier(s, B);
	} else {
		req = drive_irecv(s, comm, b.data, room, mhandle);
		if (s->is_weft)
			answer_of(s, req, "a receive that is too small");
		side_barrier(s, A);
		drive_dereg(s, comm, mhandle);
		drive_close_recv(s, comm);
		drive_expect_canary(b.data + room, (size_t)(size - room), "what is behind a receive that is too small");
	}
	drive_buf_check_guards(&b, "a receive that is too small");
	drive_buf_close(&b);
}

static void run_too_large(struct side *s)
{
	too_large(s, 100, 200);
	too_large(s, 0, 1);
	too_large(s, 10000, 100000);
	too_large(s, 1024 * 1024, 2 * 1024 * 1024);
	side_step("connecting anew");
	drive_close_one(s, drive_one(s));
}

static void run_bad_size(struct side *s)
{
	void *comm = drive_one(s), *mhandle, *req;
	unsigned char data[64];

	mhandle = drive_reg(s, comm, data, sizeof(data));
	if (s->rank == A) {
		check(drive_isend_r(s, comm, data, -1, mhandle, &req), "isend of -1 bytes succeeds");
		check(drive_isend_r(s, comm, data, INT_MIN, mhandle, &req), "isend of INT_MIN bytes succeeds");
	} else {
		check(drive_irecv_r(s, comm, data, -1, mhandle, &req), "irecv of -1 bytes succeeds");
	}
	drive_dereg(s, comm, mhandle);
	drive_close_one(s, comm);
}

static void run_bad_count(struct side *s)
{
	static unsigned char data[64];
	void *comm = drive_one(s), *mhandle, *req, *bufs[65], *mhandles[65];
	struct weft_nccl_props_v8 p;
	int i, sizes[65], tags[65];

	mhandle = drive_reg(s, comm, data, sizeof(data));
	check_ok(s->net->get_properties(s->dev, &p), "getProperties");
	for (i = 0; i < 65; i++) {
		bufs[i] = data;
		mhandles[i] = mhandle;
		sizes[i] = 1;
		tags[i] = i;
	}
	if (s->rank == B) {
		check(s->net->irecv(comm, 0, bufs, sizes, tags, mhandles, &req), "irecv with n = 0 succeeds");
		check(s->net->irecv(comm, -1, bufs, sizes, tags, mhandles, &req), "irecv with n = -1 succeeds");
		if (p.max_recvs < 65)
			check(s->net->irecv(comm, p.max_recvs + 1, bufs, sizes, tags, mhandles, &req),
			      "irecv with n = maxRecvs + 1 succeeds");
	}
	drive_dereg(s, comm, mhandle);
	drive_close_one(s, comm);
}

static void run_wrong_comm(struct side *s)
{
	void *comm = drive_one(s), *mhandle, *req;
	unsigned char data[64];

	mhandle = drive_reg(s, comm, data, sizeof(data));
	if (s->rank == A)
		check(drive_irecv_r(s, comm, data, 64, mhandle, &req), "irecv on a send comm succeeds");
	else
		check(drive_isend_r(s, comm, data, 64, mhandle, &req), "isend on a receive comm succeeds");
	check(drive_irecv_r(s, NULL, data, 64, mhandle, &req), "irecv on no comm succeeds");
	check(drive_isend_r(s, NULL, data, 64, mhandle, &req), "isend on no comm succeeds");
	side_step("using the comm after wrong use");
	side_barrier(s, side_peer(s));
	if (s->rank == A)
		drive_say(s, comm, 1);
	else
		drive_hear(s, comm, 1);
	drive_dereg(s, comm, mhandle);
	drive_close_one(s, comm);
}

/* Memory of a type outside ptrSupport is refused. */
static void run_unsupported_memory(struct side *s)
{
	static unsigned char data[4096];
	struct weft_nccl_props_v8 p;
	void *comm = drive_one(s), *mhandle = NULL;

	check_ok(s->net->get_properties(s->dev, &p), "getProperties");
	if (!(p.ptr_support & WEFT_NCCL_PTR_CUDA))
		check(s->net->reg_mr(comm, data, sizeof(data), WEFT_NCCL_PTR_CUDA, &mhandle),
		      "regMr takes GPU memory that ptrSupport does not offer");
	if (s->is_weft)
		check(s->net->reg_mr(comm, data, sizeof(data), 99, &mhandle), "regMr takes memory of type 99");
	drive_close_one(s, comm);
}

/* An empty message needs no memory. */
static void run_nothing_from_nowhere(struct side *s)
{
	void *comm = drive_one(s), *mhandle, *req;
	unsigned char data[64];
	int i;

	mhandle = drive_reg(s, comm, data, sizeof(data));
	for (i = 0; i < 10; i++) {
		if (s->rank == A)
			req = drive_isend(s, comm, i % 2 ? NULL : data, 0, i % 4 == 1 ? NULL : mhandle);
		else
			req = drive_irecv(s, comm, i % 3 ? NULL : data, 0, i % 4 == 2 ? NULL : mhandle);
		check(drive_wait(s, req) == 0, "an empty message has a size");
	}
	drive_dereg(s, comm, mhandle);
	drive_close_one(s, comm);
}

/* With maxRecvs 1 tags have no effect: the k-th send matches the k-th receive. */
static void run_any_tag(struct side *s)
{
	static const int tags[] = {0, 1, -1, INT_MAX, INT_MIN, 0x7fff};
	struct weft_nccl_props_v8 p;
	unsigned char data[64];
	void *comm, *mhandle, *req, *buf = data;
	int i, tag, size = sizeof(data);

	check_ok(s->net->get_properties(s->dev, &p), "getProperties");
	if (p.max_recvs > 1)
		side_skip("maxRecvs is %d: tags have a meaning", p.max_recvs);
	comm = drive_one(s);
	mhandle = drive_reg(s, comm, data, sizeof(data));
	for (i = 0; i < 24; i++) {
		side_step("message %d", i);
		tag = tags[(s->rank == A ? i : i * 5 + 1) % 6];
		if (s->rank == A)
			drive_fill(data, sizeof(data), (uint64_t)i);
		do {
			check_ok(s->rank == A ? s->net->isend(comm, data, size, tag, mhandle, &req)
					      : s->net->irecv(comm, 1, &buf, &size, &tag, &mhandle, &req),
				 "a post with an odd tag");
		} while (!req);
		drive_wait(s, req);
		if (s->rank == B)
			drive_expect(data, sizeof(data), (uint64_t)i, "a message with an odd tag");
	}
	drive_dereg(s, comm, mhandle);
	drive_close_one(s, comm);
}

const struct suite_case error_cases[] = {
	{.name = "error/too-large", .run = run_too_large},
	{.name = "error/bad-size", .run = run_bad_size, .flags = SUITE_WEFT | SUITE_ONCE},
	{.name = "error/bad-count", .run = run_bad_count, .flags = SUITE_WEFT | SUITE_ONCE},
	{.name = "error/wrong-comm", .run = run_wrong_comm, .flags = SUITE_WEFT},
	{.name = "error/unsupported-memory", .run = run_unsupported_memory, .flags = SUITE_ONCE},
	{.name = "error/nothing-from-nowhere", .run = run_nothing_from_nowhere, .flags = SUITE_WEFT | SUITE_ONCE},
	{.name = "error/any-tag", .run = run_any_tag, .flags = SUITE_ONCE},
	{.name = NULL},
};

/* SPDX-License-Identifier: Apache-2.0 */
/* Single calls into the plugin, each with the checks that apply to every call of its kind. */
#include "drive.h"
#include "gpu.h"

#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ctype.h>
#include <unistd.h>

/* Content of output pointers before a call: NCCL passes old values, too. */
#define STALE	   ((void *)0x5a5a5a5a5a50ull)
#define STALE_INT  0x5a5a5a5a
#define TEST_SIZES 64 /* NCCL's array for the sizes of one request */
#define TAG	   7
#define SPINS	   50 /* rounds of waiting before the first nap */
#define NAP_US	   50

/* Rounds of this thread without progress. */
static _Thread_local unsigned idle;

/* The processes of a case share few cores with those of other cases: a long wait must not spin. */
void drive_relax(void)
{
	if (++idle < SPINS)
		sched_yield();
	else
		usleep(NAP_US);
}

static void note_progress(const void *comm_or_request)
{
	if (comm_or_request)
		idle = 0;
}

void check_ok(weft_nccl_result r, const char *call)
{
	check(!r, "%s returned %d (%s); last warning: %s", call, (int)r, bench_result_text(r),
	      bench_last_warn()[0] ? bench_last_warn() : "none");
}

/* Receives into GPU memory that still need a flush. */
struct unflushed {
	void *req, *comm, *data, *mhandle;
};

static struct unflushed unflushed[4096];
static pthread_mutex_t unflushed_lock = PTHREAD_MUTEX_INITIALIZER;

/* The entry of a request, or a free one for NULL. */
static struct unflushed *unflushed_of(const void *req)
{
	size_t i;

	for (i = 0; i < sizeof(unflushed) / sizeof(unflushed[0]); i++)
		if (unflushed[i].req == req)
			return &unflushed[i];
	return NULL;
}

static void note_receive(void *req, void *comm, void *data, void *mhandle)
{
	struct unflushed *u;

	if (!req || !gpu_is(data))
		return;
	pthread_mutex_lock(&unflushed_lock);
	u = unflushed_of(req); /* of an earlier receive that never completed, with the same request address */
	if (!u)
		u = unflushed_of(NULL);
	check(u != NULL, "more receives than the suite has room for");
	*u = (struct unflushed){.req = req, .comm = comm, .data = data, .mhandle = mhandle};
	pthread_mutex_unlock(&unflushed_lock);
}

void drive_flush(struct side *s, void *comm, int n, void **data, int *sizes, void **mhandles)
{
	void *req = STALE;
	int done = 0;

	if (!gpu_is(data[0]) || !gpu_nccl_flushes(s))
		return;
	check_ok(s->net->iflush(comm, n, data, sizes, mhandles, &req), "iflush");
	check(req != STALE, "iflush left a stale request pointer");
	for (done = !req; !done; drive_relax())
		check_ok(s->net->test(req, &done, NULL), "test of a flush");
}

/* The request has completed with `size` bytes. */
static void flush_received(struct side *s, const void *req, int size)
{
	struct unflushed *u, mine = {0};

	if (!gpu_used())
		return;
	pthread_mutex_lock(&unflushed_lock);
	u = unflushed_of(req);
	if (u) {
		mine = *u;
		u->req = NULL;
	}
	pthread_mutex_unlock(&unflushed_lock);
	if (mine.req && size)
		drive_flush(s, mine.comm, 1, &mine.data, &size, &mine.mhandle);
}

weft_nccl_result drive_connect_r(struct side *s, struct drive_handle *h, void **out_comm)
{
	struct weft_nccl_device_handle *dev_handle = NULL;
	void *comm = STALE;
	weft_nccl_result r = s->net->connect(s->dev, h->bytes, &comm, &dev_handle);

	check(comm != STALE, "connect returned %d and left the caller's comm pointer unwritten", (int)r);
	check(!r || !comm, "connect failed with %d but returned a comm", (int)r);
	drive_expect_canary(h->guard, sizeof(h->guard), "memory behind the 128 bytes of a handle");
	*out_comm = comm;
	note_progress(comm);
	return r;
}

weft_nccl_result drive_accept_r(struct side *s, void *listen_comm, void **out_comm)
{
	struct weft_nccl_device_handle *dev_handle = NULL;
	void *comm = STALE;
	weft_nccl_result r = s->net->accept(listen_comm, &comm, &dev_handle);

	check(comm != STALE, "accept returned %d and left the caller's comm pointer unwritten", (int)r);
	check(!r || !comm, "accept failed with %d but returned a comm", (int)r);
	*out_comm = comm;
	note_progress(comm);
	return r;
}

weft_nccl_result drive_isend_r(struct side *s, void *comm, void *data, int size, void *mhandle, void **out_req)
{
	weft_nccl_result r;

	*out_req = STALE;
	r = s->net->isend(comm, data, size, TAG, mhandle, out_req);
	check(*out_req != STALE, "isend returned %d and left a stale request pointer", (int)r);
	note_progress(*out_req);
	return r;
}

weft_nccl_result drive_irecv_r(struct side *s, void *comm, void *data, int size, void *mhandle, void **out_req)
{
	int tag = TAG;
	weft_nccl_result r;

	*out_req = STALE;
	r = s->net->irecv(comm, 1, &data, &size, &tag, &mhandle, out_req);
	check(*out_req != STALE, "irecv returned %d and left a stale request pointer", (int)r);
	note_receive(*out_req, comm, data, mhandle);
	note_progress(*out_req);
	return r;
}

weft_nccl_result drive_test_r(struct side *s, void *req, bool *out_done, int *out_size)
{
	int sizes[TEST_SIZES];
	int i, done = STALE_INT;
	weft_nccl_result r;

	for (i = 0; i < TEST_SIZES; i++)
		sizes[i] = STALE_INT;
	r = s->net->test(req, &done, out_size ? sizes : NULL);
	*out_done = false;
	if (r)
		return r;
	check(done == 0 || done == 1, "test left done at %#x", (unsigned)done);
	*out_done = done;
	if (done)
		idle = 0;
	if (done)
		flush_received(s, req, out_size ? sizes[0] : 1);
	if (!done || !out_size)
		return r;
	check(sizes[0] != STALE_INT, "test said done without writing the size");
	for (i = 1; i < TEST_SIZES; i++)
		check(sizes[i] == STALE_INT, "test wrote size number %d of a single operation", i);
	*out_size = sizes[0];
	return r;
}

void *drive_listen(struct side *s, struct drive_handle *out_h)
{
	void *comm = STALE;

	memset(out_h->bytes, 0xa5, sizeof(out_h->bytes));
	drive_canary(out_h->guard, sizeof(out_h->guard));
	check_ok(s->net->listen(s->dev, out_h->bytes, &comm), "listen");
	check(comm && comm != STALE, "listen succeeded without a listen comm");
	drive_expect_canary(out_h->guard, sizeof(out_h->guard), "memory behind the 128 bytes of a handle");
	return comm;
}

void *drive_connect(struct side *s, struct drive_handle *h)
{
	void *comm;

	check_ok(drive_connect_r(s, h, &comm), "connect");
	return comm;
}

void *drive_accept(struct side *s, void *listen_comm)
{
	void *comm;

	check_ok(drive_accept_r(s, listen_comm, &comm), "accept");
	return comm;
}

void *drive_reg(struct side *s, void *comm, void *data, size_t size)
{
	void *mhandle = NULL;

	if (gpu_is(data))
		check_ok(gpu_register(s, comm, data, size, &mhandle), "regMr or regMrDmaBuf of a GPU's memory");
	else
		check_ok(s->net->reg_mr(comm, data, size, WEFT_NCCL_PTR_HOST, &mhandle), "regMr");
	/* NCCL treats a NULL handle of a user's buffer as a failure. */
	check(mhandle || !s->is_weft, "regMr succeeded with a NULL handle");
	return mhandle;
}

void drive_dereg(struct side *s, void *comm, void *mhandle)
{
	check_ok(s->net->dereg_mr(comm, mhandle), "deregMr");
}

void *drive_try_isend(struct side *s, void *comm, void *data, int size, void *mhandle)
{
	void *req;

	check_ok(drive_isend_r(s, comm, data, size, mhandle, &req), "isend");
	return req;
}

void *drive_try_irecv(struct side *s, void *comm, void *data, int size, void *mhandle)
{
	void *req;

	check_ok(drive_irecv_r(s, comm, data, size, mhandle, &req), "irecv");
	return req;
}

bool drive_test(struct side *s, void *req, int *out_size)
{
	bool done;

	check_ok(drive_test_r(s, req, &done, out_size), "test");
	return done;
}

void drive_close_send(struct side *s, void *comm)
{
	check_ok(s->net->close_send(comm), "closeSend");
}

void drive_close_recv(struct side *s, void *comm)
{
	check_ok(s->net->close_recv(comm), "closeRecv");
}

void drive_close_listen(struct side *s, void *comm)
{
	check_ok(s->net->close_listen(comm), "closeListen");
}

void *drive_isend(struct side *s, void *comm, void *data, int size, void *mhandle)
{
	void *req;

	while (!(req = drive_try_isend(s, comm, data, size, mhandle)))
		drive_relax();
	return req;
}

void *drive_irecv(struct side *s, void *comm, void *data, int size, void *mhandle)
{
	void *req;

	while (!(req = drive_try_irecv(s, comm, data, size, mhandle)))
		drive_relax();
	return req;
}

int drive_wait(struct side *s, void *req)
{
	int size;

	while (!drive_test(s, req, &size))
		drive_relax();
	return size;
}

void drive_send(struct side *s, void *comm, void *data, int size, void *mhandle)
{
	int sent = drive_wait(s, drive_isend(s, comm, data, size, mhandle));

	check(sent == size, "test of a send of %d bytes says %d", size, sent);
}

int drive_recv(struct side *s, void *comm, void *data, int size, void *mhandle)
{
	return drive_wait(s, drive_irecv(s, comm, data, size, mhandle));
}

static void connect_all(struct side *s, int n_out, struct drive_handle *to, void **out_comms, int n_in, void **listens,
			void **in_comms)
{
	int i, missing = n_out + n_in;

	while (missing) {
		side_step("connecting: %d of %d connects and accepts are missing", missing, n_out + n_in);
		for (i = 0; i < n_out; i++) {
			if (!out_comms[i] && (out_comms[i] = drive_connect(s, &to[i])))
				missing--;
		}
		for (i = 0; i < n_in; i++) {
			if (in_comms[i] || !(in_comms[i] = drive_accept(s, listens[i])))
				continue;
			missing--;
			drive_close_listen(s, listens[i]);
		}
		drive_relax();
	}
}

void drive_links(struct side *s, int with, int n_out, void **out_comms, int n_in, void **in_comms)
{
	struct drive_handle *to = calloc((size_t)n_out + 1, sizeof(*to));
	void **listens = calloc((size_t)n_in + 1, sizeof(*listens));
	struct drive_handle mine;
	int i;

	check(to && listens, "out of memory");
	for (i = 0; i < n_in; i++) {
		listens[i] = drive_listen(s, &mine);
		in_comms[i] = NULL;
		side_send(s, with, &mine, sizeof(mine));
	}
	for (i = 0; i < n_out; i++) {
		side_recv(s, with, &to[i], sizeof(to[i]));
		out_comms[i] = NULL;
	}
	connect_all(s, n_out, to, out_comms, n_in, listens, in_comms);
	free(to);
	free(listens);
	side_step("connected");
}

void *drive_link_out(struct side *s, int to)
{
	void *comm;

	drive_links(s, to, 1, &comm, 0, NULL);
	return comm;
}

void *drive_link_in(struct side *s, int from)
{
	void *comm;

	drive_links(s, from, 0, NULL, 1, &comm);
	return comm;
}

void drive_close_links(struct side *s, int n_out, void **out_comms, int n_in, void **in_comms)
{
	int i;

	for (i = 0; i < n_out; i++)
		drive_close_send(s, out_comms[i]);
	for (i = 0; i < n_in; i++)
		drive_close_recv(s, in_comms[i]);
}

void *drive_one(struct side *s)
{
	return s->rank == A ? drive_link_out(s, B) : drive_link_in(s, A);
}

void drive_close_one(struct side *s, void *comm)
{
	drive_close_links(s, s->rank == A, &comm, s->rank == B, &comm);
}

void drive_say(struct side *s, void *send_comm, uint64_t key)
{
	unsigned char data[72];
	void *mhandle = drive_reg(s, send_comm, data, sizeof(data));

	drive_fill(data, sizeof(data), key);
	drive_send(s, send_comm, data, sizeof(data), mhandle);
	drive_dereg(s, send_comm, mhandle);
}

void drive_hear(struct side *s, void *recv_comm, uint64_t key)
{
	unsigned char data[72];
	void *mhandle = drive_reg(s, recv_comm, data, sizeof(data));
	int got = drive_recv(s, recv_comm, data, sizeof(data), mhandle);

	check(got == sizeof(data), "a message of %zu bytes arrived as %d", sizeof(data), got);
	drive_expect(data, sizeof(data), key, "a short message");
	drive_dereg(s, recv_comm, mhandle);
}

/* True if the number stands in the text on its own, not as a part of a longer number. */
static bool names_number(const char *text, long number)
{
	char digits[24];
	size_t n = (size_t)snprintf(digits, sizeof(digits), "%ld", number);
	const char *p;

	for (p = strstr(text, digits); p; p = strstr(p + 1, digits))
		if ((p == text || !isdigit((unsigned char)p[-1])) && !isdigit((unsigned char)p[n]))
			return true;
	return false;
}

void drive_check_death(struct side *s, int victim, weft_nccl_result r, const char *call)
{
	check(r >= WEFT_NCCL_SYSTEM_ERROR && r <= WEFT_NCCL_REMOTE_ERROR, "%s returned %d (%s) after the peer's death",
	      call, (int)r, bench_result_text(r));
	if (s->is_weft)
		check(names_number(bench_last_warn(), s->pids[victim]),
		      "%s failed, but the last warning does not name the dead peer, pid %d: %s", call, s->pids[victim],
		      bench_last_warn());
}

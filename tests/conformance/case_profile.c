/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The profiler's callback of versions 10 to 12, played by this file. Its rules (NCCL's src/plugin/profiler.cc): a start
 * has a handle that NCCL has passed; it writes the event only if a profiler wants it, so the event is NULL before; an
 * event that was not written is neither updated nor stopped; every other one is stopped once. A plugin may emit no events.
 */
#include <pthread.h>
#include <string.h>

#include "cases.h"
#include "drive.h"
#include "weft/nccl_net_v12.h"
#include "weft/profile.h"

#define STEPS	 64
#define ROOM	 (1 << 20)
#define MESSAGES 40
#define GROUP	 4

enum { START, STOP, UPDATE, UPDATE_AND_STOP };

/* A proxy step of NCCL; its address is the handle. */
struct step {
	bool passed; /* to isend or irecv, and not given up */
	int open, started, stopped;
	uint64_t bytes; /* Weft: of events that were stopped without an error */
	uint64_t waited_ns;
};

static struct {
	pthread_mutex_t lock;
	bool wanted; /* the mask has the bit of network events */
	int calls, starts, unwanted;
	struct step steps[STEPS];
} fake = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void fake_start(void **event, void *parent)
{
	struct step *step = parent;

	check(parent != NULL, "an event starts without a handle");
	check(step >= fake.steps && step < fake.steps + STEPS && step->passed,
	      "an event starts with a stranger's handle");
	check(!*event, "an event starts that is not NULL");
	fake.starts++;
	if (!fake.wanted) {
		fake.unwanted++;
		return;
	}
	step->open++;
	step->started++;
	*event = step;
}

static void fake_stop(struct step *step, int64_t id, const struct weft_profile *d)
{
	check(step->open > 0, "an event stops that is not open");
	step->open--;
	step->stopped++;
	if (id != WEFT_PROFILE_ID || !d->final || d->err)
		return;
	step->bytes += d->bytes;
	step->waited_ns = d->waited_ns;
}

static weft_nccl_result fake_callback(void **event, int type, void *parent, int64_t id, void *data)
{
	pthread_mutex_lock(&fake.lock);
	fake.calls++;
	check(event != NULL, "the callback gets no place for an event");
	check(type >= START && type <= UPDATE_AND_STOP, "the callback gets type %d", type);
	if (type == START) {
		fake_start(event, parent);
	} else {
		check(*event != NULL, "an event that was not started is updated or stopped");
		check((struct step *)*event >= fake.steps && (struct step *)*event < fake.steps + STEPS,
		      "an event is a stranger's");
		if (type != UPDATE)
			fake_stop(*event, id, data);
	}
	pthread_mutex_unlock(&fake.lock);
	return WEFT_NCCL_SUCCESS;
}

__attribute__((format(printf, 5, 6))) static void silent(weft_nccl_log_level level, unsigned long flags,
							 const char *file, int line, const char *fmt, ...)
{
	(void)level;
	(void)flags;
	(void)file;
	(void)line;
	(void)fmt;
}

/* Another communicator of the process, with the callback. Returns its context. */
static void *init_with_callback(struct side *s)
{
	struct weft_nccl_comm_config config = {.traffic_class = WEFT_NCCL_TRAFFIC_CLASS_UNDEF};
	const struct weft_nccl_net_v10 *v10 = s->plugin.native;
	const struct weft_nccl_net_v11 *v11 = s->plugin.native;
	void *ctx = NULL;

	if (s->plugin.abi < 10)
		side_skip("no profiler before version 10");
	if (s->plugin.abi == 10)
		check_ok(v10->init(silent, fake_callback), "init");
	else
		check_ok(v11->init(&ctx, 7, &config, silent, fake_callback), "init");
	return ctx;
}

static void end_with_callback(struct side *s, void *ctx)
{
	const struct weft_nccl_net_v11 *v11 = s->plugin.native;

	if (s->plugin.abi >= 11)
		check_ok(v11->finalize(ctx), "finalize");
}

struct line {
	struct side *s;
	void *comm, *mhandle;
	unsigned char *data;
};

/* One try of a message with this step as its handle, or without one. */
static void *try_post(struct line *l, int step, size_t size)
{
	const struct weft_nccl_net_v10 *v10 = l->s->plugin.native;
	void *handle = step < 0 ? NULL : &fake.steps[step], *req = NULL, *data = l->data;
	int tag = 0;

	if (step >= 0)
		fake.steps[step].passed = true;
	if (l->s->rank == A)
		check_ok(v10->isend(l->comm, data, size, tag, l->mhandle, handle, &req), "isend");
	else
		check_ok(v10->irecv(l->comm, 1, &data, &size, &tag, &l->mhandle, &handle, &req), "irecv");
	if (!req && step >= 0)
		check(!fake.steps[step].started, "an event starts, but the message has no request");
	return req;
}

static void move_message(struct line *l, int step, size_t size)
{
	void *req;

	while (!(req = try_post(l, step, size)))
		drive_relax();
	check(drive_wait(l->s, req) == (int)size, "test tells another size than %zu", size);
}

static void open_line(struct line *l, struct side *s, struct drive_buf *b)
{
	l->s = s;
	l->comm = drive_one(s);
	drive_buf_open(b, ROOM, 0);
	l->data = b->data;
	l->mhandle = drive_reg(s, l->comm, b->data, ROOM);
	drive_fill(b->data, ROOM, 1);
}

static void close_line(struct line *l, struct drive_buf *b)
{
	drive_dereg(l->s, l->comm, l->mhandle);
	drive_close_one(l->s, l->comm);
	drive_buf_close(b);
}

/* Sizes on both sides of the limits of eager messages and of stripes. */
static size_t size_of(int i)
{
	static const size_t sizes[] = {0, 64, 4000, 65536, ROOM};

	return sizes[i % (int)(sizeof(sizes) / sizeof(sizes[0]))];
}

static void run_events(struct side *s)
{
	void *ctx = init_with_callback(s);
	struct drive_buf b;
	struct line l;
	int i;

	open_line(&l, s, &b);
	fake.wanted = true;
	for (i = 0; i < MESSAGES; i++) {
		side_step("message %d", i);
		move_message(&l, i, size_of(i));
	}
	for (i = 0; i < MESSAGES; i++) {
		struct step *step = &fake.steps[i];

		check(!step->open && step->started == step->stopped, "message %d: %d events started, %d stopped", i,
		      step->started, step->stopped);
		if (!s->is_weft)
			continue;
		check(step->started >= 1, "message %d has no event", i);
		check(step->bytes == size_of(i), "message %d: its events have %llu bytes", i,
		      (unsigned long long)step->bytes);
	}
	close_line(&l, &b);
	end_with_callback(s, ctx);
}

/* A receiver that posts late shows in the sender's event. */
static void run_split(struct side *s)
{
	const long late_ns = 200000000;
	struct timespec late = {.tv_nsec = late_ns};
	void *ctx = init_with_callback(s);
	struct drive_buf b;
	struct line l;

	open_line(&l, s, &b);
	fake.wanted = true;
	move_message(&l, 0, ROOM);
	if (s->rank == B)
		nanosleep(&late, NULL);
	move_message(&l, 1, ROOM);
	if (s->rank == A && s->is_weft)
		check(fake.steps[1].waited_ns >= (uint64_t)late_ns / 2,
		      "the receiver was late by 200 ms, the event says %llu ns",
		      (unsigned long long)fake.steps[1].waited_ns);
	close_line(&l, &b);
	end_with_callback(s, ctx);
}

/* Nothing without handles; and a profiler that wants no network events is seldom asked, and told nothing more. */
static void run_unwanted(struct side *s)
{
	const struct weft_nccl_net_v10 *v10 = s->plugin.native;
	void *ctx = init_with_callback(s), *req, *data;
	struct drive_buf b;
	struct line l;
	size_t size = ROOM;
	int i, tag = 0;

	open_line(&l, s, &b);
	fake.wanted = true;
	for (i = 0; i < MESSAGES; i++)
		move_message(&l, -1, size_of(i));
	data = l.data;
	if (s->rank == A) {
		move_message(&l, -1, ROOM);
	} else {
		do {
			req = NULL;
			check_ok(v10->irecv(l.comm, 1, &data, &size, &tag, &l.mhandle, NULL, &req), "irecv");
			drive_relax();
		} while (!req);
		drive_wait(s, req);
	}
	check(!fake.calls, "the callback is called without a handle");
	fake.wanted = false;
	for (i = 0; i < MESSAGES; i++)
		move_message(&l, i, size_of(i));
	check(fake.calls == fake.unwanted, "an event is updated or stopped that nobody wanted");
	if (s->is_weft)
		check(fake.calls == 1, "%d messages ask %d times", MESSAGES, fake.calls);
	close_line(&l, &b);
	end_with_callback(s, ctx);
}

/* A receive that is still outstanding at its comm's close. */
static void run_close(struct side *s)
{
	void *ctx = init_with_callback(s), *req = NULL;
	struct drive_buf b;
	struct line l;
	int i;

	open_line(&l, s, &b);
	fake.wanted = true;
	move_message(&l, 0, ROOM);
	if (s->rank == B)
		for (i = 1; i < 4; i++)
			while (!(req = try_post(&l, i, ROOM)))
				drive_relax();
	close_line(&l, &b);
	for (i = 0; i < STEPS; i++)
		check(!fake.steps[i].open && fake.steps[i].started == fake.steps[i].stopped,
		      "handle %d: %d events started, %d stopped", i, fake.steps[i].started, fake.steps[i].stopped);
	end_with_callback(s, ctx);
}

/* Grouped receives have a handle for each message, some of them NULL. */
static void run_groups(struct side *s)
{
	const struct weft_nccl_net_v10 *v10 = s->plugin.native;
	void *ctx = init_with_callback(s), *req = NULL, *reqs[GROUP];
	void *data[GROUP], *mhandles[GROUP], *handles[GROUP];
	int tags[GROUP], sizes[GROUP], done = 0, i;
	size_t rooms[GROUP];
	struct drive_buf b;
	struct line l;

	open_line(&l, s, &b);
	fake.wanted = true;
	for (i = 0; i < GROUP; i++) {
		data[i] = l.data + i * 65536;
		mhandles[i] = l.mhandle;
		handles[i] = i == 2 ? NULL : &fake.steps[i];
		tags[i] = 100 + i;
		rooms[i] = 65536;
		fake.steps[i].passed = true;
	}
	if (s->rank == B) {
		while (!req) {
			check_ok(v10->irecv(l.comm, GROUP, data, rooms, tags, mhandles, handles, &req), "irecv");
			drive_relax();
		}
		while (!done) {
			check_ok(s->net->test(req, &done, sizes), "test");
			drive_relax();
		}
	} else {
		for (i = 0; i < GROUP; i++)
			for (reqs[i] = NULL; !reqs[i]; drive_relax())
				check_ok(v10->isend(l.comm, data[i], 1000 + (size_t)i, tags[i], l.mhandle, handles[i],
						    &reqs[i]),
					 "isend");
		for (i = 0; i < GROUP; i++)
			drive_wait(s, reqs[i]);
	}
	for (i = 0; i < GROUP; i++) {
		check(!fake.steps[i].open, "message %d of the group: an event is left", i);
		check(i != 2 || !fake.steps[i].started, "an event without a handle");
		if (s->is_weft && i != 2)
			check(fake.steps[i].bytes == 1000 + (uint64_t)i, "message %d of the group: %llu bytes", i,
			      (unsigned long long)fake.steps[i].bytes);
	}
	close_line(&l, &b);
	end_with_callback(s, ctx);
}

const struct suite_case profile_cases[] = {
	{.name = "profile/events", .run = run_events},	   {.name = "profile/split", .run = run_split},
	{.name = "profile/unwanted", .run = run_unwanted}, {.name = "profile/close", .run = run_close},
	{.name = "profile/groups", .run = run_groups},	   {.name = NULL},
};

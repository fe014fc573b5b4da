/* SPDX-License-Identifier: Apache-2.0 */
/* A member's part of a ring: it sends to the next member and receives from the previous one, over several lanes. */
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "elastic.h"
#include "guarded.h"
#include "seeded.h"

enum { MOVING_AFTER = 6, CLOSED_BYTE = 0xdd };

/* One end of a lane. Its memory serves one ring after another. */
struct end {
	bool sends;
	int lane;
	void *listen, *comm;
	void *mhandles[DEPTH], *requests[DEPTH];
	int64_t begun, done; /* messages */
	struct guarded memory;
};

static struct end ends[2 * LANES]; /* a process has one ring at a time */

static unsigned char *slot(const struct end *e, int64_t number)
{
	return (unsigned char *)e->memory.data + number % DEPTH * SLOT_BYTES;
}

/* ---- content ---- */

static uint64_t key_of(const struct ring *r, const struct end *e, int64_t number)
{
	int sender = e->sends ? r->plan.position : (r->plan.position + r->plan.members - 1) % r->plan.members;

	return seeded_mix(r->plan.key ^ (uint64_t)(sender * LANES + e->lane) << 40 ^ (uint64_t)number);
}

/* Small, eager ones; those in between; one in eight is large. */
static size_t size_of(uint64_t key)
{
	static const size_t most[8] = {8, 64, 1000, 8192, 8193, 100000, 300000, SLOT_BYTES};

	return (size_t)seeded_roll(key, 1, most[key % 8] + 1);
}

static uint64_t word(uint64_t key, size_t at)
{
	return key + at * 0x9e3779b97f4a7c15ull;
}

static void fill(unsigned char *data, size_t bytes, uint64_t key)
{
	size_t at;

	for (at = 0; at < bytes; at += 8) {
		uint64_t w = word(key, at);

		memcpy(data + at, &w, bytes - at < 8 ? bytes - at : 8);
	}
}

static void verify(const unsigned char *data, size_t bytes, uint64_t key, int64_t number)
{
	size_t at;

	for (at = 0; at < bytes; at += 8) {
		uint64_t w = word(key, at);

		if (memcmp(data + at, &w, bytes - at < 8 ? bytes - at : 8))
			worker_broken("message %lld of %zu bytes is wrong at %zu", (long long)number, bytes, at);
	}
}

/* ---- connecting ---- */

static void must(weft_nccl_result result, const char *call)
{
	char why[600];

	worker_last_warning(why, sizeof(why));
	if (result)
		worker_broken("%s returned %d: %s", call, (int)result, why);
}

/* Nobody may have written into the memory since the last ring was closed. */
static void open_memory(struct end *e)
{
	const unsigned char *data = e->memory.data;
	size_t i, bytes = (size_t)DEPTH * SLOT_BYTES;

	if (!data) {
		if (guarded_open(&e->memory, bytes, 0))
			worker_broken("out of memory");
		return;
	}
	for (i = 0; i < bytes; i++)
		if (data[i] != CLOSED_BYTE)
			worker_broken("memory of a %s comm was written after its close", e->sends ? "send" : "receive");
}

static void listen_all(struct ring *r, void *context)
{
	unsigned char handles[LANES][WEFT_NCCL_HANDLE_BYTES] __attribute__((aligned(8))) = {{0}};
	int i;

	for (i = 0; i < 2 * LANES; i++) {
		ends[i] = (struct end){.sends = i < LANES, .lane = i % LANES, .memory = ends[i].memory};
		open_memory(&ends[i]);
		if (!ends[i].sends)
			must(net->listen(context, 0, handles[ends[i].lane], &ends[i].listen), "listen");
	}
	worker_say_handles(r->plan.number, handles);
}

static bool connect_step(struct ring *r, void *context, struct end *e)
{
	int i;

	if (e->sends)
		must(net->connect(context, 0, r->handles[e->lane], &e->comm, NULL), "connect");
	else
		must(net->accept(e->listen, &e->comm, NULL), "accept");
	if (!e->comm)
		return false;
	for (i = 0; i < DEPTH; i++)
		must(net->reg_mr(e->comm, slot(e, i), SLOT_BYTES, WEFT_NCCL_PTR_HOST, &e->mhandles[i]), "regMr");
	return true;
}

/* False: told to stop before all were connected. */
static bool connect_all(struct ring *r, void *context)
{
	int i, left = 2 * LANES;

	listen_all(r, context);
	while (!atomic_load(&r->have_handles) && !atomic_load(&r->stop))
		usleep(100);
	while (left && !atomic_load(&r->stop)) {
		for (i = 0; i < 2 * LANES; i++)
			if (!ends[i].comm && connect_step(r, context, &ends[i]))
				left--;
		sched_yield();
	}
	return !left;
}

/* ---- moving ---- */

static weft_nccl_result begin(struct ring *r, struct end *e)
{
	unsigned char *data = slot(e, e->begun);
	void *mhandle = e->mhandles[e->begun % DEPTH], *buffer = data, *request = NULL;
	uint64_t key = key_of(r, e, e->begun);
	size_t room = SLOT_BYTES, bytes = size_of(key);
	weft_nccl_result result;
	int tag = 0;

	if (e->sends) {
		fill(data, bytes, key);
		result = net->isend(e->comm, data, bytes, 0, mhandle, NULL, &request);
	} else {
		result = net->irecv(e->comm, 1, &buffer, &room, &tag, &mhandle, NULL, &request);
	}
	if (!result && request)
		e->requests[e->begun++ % DEPTH] = request;
	return result;
}

static weft_nccl_result finish(struct ring *r, struct end *e)
{
	uint64_t key = key_of(r, e, e->done);
	int done = 0, size = -1;
	weft_nccl_result result = net->test(e->requests[e->done % DEPTH], &done, &size);

	if (result || !done)
		return result;
	if ((size_t)size != size_of(key))
		worker_broken("message %lld has %d bytes instead of %zu", (long long)e->done, size, size_of(key));
	if (!e->sends)
		verify(slot(e, e->done), (size_t)size, key, e->done);
	e->done++;
	return result;
}

static const char *step(struct ring *r, struct end *e, weft_nccl_result *result)
{
	*result = WEFT_NCCL_SUCCESS;
	if (e->begun - e->done < DEPTH && (!r->plan.count || e->begun < r->plan.count))
		*result = begin(r, e);
	if (*result)
		return e->sends ? "isend" : "irecv";
	if (e->begun > e->done)
		*result = finish(r, e);
	return e->sends ? "test of a send" : "test of a receive";
}

static bool all_have(int64_t count)
{
	int i;

	for (i = 0; i < 2 * LANES; i++)
		if (ends[i].done < count)
			return false;
	return true;
}

/* An error is the plugin's to explain. */
static void report_error(const struct ring *r, const char *call, weft_nccl_result result)
{
	char why[600], text[800];

	worker_last_warning(why, sizeof(why));
	if (result < WEFT_NCCL_SYSTEM_ERROR || result > WEFT_NCCL_REMOTE_ERROR)
		worker_broken("%s returned %d, which a plugin may not", call, (int)result);
	if (!why[0])
		worker_broken("%s returned %d without a warning", call, (int)result);
	snprintf(text, sizeof(text), "%s: %s", call, why);
	worker_say(SAY_ERROR, r->plan.number, text);
}

/* Until all messages are there, a call fails, or the parent says stop. */
static void move(struct ring *r)
{
	bool said = false;
	weft_nccl_result result;
	const char *call;
	int i;

	while (!atomic_load(&r->stop)) {
		if (atomic_load(&r->die))
			raise(SIGKILL);
		for (i = 0; i < 2 * LANES; i++) {
			call = step(r, &ends[i], &result);
			if (result) {
				report_error(r, call, result);
				return;
			}
		}
		if (!said && all_have(MOVING_AFTER)) {
			said = true;
			worker_say(SAY_MOVING, r->plan.number, "");
		}
		if (r->plan.count && all_have(r->plan.count)) {
			worker_say(SAY_DONE, r->plan.number, "");
			return;
		}
		sched_yield();
	}
}

/* ---- closing, with whatever is outstanding ---- */

static void close_end(struct end *e)
{
	int i;

	for (i = 0; i < DEPTH; i++)
		if (e->mhandles[i])
			must(net->dereg_mr(e->comm, e->mhandles[i]), "deregMr");
	if (e->comm)
		must(e->sends ? net->close_send(e->comm) : net->close_recv(e->comm), "close");
	if (e->listen)
		must(net->close_listen(e->listen), "closeListen");
	if (guarded_check(&e->memory))
		worker_broken("bytes outside a comm's memory were written");
	memset(e->memory.data, CLOSED_BYTE, (size_t)DEPTH * SLOT_BYTES);
}

/* The order differs from member to member, and from ring to ring. */
static void close_all(const struct ring *r)
{
	uint64_t first = seeded_roll(r->plan.key, (uint64_t)r->plan.position, 2 * LANES);
	int i;

	for (i = 0; i < 2 * LANES; i++)
		close_end(&ends[(first + (uint64_t)i) % (2 * LANES)]);
}

void *ring_run(void *arg)
{
	struct weft_nccl_comm_config config = {.traffic_class = -1};
	struct ring *r = arg;
	void *context = NULL;
	int devices = 0;

	must(net->init(&context, r->plan.key, &config, worker_logger, NULL), "init");
	must(net->devices(&devices), "devices");
	if (devices < 1)
		worker_broken("the plugin has no device");
	if (connect_all(r, context))
		move(r);
	while (!atomic_load(&r->stop))
		usleep(500);
	close_all(r);
	must(net->finalize(context), "finalize");
	return NULL;
}

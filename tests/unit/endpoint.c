/* SPDX-License-Identifier: Apache-2.0 */
/* fabric: two endpoints of one process, over tcp on the loopback and over shm. */
#include "unit/unit.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "fabric/fab.h"

#define DEPTH 64

/* libfabric's net provider leaks a little at each endpoint and connection. */
UNIT_FOREIGN_LEAKS("leak:libfabric.so\n");

static struct fab_report report;
static struct fab_domain *domain;
static struct fab_ep *left, *right; /* left sends, right receives */
static uint64_t to_right, to_left;
static bool present;

struct op {
	struct fab_op op; /* must be the first member */
	int done;
	int err;
	size_t len;
};

static void note(struct fab_op *op, const struct fab_result *r)
{
	struct op *o = (struct op *)op;

	o->done++;
	o->err = r->err;
	o->len = r->len;
}

static void fresh(struct op *o)
{
	memset(o, 0, sizeof(*o));
	o->op.done = note;
}

static void introduce(struct fab_ep *to, struct fab_ep *who, uint64_t *out)
{
	uint8_t addr[FAB_ADDR_BYTES];
	size_t bytes;

	assert_int_equal(fab_ep_addr(who, addr, &bytes), 0);
	assert_in_range(bytes, 1, FAB_ADDR_BYTES);
	assert_int_equal(fab_ep_insert(to, addr, out), 0);
}

static int begin(void **state)
{
	struct conf conf;

	memset(&conf, 0, sizeof(conf));
	snprintf(conf.provider, sizeof(conf.provider), "%s", (const char *)*state);
	snprintf(conf.nics, sizeof(conf.nics), "lo");
	unit_log_catch();
	if (fab_discover(&conf, &report))
		return -1;
	present = report.nic_count == 1;
	if (!present)
		return 0;
	assert_int_equal(fab_domain_open(&report.nics[0], &domain), 0);
	assert_int_equal(fab_ep_open(domain, DEPTH, NULL, NULL, &left), 0);
	assert_int_equal(fab_ep_open(domain, DEPTH, NULL, NULL, &right), 0);
	introduce(left, right, &to_right);
	introduce(right, left, &to_left);
	return 0;
}

static int end(void **state)
{
	(void)state;
	fab_ep_close(left);
	fab_ep_close(right);
	fab_domain_close(domain);
	fab_report_fini(&report);
	left = right = NULL;
	domain = NULL;
	return 0;
}

static void turn(void)
{
	assert_true(fab_ep_poll(left) >= 0);
	if (right)
		assert_true(fab_ep_poll(right) >= 0);
}

static void wait_for(const struct op *o, const char *what)
{
	int64_t since = clock_us();

	while (!o->done) {
		turn();
		unit_not_late(since, what);
	}
	assert_int_equal(o->done, 1);
}

/* Repeats the post while the provider reports -EAGAIN. */
static void send_tagged(struct op *o, const void *buf, size_t len, uint64_t tag)
{
	int64_t since = clock_us();
	int ret;

	fresh(o);
	while ((ret = fab_tsend(left, &o->op, buf, len, NULL, to_right, tag)) == -EAGAIN) {
		turn();
		unit_not_late(since, "posting a send");
	}
	assert_int_equal(ret, 0);
}

static void send_plain(struct fab_ep *ep, struct op *o, const void *buf, size_t len, uint64_t to)
{
	int64_t since = clock_us();
	int ret;

	fresh(o);
	while ((ret = fab_send(ep, &o->op, buf, len, NULL, to)) == -EAGAIN) {
		turn();
		unit_not_late(since, "posting a send");
	}
	assert_int_equal(ret, 0);
}

#define NEEDS_PROVIDER()                                                                                               \
	do {                                                                                                           \
		if (!present)                                                                                          \
			skip();                                                                                        \
	} while (0)

static void messages_both_ways(void **state)
{
	char there[100], back[100];
	struct op s, r;

	(void)state;
	NEEDS_PROVIDER();
	fresh(&r);
	assert_int_equal(fab_recv(right, &r.op, there, sizeof(there), NULL), 0);
	send_plain(left, &s, "hello", 6, to_right);
	wait_for(&r, "a message's arrival");
	wait_for(&s, "a send's completion");
	assert_int_equal(s.err, 0);
	assert_int_equal(r.err, 0);
	assert_int_equal(r.len, 6);
	assert_string_equal(there, "hello");

	fresh(&r);
	assert_int_equal(fab_recv(left, &r.op, back, sizeof(back), NULL), 0);
	send_plain(right, &s, "world!", 7, to_left);
	wait_for(&r, "a message's arrival");
	wait_for(&s, "a send's completion");
	assert_int_equal(r.len, 7);
	assert_string_equal(back, "world!");
	assert_true(fab_ep_max_bytes(left) >= 1 << 20);
}

static void tags_choose_the_receive(void **state)
{
	char a[16], b[16];
	struct op ra, rb, s1, s2;

	(void)state;
	NEEDS_PROVIDER();
	fresh(&ra);
	fresh(&rb);
	assert_int_equal(fab_trecv(right, &ra.op, a, sizeof(a), NULL, 7ull << 32 | 1), 0);
	assert_int_equal(fab_trecv(right, &rb.op, b, sizeof(b), NULL, 7ull << 32 | 2), 0);
	send_tagged(&s2, "second", 7, 7ull << 32 | 2);
	wait_for(&rb, "the second tag's message");
	assert_int_equal(ra.done, 0);
	send_tagged(&s1, "", 0, 7ull << 32 | 1);
	wait_for(&ra, "the first tag's message");
	wait_for(&s1, "a send's completion");
	wait_for(&s2, "a send's completion");
	assert_string_equal(b, "second");
	assert_int_equal(rb.len, 7);
	assert_int_equal(ra.len, 0);
}

static void sizes_arrive_whole(void **state)
{
	static const size_t sizes[] = {0, 1, 127, 128, 129, 4095, 4096, 4097, 65536, 1 << 20, (3 << 20) + 1};
	size_t max = (4 << 20), i, k;
	unsigned char *from = malloc(max), *to = malloc(max);
	struct op s, r;

	(void)state;
	if (!present) {
		free(from);
		free(to);
		skip();
	}
	assert_non_null(from);
	assert_non_null(to);
	for (i = 0; i < COUNT(sizes); i++) {
		for (k = 0; k < sizes[i]; k++)
			from[k] = (unsigned char)(k * 31 + i);
		memset(to, 0xee, max);
		fresh(&r);
		assert_int_equal(fab_trecv(right, &r.op, to, max, NULL, i), 0);
		send_tagged(&s, from, sizes[i], i);
		wait_for(&r, "a message's arrival");
		wait_for(&s, "a send's completion");
		assert_int_equal(r.err, 0);
		assert_int_equal(r.len, sizes[i]);
		assert_int_equal(memcmp(from, to, sizes[i]), 0);
		assert_int_equal(to[sizes[i]], 0xee);
	}
	free(from);
	free(to);
}

static void receives_can_be_given_up(void **state)
{
	char a[16], b[16] = "";
	struct op ra, rb, s;

	(void)state;
	NEEDS_PROVIDER();
	fresh(&ra);
	fresh(&rb);
	assert_int_equal(fab_trecv(right, &ra.op, a, sizeof(a), NULL, 1), 0);
	assert_int_equal(fab_trecv(right, &rb.op, b, sizeof(b), NULL, 2), 0);
	fab_cancel(right, &ra.op);
	wait_for(&ra, "a cancelled receive's end");
	assert_int_equal(ra.err, -ECANCELED);
	fab_cancel(right, &ra.op); /* a completed operation can't be cancelled again */
	turn();
	assert_int_equal(ra.done, 1);
	send_tagged(&s, "other", 6, 2); /* and the others stay posted */
	wait_for(&rb, "the other receive's message");
	wait_for(&s, "a send's completion");
	assert_int_equal(rb.err, 0);
	assert_string_equal(b, "other");
}

/* One message each way, so that the endpoints are connected. */
static void warm_up(void)
{
	char there[16], back[16];
	struct op s, r;

	fresh(&r);
	assert_int_equal(fab_recv(right, &r.op, there, sizeof(there), NULL), 0);
	send_plain(left, &s, "warm", 5, to_right);
	wait_for(&r, "a message's arrival");
	wait_for(&s, "a send's completion");
	fresh(&r);
	assert_int_equal(fab_recv(left, &r.op, back, sizeof(back), NULL), 0);
	send_plain(right, &s, "warm", 5, to_left);
	wait_for(&r, "a message's arrival");
	wait_for(&s, "a send's completion");
}

/*
 * Operations are refused before the queue could lack room for a completion: first receives, then sends, last control
 * messages. They are accepted again after a completion.
 */
static void the_queue_bounds_operations(void **state)
{
	static struct op receives[DEPTH + 1], sends[DEPTH + 1], controls[DEPTH + 1];
	static char buf[DEPTH + 1][8], control_buf[DEPTH + 1][8];
	int nr, ns, nc, ret;
	struct op s;

	(void)state;
	NEEDS_PROVIDER();
	warm_up();
	for (nr = 0, ret = 0; nr <= DEPTH && !ret; nr += !ret) {
		fresh(&receives[nr]);
		ret = fab_trecv(right, &receives[nr].op, buf[nr], 8, NULL, (uint64_t)nr);
	}
	assert_int_equal(ret, -EAGAIN);
	for (ns = 0, ret = 0; ns <= DEPTH && !ret; ns += !ret) { /* without polling: none completes */
		fresh(&sends[ns]);
		ret = fab_tsend(right, &sends[ns].op, "x", 1, NULL, to_left, 100000);
	}
	assert_int_equal(ret, -EAGAIN);
	for (nc = 0, ret = 0; nc <= DEPTH && !ret; nc += !ret) {
		fresh(&controls[nc]);
		ret = fab_recv(right, &controls[nc].op, control_buf[nc], 8, NULL);
	}
	assert_int_equal(ret, -EAGAIN);
	assert_true(nr >= DEPTH / 2);
	assert_true(ns > 0 && nc > 0);
	assert_true(nr + ns + nc <= DEPTH);
	assert_int_equal(fab_send(right, &s.op, "x", 1, NULL, to_left), -EAGAIN);
	assert_int_equal(sends[ns].done + receives[nr].done + controls[nc].done, 0);

	wait_for(&sends[ns - 1], "a send's completion");
	send_tagged(&s, "seven", 6, 7);
	wait_for(&receives[7], "a message's arrival");
	wait_for(&s, "a send's completion");
	assert_string_equal(buf[7], "seven");
	fab_cancel(right, &receives[9].op);
	wait_for(&receives[9], "a cancelled receive's end");
	fab_cancel(right, &controls[0].op);
	wait_for(&controls[0], "a cancelled receive's end");
	fresh(&controls[0]);
	assert_int_equal(fab_recv(right, &controls[0].op, control_buf[0], 8, NULL), 0);
}

/* After the close, the memory of every operation belongs to the caller again. */
static void close_drops_operations(void **state)
{
	enum { N = 16, BIG = 8 << 20 };
	struct op *ops = calloc(3 * N, sizeof(*ops));
	char *memory = malloc(BIG);
	struct fab_ep *ep;
	int i, ret;

	(void)state;
	if (!present) {
		free(ops);
		free(memory);
		skip();
	}
	assert_non_null(ops);
	assert_non_null(memory);
	memset(memory, 1, BIG);
	for (i = 0; i < N; i++) {
		fresh(&ops[i]);
		assert_int_equal(fab_recv(right, &ops[i].op, memory + i * 64, 64, NULL), 0);
		fresh(&ops[N + i]);
		assert_int_equal(fab_trecv(right, &ops[N + i].op, memory, BIG, NULL, (uint64_t)i), 0);
	}
	for (i = 0; i < 3; i++) { /* some of them receive half of a large message */
		fresh(&ops[2 * N + i]);
		ret = fab_tsend(left, &ops[2 * N + i].op, memory, BIG, NULL, to_right, (uint64_t)i);
		assert_true(ret == 0 || ret == -EAGAIN);
		turn();
	}
	ep = right;
	right = NULL;
	fab_ep_close(ep);
	for (i = 0; i < N; i++) /* a plain receive got no data, and no other result was reported */
		assert_int_equal(ops[i].done, 0);
	fab_ep_close(left);
	left = NULL;
	free(memory);
	free(ops);
}

static void nonsense_addresses_are_refused_or_dead(void **state)
{
	uint8_t addr[FAB_ADDR_BYTES];
	uint64_t peer = 0;
	uint64_t seed = 5;
	char there[16];
	struct op s, r;
	int i, k;

	(void)state;
	NEEDS_PROVIDER();
	for (i = 0; i < 100; i++) {
		for (k = 0; k < (int)sizeof(addr); k++)
			addr[k] = i ? (uint8_t)(unit_random(&seed) | 1) : 0;
		addr[sizeof(addr) - 1] = 0;
		if (fab_ep_insert(left, addr, &peer) == 0)
			fab_ep_forget(left, peer);
		else
			assert_true(unit_log_has(LOG_LEVEL_WARN, "address"));
	}
	fresh(&r);
	assert_int_equal(fab_recv(right, &r.op, there, sizeof(there), NULL), 0);
	send_plain(left, &s, "fine", 5, to_right); /* the refusals have not hurt the endpoint */
	wait_for(&r, "a message's arrival");
	wait_for(&s, "a send's completion");
	assert_string_equal(there, "fine");
}

static void peers_can_be_forgotten_and_found_again(void **state)
{
	char there[16] = "";
	struct op s, r;
	int i;

	(void)state;
	NEEDS_PROVIDER();
	for (i = 0; i < 5; i++) {
		fresh(&r);
		assert_int_equal(fab_recv(right, &r.op, there, sizeof(there), NULL), 0);
		send_plain(left, &s, "again", 6, to_right);
		wait_for(&r, "a message's arrival");
		wait_for(&s, "a send's completion");
		assert_int_equal(r.err, 0);
		assert_string_equal(there, "again");
		fab_ep_forget(left, to_right);
		introduce(left, right, &to_right);
	}
}

static void memory_regions(void **state)
{
	static char memory[100000];
	struct fab_mr *regions[50];
	size_t i;

	(void)state;
	NEEDS_PROVIDER();
	for (i = 0; i < COUNT(regions); i++) { /* overlapping, and more than one at a time */
		assert_int_equal(fab_mr_reg(domain, memory + i, sizeof(memory) - i, &regions[i]), 0);
		assert_true(regions[i] || !fab_mr_desc(regions[i]));
	}
	for (i = 0; i < COUNT(regions); i++)
		fab_mr_close(regions[i]);
	assert_int_equal(fab_mr_reg(domain, memory, 0, &regions[0]), 0);
	assert_null(regions[0]);
	fab_mr_close(NULL);
	assert_null(fab_mr_desc(NULL));
	fab_ep_close(NULL);
	fab_domain_close(NULL);
}

int main(void)
{
#define TEST(f, provider)                                                                                              \
	{                                                                                                              \
		provider ": " #f, f, begin, end, (void *)(uintptr_t)provider                                           \
	}
#define BOTH(f) TEST(f, "tcp"), TEST(f, "shm")
	static const struct CMUnitTest tests[] = {
		BOTH(messages_both_ways),
		BOTH(tags_choose_the_receive),
		BOTH(sizes_arrive_whole),
		BOTH(receives_can_be_given_up),
		BOTH(the_queue_bounds_operations),
		BOTH(close_drops_operations),
		BOTH(nonsense_addresses_are_refused_or_dead),
		BOTH(peers_can_be_forgotten_and_found_again),
		BOTH(memory_regions),
	};

	return unit_run("endpoint", tests);
}

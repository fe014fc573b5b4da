/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A few batches of messages through a plugin, sent as by NCCL's progress thread: posted in order, up to eight at once,
 * into receives larger than the message. See exchange.h for its limits.
 */
#include "exchange.h"
#include "table.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define HANDLE_BYTES	 128
#define DEPTH		 8
#define LARGEST_BYTES	 ((size_t)1 << 20)
#define SLACK_BYTES	 4096 /* excess of a receive over its message */
#define SLOT_BYTES	 (LARGEST_BYTES + SLACK_BYTES)
#define UNTOUCHED	 0xee
#define PATIENCE_S	 600
#define ADAPTER_MAX	 ((size_t)1 << 30)
#define ADAPTER_COLL_MAX ((size_t)1 << 29)
#define RESULT_INTERNAL	 3
#define OPTIONAL_MARKER	 ((void *)1) /* "completion is optional", in an irecv's request */

static const size_t sizes[] = {0, 1, 127, 4096, 65536, LARGEST_BYTES};

/* One end of the connection, with DEPTH slots of SLOT_BYTES and their requests. */
struct end {
	void *comm;
	void *mhandle;
	unsigned char *buf;
	void *request[DEPTH];
	int posted; /* requests 0 to posted - 1 were accepted: matching is by order */
	bool done[DEPTH];
	int ndone;
};

struct link {
	const struct net_table *net;
	int abi;
	void *listen_comm;
	struct end tx, rx;
	time_t deadline_s;
};

static time_t now_s(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec;
}

static int fail(const char *what, int result)
{
	fprintf(stderr, "%s returned %d\n", what, result);
	return -1;
}

/* Polling ends after a long time without progress. */
static int still_patient(const struct link *l, const char *what)
{
	if (now_s() < l->deadline_s)
		return 0;
	fprintf(stderr, "%s: no progress for %d s\n", what, PATIENCE_S);
	return -1;
}

static void progressed(struct link *l)
{
	l->deadline_s = now_s() + PATIENCE_S;
}

/* --- properties --- */

/* Queries again, with other garbage in the memory that the plugin fills. */
static int check_repeat(const struct link *l, int dev, const struct table_props *a)
{
	struct table_props b;
	int rc = table_props(l->net, dev, 0x5a, &b);

	if (rc)
		return fail("getProperties, called again,", rc);
	if (memcmp(a, &b, sizeof(b))) {
		fprintf(stderr, "device %d: a property is not written\n", dev);
		return -1;
	}
	if (l->net->version == l->abi)
		return 0;
	if (a->force_flush || a->vprops_ndevs != 1 || a->vprops_dev0 != dev || a->max_p2p_bytes != ADAPTER_MAX ||
	    a->max_coll_bytes != ADAPTER_COLL_MAX) {
		fprintf(stderr,
			"device %d: NCCL's adapter gives forceFlush %d, %d device(s) from %d on, "
			"at most %zu bytes, at most %zu in a collective\n",
			dev, a->force_flush, a->vprops_ndevs, a->vprops_dev0, a->max_p2p_bytes, a->max_coll_bytes);
		return -1;
	}
	return 0;
}

static int check_device(const struct link *l, int dev)
{
	struct table_props p;
	int rc = table_props(l->net, dev, 0xa5, &p);

	if (rc)
		return fail("getProperties", rc);
	if (!p.name || !*p.name || !(p.ptr_support & 1) || p.speed_mbps <= 0 || p.max_comms < 1 || p.max_recvs < 1 ||
	    p.net_device_type) {
		fprintf(stderr,
			"device %d: name '%s', pointers %#x, %d Mbit/s, %d comms, %d receives, "
			"device type %d\n",
			dev, p.name ? p.name : "(none)", (unsigned int)p.ptr_support, p.speed_mbps, p.max_comms,
			p.max_recvs, p.net_device_type);
		return -1;
	}
	return check_repeat(l, dev, &p);
}

static int check_devices(const struct link *l)
{
	int n = 0, rc = table_devices(l->net, &n);

	if (rc || n < 1) {
		fprintf(stderr, "devices returned %d and %d device(s)\n", rc, n);
		return -1;
	}
	for (int dev = 0; dev < n; dev++) {
		if (check_device(l, dev))
			return -1;
	}
	return 0;
}

/* --- connection --- */

static int connect_ends(struct link *l)
{
	unsigned char handle[HANDLE_BYTES] = {0};
	int rc = table_listen(l->net, 0, handle, &l->listen_comm);

	if (rc || !l->listen_comm)
		return fail("listen", rc);
	progressed(l);
	while (!l->tx.comm || !l->rx.comm) {
		if (!l->tx.comm) {
			rc = table_connect(l->net, 0, handle, &l->tx.comm);
			if (rc)
				return fail("connect", rc);
		}
		if (!l->rx.comm) {
			rc = table_accept(l->net, l->listen_comm, &l->rx.comm);
			if (rc)
				return fail("accept", rc);
		}
		if (still_patient(l, "connect and accept"))
			return -1;
	}
	rc = table_close_listen(l->net, l->listen_comm);
	l->listen_comm = NULL;
	return rc ? fail("closeListen", rc) : 0;
}

static int register_end(const struct link *l, struct end *e)
{
	int rc;

	e->buf = malloc(DEPTH * SLOT_BYTES);
	if (!e->buf) {
		fprintf(stderr, "out of memory\n");
		return -1;
	}
	rc = table_reg_host(l->net, e->comm, e->buf, DEPTH * SLOT_BYTES, &e->mhandle);
	return rc ? fail("regMr", rc) : 0;
}

static int release_end(const struct link *l, struct end *e, int (*close_end)(const struct net_table *, void *))
{
	int rc = 0;

	if (e->mhandle)
		rc = table_dereg(l->net, e->comm, e->mhandle);
	if (rc)
		fail("deregMr", rc);
	free(e->buf);
	if (e->comm && close_end(l->net, e->comm))
		rc = fail("close", 1);
	return rc ? -1 : 0;
}

static int link_close(struct link *l)
{
	int rc = 0;

	rc |= release_end(l, &l->tx, table_close_send);
	rc |= release_end(l, &l->rx, table_close_recv);
	if (l->listen_comm && table_close_listen(l->net, l->listen_comm))
		rc = fail("closeListen", 1);
	return rc;
}

/* --- messages --- */

static unsigned char expected(size_t i, int slot, unsigned int salt)
{
	return (unsigned char)(i * 131 + (i >> 8) * 7 + (size_t)slot * 29 + salt);
}

static void fill_batch(struct link *l, size_t size, unsigned int salt)
{
	memset(l->rx.buf, UNTOUCHED, DEPTH * SLOT_BYTES);
	for (int slot = 0; slot < DEPTH; slot++) {
		unsigned char *p = l->tx.buf + (size_t)slot * SLOT_BYTES;

		for (size_t i = 0; i < size; i++)
			p[i] = expected(i, slot, salt);
	}
}

static int verify_slot(const struct link *l, int slot, size_t size, unsigned int salt)
{
	const unsigned char *p = l->rx.buf + (size_t)slot * SLOT_BYTES;

	for (size_t i = 0; i < SLOT_BYTES; i++) {
		unsigned char want = i < size ? expected(i, slot, salt) : UNTOUCHED;

		if (p[i] == want)
			continue;
		fprintf(stderr, "message %d of %zu bytes: byte %zu is %#x, not %#x\n", slot, size, i, p[i], want);
		return -1;
	}
	return 0;
}

typedef int (*post_fn)(const struct net_table *, void *, void *, size_t, void *, void **);

/* Posts the end's requests in order until the network accepts no more for now. */
static int post_some(struct link *l, struct end *e, post_fn post, const char *what, size_t size, void *initial_request)
{
	while (e->posted < DEPTH) {
		void *data = e->buf + (size_t)e->posted * SLOT_BYTES;
		void *request = initial_request;
		int rc = post(l->net, e->comm, data, size, e->mhandle, &request);

		if (rc)
			return fail(what, rc);
		if (!request)
			return 0;
		if (request == OPTIONAL_MARKER) {
			fprintf(stderr, "%s left the caller's marker as its request\n", what);
			return -1;
		}
		e->request[e->posted++] = request;
		progressed(l);
	}
	return 0;
}

/* Tests the posted requests. Each completed one must report `size` bytes. */
static int test_some(struct link *l, struct end *e, const char *what, size_t size)
{
	for (int slot = 0; slot < e->posted; slot++) {
		int done = 0, got = 0, rc;

		if (e->done[slot])
			continue;
		rc = table_test(l->net, e->request[slot], &done, &got);
		if (rc)
			return fail("test", rc);
		if (!done)
			continue;
		if (got < 0 || (size_t)got != size) {
			fprintf(stderr, "%s of %zu bytes: test says %d\n", what, size, got);
			return -1;
		}
		e->done[slot] = true;
		e->ndone++;
		progressed(l);
	}
	return 0;
}

static void reset_end(struct end *e)
{
	memset(e->request, 0, sizeof(e->request));
	memset(e->done, 0, sizeof(e->done));
	e->posted = e->ndone = 0;
}

/* DEPTH messages of one size at once, into larger receives. */
static int run_batch(struct link *l, size_t size, bool send_first, unsigned int salt)
{
	void *marker = l->net->version >= 9 ? OPTIONAL_MARKER : NULL;

	reset_end(&l->tx);
	reset_end(&l->rx);
	fill_batch(l, size, salt);
	progressed(l);
	while (l->tx.ndone < DEPTH || l->rx.ndone < DEPTH) {
		if (send_first && post_some(l, &l->tx, table_isend, "isend", size, NULL))
			return -1;
		send_first = true;
		if (post_some(l, &l->rx, table_irecv, "irecv", size + SLACK_BYTES, marker) ||
		    test_some(l, &l->tx, "send", size) || test_some(l, &l->rx, "receive", size) ||
		    still_patient(l, "send and receive"))
			return -1;
	}
	for (int slot = 0; slot < DEPTH; slot++) {
		if (verify_slot(l, slot, size, salt))
			return -1;
	}
	return 0;
}

/* NCCL's adapter refuses a message above its limit and does not pass it on. */
static int check_adapter_limits(struct link *l)
{
	void *request = NULL;
	int rc = table_isend(l->net, l->tx.comm, l->tx.buf, ADAPTER_MAX + 1, l->tx.mhandle, &request);

	if (rc != RESULT_INTERNAL || request)
		return fail("isend of more than 1 GiB", rc);
	rc = table_irecv(l->net, l->rx.comm, l->rx.buf, ADAPTER_MAX + 1, l->rx.mhandle, &request);
	if (rc != RESULT_INTERNAL || request)
		return fail("irecv of more than 1 GiB", rc);
	return 0;
}

static int run_link(struct link *l, unsigned int salt, int *out_messages)
{
	const size_t nsizes = sizeof(sizes) / sizeof(sizes[0]);

	if (check_devices(l) || connect_ends(l) || register_end(l, &l->tx) || register_end(l, &l->rx))
		return -1;
	for (size_t i = 0; i < nsizes; i++) {
		if (run_batch(l, sizes[i], i % 2, salt + (unsigned int)i))
			return -1;
	}
	*out_messages = (int)nsizes * DEPTH;
	return l->abi < l->net->version ? check_adapter_limits(l) : 0;
}

int exchange_run(const struct net_table *net, int abi, unsigned int salt, int *out_messages)
{
	struct link l = {.net = net, .abi = abi};
	int rc = run_link(&l, salt, out_messages);

	/* A failed run leaves operations outstanding; a close in that state is not under test here. */
	return rc ? rc : link_close(&l);
}

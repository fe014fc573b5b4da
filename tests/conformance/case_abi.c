/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Features of the versions after 8, through the table of the version under test: all other cases use only the features
 * common to all versions. A case for a newer feature is skipped.
 */
#include <limits.h>
#include <string.h>

#include "cases.h"
#include "drive.h"
#include "weft/nccl_net_v12.h"

#define COMM_ID 0xabcdef0123456789ull
#define ROOM	4096

static void since(struct side *s, int abi, const char *what)
{
	if (s->plugin.abi < abi)
		side_skip("version %d has no %s", s->plugin.abi, what);
}

/* ---- the properties ---- */

/* Properties missing from version 8, in one form. A property that the version lacks keeps the value set in fetch. */
struct news {
	int force_flush, ndevs, first_dev;
	size_t max_p2p_bytes, max_coll_bytes;
	int max_multi, rail, plane;
};

#define COPY_NEWS(p)                                                                                                   \
	(struct news)                                                                                                  \
	{                                                                                                              \
		.force_flush = (p).force_flush, .ndevs = (p).vprops.ndevs, .first_dev = (p).vprops.devs[0],            \
		.max_p2p_bytes = (p).max_p2p_bytes, .max_coll_bytes = (p).max_coll_bytes, .max_multi = 1, .rail = -1,  \
		.plane = -1,                                                                                           \
	}

/* The plugin gets memory full of `fill`. */
static struct news fetch(struct side *s, int dev, int fill)
{
	union {
		struct weft_nccl_props_v9 v9;
		struct weft_nccl_props_v11 v11;
		struct weft_nccl_props_v12 v12;
	} p;
	const struct weft_nccl_net_v9 *v9 = s->plugin.native;
	const struct weft_nccl_net_v11 *v11 = s->plugin.native;
	const struct weft_nccl_net_v12 *v12 = s->plugin.native;
	struct news n;

	memset(&p, fill, sizeof(p));
	if (s->plugin.abi <= 10) {
		check_ok(v9->get_properties(dev, &p.v9), "getProperties");
		return COPY_NEWS(p.v9);
	}
	if (s->plugin.abi == 11) {
		check_ok(v11->get_properties(dev, &p.v11), "getProperties");
		n = COPY_NEWS(p.v11);
		n.max_multi = p.v11.max_multi_request_size;
		return n;
	}
	check_ok(v12->get_properties(dev, &p.v12), "getProperties");
	n = COPY_NEWS(p.v12);
	n.max_multi = p.v12.max_multi_request_size;
	n.rail = p.v12.rail_id;
	n.plane = p.v12.plane_id;
	return n;
}

static void run_properties(struct side *s)
{
	struct news a, b;
	int dev;

	since(s, 9, "further properties");
	for (dev = 0; dev < s->plugin.ndev; dev++) {
		a = fetch(s, dev, 0xa5);
		b = fetch(s, dev, 0x5a);
		check(a.force_flush == 0 || a.force_flush == 1, "device %d: forceFlush %#x", dev,
		      (unsigned)a.force_flush);
		/* NCCL merges devices itself: the devices reported at first must be physical. */
		check(a.ndevs == 1 && a.first_dev == dev, "device %d consists of %d devices, the first is %d", dev,
		      a.ndevs, a.first_dev);
		check(a.max_p2p_bytes > 0 && a.max_p2p_bytes <= WEFT_NCCL_MAX_BYTES, "device %d: maxP2pBytes %zu", dev,
		      a.max_p2p_bytes);
		check(a.max_coll_bytes > 0 && a.max_coll_bytes <= WEFT_NCCL_MAX_BYTES, "device %d: maxCollBytes %zu",
		      dev, a.max_coll_bytes);
		check(a.max_multi >= 1, "device %d: maxMultiRequestSize %d", dev, a.max_multi);
		check(a.rail >= WEFT_NCCL_ID_UNDEF && a.plane >= WEFT_NCCL_ID_UNDEF, "device %d: rail %d, plane %d",
		      dev, a.rail, a.plane);
		check(a.force_flush == b.force_flush && a.max_p2p_bytes == b.max_p2p_bytes &&
			      a.max_coll_bytes == b.max_coll_bytes && a.max_multi == b.max_multi && a.rail == b.rail &&
			      a.plane == b.plane,
		      "device %d: a property is not written, or changed", dev);
	}
}

/* finalize is the only entry after version 8 that NCCL calls on every plugin. */
static void run_finalize_entry(struct side *s)
{
	const struct weft_nccl_net_v11 *v11 = s->plugin.native;

	since(s, 11, "finalize");
	check(v11->finalize != NULL, "finalize is NULL");
	check_ok(v11->finalize(NULL), "finalize(NULL)");
}

/* ---- sizes ---- */

/* test reports the size as an int, so a plugin must refuse an operation whose size it could not report. */
static void run_too_large(struct side *s)
{
	const struct weft_nccl_net_v9 *v9 = s->plugin.native;
	const struct weft_nccl_net_v10 *v10 = s->plugin.native;
	const size_t sizes[] = {(size_t)INT_MAX + 1, (size_t)UINT_MAX + 65, (size_t)1 << 40, SIZE_MAX};
	static unsigned char data[64];
	void *comm, *mhandle, *req, *buf = data;
	size_t i, size;
	int tag = 0;
	weft_nccl_result r;

	since(s, 9, "size_t");
	comm = drive_one(s);
	mhandle = drive_reg(s, comm, data, sizeof(data));
	for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		req = data;
		size = sizes[i];
		if (s->rank == A)
			r = s->plugin.abi == 9 ? v9->isend(comm, data, size, tag, mhandle, &req)
					       : v10->isend(comm, data, size, tag, mhandle, NULL, &req);
		else
			r = s->plugin.abi == 9 ? v9->irecv(comm, 1, &buf, &size, &tag, &mhandle, &req)
					       : v10->irecv(comm, 1, &buf, &size, &tag, &mhandle, NULL, &req);
		check(r && !req, "a message of %zu bytes is begun: %d", size, (int)r);
	}
	drive_dereg(s, comm, mhandle);
	if (s->rank == A)
		drive_say(s, comm, 1);
	else
		drive_hear(s, comm, 1);
	drive_close_one(s, comm);
}

/* ---- messages with descriptions of later versions ---- */

struct marked {
	struct side *s;
	void *comm, *mhandle;
	unsigned char *data;
};

/* A receive marked by NCCL as optional to complete, with a profiler's handles. */
static void *post_marked(struct marked *m, size_t room)
{
	const struct weft_nccl_net_v9 *v9 = m->s->plugin.native;
	const struct weft_nccl_net_v10 *v10 = m->s->plugin.native;
	int tag = 0, event = 0;
	void *buf = m->data, *phandle = &event, *req = WEFT_NCCL_OPTIONAL_RECV_COMPLETION;

	if (m->s->plugin.abi == 9)
		check_ok(v9->irecv(m->comm, 1, &buf, &room, &tag, &m->mhandle, &req), "irecv");
	else
		check_ok(v10->irecv(m->comm, 1, &buf, &room, &tag, &m->mhandle, &phandle, &req), "irecv");
	check(req != WEFT_NCCL_OPTIONAL_RECV_COMPLETION,
	      "irecv leaves the mark of an optional completion as its request");
	return req;
}

static void *post_profiled(struct marked *m, size_t size)
{
	const struct weft_nccl_net_v9 *v9 = m->s->plugin.native;
	const struct weft_nccl_net_v10 *v10 = m->s->plugin.native;
	int event = 0;
	void *req = m->data;

	if (m->s->plugin.abi == 9)
		check_ok(v9->isend(m->comm, m->data, size, 0, m->mhandle, &req), "isend");
	else
		check_ok(v10->isend(m->comm, m->data, size, 0, m->mhandle, &event, &req), "isend");
	return req;
}

/*
 * The plugin may report completion early, but the data must still arrive. The receiver waits for the last byte as
 * NCCL's kernels do, and keeps calling test until then and beyond.
 */
static void run_optional(struct side *s)
{
	const size_t sizes[] = {0, 1, 8, 128, ROOM - 1, ROOM};
	struct marked m = {.s = s};
	struct drive_buf b;
	void *req;
	size_t i, round;

	since(s, 9, "optional completion");
	m.comm = drive_one(s);
	drive_buf_open(&b, ROOM, 0);
	m.data = b.data;
	m.mhandle = drive_reg(s, m.comm, b.data, ROOM);
	for (round = 0; round < 20; round++) {
		for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
			side_step("round %zu, %zu bytes", round, sizes[i]);
			if (s->rank == A)
				drive_fill(b.data, sizes[i], round * 16 + i);
			else
				drive_canary(b.data, ROOM);
			while (!(req = s->rank == A ? post_profiled(&m, sizes[i]) : post_marked(&m, ROOM)))
				drive_relax();
			check(drive_wait(s, req) == (int)sizes[i], "test tells another size than %zu", sizes[i]);
			if (s->rank == A)
				continue;
			drive_expect(b.data, sizes[i], round * 16 + i, "a receive with optional completion");
			drive_expect_canary(b.data + sizes[i], ROOM - sizes[i], "memory behind a short message");
		}
	}
	drive_dereg(s, m.comm, m.mhandle);
	drive_buf_close(&b);
	drive_close_one(s, m.comm);
}

/* ---- the communicator's configuration ---- */

static void *connect_with(struct side *s, struct weft_nccl_comm_config *config, struct drive_handle *h)
{
	const struct weft_nccl_net_v10 *v10 = s->plugin.native;
	struct weft_nccl_device_handle *dev_handle = NULL;
	void *comm = NULL;

	while (!comm) {
		check_ok(v10->connect(s->dev, config, h->bytes, &comm, &dev_handle), "connect");
		drive_relax();
	}
	return comm;
}

/* In version 10, connect gets the traffic class, or NULL: NCCL 2.26 passes none for its loopback connection. */
static void run_config(struct side *s)
{
	struct weft_nccl_comm_config configs[] = {{WEFT_NCCL_TRAFFIC_CLASS_UNDEF}, {0}, {96}};
	struct weft_nccl_comm_config *const all[] = {NULL, &configs[0], &configs[1], &configs[2]};
	struct drive_handle h;
	void *comm, *listener;
	size_t i;

	if (s->plugin.abi != 10)
		side_skip("only in version 10 has connect a configuration");
	for (i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		if (s->rank == A) {
			side_recv(s, B, &h, sizeof(h));
			comm = connect_with(s, all[i], &h);
			drive_say(s, comm, i);
		} else {
			listener = drive_listen(s, &h);
			side_send(s, A, &h, sizeof(h));
			while (!(comm = drive_accept(s, listener)))
				drive_relax();
			drive_close_listen(s, listener);
			drive_hear(s, comm, i);
		}
		drive_close_one(s, comm);
	}
}

/* ---- contexts ---- */

__attribute__((format(printf, 5, 6))) static void drop(weft_nccl_log_level level, unsigned long flags, const char *file,
						       int line, const char *fmt, ...)
{
	(void)level;
	(void)flags;
	(void)file;
	(void)line;
	(void)fmt;
}

static void *new_context(struct side *s, uint64_t id, struct weft_nccl_comm_config *config)
{
	const struct weft_nccl_net_v11 *v11 = s->plugin.native;
	void *ctx = NULL;

	check_ok(v11->init(&ctx, id, config, drop, NULL), "init of another communicator");
	return ctx;
}

/*
 * Two communicators side by side: one ends, and the connections of the other go on. Both processes do the same, each
 * with a link to the other.
 */
static void run_contexts(struct side *s)
{
	const struct weft_nccl_net_v11 *v11 = s->plugin.native;
	struct weft_nccl_comm_config config = {.traffic_class = 3};
	void *one, *two, *comm;

	since(s, 11, "contexts");
	one = new_context(s, COMM_ID, &config);
	two = new_context(s, COMM_ID + 1, NULL);
	config.traffic_class = 0; /* valid only during the call */
	comm = drive_one(s);
	check_ok(v11->finalize(two), "finalize of the second communicator");
	if (s->rank == A)
		drive_say(s, comm, 5);
	else
		drive_hear(s, comm, 5);
	drive_close_one(s, comm);
	check_ok(v11->finalize(one), "finalize of the first communicator");
	comm = drive_one(s);
	drive_close_one(s, comm);
}

/*
 * NCCL keeps a context after its end, and 2.28 may have it freed by the next network that it tries: a plugin without
 * devices must return none.
 */
static void run_no_devices(struct side *s)
{
	const struct weft_nccl_net_v11 *v11;
	void *ctx = s;
	int ndev = -1;

	check(!bench_plugin_load(&s->plugin, s->opt->plugin_path, s->opt->abi), "cannot load the plugin");
	since(s, 11, "contexts");
	v11 = s->plugin.native;
	check_ok(v11->init(&ctx, COMM_ID, NULL, drop, NULL), "init");
	check_ok(v11->devices(&ndev), "devices");
	check(!ndev && !ctx, "%d devices of a provider that does not exist, context %p", ndev, ctx);
	check_ok(v11->finalize(ctx), "finalize");
}

/*
 * When the setup of a communicator fails, NCCL closes none of its listeners; after finalize they must refuse
 * connections. The process connects to itself, so that the plugin is there to refuse.
 */
static void run_finalize_listening(struct side *s)
{
	const struct weft_nccl_net_v11 *v11 = s->plugin.native;
	struct drive_handle h[3];
	void *ctx, *other, *comm, *listeners[3];
	weft_nccl_result r;
	int i;

	since(s, 11, "contexts");
	ctx = new_context(s, COMM_ID, NULL);
	other = new_context(s, COMM_ID + 1, NULL);
	for (i = 0; i < 3; i++)
		check_ok(v11->listen(i == 1 ? other : ctx, s->dev, h[i].bytes, &listeners[i]), "listen");
	drive_canary(h[0].guard, sizeof(h[0].guard));
	check_ok(v11->finalize(ctx), "finalize of a communicator that listens");
	side_step("connecting to a listener of a communicator that has ended");
	do {
		r = drive_connect_r(s, &h[0], &comm);
		check(!comm, "a listener accepts after its communicator's end");
		drive_relax();
	} while (!r);
	check(r >= WEFT_NCCL_SYSTEM_ERROR && r <= WEFT_NCCL_REMOTE_ERROR, "connect returned %d", (int)r);
	check_ok(v11->close_listen(listeners[1]), "closeListen of a communicator that lives");
	check_ok(v11->finalize(other), "finalize");
}

const struct suite_case abi_cases[] = {
	{.name = "abi/properties", .run = run_properties, .nprocs = 1},
	{.name = "abi/finalize-nothing", .run = run_finalize_entry, .nprocs = 1, .flags = SUITE_ONCE},
	{.name = "abi/too-large", .run = run_too_large, .flags = SUITE_WEFT},
	{.name = "abi/optional-completion", .run = run_optional},
	{.name = "abi/config", .run = run_config, .flags = SUITE_ONCE},
	{.name = "abi/contexts", .run = run_contexts, .flags = SUITE_ONCE},
	{.name = "abi/no-devices",
	 .run = run_no_devices,
	 .nprocs = 1,
	 .flags = SUITE_UNLOADED | SUITE_ONCE,
	 .env = "WEFT_PROVIDER=nonsense"},
	{.name = "abi/finalize-listening",
	 .run = run_finalize_listening,
	 .nprocs = 1,
	 .flags = SUITE_WEFT | SUITE_ONCE},
	{.name = NULL},
};

/* SPDX-License-Identifier: Apache-2.0 */
/* The meeting of the ranks: rank 0 listens, the others connect and identify themselves. */
#include "oob_addr.h"
#include "oob_priv.h"

#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	HELLO_VERSION = 2,
	RETRY_MS = 50,
	HELLO_MOST = 4096,   /* bytes of a hello that are kept */
	HELLO_MS = 2000,     /* limit of rank 0's wait for a stranger that sends nothing */
	WELCOME_MS = 20000,  /* limit of the wait for rank 0, which may first serve several strangers */
	CONNECT_MS = 3000,   /* limit for one address */
	RECHECK_MS = 60000,  /* longest single poll(); its timeout is an int */
	PATIENCE_MS = 15000, /* wait before the first line about missing ranks */
};

struct hello {
	uint32_t version;
	int32_t rank, nranks;
	struct oob_peer self;
};

/*
 * Blocks until a frame of this kind is complete, at most until the deadline. NULL: no frame arrived. The frame may have
 * arrived together with the previous one.
 */
static const void *await_frame(struct oob_link *l, enum oob_kind kind, int64_t deadline_ms, size_t *out_bytes)
{
	bool gone = false;

	for (;;) {
		struct pollfd p = {.fd = l->fd, .events = POLLIN};
		int err, wait_ms = RECHECK_MS;
		const void *data = oob_link_find(l, kind, out_bytes, &err);
		int64_t left_ms = deadline_ms - oob_now_ms();

		if (data || gone || err || left_ms <= 0)
			return data;
		if (left_ms < RECHECK_MS)
			wait_ms = (int)left_ms;
		if (poll(&p, 1, wait_ms) < 0 && errno != EINTR)
			return NULL;
		gone = oob_link_fill(l);
	}
}

/* A rank that has lost its connection may connect again. */
static bool is_taken(struct oob *o, int rank)
{
	struct oob_link *l = &o->links[rank];

	if (l->fd < 0)
		return false;
	if (!oob_link_fill(l))
		return true;
	oob_link_fini(l);
	return false;
}

static bool is_expected(struct oob *o, const struct hello *h)
{
	return h->version == HELLO_VERSION && h->nranks == o->nranks && h->rank >= 1 && h->rank < o->nranks &&
	       !is_taken(o, h->rank);
}

/* Keeps the connection if it is from a missing rank of this job. */
static void welcome(struct oob *o, int fd, int64_t deadline_ms)
{
	int64_t end = oob_now_ms() + HELLO_MS;
	struct oob_link l;
	struct hello h = {0};
	size_t bytes, most;
	const void *data;

	oob_link_init(&l, fd);
	most = l.most;
	l.most = HELLO_MOST; /* it may be anybody */
	data = await_frame(&l, OOB_HELLO, end < deadline_ms ? end : deadline_ms, &bytes);
	if (data && bytes == sizeof(h)) {
		memcpy(&h, data, sizeof(h));
		oob_link_drop(&l, data);
	}
	h.self.host[sizeof(h.self.host) - 1] = '\0';
	if (is_expected(o, &h) && !oob_link_send(&l, OOB_WELCOME, NULL, 0, HELLO_MS)) {
		l.most = most;
		o->links[h.rank] = l;
		o->peers[h.rank] = h.self;
		return;
	}
	if (data)
		fprintf(stderr, "turned away rank %d of %d (%s, pid %d): this is a job of %d ranks\n", h.rank, h.nranks,
			h.self.host, h.self.pid, o->nranks);
	oob_link_fini(&l);
}

static void print_missing(const struct oob *o)
{
	int shown = 0;

	for (int r = 1; r < o->nranks && shown < 16; r++)
		if (o->links[r].fd < 0)
			fprintf(stderr, "%s %d", shown++ ? "," : "", r);
	fprintf(stderr, "%s", shown == 16 ? ", ..." : "");
}

static void report_missing(const struct oob *o, const struct oob_config *config)
{
	fprintf(stderr, "after %d s these of %d ranks are missing:", config->timeout_s, o->nranks);
	print_missing(o);
	fprintf(stderr, " (rank 0 runs on %s; they look for it at %s port %d; --meet_timeout waits longer)\n",
		o->peers[0].host, config->host, config->port);
}

static void note_missing(const struct oob *o, const struct oob_config *config)
{
	fprintf(stderr, "rank 0 on %s waits for these of %d ranks:", o->peers[0].host, o->nranks);
	print_missing(o);
	fprintf(stderr, " (for at most %d s: --meet_timeout)\n", config->timeout_s);
}

static int count_here(const struct oob *o)
{
	int here = 1;

	for (int r = 1; r < o->nranks; r++)
		here += o->links[r].fd >= 0;
	return here;
}

/* Waits until all links exist. */
static int gather(struct oob *o, const struct oob_config *config, int listen_fd)
{
	int64_t now = oob_now_ms(), deadline_ms = now + (int64_t)config->timeout_s * 1000, note_ms = now + PATIENCE_MS;

	while (count_here(o) < o->nranks) {
		struct pollfd p = {.fd = listen_fd, .events = POLLIN};
		int64_t until = note_ms < deadline_ms ? note_ms : deadline_ms;
		int fd;

		now = oob_now_ms();
		if (now >= deadline_ms) {
			report_missing(o, config);
			return -1;
		}
		if (now >= note_ms) {
			note_missing(o, config);
			note_ms = deadline_ms;
			continue;
		}
		if (poll(&p, 1, (int)(until - now)) <= 0)
			continue;
		fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC);
		if (fd >= 0)
			welcome(o, fd, deadline_ms);
	}
	return 0;
}

static int meet_as_root(struct oob *o, const struct oob_config *config, int listen_fd)
{
	char text[256];

	if (gather(o, config, listen_fd))
		return -1;
	for (int r = 1; r < o->nranks; r++)
		if (oob_link_send(&o->links[r], OOB_PEERS, o->peers, sizeof(*o->peers) * (size_t)o->nranks, HELLO_MS)) {
			oob_describe_loss(o, r, text, sizeof(text));
			fprintf(stderr, "%s\n", text);
			return -1;
		}
	return 0;
}

/* The latest reason for not reaching rank 0. */
struct failure {
	char text[512];
};

__attribute__((format(printf, 2, 3))) static int again(struct failure *f, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(f->text, sizeof(f->text), fmt, ap);
	va_end(ap);
	return -EAGAIN;
}

/* 0: all ranks have met. -EAGAIN: the listener is not rank 0 of this job. -EPIPE: rank 0 ended. */
static int introduce(struct oob *o, int64_t deadline_ms)
{
	struct hello h = {HELLO_VERSION, o->rank, o->nranks, o->peers[o->rank]};
	struct oob_link *l = &o->links[0];
	int64_t end = oob_now_ms() + WELCOME_MS;
	const void *data;
	size_t bytes;

	if (oob_link_send(l, OOB_HELLO, &h, sizeof(h), HELLO_MS))
		return -EAGAIN;
	data = await_frame(l, OOB_WELCOME, end < deadline_ms ? end : deadline_ms, &bytes);
	if (!data)
		return -EAGAIN;
	oob_link_drop(l, data);
	/* From here on rank 0 limits the wait for the others. */
	data = await_frame(l, OOB_PEERS, INT64_MAX, &bytes);
	if (!data || bytes != sizeof(*o->peers) * (size_t)o->nranks)
		return -EPIPE;
	memcpy(o->peers, data, bytes);
	oob_link_drop(l, data);
	return 0;
}

static int try_address(struct oob *o, const struct addrinfo *a, const char *host, int port, int64_t deadline_ms,
		       struct failure *f)
{
	int64_t left = deadline_ms - oob_now_ms();
	char address[64];
	int fd, err;

	oob_address_text(a, address, sizeof(address));
	fd = oob_connect(a, left < 1 ? 1 : left < CONNECT_MS ? (int)left : CONNECT_MS);
	if (fd < 0 && errno == ENETUNREACH && (!strncmp(address, "127.", 4) || !strcmp(address, "::1"))) {
		again(f, "%s (%s) port %d: this host's loopback interface is down", host, address, port);
		return -ENETUNREACH; /* it does not come up by itself */
	}
	if (fd < 0)
		return again(f, "%s (%s) port %d: %s", host, address, port, strerror(errno));
	oob_link_init(&o->links[0], fd);
	err = introduce(o, deadline_ms);
	if (!err)
		return 0;
	oob_link_fini(&o->links[0]);
	if (err == -EAGAIN)
		return again(f, "%s (%s) port %d: no answer of rank 0 of this job: maybe another program listens there",
			     host, address, port);
	again(f, "%s (%s) port %d: rank 0 ended while other ranks were missing", host, address, port);
	return err;
}

/* Tries every address of every host once. */
static int try_all(struct oob *o, const struct oob_config *config, int64_t deadline_ms, struct failure *f)
{
	const char *host = config->host, *error;
	char name[256];
	int err = -EAGAIN;

	for (;; host++) {
		size_t n = strcspn(host, ",");
		struct addrinfo *list;

		snprintf(name, sizeof(name), "%.*s", (int)n, host);
		list = oob_resolve(name, config->port, &error);
		if (!list)
			(void)again(f, "%s: %s", name, error);
		for (const struct addrinfo *a = list; a && err == -EAGAIN; a = a->ai_next)
			err = try_address(o, a, name, config->port, deadline_ms, f);
		if (list)
			freeaddrinfo(list);
		host += n;
		if (err != -EAGAIN || *host != ',')
			return err;
	}
}

static void report_unreachable(const struct oob *o, const struct oob_config *config, const struct failure *f)
{
	fprintf(stderr, "rank %d of %d on %s cannot reach rank 0 at %s", o->rank, o->nranks, o->peers[o->rank].host,
		f->text);
	if (config->host_from)
		fprintf(stderr, " (the host is from %s; MASTER_ADDR and MASTER_PORT override it)", config->host_from);
	fprintf(stderr, "\n");
}

static int meet_as_other(struct oob *o, const struct oob_config *config)
{
	int64_t now = oob_now_ms(), deadline_ms = now + (int64_t)config->timeout_s * 1000, note_ms = now + PATIENCE_MS;
	struct failure f = {""};
	int err;

	for (;;) {
		err = try_all(o, config, deadline_ms, &f);
		now = oob_now_ms();
		if (err != -EAGAIN || now >= deadline_ms)
			break;
		if (now >= note_ms) {
			fprintf(stderr,
				"rank %d of %d on %s tries to reach rank 0 at %s (for at most %d s: --meet_timeout)\n",
				o->rank, o->nranks, o->peers[o->rank].host, f.text, config->timeout_s);
			note_ms = deadline_ms;
		}
		poll(NULL, 0, RETRY_MS);
	}
	if (err)
		report_unreachable(o, config, &f);
	return err ? -1 : 0;
}

/* Opens rank 0's socket, if this is the host on which the others expect rank 0. */
static int open_listener(const struct oob *o, const struct oob_config *config)
{
	int fd;

	if (config->host_from && strncmp(config->host_from, "MASTER", 6) && oob_is_elsewhere(config->host)) {
		fprintf(stderr,
			"rank 0 runs on %s, but %s makes the others look for it on %s: set MASTER_ADDR=%s for all ranks\n",
			o->peers[0].host, config->host_from, config->host, o->peers[0].host);
		return -1;
	}
	fd = oob_listen(config->host, config->port);
	if (fd < 0)
		fprintf(stderr, "rank 0 on %s cannot listen on port %d: %s (MASTER_PORT chooses another)\n",
			o->peers[0].host, config->port, strerror(errno));
	return fd;
}

static struct oob *create(const struct oob_config *config)
{
	size_t n = (size_t)config->nranks;
	struct oob *o = calloc(1, sizeof(*o));
	struct oob_peer *self;

	if (!o)
		return NULL;
	o->rank = config->rank;
	o->nranks = config->nranks;
	o->links = calloc(n, sizeof(*o->links));
	o->peers = calloc(n, sizeof(*o->peers));
	o->left = calloc(n, sizeof(*o->left));
	o->polls = calloc(n, sizeof(*o->polls));
	if (!o->links || !o->peers || !o->left || !o->polls) {
		o->nranks = 0;
		oob_close(o);
		return NULL;
	}
	for (int r = 0; r < o->nranks; r++)
		o->links[r].fd = -1;
	self = &o->peers[o->rank];
	self->pid = getpid();
	(void)gethostname(self->host, sizeof(self->host) - 1);
	self->host[strcspn(self->host, ".")] = '\0';
	return o;
}

int oob_open(const struct oob_config *config, struct oob **out_oob)
{
	struct oob *o = create(config);
	int fd = config->listen_fd, err = -1;

	if (!o)
		fprintf(stderr, "out of memory\n");
	else if (config->nranks == 1)
		err = 0;
	else if (config->rank)
		err = meet_as_other(o, config);
	else if (fd >= 0 || (fd = open_listener(o, config)) >= 0)
		err = meet_as_root(o, config, fd);
	if (fd >= 0)
		close(fd);
	if (err) {
		if (o)
			snprintf(o->error, sizeof(o->error), "the ranks did not meet");
		oob_close(o);
		return -1;
	}
	*out_oob = o;
	return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* How the ranks meet: rank 0 listens, the others call and say who they are. */
#include "oob_priv.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
	HELLO_VERSION = 1,
	RETRY_MS = 50,
	HELLO_MS = 2000, /* a stranger who says nothing is not waited for longer */
};

struct hello {
	uint32_t version;
	int32_t rank, nranks;
	struct oob_peer self;
};

static int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static struct addrinfo *resolve(const char *host, int port, int flags)
{
	struct addrinfo hints = {
		.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = flags};
	struct addrinfo *list;
	char service[16];
	int err;

	snprintf(service, sizeof(service), "%d", port);
	err = getaddrinfo(host, service, &hints, &list);
	if (!err)
		return list;
	fprintf(stderr, "cannot resolve %s, where rank 0 should be: %s\n", host, gai_strerror(err));
	return NULL;
}

static bool is_loopback(const struct sockaddr *sa)
{
	if (sa->sa_family == AF_INET)
		return ntohl(((const struct sockaddr_in *)sa)->sin_addr.s_addr) >> 24 == 127;
	if (sa->sa_family == AF_INET6)
		return IN6_IS_ADDR_LOOPBACK(&((const struct sockaddr_in6 *)sa)->sin6_addr);
	return false;
}

/* Loopback if that is where the others look for us, else every address: `host` may be an alias. */
static int listen_at(const char *host, int port)
{
	struct addrinfo *list = resolve(host, port, 0);
	struct sockaddr_storage any = {.ss_family = AF_INET6};
	socklen_t any_bytes = sizeof(struct sockaddr_in6);
	int fd, on = 1, off = 0;

	if (!list)
		return -1;
	if (is_loopback(list->ai_addr)) {
		memcpy(&any, list->ai_addr, list->ai_addrlen);
		any_bytes = list->ai_addrlen;
	} else {
		((struct sockaddr_in6 *)&any)->sin6_port = htons((uint16_t)port);
	}
	freeaddrinfo(list);
	fd = socket(any.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 && any.ss_family == AF_INET6) {
		/* A kernel without IPv6. */
		memset(&any, 0, sizeof(any));
		any.ss_family = AF_INET;
		((struct sockaddr_in *)&any)->sin_port = htons((uint16_t)port);
		any_bytes = sizeof(struct sockaddr_in);
		fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	}
	if (fd >= 0) {
		(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
		if (any.ss_family == AF_INET6)
			(void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
		if (!bind(fd, (struct sockaddr *)&any, any_bytes) && !listen(fd, SOMAXCONN))
			return fd;
	}
	fprintf(stderr, "rank 0 cannot listen on port %d of %s: %s (MASTER_PORT chooses another)\n",
		port, host, strerror(errno));
	if (fd >= 0)
		close(fd);
	return -1;
}

/* Blocks until a frame of this kind is complete, at most until the deadline. NULL if it never
 * comes. */
static const void *await_frame(struct oob_link *l, enum oob_kind kind, int64_t deadline_ms,
			       size_t *out_bytes)
{
	for (;;) {
		struct pollfd p = {.fd = l->fd, .events = POLLIN};
		int64_t left_ms = deadline_ms - now_ms();
		const void *data;
		int err, gone;

		if (left_ms <= 0 || poll(&p, 1, (int)left_ms) < 0)
			return NULL;
		gone = oob_link_fill(l);
		data = oob_link_find(l, kind, out_bytes, &err);
		if (data || gone || err)
			return data;
	}
}

/* Who is it? Keeps the connection if it is a rank of ours that was missing. */
static void welcome(struct oob *o, int fd, int64_t deadline_ms)
{
	int64_t end = now_ms() + HELLO_MS;
	struct oob_link l;
	struct hello h = {0};
	size_t bytes;
	const void *data;

	oob_link_init(&l, fd);
	data = await_frame(&l, OOB_HELLO, end < deadline_ms ? end : deadline_ms, &bytes);
	if (data && bytes == sizeof(h)) {
		memcpy(&h, data, sizeof(h));
		oob_link_drop(&l, data);
	}
	h.self.host[sizeof(h.self.host) - 1] = '\0';
	if (h.version != HELLO_VERSION || h.nranks != o->nranks || h.rank < 1 ||
	    h.rank >= o->nranks || o->links[h.rank].fd >= 0) {
		if (data)
			fprintf(stderr,
				"turned away rank %d of %d (%s, pid %d): this is a job of %d "
				"ranks\n",
				h.rank, h.nranks, h.self.host, h.self.pid, o->nranks);
		oob_link_fini(&l);
		return;
	}
	o->links[h.rank] = l;
	o->peers[h.rank] = h.self;
}

static void report_missing(const struct oob *o, int timeout_s)
{
	int shown = 0;

	fprintf(stderr, "after %d s these of %d ranks are missing:", timeout_s, o->nranks);
	for (int r = 1; r < o->nranks && shown < 16; r++)
		if (o->links[r].fd < 0)
			fprintf(stderr, "%s %d", shown++ ? "," : "", r);
	fprintf(stderr, "%s\n", shown == 16 ? ", ..." : "");
}

static int meet_as_root(struct oob *o, const struct oob_config *config, int listen_fd)
{
	int64_t deadline_ms = now_ms() + (int64_t)config->timeout_s * 1000;
	int here = 1;

	while (here < o->nranks) {
		struct pollfd p = {.fd = listen_fd, .events = POLLIN};
		int64_t left_ms = deadline_ms - now_ms();
		int fd;

		if (left_ms <= 0) {
			report_missing(o, config->timeout_s);
			return -1;
		}
		if (poll(&p, 1, (int)left_ms) <= 0)
			continue;
		fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC);
		if (fd >= 0)
			welcome(o, fd, deadline_ms);
		here = 1;
		for (int r = 1; r < o->nranks; r++)
			here += o->links[r].fd >= 0;
	}
	for (int r = 1; r < o->nranks; r++)
		if (oob_link_send(&o->links[r], OOB_PEERS, o->peers,
				  sizeof(*o->peers) * (size_t)o->nranks, HELLO_MS)) {
			fprintf(stderr, "rank %d (%s, pid %d) died\n", r, o->peers[r].host,
				o->peers[r].pid);
			return -1;
		}
	return 0;
}

static int try_connect(const struct addrinfo *list)
{
	int fd = -1, err = 0;

	for (; list; list = list->ai_next) {
		fd = socket(list->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
		if (fd >= 0 && !connect(fd, list->ai_addr, list->ai_addrlen))
			return fd;
		err = errno;
		if (fd >= 0)
			close(fd);
	}
	errno = err;
	return -1;
}

/* One attempt to be let in. 0; -EAGAIN: nobody there, or somebody else; -EPIPE: rank 0 is lost. */
static int knock(struct oob *o, const struct addrinfo *list, int64_t deadline_ms)
{
	struct hello h = {HELLO_VERSION, o->rank, o->nranks, o->peers[o->rank]};
	struct oob_link *l = &o->links[0];
	const void *data;
	size_t bytes;
	int fd = try_connect(list);

	if (fd < 0)
		return -EAGAIN;
	oob_link_init(l, fd);
	if (!oob_link_send(l, OOB_HELLO, &h, sizeof(h), HELLO_MS)) {
		data = await_frame(l, OOB_PEERS, deadline_ms, &bytes);
		if (data && bytes == sizeof(*o->peers) * (size_t)o->nranks) {
			memcpy(o->peers, data, bytes);
			oob_link_drop(l, data);
			return 0;
		}
	}
	oob_link_fini(l);
	errno = ECONNRESET;
	return -EPIPE;
}

static int meet_as_other(struct oob *o, const struct oob_config *config)
{
	struct addrinfo *list = resolve(config->host, config->port, 0);
	int64_t deadline_ms = now_ms() + (int64_t)config->timeout_s * 1000;
	int err;

	if (!list)
		return -1;
	for (;;) {
		err = knock(o, list, deadline_ms);
		if (!err || now_ms() >= deadline_ms)
			break;
		poll(NULL, 0, RETRY_MS);
	}
	if (err)
		fprintf(stderr,
			"rank %d of %d cannot reach rank 0 at %s port %d: %s (MASTER_ADDR and "
			"MASTER_PORT say where it is)\n",
			o->rank, o->nranks, config->host, config->port, strerror(errno));
	freeaddrinfo(list);
	return err ? -1 : 0;
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
	else if (fd >= 0 || (fd = listen_at(config->host, config->port)) >= 0)
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

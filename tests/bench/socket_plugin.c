/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A small, correct v8 net plugin over TCP on 127.0.0.1, for tests that need another plugin. It contains no code of Weft. One
 * connection per comm, a 4-byte length before each message, no threads.
 */
#include "weft/nccl_net_v8.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { REQUESTS = 64, MAGIC = 0x736f636b, HEADER_BYTES = 4 };

struct comm;

struct request {
	struct comm *comm;
	char *data;
	uint32_t bytes; /* size; of a receive, its room until the header has arrived */
	uint32_t moved; /* bytes moved, header and payload */
	uint32_t header;
	bool used, done;
};

/* A ring, because requests move in the order in which they were posted. */
struct comm {
	int fd;
	bool sends;
	struct request requests[REQUESTS];
	unsigned int posted, moving;
};

struct handle {
	uint32_t magic;
	uint16_t port;
	struct comm *pending; /* state of the connecting side between calls */
};

static weft_nccl_logger warn;

#define WARN(...)                                                                                                      \
	do {                                                                                                           \
		if (warn)                                                                                              \
			warn(WEFT_NCCL_LOG_WARN, WEFT_NCCL_SUB_ALL, __FILE__, __LINE__, __VA_ARGS__);                  \
	} while (0)

static weft_nccl_result init(weft_nccl_logger logger)
{
	warn = logger;
	return WEFT_NCCL_SUCCESS;
}

static weft_nccl_result devices(int *ndev)
{
	*ndev = 1;
	return WEFT_NCCL_SUCCESS;
}

static weft_nccl_result get_properties(int dev, struct weft_nccl_props_v8 *props)
{
	static char name[] = "loopback";

	(void)dev;
	memset(props, 0, sizeof(*props));
	props->name = name;
	props->guid = 1;
	props->ptr_support = WEFT_NCCL_PTR_HOST;
	props->speed_mbps = 10000;
	props->port = 1;
	props->max_comms = 65536;
	props->max_recvs = 1;
	return WEFT_NCCL_SUCCESS;
}

static struct comm *new_comm(int fd, bool sends)
{
	struct comm *c = calloc(1, sizeof(*c));
	int on = 1;

	if (!c) {
		close(fd);
		return NULL;
	}
	c->fd = fd;
	c->sends = sends;
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	return c;
}

static weft_nccl_result listen_(int dev, void *opaque, void **out_comm)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
	socklen_t bytes = sizeof(a);
	struct handle h = {.magic = MAGIC};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	(void)dev;
	*out_comm = NULL;
	if (fd < 0 || bind(fd, (struct sockaddr *)&a, bytes) || listen(fd, 16) ||
	    getsockname(fd, (struct sockaddr *)&a, &bytes)) {
		WARN("listen: %s", strerror(errno));
		if (fd >= 0)
			close(fd);
		return WEFT_NCCL_SYSTEM_ERROR;
	}
	h.port = ntohs(a.sin_port);
	memset(opaque, 0, WEFT_NCCL_HANDLE_BYTES);
	memcpy(opaque, &h, sizeof(h));
	*out_comm = new_comm(fd, false);
	return *out_comm ? WEFT_NCCL_SUCCESS : WEFT_NCCL_SYSTEM_ERROR;
}

static struct comm *start_connect(uint16_t port)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return NULL;
	if (connect(fd, (struct sockaddr *)&a, sizeof(a)) && errno != EINPROGRESS) {
		close(fd);
		return NULL;
	}
	return new_comm(fd, true);
}

static weft_nccl_result connect_(int dev, void *opaque, void **out_comm, struct weft_nccl_device_handle **send_dev)
{
	struct handle h;
	struct pollfd p = {.events = POLLOUT};
	int err = 0;
	socklen_t bytes = sizeof(err);

	(void)dev;
	(void)send_dev;
	*out_comm = NULL;
	memcpy(&h, opaque, sizeof(h));
	if (h.magic != MAGIC) {
		WARN("connect: a foreign handle");
		return WEFT_NCCL_INVALID_ARGUMENT;
	}
	if (!h.pending) {
		h.pending = start_connect(h.port);
		memcpy(opaque, &h, sizeof(h));
	}
	if (!h.pending) {
		WARN("connect: %s", strerror(errno));
		return WEFT_NCCL_SYSTEM_ERROR;
	}
	p.fd = h.pending->fd;
	if (poll(&p, 1, 0) <= 0)
		return WEFT_NCCL_SUCCESS;
	(void)getsockopt(p.fd, SOL_SOCKET, SO_ERROR, &err, &bytes);
	if (err) {
		WARN("connect to port %d: %s", h.port, strerror(err));
		return WEFT_NCCL_REMOTE_ERROR;
	}
	*out_comm = h.pending;
	return WEFT_NCCL_SUCCESS;
}

static weft_nccl_result accept_(void *listen_comm, void **out_comm, struct weft_nccl_device_handle **recv_dev)
{
	struct comm *l = listen_comm;
	int fd = accept4(l->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	(void)recv_dev;
	*out_comm = NULL;
	if (fd < 0 && (errno == EAGAIN || errno == EINTR || errno == ECONNABORTED))
		return WEFT_NCCL_SUCCESS;
	if (fd < 0) {
		WARN("accept: %s", strerror(errno));
		return WEFT_NCCL_SYSTEM_ERROR;
	}
	*out_comm = new_comm(fd, false);
	return *out_comm ? WEFT_NCCL_SUCCESS : WEFT_NCCL_SYSTEM_ERROR;
}

static weft_nccl_result reg_mr(void *comm, void *data, size_t size, int type, void **mhandle)
{
	(void)comm;
	(void)size;
	*mhandle = data;
	return type == WEFT_NCCL_PTR_HOST ? WEFT_NCCL_SUCCESS : WEFT_NCCL_INVALID_ARGUMENT;
}

static weft_nccl_result dereg_mr(void *comm, void *mhandle)
{
	(void)comm;
	(void)mhandle;
	return WEFT_NCCL_SUCCESS;
}

static weft_nccl_result post(struct comm *c, void *data, int size, void **request)
{
	struct request *r = &c->requests[c->posted % REQUESTS];

	*request = NULL;
	if (r->used)
		return WEFT_NCCL_SUCCESS;
	*r = (struct request){.comm = c, .data = data, .bytes = (uint32_t)size, .used = true};
	r->header = r->bytes;
	c->posted++;
	*request = r;
	return WEFT_NCCL_SUCCESS;
}

static weft_nccl_result isend(void *comm, void *data, int size, int tag, void *mhandle, void **request)
{
	(void)tag;
	(void)mhandle;
	return post(comm, data, size, request);
}

static weft_nccl_result irecv(void *comm, int n, void **data, int *sizes, int *tags, void **mhandles, void **request)
{
	(void)tags;
	(void)mhandles;
	*request = NULL;
	if (n != 1)
		return WEFT_NCCL_INVALID_ARGUMENT;
	return post(comm, data[0], sizes[0], request);
}

static weft_nccl_result iflush(void *comm, int n, void **data, int *sizes, void **mhandles, void **request)
{
	(void)comm;
	(void)n;
	(void)data;
	(void)sizes;
	(void)mhandles;
	*request = NULL;
	return WEFT_NCCL_SUCCESS;
}

/* Moves bytes of the header or of the payload with one system call. Returns the bytes moved; 0: none now; -1: error. */
static ssize_t move(struct comm *c, struct request *r)
{
	bool in_header = r->moved < HEADER_BYTES;
	char *at = in_header ? (char *)&r->header + r->moved : r->data + (r->moved - HEADER_BYTES);
	size_t bytes = in_header ? HEADER_BYTES - r->moved : HEADER_BYTES + r->bytes - r->moved;
	ssize_t n = c->sends ? send(c->fd, at, bytes, MSG_NOSIGNAL) : recv(c->fd, at, bytes, 0);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (n <= 0) {
		WARN("%s: %s", c->sends ? "send" : "recv", n ? strerror(errno) : "the peer closed the connection");
		return -1;
	}
	r->moved += (uint32_t)n;
	return n;
}

static weft_nccl_result progress(struct comm *c)
{
	while (c->moving != c->posted) {
		struct request *r = &c->requests[c->moving % REQUESTS];

		if (r->moved < HEADER_BYTES || r->moved < HEADER_BYTES + r->bytes) {
			bool had_header = r->moved >= HEADER_BYTES;
			ssize_t n = move(c, r);

			if (n <= 0)
				return n ? WEFT_NCCL_REMOTE_ERROR : WEFT_NCCL_SUCCESS;
			if (had_header || r->moved < HEADER_BYTES)
				continue;
			if (r->header > r->bytes) {
				WARN("recv: %u bytes for a buffer of %u", r->header, r->bytes);
				return WEFT_NCCL_INVALID_USAGE;
			}
			r->bytes = r->header;
			continue;
		}
		r->done = true;
		c->moving++;
	}
	return WEFT_NCCL_SUCCESS;
}

static weft_nccl_result test(void *request, int *done, int *sizes)
{
	struct request *r = request;
	weft_nccl_result result;

	*done = 0;
	result = r->done ? WEFT_NCCL_SUCCESS : progress(r->comm);
	if (result || !r->done)
		return result;
	*done = 1;
	if (sizes)
		sizes[0] = (int)r->bytes;
	r->used = false;
	return WEFT_NCCL_SUCCESS;
}

static weft_nccl_result close_(void *comm)
{
	struct comm *c = comm;

	if (c) {
		close(c->fd);
		free(c);
	}
	return WEFT_NCCL_SUCCESS;
}

extern const struct weft_nccl_net_v8 ncclNetPlugin_v8;
__attribute__((visibility("default"))) const struct weft_nccl_net_v8 ncclNetPlugin_v8 = {
	.name = "plain-socket",
	.init = init,
	.devices = devices,
	.get_properties = get_properties,
	.listen = listen_,
	.connect = connect_,
	.accept = accept_,
	.reg_mr = reg_mr,
	.dereg_mr = dereg_mr,
	.isend = isend,
	.irecv = irecv,
	.iflush = iflush,
	.test = test,
	.close_send = close_,
	.close_recv = close_,
	.close_listen = close_,
};

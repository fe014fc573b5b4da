/* SPDX-License-Identifier: Apache-2.0 */
#include "oob_link.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

enum {
	FRAME_MAX_BYTES = 64 << 20,
	FILL_BYTES = 64 << 10,
	PASS_BYTES = 16 << 20, /* read in one call, because a peer may send faster than we read */
};

static void set_option(int fd, int level, int name, int value)
{
	/* If the option is rejected, failures are detected later, but still detected. */
	(void)setsockopt(fd, level, name, &value, sizeof(value));
}

void oob_link_init(struct oob_link *l, int fd)
{
	memset(l, 0, sizeof(*l));
	l->fd = fd;
	l->most = sizeof(struct oob_frame) + FRAME_MAX_BYTES;
	(void)fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
	(void)fcntl(fd, F_SETFD, FD_CLOEXEC);
	set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
	/* A host that loses power closes no connection, so the kernel probes after 10 s of silence and gives up after 30 s. */
	set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
	set_option(fd, IPPROTO_TCP, TCP_KEEPIDLE, OOB_SILENCE_S / 3);
	set_option(fd, IPPROTO_TCP, TCP_KEEPINTVL, OOB_SILENCE_S / 6);
	set_option(fd, IPPROTO_TCP, TCP_KEEPCNT, 4);
	set_option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, OOB_SILENCE_S * 1000);
}

void oob_link_fini(struct oob_link *l)
{
	if (l->fd >= 0)
		close(l->fd);
	free(l->rx);
	memset(l, 0, sizeof(*l));
	l->fd = -1;
}

int oob_link_send(struct oob_link *l, enum oob_kind kind, const void *data, size_t bytes, int timeout_ms)
{
	struct oob_frame f = {OOB_FRAME_MAGIC, kind, bytes};
	size_t sent = 0, total = sizeof(f) + bytes;

	while (sent < total) {
		size_t in_data = sent > sizeof(f) ? sent - sizeof(f) : 0;
		size_t in_frame = sent < sizeof(f) ? sent : sizeof(f);
		struct iovec iov[2] = {
			{(uint8_t *)&f + in_frame, sizeof(f) - in_frame},
			{(void *)((uintptr_t)data + in_data), bytes - in_data},
		};
		struct msghdr msg = {.msg_iov = iov, .msg_iovlen = 2};
		ssize_t n = sendmsg(l->fd, &msg, MSG_NOSIGNAL);
		struct pollfd p = {.fd = l->fd, .events = POLLOUT};

		if (n >= 0) {
			sent += (size_t)n;
			continue;
		}
		if (errno == EINTR)
			continue;
		if (errno != EAGAIN) {
			l->error = errno;
			return -EPIPE;
		}
		if (poll(&p, 1, timeout_ms) == 0)
			return -ETIMEDOUT;
	}
	return 0;
}

/* Room for at least one more byte. 0 or an errno. */
static int make_room(struct oob_link *l)
{
	size_t room = l->rx_room * 2 + FILL_BYTES;
	uint8_t *grown;

	if (l->rx_bytes >= l->most)
		return EMSGSIZE;
	if (l->rx_room - l->rx_bytes >= FILL_BYTES)
		return 0;
	grown = realloc(l->rx, room);
	if (!grown)
		return ENOMEM;
	l->rx = grown;
	l->rx_room = room;
	return 0;
}

int oob_link_fill(struct oob_link *l)
{
	size_t before = l->rx_bytes;

	while (l->rx_bytes - before < PASS_BYTES) {
		size_t room;
		ssize_t n;

		l->error = make_room(l);
		if (l->error)
			return -EPIPE;
		room = l->rx_room < l->most ? l->rx_room : l->most;
		n = recv(l->fd, l->rx + l->rx_bytes, room - l->rx_bytes, 0);
		if (n > 0)
			l->rx_bytes += (size_t)n;
		else if (n < 0 && errno == EAGAIN)
			return 0;
		else if (n == 0)
			return -EPIPE;
		else if (errno != EINTR) {
			l->error = errno;
			return -EPIPE;
		}
	}
	return 0;
}

const void *oob_link_find(struct oob_link *l, enum oob_kind kind, size_t *out_bytes, int *out_err)
{
	size_t at = 0;
	struct oob_frame f;

	*out_err = 0;
	while (l->rx_bytes - at >= sizeof(f)) {
		memcpy(&f, l->rx + at, sizeof(f));
		if (f.magic != OOB_FRAME_MAGIC || f.bytes > FRAME_MAX_BYTES) {
			*out_err = -EPROTO;
			return NULL;
		}
		if (l->rx_bytes - at - sizeof(f) < f.bytes)
			return NULL;
		if (f.kind == kind) {
			*out_bytes = f.bytes;
			return l->rx + at + sizeof(f);
		}
		at += sizeof(f) + f.bytes;
	}
	return NULL;
}

void oob_link_drop(struct oob_link *l, const void *payload)
{
	size_t at = (size_t)((const uint8_t *)payload - l->rx) - sizeof(struct oob_frame);
	struct oob_frame f;
	size_t end;

	memcpy(&f, l->rx + at, sizeof(f));
	end = at + sizeof(f) + f.bytes;
	memmove(l->rx + at, l->rx + end, l->rx_bytes - end);
	l->rx_bytes -= end - at;
}

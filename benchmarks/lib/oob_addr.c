/* SPDX-License-Identifier: Apache-2.0 */
#include "oob_addr.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

int64_t oob_now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static void close_keeping_errno(int fd)
{
	int err = errno;

	close(fd);
	errno = err;
}

/* The address to listen on. The sizes of the two kinds differ. */
static socklen_t listen_address(const char *host, int port, bool ipv6, struct sockaddr_storage *out)
{
	struct sockaddr_in *in = (struct sockaddr_in *)out;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)out;
	struct in_addr given;
	bool loopback = !strcmp(host, "localhost") || !strcmp(host, "::1") ||
			(inet_pton(AF_INET, host, &given) == 1 && ntohl(given.s_addr) >> 24 == 127);

	memset(out, 0, sizeof(*out));
	if (ipv6 && (!loopback || !strcmp(host, "::1"))) {
		in6->sin6_family = AF_INET6;
		in6->sin6_port = htons((uint16_t)port);
		in6->sin6_addr = loopback ? in6addr_loopback : in6addr_any;
		return sizeof(*in6);
	}
	in->sin_family = AF_INET;
	in->sin_port = htons((uint16_t)port);
	in->sin_addr.s_addr = htonl(loopback ? INADDR_LOOPBACK : INADDR_ANY);
	return sizeof(*in);
}

static int listen_with(const char *host, int port, bool ipv6)
{
	struct sockaddr_storage a;
	socklen_t bytes = listen_address(host, port, ipv6, &a);
	int on = 1, off = 0, fd = socket(a.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -1;
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (a.ss_family == AF_INET6)
		(void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
	if (!bind(fd, (struct sockaddr *)&a, bytes) && !listen(fd, SOMAXCONN))
		return fd;
	close_keeping_errno(fd);
	return -1;
}

int oob_listen(const char *host, int port)
{
	int fd = listen_with(host, port, true);

	/* IPv6 may be absent from the kernel, or disabled. */
	if (fd < 0 && (errno == EAFNOSUPPORT || errno == EADDRNOTAVAIL))
		fd = listen_with(host, port, false);
	return fd;
}

struct addrinfo *oob_resolve(const char *host, int port, const char **out_error)
{
	struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
	struct addrinfo *list = NULL;
	char service[16];
	int err;

	snprintf(service, sizeof(service), "%d", port);
	err = getaddrinfo(host, service, &hints, &list);
	*out_error = !err ? NULL : err == EAI_SYSTEM ? strerror(errno) : gai_strerror(err);
	return err ? NULL : list;
}

bool oob_is_elsewhere(const char *host)
{
	const char *error;
	struct addrinfo *list = oob_resolve(host, 0, &error);
	bool elsewhere = list != NULL;

	for (const struct addrinfo *a = list; a; a = a->ai_next) {
		int fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

		/* This host can bind to its own addresses only. */
		elsewhere &= fd >= 0 && bind(fd, a->ai_addr, a->ai_addrlen) && errno == EADDRNOTAVAIL;
		if (fd >= 0)
			close(fd);
	}
	if (list)
		freeaddrinfo(list);
	return elsewhere;
}

/* Waits for the end of a non-blocking connect. */
static int await_connect(int fd, int timeout_ms)
{
	struct pollfd p = {.fd = fd, .events = POLLOUT};
	int64_t end = oob_now_ms() + timeout_ms, left = timeout_ms;
	int err = 0, n;
	socklen_t bytes = sizeof(err);

	do {
		n = poll(&p, 1, (int)left);
		left = end - oob_now_ms();
	} while (n < 0 && errno == EINTR && left > 0);
	if (n == 0)
		errno = ETIMEDOUT;
	if (n <= 0)
		return -1;
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &bytes))
		return -1;
	errno = err;
	return err ? -1 : 0;
}

int oob_connect(const struct addrinfo *to, int timeout_ms)
{
	int fd = socket(to->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return -1;
	if (!connect(fd, to->ai_addr, to->ai_addrlen))
		return fd;
	if (errno == EINPROGRESS && !await_connect(fd, timeout_ms))
		return fd;
	close_keeping_errno(fd);
	return -1;
}

void oob_address_text(const struct addrinfo *a, char *buf, size_t buf_bytes)
{
	if (getnameinfo(a->ai_addr, a->ai_addrlen, buf, (socklen_t)buf_bytes, NULL, 0, NI_NUMERICHOST))
		snprintf(buf, buf_bytes, "?");
}

/* SPDX-License-Identifier: Apache-2.0 */
/* TCP sockets of lifelines; see sock.h. */
#include "peer/sock.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define BACKLOG 4096
#define HELLO_S 5 /* the kernel holds a silent connection for about this time, without a descriptor */

static socklen_t make_sockaddr(const struct lifeline_addr *a, struct sockaddr_storage *ss)
{
	struct sockaddr_in *in = (struct sockaddr_in *)ss;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)ss;

	memset(ss, 0, sizeof(*ss));
	if (a->family == 4) {
		in->sin_family = AF_INET;
		in->sin_port = htons(a->port);
		memcpy(&in->sin_addr, a->ip, 4);
		return sizeof(*in);
	}
	in6->sin6_family = AF_INET6;
	in6->sin6_port = htons(a->port);
	memcpy(&in6->sin6_addr, a->ip, 16);
	return sizeof(*in6);
}

static int new_socket(int family, int type)
{
	int fd = socket(family == 4 ? AF_INET : AF_INET6, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	return fd < 0 ? -errno : fd;
}

static void set_int(int fd, int level, int option, int value)
{
	setsockopt(fd, level, option, &value, sizeof(value));
}

/* A fifth of the allowed silence passes before the first keep-alive and after each; 4 unanswered ones end it. */
static void keep_alive(int fd, int64_t silence_us)
{
	int step_s = (int)(silence_us / 5000000);

	if (step_s < 1)
		step_s = 1;
	set_int(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
	set_int(fd, IPPROTO_TCP, TCP_KEEPIDLE, step_s);
	set_int(fd, IPPROTO_TCP, TCP_KEEPINTVL, step_s);
	set_int(fd, IPPROTO_TCP, TCP_KEEPCNT, 4);
	set_int(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, (int)(silence_us / 1000));
	set_int(fd, IPPROTO_TCP, TCP_NODELAY, 1);
}

int sock_listen(struct lifeline_addr *addr)
{
	struct sockaddr_storage ss;
	socklen_t len = make_sockaddr(addr, &ss);
	int err, fd = new_socket(addr->family, SOCK_STREAM);

	if (fd < 0)
		return fd;
	set_int(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, HELLO_S);
	if (bind(fd, (struct sockaddr *)&ss, len) || listen(fd, BACKLOG) ||
	    getsockname(fd, (struct sockaddr *)&ss, &len)) {
		err = errno;
		close(fd);
		return -err;
	}
	addr->port = ntohs(addr->family == 4 ? ((struct sockaddr_in *)&ss)->sin_port
					     : ((struct sockaddr_in6 *)&ss)->sin6_port);
	return fd;
}

int sock_dial(const struct lifeline_addr *addr, int64_t silence_us, int *out_err)
{
	struct sockaddr_storage ss;
	socklen_t len = make_sockaddr(addr, &ss);
	int fd = new_socket(addr->family, SOCK_STREAM);

	*out_err = 0;
	if (fd < 0)
		return fd;
	keep_alive(fd, silence_us);
	if (connect(fd, (struct sockaddr *)&ss, len) && errno != EINPROGRESS)
		*out_err = errno;
	return fd;
}

int sock_accept(int listening, int64_t silence_us)
{
	int fd = accept4(listening, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	if (fd < 0)
		return -errno;
	keep_alive(fd, silence_us);
	return fd;
}

int sock_connected(int fd)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss), err_len = sizeof(int);
	int err = 0;

	getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &err_len);
	if (err)
		return -err;
	return getpeername(fd, (struct sockaddr *)&ss, &len) ? -EINPROGRESS : 0;
}

int64_t sock_silent_us(int fd)
{
	struct tcp_info info;
	socklen_t len = sizeof(info);
	uint32_t ms;

	memset(&info, 0, sizeof(info));
	if (fd < 0 || getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len))
		return -1;
	ms = info.tcpi_last_ack_recv < info.tcpi_last_data_recv ? info.tcpi_last_ack_recv : info.tcpi_last_data_recv;
	return (int64_t)ms * 1000;
}

static void to_text(const struct sockaddr_storage *ss, char out[SOCK_TEXT_BYTES])
{
	const struct sockaddr_in *in = (const void *)ss;
	const struct sockaddr_in6 *in6 = (const void *)ss;
	char ip[INET6_ADDRSTRLEN];

	out[0] = 0;
	if (ss->ss_family == AF_INET && in->sin_addr.s_addr)
		snprintf(out, SOCK_TEXT_BYTES, "%s:%u", inet_ntop(AF_INET, &in->sin_addr, ip, sizeof(ip)),
			 ntohs(in->sin_port));
	else if (ss->ss_family == AF_INET6 && !IN6_IS_ADDR_UNSPECIFIED(&in6->sin6_addr))
		snprintf(out, SOCK_TEXT_BYTES, "[%s]:%u", inet_ntop(AF_INET6, &in6->sin6_addr, ip, sizeof(ip)),
			 ntohs(in6->sin6_port));
}

/* Writes the source address that the kernel would use towards addr. Sends nothing. */
static void route_text(const struct lifeline_addr *addr, char out[SOCK_TEXT_BYTES])
{
	struct sockaddr_storage ss;
	socklen_t len = make_sockaddr(addr, &ss);
	int fd = new_socket(addr->family, SOCK_DGRAM);
	char *port;

	out[0] = 0;
	if (fd < 0)
		return;
	if (!connect(fd, (struct sockaddr *)&ss, len) && !getsockname(fd, (struct sockaddr *)&ss, &len))
		to_text(&ss, out);
	close(fd);
	port = strrchr(out, ':'); /* drop the port of the datagram socket */
	if (port)
		*port = 0;
}

void sock_ends(int fd, const struct lifeline_addr *addr, char here[SOCK_TEXT_BYTES], char there[SOCK_TEXT_BYTES])
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);

	memset(&ss, 0, sizeof(ss));
	here[0] = there[0] = 0;
	if (fd >= 0 && !getsockname(fd, (struct sockaddr *)&ss, &len))
		to_text(&ss, here);
	if (addr->family) {
		make_sockaddr(addr, &ss);
		to_text(&ss, there);
		if (!here[0])
			route_text(addr, here);
		return;
	}
	memset(&ss, 0, sizeof(ss));
	len = sizeof(ss);
	if (fd >= 0 && !getpeername(fd, (struct sockaddr *)&ss, &len))
		to_text(&ss, there);
}

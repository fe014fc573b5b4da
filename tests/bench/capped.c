/* SPDX-License-Identifier: Apache-2.0 */
/*
 * To be preloaded: each TCP connection of the process sends at most CAPPED_RATE bytes a second, as clouds cap it. The
 * kernel paces the connection.
 */
#include <dlfcn.h>
#include <stdlib.h>
#include <sys/socket.h>

#pragma GCC visibility push(default)

static void cap(int fd)
{
	const char *rate = getenv("CAPPED_RATE");
	unsigned bytes = rate ? (unsigned)strtoul(rate, NULL, 10) : 0;

	if (bytes)
		setsockopt(fd, SOL_SOCKET, SO_MAX_PACING_RATE, &bytes, sizeof(bytes));
}

int connect(int fd, const struct sockaddr *addr, socklen_t len)
{
	int (*real)(int, const struct sockaddr *, socklen_t);

	*(void **)&real = dlsym(RTLD_NEXT, "connect");
	if (addr->sa_family == AF_INET || addr->sa_family == AF_INET6)
		cap(fd);
	return real(fd, addr, len);
}

int accept(int fd, struct sockaddr *addr, socklen_t *len)
{
	int (*real)(int, struct sockaddr *, socklen_t *), ret;

	*(void **)&real = dlsym(RTLD_NEXT, "accept");
	ret = real(fd, addr, len);
	if (ret >= 0)
		cap(ret);
	return ret;
}

int accept4(int fd, struct sockaddr *addr, socklen_t *len, int flags)
{
	int (*real)(int, struct sockaddr *, socklen_t *, int), ret;

	*(void **)&real = dlsym(RTLD_NEXT, "accept4");
	ret = real(fd, addr, len, flags);
	if (ret >= 0)
		cap(ret);
	return ret;
}

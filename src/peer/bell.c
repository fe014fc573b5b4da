/* SPDX-License-Identifier: Apache-2.0 */
/* The thread that listens for rings; see bell.h. */
#include "peer/bell.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "peer/lifeline.h"

#define EVENTS 16

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* covers what follows */
static int epoll_fd = -1;
static pthread_mutex_t ringing = PTHREAD_MUTEX_INITIALIZER; /* held while `rung` runs */
static void (*rung_fn)(void);
static bool exiting;

static void ring(void)
{
	pthread_mutex_lock(&ringing);
	if (!exiting)
		rung_fn();
	pthread_mutex_unlock(&ringing);
}

static void at_exit(void)
{
	pthread_mutex_lock(&ringing);
	exiting = true;
	pthread_mutex_unlock(&ringing);
}

static void *listen_for_rings(void *arg)
{
	struct epoll_event events[EVENTS];
	int fd = *(int *)arg, i, n;
	bool heard;

	free(arg);
	while ((n = epoll_wait(fd, events, EVENTS, -1)) >= 0 || errno == EINTR) {
		for (i = 0, heard = false; i < n; i++)
			heard |= lifeline_heard(events[i].data.ptr);
		if (heard)
			ring();
	}
	return NULL;
}

static int start(int fd)
{
	int *arg = malloc(sizeof(*arg));
	sigset_t all, before;
	pthread_t thread;
	int ret;

	if (!arg)
		return -ENOMEM;
	*arg = fd;
	sigfillset(&all); /* signals are the application's */
	pthread_sigmask(SIG_SETMASK, &all, &before);
	ret = pthread_create(&thread, NULL, listen_for_rings, arg);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (ret) {
		free(arg);
		return -ret;
	}
	pthread_detach(thread);
	return 0;
}

int bell_open(void (*rung)(void))
{
	static bool registered;
	int fd, ret = 0;

	pthread_mutex_lock(&lock);
	if (epoll_fd >= 0)
		goto out;
	fd = epoll_create1(EPOLL_CLOEXEC);
	if (fd < 0) {
		ret = -errno;
		goto out;
	}
	rung_fn = rung;
	ret = start(fd);
	if (ret) {
		close(fd);
		goto out;
	}
	epoll_fd = fd;
	if (!registered)
		atexit(at_exit);
	registered = true;
out:
	pthread_mutex_unlock(&lock);
	return ret;
}

void bell_watch(int fd, void *key)
{
	struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.ptr = key};

	pthread_mutex_lock(&lock);
	if (epoll_fd >= 0)
		epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event);
	pthread_mutex_unlock(&lock);
}

void bell_in_child(void)
{
	if (epoll_fd >= 0)
		close(epoll_fd);
	epoll_fd = -1;
	pthread_mutex_init(&lock, NULL);
	pthread_mutex_init(&ringing, NULL);
}

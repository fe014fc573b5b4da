/* SPDX-License-Identifier: Apache-2.0 */
/* Thread that waits on all lifelines; see wakeup.h. */
#include "peer/wakeup.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#define EVENTS 16

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* guards epoll_fd and woken_fn */
static int epoll_fd = -1;
static bool (*_Atomic woken_fn)(const void *key);
static pthread_mutex_t waking = PTHREAD_MUTEX_INITIALIZER; /* held while `wake` runs */
static void (*wake_fn)(void);
static bool exiting;

static void wake(void)
{
	pthread_mutex_lock(&waking);
	if (!exiting)
		wake_fn();
	pthread_mutex_unlock(&waking);
}

static void at_exit(void)
{
	pthread_mutex_lock(&waking);
	exiting = true;
	pthread_mutex_unlock(&waking);
}

static void *listen_for_bytes(void *arg)
{
	struct epoll_event events[EVENTS];
	int fd = *(int *)arg, i, n;
	bool asked;

	free(arg);
	while ((n = epoll_wait(fd, events, EVENTS, -1)) >= 0 || errno == EINTR) {
		for (i = 0, asked = false; i < n; i++)
			asked |= atomic_load(&woken_fn)(events[i].data.ptr);
		if (asked)
			wake();
	}
	return NULL;
}

static int wakeup_start(int fd)
{
	int *arg = malloc(sizeof(*arg));
	sigset_t all, before;
	pthread_t thread;
	int ret;

	if (!arg)
		return -ENOMEM;
	*arg = fd;
	sigfillset(&all); /* leave all signals to the application's threads */
	pthread_sigmask(SIG_SETMASK, &all, &before);
	ret = pthread_create(&thread, NULL, listen_for_bytes, arg);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (ret) {
		free(arg);
		return -ret;
	}
	pthread_detach(thread);
	return 0;
}

int wakeup_open(void (*wake_all)(void))
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
	wake_fn = wake_all;
	ret = wakeup_start(fd);
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

void wakeup_watch(int fd, bool (*woken)(const void *key), void *key)
{
	struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = key};

	pthread_mutex_lock(&lock);
	atomic_store(&woken_fn, woken);
	if (epoll_fd >= 0)
		epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event);
	pthread_mutex_unlock(&lock);
}

void wakeup_in_child(void)
{
	if (epoll_fd >= 0)
		close(epoll_fd);
	epoll_fd = -1;
	pthread_mutex_init(&lock, NULL);
	pthread_mutex_init(&waking, NULL);
}

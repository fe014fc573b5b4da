/* SPDX-License-Identifier: Apache-2.0 */
/* Lifelines between processes; see lifeline.h for the picture. */
#include "peer/lifeline.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/list.h"
#include "peer/bell.h"

#define HELLO_MAGIC  0x314c4557u /* "WEL1" */
#define GOODBYE	     'B'
#define RING	     'R'
#define BACKLOG	     4096
#define HELLO_US     60000000 /* who has not said its id by then is not one of ours */

struct hello {
	uint32_t magic;
	uint32_t pid;
	uint64_t id;
};

struct lifeline {
	struct list link; /* in `lines` */
	uint64_t id;
	uint8_t uuid[PEER_UUID_BYTES]; /* of the dialled process; zero on the accepting side */
	int fd;
	int count;
	bool dialled;
	bool rung;
	enum lifeline_state state;
	int64_t since_us; /* accepted at */
	size_t hello_bytes; /* of the hello, how much was sent or received */
	struct hello hello;
};

struct listener {
	struct list link; /* in `listeners` */
	struct lifeline_addr addr;
	int fd;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct list lines = {&lines, &lines};
static struct list listeners = {&listeners, &listeners};
static pthread_once_t once = PTHREAD_ONCE_INIT;

/* A child that keeps its parent's sockets open would hide the parent's death. */
static void in_child(void)
{
	struct list *it, *tmp;

	list_each (&lines, it, tmp) {
		struct lifeline *l = owner_of(it, struct lifeline, link);

		close(l->fd);
		l->fd = -1;
		l->state = LIFELINE_DEAD;
		list_remove(it);
	}
	list_each (&listeners, it, tmp) {
		struct listener *l = owner_of(it, struct listener, link);

		close(l->fd);
		list_remove(it);
		free(l);
	}
	pthread_mutex_init(&lock, NULL);
	bell_in_child();
}

static void before_fork(void)
{
	pthread_mutex_lock(&lock);
}

static void in_parent(void)
{
	pthread_mutex_unlock(&lock);
}

static void register_fork(void)
{
	pthread_atfork(before_fork, in_parent, in_child);
}

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

static int new_socket(int family)
{
	int fd = socket(family == 4 ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	return fd < 0 ? -errno : fd;
}

static int listener_open(struct listener *l)
{
	struct sockaddr_storage ss;
	socklen_t len = make_sockaddr(&l->addr, &ss);

	l->fd = new_socket(l->addr.family);
	if (l->fd < 0)
		return l->fd;
	if (bind(l->fd, (struct sockaddr *)&ss, len) || listen(l->fd, BACKLOG) ||
	    getsockname(l->fd, (struct sockaddr *)&ss, &len)) {
		int err = errno;

		close(l->fd);
		return -err;
	}
	l->addr.port = ntohs(l->addr.family == 4 ? ((struct sockaddr_in *)&ss)->sin_port
						 : ((struct sockaddr_in6 *)&ss)->sin6_port);
	return 0;
}

static struct listener *listener_at(int family, const uint8_t ip[16])
{
	struct list *it, *tmp;

	list_each (&listeners, it, tmp) {
		struct listener *l = owner_of(it, struct listener, link);

		if (l->addr.family == family && !memcmp(l->addr.ip, ip, family == 4 ? 4 : 16))
			return l;
	}
	return NULL;
}

int lifeline_listen(int family, const uint8_t ip[16], struct lifeline_addr *out)
{
	struct listener *l;
	int ret = 0;

	memset(out, 0, sizeof(*out));
	pthread_once(&once, register_fork);
	pthread_mutex_lock(&lock);
	l = listener_at(family, ip);
	if (!l) {
		l = calloc(1, sizeof(*l));
		if (!l) {
			ret = -ENOMEM;
			goto out;
		}
		l->addr.family = family;
		memcpy(l->addr.ip, ip, family == 4 ? 4 : 16);
		ret = listener_open(l);
		if (ret) {
			free(l);
			goto out;
		}
		list_append(&listeners, &l->link);
	}
	*out = l->addr;
out:
	pthread_mutex_unlock(&lock);
	return ret;
}

static void set_int(int fd, int level, int option, int value)
{
	setsockopt(fd, level, option, &value, sizeof(value));
}

/* Keep-alives every fifth of the allowed silence: five unanswered ones end the connection. */
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

static struct lifeline *line_new(int fd, int64_t silence_us)
{
	struct lifeline *l = calloc(1, sizeof(*l));

	if (!l)
		return NULL;
	l->fd = fd;
	l->state = LIFELINE_CONNECTING;
	l->since_us = clock_us();
	keep_alive(fd, silence_us);
	list_append(&lines, &l->link);
	bell_watch(fd, l);
	return l;
}

static void line_free(struct lifeline *l)
{
	list_remove(&l->link);
	close(l->fd);
	free(l);
}

static uint64_t new_id(void)
{
	static uint64_t serial;
	uint64_t id = 0;

	if (getrandom(&id, sizeof(id), GRND_NONBLOCK) != sizeof(id))
		memcpy(&id, peer_self()->uuid, sizeof(id));
	id += ++serial;
	return id ? id : 1;
}

static void connecting_step(struct lifeline *l)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss), err_len = sizeof(int);
	int err = 0;
	ssize_t n;

	getsockopt(l->fd, SOL_SOCKET, SO_ERROR, &err, &err_len);
	if (err) {
		l->state = err == ECONNREFUSED ? LIFELINE_REFUSED : LIFELINE_DEAD;
		return;
	}
	if (getpeername(l->fd, (struct sockaddr *)&ss, &len))
		return; /* not yet connected */
	n = send(l->fd, (char *)&l->hello + l->hello_bytes, sizeof(l->hello) - l->hello_bytes,
		 MSG_NOSIGNAL);
	if (n < 0 && errno != EAGAIN)
		l->state = LIFELINE_DEAD;
	if (n > 0)
		l->hello_bytes += (size_t)n;
	if (l->hello_bytes == sizeof(l->hello))
		l->state = LIFELINE_ALIVE;
}

/* Reads what is there of the hello; a line that talks nonsense or waits too long is dropped. */
static void accepted_step(struct lifeline *l)
{
	ssize_t n = recv(l->fd, (char *)&l->hello + l->hello_bytes, sizeof(l->hello) - l->hello_bytes,
			 MSG_DONTWAIT);

	if (n > 0)
		l->hello_bytes += (size_t)n;
	if (l->hello_bytes == sizeof(l->hello)) {
		l->state = l->hello.magic == HELLO_MAGIC ? LIFELINE_ALIVE : LIFELINE_DEAD;
		if (l->state == LIFELINE_ALIVE)
			l->id = l->hello.id;
	} else if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
		l->state = LIFELINE_DEAD;
	}
}

static void alive_step(struct lifeline *l)
{
	char byte;
	ssize_t n;

	while ((n = recv(l->fd, &byte, 1, MSG_DONTWAIT)) == 1 && byte == RING)
		l->rung = true;
	if (n == 1 && byte == GOODBYE)
		l->state = LIFELINE_CLOSED;
	else if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
		l->state = LIFELINE_DEAD;
}

static void step(struct lifeline *l)
{
	if (l->state == LIFELINE_CONNECTING && l->dialled)
		connecting_step(l);
	else if (l->state == LIFELINE_CONNECTING)
		accepted_step(l);
	else if (l->state == LIFELINE_ALIVE)
		alive_step(l);
}

static struct lifeline *line_to(const uint8_t uuid[PEER_UUID_BYTES])
{
	struct list *it, *tmp;

	list_each (&lines, it, tmp) {
		struct lifeline *l = owner_of(it, struct lifeline, link);

		if (!l->dialled || memcmp(l->uuid, uuid, PEER_UUID_BYTES))
			continue;
		step(l);
		if (l->state == LIFELINE_CONNECTING || l->state == LIFELINE_ALIVE)
			return l;
	}
	return NULL;
}

static int dial(const uint8_t uuid[PEER_UUID_BYTES], const struct lifeline_addr *addr,
		int64_t silence_us, struct lifeline **out)
{
	struct sockaddr_storage ss;
	socklen_t len = make_sockaddr(addr, &ss);
	struct lifeline *l;
	int fd = new_socket(addr->family);

	if (fd < 0)
		return fd;
	l = line_new(fd, silence_us);
	if (!l) {
		close(fd);
		return -ENOMEM;
	}
	l->dialled = true;
	l->id = new_id();
	l->hello = (struct hello){HELLO_MAGIC, peer_self()->pid, l->id};
	memcpy(l->uuid, uuid, PEER_UUID_BYTES);
	if (connect(fd, (struct sockaddr *)&ss, len) && errno != EINPROGRESS)
		l->state = errno == ECONNREFUSED ? LIFELINE_REFUSED : LIFELINE_DEAD;
	*out = l;
	return 0;
}

int lifeline_dial(const uint8_t uuid[PEER_UUID_BYTES], const struct lifeline_addr *addr,
		  int64_t silence_us, struct lifeline **out)
{
	int ret = 0;

	pthread_once(&once, register_fork);
	pthread_mutex_lock(&lock);
	*out = line_to(uuid);
	if (!*out)
		ret = dial(uuid, addr, silence_us, out);
	if (*out)
		(*out)->count++;
	pthread_mutex_unlock(&lock);
	return ret;
}

uint64_t lifeline_id(const struct lifeline *l)
{
	return l->id;
}

enum lifeline_state lifeline_check(struct lifeline *l)
{
	enum lifeline_state state;

	pthread_mutex_lock(&lock);
	step(l);
	state = l->state;
	pthread_mutex_unlock(&lock);
	return state;
}

void lifeline_ring(struct lifeline *l)
{
	char byte = RING;

	if (!l)
		return;
	pthread_mutex_lock(&lock);
	if (l->state == LIFELINE_ALIVE && send(l->fd, &byte, 1, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
		step(l);
	pthread_mutex_unlock(&lock);
}

bool lifeline_heard(const void *key)
{
	struct list *it, *tmp;
	bool rung = false;

	pthread_mutex_lock(&lock);
	list_each (&lines, it, tmp) {
		struct lifeline *l = owner_of(it, struct lifeline, link);

		if (l != key)
			continue;
		if (l->state == LIFELINE_ALIVE)
			step(l);
		rung = l->rung;
		l->rung = false;
	}
	pthread_mutex_unlock(&lock);
	return rung;
}

static void accept_pending(int64_t silence_us)
{
	struct list *it, *tmp;

	list_each (&listeners, it, tmp) {
		struct listener *s = owner_of(it, struct listener, link);
		int fd;

		while ((fd = accept4(s->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0)
			if (!line_new(fd, silence_us))
				close(fd);
	}
}

/* An accepted line without channels lives until its connector ends it. */
static void free_if_over(struct lifeline *l)
{
	if (l->count)
		return;
	step(l);
	if (l->state == LIFELINE_CLOSED || l->state == LIFELINE_DEAD ||
	    (l->state == LIFELINE_CONNECTING && clock_us() - l->since_us > HELLO_US))
		line_free(l);
}

struct lifeline *lifeline_find(uint64_t id, int64_t silence_us)
{
	struct lifeline *found = NULL;
	struct list *it, *tmp;

	pthread_mutex_lock(&lock);
	accept_pending(silence_us);
	list_each (&lines, it, tmp) {
		struct lifeline *l = owner_of(it, struct lifeline, link);

		if (l->dialled)
			continue;
		if (l->state == LIFELINE_CONNECTING)
			step(l);
		if (l->id == id)
			found = l;
		else
			free_if_over(l);
	}
	if (found)
		found->count++;
	pthread_mutex_unlock(&lock);
	return found;
}

void lifeline_put(struct lifeline *l)
{
	char byte = GOODBYE;

	if (!l)
		return;
	pthread_mutex_lock(&lock);
	l->count--;
	if (!l->count && l->dialled) {
		/* best effort: without it the peer sees an end all the same */
		if (l->state == LIFELINE_ALIVE && send(l->fd, &byte, 1, MSG_NOSIGNAL) < 0)
			l->state = LIFELINE_DEAD;
		line_free(l);
	} else {
		free_if_over(l);
	}
	pthread_mutex_unlock(&lock);
}

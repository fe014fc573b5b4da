/* SPDX-License-Identifier: Apache-2.0 */
/* The listening sockets of lifelines, and the connections on them that nobody has proven yet. */
#include "peer/listener.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"

#define HELLO_US       60000000 /* limit for proving a connection to be a peer's */
#define UNPROVEN_MAX   128	/* unproven connections */
#define UNPROVEN_PART  16	/* unproven connections use at most 1/16 of the descriptors */
#define FD_MARGIN      32	/* descriptors left to the application */
#define ACCEPTS_A_PASS 64	/* connections accepted in one pass */

struct listener {
	struct list link; /* in `listeners` */
	struct lifeline_addr addr;
	int fd;
};

static struct list listeners = {&listeners, &listeners};
static struct list unproven = {&unproven, &unproven}; /* accepted lines without proof yet */
static int unproven_count;
static bool (*proves)(struct lifeline *l);

void listener_prepare(bool (*take)(struct lifeline *l))
{
	proves = take;
}

static struct listener *listener_at(int family, const uint8_t ip[16])
{
	struct list *it, *tmp;

	list_each (&listeners, it, tmp) {
		struct listener *l = container_of(it, struct listener, link);

		if (l->addr.family == family && !memcmp(l->addr.ip, ip, family == 4 ? 4 : 16))
			return l;
	}
	return NULL;
}

int listener_open(int family, const uint8_t ip[16], struct lifeline_addr *out)
{
	struct listener *l = listener_at(family, ip);
	int ret;

	if (!l) {
		l = calloc(1, sizeof(*l));
		if (!l)
			return -ENOMEM;
		l->addr.family = family;
		memcpy(l->addr.ip, ip, family == 4 ? 4 : 16);
		l->fd = sock_listen(&l->addr);
		if (l->fd < 0) {
			ret = l->fd;
			free(l);
			return ret;
		}
		list_append(&listeners, &l->link);
	}
	*out = l->addr;
	return 0;
}

void listener_release(struct lifeline *l)
{
	unproven_count--;
	list_remove(&l->link);
}

static void drop(struct lifeline *l)
{
	unproven_count--;
	line_free(l);
}

static struct lifeline *oldest_unproven(void)
{
	struct lifeline *oldest = NULL;
	struct list *it, *tmp;

	list_each (&unproven, it, tmp) {
		struct lifeline *l = container_of(it, struct lifeline, link);

		if (!oldest || l->since_us < oldest->since_us)
			oldest = l;
	}
	return oldest;
}

/* Polls an unproven line, which may free it. True: the line is still there and still unproven. */
static bool look_at_unproven(struct lifeline *l)
{
	line_step(l);
	if (l->state != LIFELINE_CONNECTING || clock_us() - l->since_us > HELLO_US) {
		drop(l);
		return false;
	}
	return !line_has_hello(l) || !proves(l);
}

static rlim_t descriptor_limit(void)
{
	struct rlimit limit;

	return getrlimit(RLIMIT_NOFILE, &limit) ? 1024 : limit.rlim_cur;
}

static void take_in(int fd, rlim_t limit, int64_t silence_us)
{
	struct lifeline *l = line_accepted(fd, silence_us);
	rlim_t most = limit / UNPROVEN_PART < UNPROVEN_MAX ? limit / UNPROVEN_PART : UNPROVEN_MAX;

	if (!l) {
		close(fd);
		return;
	}
	list_append(&unproven, &l->link);
	unproven_count++;
	/* The kernel assigns the lowest free descriptor, so a high number means that few are left. */
	if (look_at_unproven(l) && ((rlim_t)unproven_count > most || (rlim_t)fd + FD_MARGIN >= limit))
		drop(oldest_unproven());
}

static void no_descriptors(int err)
{
	static bool said;

	if (!said)
		log_warn("liveness connections of peers can't be accepted: %s; the death of a peer may go unnoticed. "
			 "Raise the limit of open files (ulimit -n)",
			 strerror(err));
	said = true;
}

/* Accepts a limited number of connections; the others stay in the kernel's queue. */
static void accept_pending(const struct listener *s, int64_t silence_us)
{
	rlim_t limit = 0;
	int n, fd;

	for (n = 0; n < ACCEPTS_A_PASS; n++) {
		fd = sock_accept(s->fd, silence_us);
		if (fd == -EMFILE || fd == -ENFILE) {
			if (!unproven_count) {
				no_descriptors(-fd);
				return;
			}
			drop(oldest_unproven());
			continue;
		}
		if (fd == -ECONNABORTED || fd == -EINTR)
			continue;
		if (fd < 0)
			return;
		if (!limit)
			limit = descriptor_limit();
		take_in(fd, limit, silence_us);
	}
}

static void look_again(struct lifeline *l)
{
	look_at_unproven(l);
}

void listener_take_in(int64_t silence_us)
{
	struct list *it, *tmp;

	list_each (&listeners, it, tmp)
		accept_pending(container_of(it, struct listener, link), silence_us);
	line_look_at_some(&unproven, look_again);
}

struct lifeline *listener_unproven(uint64_t id)
{
	struct list *it, *tmp;

	list_each (&unproven, it, tmp) {
		struct lifeline *l = container_of(it, struct lifeline, link);

		if (line_has_hello(l) && l->id == id)
			return l;
	}
	return NULL;
}

void listener_in_child(void (*forget)(struct list *lines))
{
	struct list *it, *tmp;

	forget(&unproven);
	unproven_count = 0;
	list_each (&listeners, it, tmp) {
		struct listener *l = container_of(it, struct listener, link);

		close(l->fd);
		list_remove(it);
		free(l);
	}
}

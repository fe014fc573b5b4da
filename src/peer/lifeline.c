/* SPDX-License-Identifier: Apache-2.0 */
/* Liveness connections between processes; see lifeline.h. */
#include "peer/lifeline.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/random.h"
#include "peer/line.h"
#include "peer/secret.h"
#include "peer/wakeup.h"

#define HELLO_US       60000000 /* limit for proving a connection to be a peer's */
#define UNPROVEN_MAX   128	/* unproven connections */
#define UNPROVEN_PART  16	/* unproven connections use at most 1/16 of the descriptors */
#define FD_MARGIN      32	/* descriptors left to the application */
#define ACCEPTS_A_PASS 64	/* connections accepted in one pass */
#define LOOKS_A_PASS   32	/* lines of a list polled in one pass */
#define LOOKS_A_WAKE   64	/* polls of one line with more data in one wakeup */
#define NOTES_MAX      256	/* queued notes; further ones are dropped, and the peer asks again */

/* A note queued for lifeline_note. */
struct heard {
	struct lifeline *line; /* holds one count */
	struct wire_note note;
};

struct listener {
	struct list link; /* in `listeners` */
	struct lifeline_addr addr;
	int fd;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct list dialled = {&dialled, &dialled};
static struct list accepted = {&accepted, &accepted}; /* accepted and proven lines */
static struct list unproven = {&unproven, &unproven}; /* accepted lines without proof yet */
static int unproven_count;
static struct list listeners = {&listeners, &listeners};
static struct heard notes[NOTES_MAX]; /* ring buffer */
static unsigned note_first, note_count;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void forget_in_child(struct list *lines)
{
	struct list *it, *tmp;

	list_each (lines, it, tmp) {
		struct lifeline *l = container_of(it, struct lifeline, link);

		line_close(l);
		l->state = LIFELINE_DEAD;
		list_remove(it);
	}
}

/* Closes the child's copies of sockets: open copies would hide the parent's death. */
static void lifeline_in_child(void)
{
	struct list *it, *tmp;

	note_count = 0;
	forget_in_child(&dialled);
	forget_in_child(&accepted);
	forget_in_child(&unproven);
	unproven_count = 0;
	secret_forget_all();
	list_each (&listeners, it, tmp) {
		struct listener *l = container_of(it, struct listener, link);

		close(l->fd);
		list_remove(it);
		free(l);
	}
	pthread_mutex_init(&lock, NULL);
	wakeup_in_child();
}

static void lifeline_before_fork(void)
{
	pthread_mutex_lock(&lock);
}

static void lifeline_in_parent(void)
{
	pthread_mutex_unlock(&lock);
}

static void lifeline_register_fork(void)
{
	pthread_atfork(lifeline_before_fork, lifeline_in_parent, lifeline_in_child);
}

void lifeline_prepare(void)
{
	pthread_once(&once, lifeline_register_fork);
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

int lifeline_listen(int family, const uint8_t ip[16], struct lifeline_addr *out)
{
	struct listener *l;
	int ret = 0;

	memset(out, 0, sizeof(*out));
	lifeline_prepare();
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
		l->fd = sock_listen(&l->addr);
		if (l->fd < 0) {
			ret = l->fd;
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

int lifeline_expect(uint64_t secret)
{
	lifeline_prepare();
	return secret_add(secret);
}

void lifeline_forget(uint64_t secret)
{
	secret_remove(secret);
}

static struct lifeline *line_at(struct list *lines, const void *key)
{
	struct list *it, *tmp;

	list_each (lines, it, tmp)
		if (container_of(it, struct lifeline, link) == key)
			return container_of(it, struct lifeline, link);
	return NULL;
}

static bool line_woken(const void *key);

static void take_in_all(int64_t silence_us);

static void collect_notes(struct lifeline *l)
{
	int i;

	for (i = 0; i < l->note_count && note_count < NOTES_MAX; i++) {
		notes[(note_first + note_count++) % NOTES_MAX] = (struct heard){.line = l, .note = l->notes[i]};
		l->count++;
	}
	l->note_count = 0;
}

/* Polls a line. A cut line may get a new socket, by a redial here or one of the peer's: accept it, and watch it. */
static void step_line(struct lifeline *l)
{
	int fd = l->fd;

	if (l->again && !l->dialled)
		take_in_all(l->silence_us);
	line_step(l);
	collect_notes(l);
	if (l->fd != fd && l->fd >= 0)
		wakeup_watch(l->fd, line_woken, l);
}

/* Runs in the wakeup thread: reads the data of the line `key`, which may have been freed. */
static bool line_woken(const void *key)
{
	struct lifeline *l;
	bool woken = false;
	int i;

	pthread_mutex_lock(&lock);
	l = line_at(&dialled, key);
	if (!l)
		l = line_at(&accepted, key);
	for (i = 0; l && (!i || (l->more && l->state == LIFELINE_ALIVE)) && i < LOOKS_A_WAKE; i++)
		step_line(l);
	if (l) {
		woken = l->woken;
		l->woken = false;
	}
	pthread_mutex_unlock(&lock);
	return woken;
}

static void line_free(struct lifeline *l)
{
	list_remove(&l->link);
	line_close(l);
	free(l);
}

static uint64_t new_id(void)
{
	uint64_t id = 0;

	while (!id)
		random_fill(&id, sizeof(id));
	return id;
}

static struct lifeline *line_to(const uint8_t uuid[PEER_UUID_BYTES])
{
	struct list *it, *tmp;

	list_each (&dialled, it, tmp) {
		struct lifeline *l = container_of(it, struct lifeline, link);

		if (memcmp(l->uuid, uuid, PEER_UUID_BYTES))
			continue;
		step_line(l);
		if (l->state == LIFELINE_CONNECTING || l->state == LIFELINE_ALIVE)
			return l;
	}
	return NULL;
}

static int dial_line(const uint8_t uuid[PEER_UUID_BYTES], const struct lifeline_addr *addr, uint64_t secret,
		     int64_t silence_us, struct lifeline **out)
{
	struct lifeline *l = line_dialled(addr, new_id(), secret, silence_us);
	int ret;

	if (!l)
		return -ENOMEM;
	ret = line_dial(l);
	if (ret) {
		free(l);
		return ret;
	}
	memcpy(l->uuid, uuid, PEER_UUID_BYTES);
	list_append(&dialled, &l->link);
	wakeup_watch(l->fd, line_woken, l);
	*out = l;
	return 0;
}

int lifeline_dial(const uint8_t uuid[PEER_UUID_BYTES], const struct lifeline_addr *addr, uint64_t secret,
		  int64_t silence_us, struct lifeline **out)
{
	int ret = 0;

	lifeline_prepare();
	pthread_mutex_lock(&lock);
	*out = line_to(uuid);
	if (!*out)
		ret = dial_line(uuid, addr, secret, silence_us, out);
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
	step_line(l);
	state = l->state;
	pthread_mutex_unlock(&lock);
	return state;
}

static void say(struct lifeline *l, char byte, const struct wire_note *note)
{
	if (!l)
		return;
	pthread_mutex_lock(&lock);
	if (l->state == LIFELINE_ALIVE && !line_say(l, byte, note))
		step_line(l);
	pthread_mutex_unlock(&lock);
}

void lifeline_wake(struct lifeline *l)
{
	say(l, LINE_WAKE, NULL);
}

void lifeline_tell(struct lifeline *l, const struct wire_note *note)
{
	say(l, LINE_NOTE, note);
}

bool lifeline_note(struct lifeline **out_line, struct wire_note *out)
{
	bool any;

	pthread_mutex_lock(&lock);
	any = note_count;
	if (any) {
		*out_line = notes[note_first].line;
		*out = notes[note_first].note;
		note_first = (note_first + 1) % NOTES_MAX;
		note_count--;
	}
	pthread_mutex_unlock(&lock);
	return any;
}

/* --- lines dialled by peers --- */

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

static struct lifeline *accepted_with(uint64_t id)
{
	struct list *it, *tmp;

	list_each (&accepted, it, tmp)
		if (container_of(it, struct lifeline, link)->id == id)
			return container_of(it, struct lifeline, link);
	return NULL;
}

/* Handles a valid hello. If its line exists and was cut, the line continues on this connection. */
static void prove(struct lifeline *l)
{
	struct lifeline *cut = accepted_with(l->id);

	if (cut && (cut->state == LIFELINE_CONNECTING || cut->state == LIFELINE_ALIVE)) {
		line_welcome(cut, l);
		wakeup_watch(cut->fd, line_woken, cut);
	}
	if (cut) {
		drop(l);
		return;
	}
	unproven_count--;
	list_remove(&l->link);
	list_append(&accepted, &l->link);
	line_welcome(l, l);
	wakeup_watch(l->fd, line_woken, l);
}

/* Polls an unproven line, which may free it. True: the line is still there and still unproven. */
static bool look_at_unproven(struct lifeline *l)
{
	line_step(l);
	if (l->state != LIFELINE_CONNECTING || clock_us() - l->since_us > HELLO_US) {
		drop(l);
		return false;
	}
	if (!line_has_hello(l) || (!secret_is_ours(l->hello.secret) && !accepted_with(l->id)))
		return true;
	prove(l);
	return false;
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

/* Frees an accepted line without comms once its connector has ended it. */
static void free_if_over(struct lifeline *l)
{
	if (l->count)
		return;
	step_line(l);
	if (!l->count && l->state != LIFELINE_ALIVE && l->state != LIFELINE_CONNECTING) /* a queued note adds a count */
		line_free(l);
}

/* Polls the first LOOKS_A_PASS lines of a list and moves them to its end. */
static void look_at_some(struct list *lines, void (*look)(struct lifeline *l))
{
	struct lifeline *l, *first = NULL;
	int n;

	for (n = 0; n < LOOKS_A_PASS && !list_empty(lines); n++) {
		l = container_of(lines->next, struct lifeline, link);
		if (l == first)
			return;
		if (!first)
			first = l;
		list_remove(&l->link);
		list_append(lines, &l->link);
		look(l);
	}
}

static void look_again(struct lifeline *l)
{
	look_at_unproven(l);
}

static void take_in_all(int64_t silence_us)
{
	struct list *it, *tmp;

	list_each (&listeners, it, tmp)
		accept_pending(container_of(it, struct listener, link), silence_us);
	look_at_some(&unproven, look_again);
}

/* Finds a line by the id in a connect request. The listen's secret in the request proves the line, too. */
static struct lifeline *named(uint64_t id)
{
	struct list *it, *tmp;

	list_each (&unproven, it, tmp) {
		struct lifeline *l = container_of(it, struct lifeline, link);

		if (line_has_hello(l) && l->id == id) {
			prove(l);
			break;
		}
	}
	return accepted_with(id);
}

struct lifeline *lifeline_find(uint64_t id, int64_t silence_us)
{
	struct lifeline *found;

	pthread_mutex_lock(&lock);
	take_in_all(silence_us);
	found = named(id);
	if (found)
		found->count++;
	look_at_some(&accepted, free_if_over);
	pthread_mutex_unlock(&lock);
	return found;
}

void lifeline_put(struct lifeline *l)
{
	if (!l)
		return;
	pthread_mutex_lock(&lock);
	l->count--;
	if (!l->count && l->dialled) {
		line_step(l); /* unread bytes would turn the close into a reset; notes are dropped */
		if (l->state == LIFELINE_ALIVE)
			line_say(l, LINE_GOODBYE, NULL); /* best effort: the peer sees the close in any case */
		line_free(l);
	} else {
		free_if_over(l);
	}
	pthread_mutex_unlock(&lock);
}

char *lifeline_evidence(struct lifeline *l, char *buf, size_t bytes)
{
	if (!l) {
		snprintf(buf, bytes, "there is no liveness connection to it");
		return buf;
	}
	pthread_mutex_lock(&lock);
	line_evidence(l, buf, bytes);
	pthread_mutex_unlock(&lock);
	return buf;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Liveness connections between processes; see lifeline.h. */
#include "peer/lifeline.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"
#include "peer/line.h"
#include "peer/listener.h"
#include "peer/secret.h"
#include "peer/wakeup.h"

#define LOOKS_A_WAKE 64	 /* polls of one line with more data in one wakeup */
#define NOTES_MAX    256 /* queued notes; further ones are dropped, and the peer asks again */

/* A note queued for lifeline_note. */
struct heard {
	struct lifeline *line; /* holds one count */
	struct wire_note note;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct list dialled = {&dialled, &dialled};
static struct list accepted = {&accepted, &accepted}; /* dialled by peers, and proven */
static struct heard notes[NOTES_MAX];		      /* ring buffer */
static unsigned note_first, note_count;

int lifeline_listen(int family, const uint8_t ip[16], struct lifeline_addr *out)
{
	int ret;

	memset(out, 0, sizeof(*out));
	lifeline_prepare();
	pthread_mutex_lock(&lock);
	ret = listener_open(family, ip, out);
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
	unsigned dials = l->dials;
	int fd = l->fd;

	if (l->again && !l->dialled)
		listener_take_in(l->silence_us);
	line_step(l);
	collect_notes(l);
	if ((l->fd != fd || l->dials != dials) && l->fd >= 0)
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

	listener_release(l);
	if (cut && (cut->state == LIFELINE_CONNECTING || cut->state == LIFELINE_ALIVE)) {
		line_welcome(cut, l);
		wakeup_watch(cut->fd, line_woken, cut);
	}
	if (cut) {
		line_free(l);
		return;
	}
	list_append(&accepted, &l->link);
	line_welcome(l, l);
	wakeup_watch(l->fd, line_woken, l);
}

/* True: the line is proven, by a secret of ours or the id of a line that was cut. */
static bool prove_if_ours(struct lifeline *l)
{
	if (!secret_is_ours(l->hello.secret) && !accepted_with(l->id))
		return false;
	prove(l);
	return true;
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

/* Finds a line by the id in a connect request. The listen's secret in the request proves the line, too. */
static struct lifeline *named(uint64_t id)
{
	struct lifeline *l = listener_unproven(id);

	if (l)
		prove(l);
	return accepted_with(id);
}

struct lifeline *lifeline_find(uint64_t id, int64_t silence_us)
{
	struct lifeline *found;

	pthread_mutex_lock(&lock);
	listener_take_in(silence_us);
	found = named(id);
	if (found)
		found->count++;
	line_look_at_some(&accepted, free_if_over);
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

/* --- fork --- */

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
	note_count = 0;
	forget_in_child(&dialled);
	forget_in_child(&accepted);
	listener_in_child(forget_in_child);
	secret_forget_all();
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

static void prepare_lifelines(void)
{
	listener_prepare(prove_if_ours);
	pthread_atfork(lifeline_before_fork, lifeline_in_parent, lifeline_in_child);
}

void lifeline_prepare(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, prepare_lifelines);
}

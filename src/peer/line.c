/* SPDX-License-Identifier: Apache-2.0 */
/* State machine of one lifeline; see line.h. */
#include "peer/line.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"

#define LOOKS_A_PASS 32		 /* lines of a list polled in one pass */
#define HELLO_MAGIC  0x324c4557u /* "WEL2" */
#define BYTES_A_STEP 256
#define REDIAL_US    2000000 /* limit of a redial after a cut */
#define REDIALLED_US 500000  /* limit of the accepting side's wait for a redial: a death may look like a cut */
#define CUTS_MAX     3	     /* cuts in a row after which the line is dead */

static struct lifeline *line_new(int fd, int64_t silence_us)
{
	struct lifeline *l = calloc(1, sizeof(*l));

	if (!l)
		return NULL;
	list_init(&l->link);
	l->fd = fd;
	l->silence_us = silence_us;
	l->state = LIFELINE_CONNECTING;
	l->since_us = clock_us();
	return l;
}

struct lifeline *line_dialled(const struct lifeline_addr *addr, uint64_t id, uint64_t secret, int64_t silence_us)
{
	struct lifeline *l = line_new(-1, silence_us);

	if (!l)
		return NULL;
	l->dialled = true;
	l->addr = *addr;
	l->id = id;
	l->hello = (struct hello){HELLO_MAGIC, peer_self()->pid, id, secret};
	return l;
}

struct lifeline *line_accepted(int fd, int64_t silence_us)
{
	struct lifeline *l = line_new(fd, silence_us);

	if (l)
		sock_ends(fd, &l->addr, l->here, l->there);
	return l;
}

void line_close(struct lifeline *l)
{
	if (l->fd >= 0)
		close(l->fd);
	l->fd = -1;
}

static void end(struct lifeline *l, enum lifeline_state state, int err)
{
	l->state = state;
	l->err = err;
	l->again = false;
}

/* A line that was never proven is no evidence of a death: another host may have that address. */
static void attempt_failed(struct lifeline *l, int err)
{
	end(l, l->again && (l->proven || err == ECONNREFUSED) ? LIFELINE_DEAD : LIFELINE_REFUSED, err);
}

int line_dial(struct lifeline *l)
{
	int err;

	line_close(l);
	l->fd = sock_dial(&l->addr, l->silence_us, &err);
	if (l->fd < 0)
		return l->fd;
	l->dials++;
	sock_ends(l->fd, &l->addr, l->here, l->there);
	l->state = LIFELINE_CONNECTING;
	l->hello_bytes = 0;
	l->in_note = false;
	l->in_bytes = l->out_at = l->out_bytes = 0;
	l->since_us = clock_us();
	if (err)
		attempt_failed(l, err);
	return 0;
}

static void connecting_step(struct lifeline *l)
{
	int ret = sock_connected(l->fd);
	ssize_t n;

	if (ret == -EINPROGRESS && (!l->again || clock_us() - l->since_us < REDIAL_US))
		return;
	if (ret) {
		attempt_failed(l, ret == -EINPROGRESS ? ETIMEDOUT : -ret);
		return;
	}
	if (!l->hello_bytes)
		sock_ends(l->fd, &l->addr, l->here, l->there);
	n = send(l->fd, (char *)&l->hello + l->hello_bytes, sizeof(l->hello) - l->hello_bytes, MSG_NOSIGNAL);
	if (n < 0 && errno != EAGAIN)
		attempt_failed(l, errno);
	if (n > 0)
		l->hello_bytes += (size_t)n;
	if (l->hello_bytes == sizeof(l->hello)) {
		l->state = LIFELINE_ALIVE;
		l->again = false;
	}
}

bool line_has_hello(const struct lifeline *l)
{
	return l->hello_bytes == sizeof(l->hello);
}

static bool is_magic(const struct lifeline *l)
{
	static const uint32_t magic = HELLO_MAGIC;
	size_t n = l->hello_bytes < sizeof(magic) ? l->hello_bytes : sizeof(magic);

	return !memcmp(&l->hello.magic, &magic, n);
}

/* Ends the connection at the first invalid byte of the magic. */
static void hello_step(struct lifeline *l)
{
	bool whole = line_has_hello(l);
	char next;
	ssize_t n;

	if (whole)
		n = recv(l->fd, &next, 1, MSG_DONTWAIT | MSG_PEEK);
	else
		n = recv(l->fd, (char *)&l->hello + l->hello_bytes, sizeof(l->hello) - l->hello_bytes, MSG_DONTWAIT);
	if (n > 0)
		l->hello_bytes += whole ? 0 : (size_t)n;
	else if (n == 0 || (errno != EAGAIN && errno != EINTR))
		end(l, LIFELINE_DEAD, n ? errno : 0);
	if (!is_magic(l))
		end(l, LIFELINE_DEAD, EPROTO);
	l->id = line_has_hello(l) ? l->hello.id : 0;
}

static bool is_cut(int err)
{
	return err == ECONNRESET || err == EPIPE || err == ECONNABORTED;
}

/*
 * Handles the end of a connection without a goodbye. An orderly end means that the process has ended, since the kernel
 * then closes its connections. A reset may also come from a firewall or from unread bytes, so the dialler tries again.
 */
static void connection_ended(struct lifeline *l, int err)
{
	int64_t silent_us = sock_silent_us(l->fd);
	bool look = l->dialled ? is_cut(err) || (!err && !l->proven) : is_cut(err);

	l->heard_us = silent_us < 0 ? 0 : clock_us() - silent_us;
	if (!look || ++l->cuts > (l->proven ? CUTS_MAX : 1)) {
		end(l, l->proven || !l->dialled ? LIFELINE_DEAD : LIFELINE_REFUSED, err);
		return;
	}
	l->again = true;
	l->err = err;
	if (l->dialled && !line_dial(l))
		return;
	line_close(l);
	l->state = l->dialled ? LIFELINE_DEAD : LIFELINE_CONNECTING;
	l->since_us = clock_us();
}

static void take_note_byte(struct lifeline *l, char byte)
{
	struct wire_note *note = &l->notes[l->note_count];

	l->in[l->in_bytes++] = (uint8_t)byte;
	if (l->in_bytes < sizeof(l->in))
		return;
	l->in_note = false;
	l->in_bytes = 0;
	if (l->note_count == LINE_NOTES)
		return;
	memcpy(note, l->in, sizeof(*note));
	l->note_count += wire_note_is_sane(note);
	l->woken = true;
}

/* Handles one received byte. False: the line has ended. */
static bool take_byte(struct lifeline *l, char byte)
{
	if (l->in_note) {
		take_note_byte(l, byte);
		return true;
	}
	switch (byte) {
	case LINE_NOTE: l->in_note = true; return true;
	case LINE_WAKE: l->woken = true; return true;
	case LINE_WELCOME:
		if (l->dialled) {
			l->proven = true;
			l->cuts = 0;
			return true;
		}
		break;
	case LINE_GOODBYE: end(l, LIFELINE_CLOSED, 0); return false;
	default: break;
	}
	end(l, l->dialled && !l->proven ? LIFELINE_REFUSED : LIFELINE_DEAD, EPROTO);
	return false;
}

static void alive_step(struct lifeline *l)
{
	char bytes[BYTES_A_STEP];
	ssize_t n = recv(l->fd, bytes, sizeof(bytes), MSG_DONTWAIT), i;

	l->more = n == sizeof(bytes);
	for (i = 0; i < n; i++)
		if (!take_byte(l, bytes[i]))
			return;
	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
		connection_ended(l, n ? errno : 0);
}

void line_step(struct lifeline *l)
{
	if (l->state == LIFELINE_ALIVE)
		alive_step(l);
	else if (l->state != LIFELINE_CONNECTING)
		return;
	else if (l->dialled)
		connecting_step(l);
	else if (!l->again)
		hello_step(l);
	else if (clock_us() - l->since_us > REDIALLED_US)
		end(l, LIFELINE_DEAD, l->err);
}

/* Sends the rest of the last message. True: all bytes have left. */
static bool send_out(struct lifeline *l)
{
	ssize_t n = 0;

	if (l->out_at < l->out_bytes)
		n = send(l->fd, l->out + l->out_at, l->out_bytes - l->out_at, MSG_NOSIGNAL | MSG_DONTWAIT);
	if (n > 0)
		l->out_at += (size_t)n;
	return l->out_at == l->out_bytes;
}

bool line_say(struct lifeline *l, char byte, const struct wire_note *note)
{
	if (!send_out(l))
		return false;
	l->out[0] = (uint8_t)byte;
	l->out_at = 0;
	l->out_bytes = 1;
	if (note) {
		memcpy(l->out + 1, note, sizeof(*note));
		l->out_bytes += sizeof(*note);
	}
	send_out(l);
	return l->out_at > 0;
}

void line_welcome(struct lifeline *l, struct lifeline *fresh)
{
	if (l != fresh) {
		line_close(l);
		l->fd = fresh->fd;
		fresh->fd = -1;
		l->in_note = false;
		l->in_bytes = l->out_at = l->out_bytes = 0;
		memcpy(l->here, fresh->here, sizeof(l->here));
		memcpy(l->there, fresh->there, sizeof(l->there));
	}
	l->state = LIFELINE_ALIVE;
	l->proven = true;
	l->again = false;
	l->cuts = 0;
	line_say(l, LINE_WELCOME, NULL);
}

/* Without a route, the kernel has chosen no address. */
static const char *here_text(const struct lifeline *l)
{
	return l->here[0] ? l->here : "this host";
}

static void heard_text(const struct lifeline *l, char *buf, size_t bytes)
{
	int64_t silent_us = sock_silent_us(l->state == LIFELINE_ALIVE ? l->fd : -1);

	if (silent_us < 0 && l->heard_us)
		silent_us = clock_us() - l->heard_us;
	buf[0] = 0;
	if (silent_us >= 0)
		snprintf(buf, bytes, ", last heard of %.1f s ago", (double)silent_us / 1e6);
}

static void dead_text(const struct lifeline *l, char *buf, size_t bytes, const char *heard)
{
	const char *meaning = ": the process has ended, or its host is cut off";

	if (!l->err)
		meaning = ": the process has ended";
	else if (l->err == EPROTO)
		meaning = ": bytes came that are not Weft's";
	else if (l->err == ETIMEDOUT || l->err == EHOSTUNREACH || l->err == ENETUNREACH)
		meaning = ": the host is down or cut off";
	else if (l->err == ECONNREFUSED)
		meaning = " when it was opened again after a cut: the process has ended, or a firewall rejects now";
	snprintf(buf, bytes, "the liveness connection from %s to %s has ended with %s%s%s", here_text(l), l->there,
		 l->err ? strerror(l->err) : "no goodbye", heard, meaning);
}

void line_evidence(const struct lifeline *l, char *buf, size_t bytes)
{
	const char *here = here_text(l);
	char heard[64];

	heard_text(l, heard, sizeof(heard));
	switch (l->state) {
	case LIFELINE_ALIVE:
		snprintf(buf, bytes, "%s the liveness connection from %s to %s is open%s",
			 l->proven ? "its process lives:" : "not certainly to this process,", here, l->there, heard);
		break;
	case LIFELINE_CLOSED:
		snprintf(buf, bytes, "it has said goodbye on the liveness connection from %s to %s", here, l->there);
		break;
	case LIFELINE_REFUSED:
		snprintf(buf, bytes, "the liveness connection from %s to %s can't be opened (%s)", here, l->there,
			 l->err ? strerror(l->err) : "closed at once by whoever is there");
		break;
	case LIFELINE_CONNECTING:
		snprintf(buf, bytes, "nothing has answered the liveness connection from %s to %s%s", here, l->there,
			 l->again ? ", which was cut before" : "");
		break;
	default: dead_text(l, buf, bytes, heard); break;
	}
}

void line_free(struct lifeline *l)
{
	list_remove(&l->link);
	line_close(l);
	free(l);
}

void line_look_at_some(struct list *lines, void (*look)(struct lifeline *l))
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

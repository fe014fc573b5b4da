/* SPDX-License-Identifier: Apache-2.0 */
/* The collectives of the star, and the detection of failed ranks. oob_meet.c connects the ranks. */
#include "oob_addr.h"
#include "oob_priv.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CHECK_EVERY_MS = 5, FAREWELL_MS = 1000, PIECE_BYTES = 8 << 20 };

int oob_rank(const struct oob *o)
{
	return o->rank;
}

int oob_nranks(const struct oob *o)
{
	return o->nranks;
}

const struct oob_peer *oob_peer(const struct oob *o, int rank)
{
	return &o->peers[rank];
}

const char *oob_error(const struct oob *o)
{
	return o->error;
}

int oob_error_status(const struct oob *o)
{
	return o->error_status;
}

/* The rank at the other end of a link: rank 0 has links to all ranks, the others to rank 0 only. */
static int first_link(const struct oob *o)
{
	return o->rank == 0 ? 1 : 0;
}

static int last_link(const struct oob *o)
{
	return o->rank == 0 ? o->nranks - 1 : 0;
}

static void tell_others(struct oob *o)
{
	struct oob_notice n = {.status = o->error_status};
	size_t bytes = offsetof(struct oob_notice, error) + strlen(o->error);

	memcpy(n.error, o->error, sizeof(n.error));
	for (int r = first_link(o); r <= last_link(o); r++)
		if (o->links[r].fd >= 0)
			(void)oob_link_send(&o->links[r], OOB_FAIL, &n, bytes, FAREWELL_MS);
}

/* Records a failure; only the first one is kept. */
__attribute__((format(printf, 3, 4))) static int give_up(struct oob *o, int status, const char *fmt, ...)
{
	va_list ap;

	if (*o->error)
		return -EPIPE;
	va_start(ap, fmt);
	vsnprintf(o->error, sizeof(o->error), fmt, ap);
	va_end(ap);
	o->error_status = status;
	tell_others(o);
	return -EPIPE;
}

void oob_fail(struct oob *o, int status, const char *reason)
{
	(void)give_up(o, status, "rank %d (%s, pid %d) failed: %s", o->rank, o->peers[o->rank].host,
		      o->peers[o->rank].pid, reason);
}

static int give_up_as_told(struct oob *o, const void *notice, size_t bytes)
{
	struct oob_notice n = {0};

	memcpy(&n, notice, bytes < sizeof(n) ? bytes : sizeof(n) - 1);
	return give_up(o, n.status, "%s", n.error);
}

void oob_describe_loss(const struct oob *o, int rank, char *buf, size_t buf_bytes)
{
	const struct oob_peer *who = &o->peers[rank];
	int error = o->links[rank].error;
	bool same_host = !strcmp(who->host, o->peers[o->rank].host);
	char name[128];

	snprintf(name, sizeof(name), "rank %d (%s, pid %d)", rank, who->host, who->pid);
	if (!error || ((error == ECONNRESET || error == EPIPE) && same_host))
		snprintf(buf, buf_bytes, "%s died", name);
	else if (error == ECONNRESET || error == EPIPE)
		snprintf(buf, buf_bytes, "%s died, or the network reset the connection to it", name);
	else if (error == ETIMEDOUT || error == EHOSTUNREACH || error == ENETUNREACH)
		snprintf(
			buf, buf_bytes,
			"no answer from %s for %d s: %s: its host is down, or the network that the ranks meet on is cut",
			name, OOB_SILENCE_S, strerror(error));
	else
		snprintf(buf, buf_bytes, "lost the connection to %s: %s", name, strerror(error));
}

/* Handles the frames that arrived on one link; `gone`: the connection has ended. */
static int take_notice(struct oob *o, int r, bool gone)
{
	const struct oob_peer *who = &o->peers[r];
	const void *notice;
	char text[384];
	size_t bytes;
	int err;

	notice = oob_link_find(&o->links[r], OOB_FAIL, &bytes, &err);
	if (notice)
		return give_up_as_told(o, notice, bytes);
	if (err)
		return give_up(o, 0, "rank %d (%s, pid %d) sent garbage", r, who->host, who->pid);
	if (!gone)
		return 0;
	if (oob_link_find(&o->links[r], OOB_LEAVE, &bytes, &err)) {
		o->left[r] = true;
		return 0;
	}
	oob_describe_loss(o, r, text, sizeof(text));
	return give_up(o, 0, "%s", text);
}

/* Waits up to timeout_ms for input on any link, and reads it. */
static int watch(struct oob *o, int timeout_ms)
{
	int n = 0, first = first_link(o), last = last_link(o);

	for (int r = first; r <= last; r++)
		o->polls[n++] = (struct pollfd){.fd = o->left[r] ? -1 : o->links[r].fd, .events = POLLIN};
	if (poll(o->polls, (nfds_t)n, timeout_ms) <= 0)
		return 0;
	for (int r = first; r <= last; r++) {
		int err;

		if (!o->polls[r - first].revents)
			continue;
		err = oob_link_fill(&o->links[r]);
		if (take_notice(o, r, err != 0))
			return -EPIPE;
	}
	return 0;
}

int oob_check(struct oob *o)
{
	int64_t now = oob_now_ms();

	if (*o->error)
		return -EPIPE;
	if (now < o->next_check_ms)
		return 0;
	o->next_check_ms = now + CHECK_EVERY_MS;
	return watch(o, 0);
}

int oob_await_cause(struct oob *o, int timeout_ms)
{
	int64_t now = oob_now_ms(), end = now + timeout_ms;

	for (; !*o->error && now < end; now = oob_now_ms())
		(void)watch(o, (int)(end - now));
	return *o->error ? -EPIPE : 0;
}

/* Blocks until the next contribution of rank r has arrived. NULL: a rank has failed. */
static const void *await_data(struct oob *o, int r, size_t expected_bytes)
{
	const void *data;
	size_t bytes;
	int err;

	while (!*o->error) {
		data = oob_link_find(&o->links[r], OOB_DATA, &bytes, &err);
		if (data && bytes == expected_bytes)
			return data;
		if (data)
			(void)give_up(o, 0, "rank %d takes part in another exchange than rank %d", r, o->rank);
		else if (o->left[r])
			(void)give_up(o, 0, "rank %d (%s, pid %d) left early", r, o->peers[r].host, o->peers[r].pid);
		else
			(void)watch(o, -1);
	}
	return NULL;
}

static int send_data(struct oob *o, int r, const void *data, size_t bytes)
{
	if (!oob_link_send(&o->links[r], OOB_DATA, data, bytes, -1))
		return 0;
	/* A last message of the rank, if any, is more specific than the broken connection. */
	(void)oob_link_fill(&o->links[r]);
	return take_notice(o, r, true);
}

/* The contributions of all ranks may exceed a frame together: they go in pieces. */
static size_t piece(size_t left)
{
	return left < PIECE_BYTES ? left : PIECE_BYTES;
}

static int send_all(struct oob *o, int r, const char *all, size_t left)
{
	size_t n;

	do {
		n = piece(left);
		if (send_data(o, r, all, n))
			return -EPIPE;
		all = n ? all + n : all;
		left -= n;
	} while (left);
	return 0;
}

static int await_all(struct oob *o, char *all, size_t left)
{
	const void *data;
	size_t n;

	do {
		n = piece(left);
		data = await_data(o, 0, n);
		if (!data)
			return -EPIPE;
		if (n)
			memcpy(all, data, n);
		oob_link_drop(&o->links[0], data);
		all = n ? all + n : all;
		left -= n;
	} while (left);
	return 0;
}

int oob_allgather(struct oob *o, const void *mine, size_t bytes, void *all)
{
	size_t total = bytes * (size_t)o->nranks;
	const void *data;

	if (*o->error)
		return -EPIPE;
	if (bytes)
		memmove((char *)all + bytes * (size_t)o->rank, mine, bytes);
	if (o->rank)
		return send_data(o, 0, mine, bytes) ? -EPIPE : await_all(o, all, total);
	for (int r = 1; r < o->nranks; r++) {
		data = await_data(o, r, bytes);
		if (!data)
			return -EPIPE;
		if (bytes)
			memcpy((char *)all + bytes * (size_t)r, data, bytes);
		oob_link_drop(&o->links[r], data);
	}
	for (int r = 1; r < o->nranks; r++)
		if (send_all(o, r, all, total))
			return -EPIPE;
	return 0;
}

int oob_barrier(struct oob *o)
{
	return oob_allgather(o, NULL, 0, NULL);
}

void oob_close(struct oob *o)
{
	if (!o)
		return;
	if (!*o->error)
		for (int r = first_link(o); r <= last_link(o); r++)
			if (o->links[r].fd >= 0)
				(void)oob_link_send(&o->links[r], OOB_LEAVE, NULL, 0, FAREWELL_MS);
	for (int r = 0; r < o->nranks; r++)
		oob_link_fini(&o->links[r]);
	free(o->links);
	free(o->peers);
	free(o->left);
	free(o->polls);
	free(o);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/text.h"
#include "observe/events.h"

/* An event with its record, and its time on the wall clock. */
struct moment {
	uint64_t wall_ns;
	const struct record *r;
	const struct record_event *e;
	const struct weft_stats_comm *comm; /* or NULL */
};

static const char *const kind_text[] = {
	"",	   "opened", "connected",   "asked",	   "cleared", "done",	   "refused", "failed",
	"stalled", "moved",  "comm failed", "peer closed", "closed",  "rail down", "rail up", "broken",
};

#define KINDS (sizeof(kind_text) / sizeof(kind_text[0]))

static int by_time(const void *a, const void *b)
{
	const struct moment *x = a, *y = b;

	if (x->wall_ns != y->wall_ns)
		return x->wall_ns < y->wall_ns ? -1 : 1;
	return x->e->place < y->e->place ? -1 : x->e->place > y->e->place;
}

/* Those of known kinds with a time. NULL: out of memory. */
static struct moment *merge(const struct snapshot *s, size_t *out_count)
{
	struct moment *list, *m;
	size_t i, j, n = 0;

	for (i = 0; i < s->count; i++)
		n += s->records[i]->event_count;
	list = m = calloc(n + 1, sizeof(*list));
	for (i = 0; list && i < s->count; i++) {
		const struct record *r = s->records[i];

		for (j = 0; j < r->event_count; j++) {
			const struct weft_stats_event *e = &r->events[j].e;

			if (!e->time || e->kind == WEFT_STATS_EV_NONE || e->kind >= KINDS)
				continue;
			*m++ = (struct moment){weft_stats_wall_ns(&r->head, e->time), r, &r->events[j],
					       e->comm == WEFT_STATS_NO_COMM ? NULL : record_comm(r, e->comm)};
		}
	}
	*out_count = (size_t)(m - list);
	if (list)
		qsort(list, *out_count, sizeof(*list), by_time);
	return list;
}

static const char *error_text(uint64_t value)
{
	return value > 0 && value < 4096 ? strerror((int)value) : "unknown error";
}

/* What the value of an event means. */
static void event_describe(const struct weft_stats_event *e, char *buf, size_t n)
{
	char amount[32];

	*buf = '\0';
	switch (e->kind) {
	case WEFT_STATS_EV_ASKED:
	case WEFT_STATS_EV_CLEARED:
	case WEFT_STATS_EV_DONE:
	case WEFT_STATS_EV_REFUSED:
	case WEFT_STATS_EV_STALLED:
		text_append(buf, n, "number %" PRIu32 ", %s", e->number,
			    text_from_bytes(e->value < INT64_MAX ? (int64_t)e->value : INT64_MAX, amount,
					    sizeof(amount)));
		break;
	case WEFT_STATS_EV_FAILED:
		text_append(buf, n, "number %" PRIu32 ": %s", e->number, error_text(e->value));
		break;
	case WEFT_STATS_EV_COMM_FAILED:
	case WEFT_STATS_EV_RAIL_DOWN:
	case WEFT_STATS_EV_BROKEN: text_append(buf, n, "%s", error_text(e->value)); break;
	case WEFT_STATS_EV_MOVED: text_append(buf, n, "after %" PRIu64 " ms", e->value); break;
	default: break;
	}
	if (e->peer_us)
		text_append(buf, n, ", waited %" PRIu32 " us for the peer", e->peer_us);
	if (e->wire_us)
		text_append(buf, n, ", %" PRIu32 " us on the wire", e->wire_us);
}

static void name_peer(const struct moment *m, char *buf, size_t n)
{
	if (m->comm)
		snprintf(buf, n, "%s %.40s:%" PRIu64, m->comm->direction == WEFT_STATS_SEND ? "to" : "from",
			 m->comm->host, m->comm->peer_pid);
	else
		snprintf(buf, n, "-");
}

int events_print(const struct snapshot *s, FILE *out)
{
	char clock[32], peer[96], what[160], rail[16];
	size_t i, n;
	struct moment *list = merge(s, &n);

	if (!list)
		return -ENOMEM;
	for (i = 0; i < n; i++) {
		const struct moment *m = &list[i];
		time_t seconds = (time_t)(m->wall_ns / 1000000000);
		struct tm tm;

		localtime_r(&seconds, &tm);
		strftime(clock, sizeof(clock), "%H:%M:%S", &tm);
		name_peer(m, peer, sizeof(peer));
		event_describe(&m->e->e, what, sizeof(what));
		rail[0] = '\0';
		if (m->e->e.rail != WEFT_STATS_NO_RAIL)
			snprintf(rail, sizeof(rail), "  rail %u", m->e->e.rail);
		fprintf(out, "%s.%09" PRIu64 "  %" PRIu64 "  %-24s  %-11s  %s%s\n", clock, m->wall_ns % 1000000000,
			m->r->head.pid, peer, kind_text[m->e->e.kind], what, rail);
	}
	free(list);
	return 0;
}

/* The thread of a trace that stands for a comm; 0 stands for the endpoints. */
static json_int_t lane(const struct moment *m)
{
	return m->e->e.comm == WEFT_STATS_NO_COMM ? 0 : m->e->e.comm + 1;
}

/* A wait as a pair of events, since several messages of a comm overlap. */
static void trace_wait(json_t *list, const struct moment *m, const char *name, double from_us, double to_us)
{
	char id[64];

	snprintf(id, sizeof(id), "%" PRIu64 ".%" PRIu64 ".%u.%" PRIu32, m->r->head.pid, m->e->endpoint, m->e->e.comm,
		 m->e->e.number);
	json_array_append_new(list,
			      json_pack("{s:s, s:s, s:s, s:s, s:f, s:I, s:I, s:{s:I}}", "ph", "b", "cat", "message",
					"name", name, "id", id, "ts", from_us, "pid", (json_int_t)m->r->head.pid, "tid",
					lane(m), "args", "bytes", (json_int_t)m->e->e.value));
	json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:s, s:f, s:I, s:I}", "ph", "e", "cat", "message",
					      "name", name, "id", id, "ts", to_us, "pid", (json_int_t)m->r->head.pid,
					      "tid", lane(m)));
}

static void trace_event(json_t *list, const struct moment *m)
{
	double us = (double)m->wall_ns / 1e3;
	char what[160];

	if (m->e->e.kind == WEFT_STATS_EV_DONE) {
		double posted = us - m->e->e.wire_us;

		if (m->e->e.peer_us)
			trace_wait(list, m, "waits for the peer", posted - m->e->e.peer_us, posted);
		trace_wait(list, m, "on the wire", posted, us);
		return;
	}
	event_describe(&m->e->e, what, sizeof(what));
	json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:f, s:I, s:I, s:{s:s}}", "ph", "i", "s", "t", "name",
					      kind_text[m->e->e.kind], "ts", us, "pid", (json_int_t)m->r->head.pid,
					      "tid", lane(m), "args", "what", what));
}

static void trace_name(json_t *list, const char *kind, const struct record *r, json_int_t tid, const char *name)
{
	json_array_append_new(list, json_pack("{s:s, s:s, s:I, s:I, s:{s:s}}", "ph", "M", "name", kind, "pid",
					      (json_int_t)r->head.pid, "tid", tid, "args", "name", name));
}

static void trace_names(json_t *list, const struct record *r)
{
	char name[256];
	size_t i;

	snprintf(name, sizeof(name), "%s rank %" PRId64 " on %s", r->head.command, r->head.rank, r->head.host);
	trace_name(list, "process_name", r, 0, name);
	trace_name(list, "thread_name", r, 0, "endpoints");
	for (i = 0; i < r->comm_count; i++) {
		const struct weft_stats_comm *c = &r->comms[i].c;

		snprintf(name, sizeof(name), "%s %s:%" PRIu64, c->direction == WEFT_STATS_SEND ? "to" : "from", c->host,
			 c->peer_pid);
		trace_name(list, "thread_name", r, (json_int_t)r->comms[i].index + 1, name);
	}
}

json_t *events_trace(const struct snapshot *s)
{
	json_t *list = json_array();
	size_t i, n;
	struct moment *moments = merge(s, &n);

	if (!moments || !list) {
		free(moments);
		json_decref(list);
		return NULL;
	}
	for (i = 0; i < s->count; i++)
		trace_names(list, s->records[i]);
	for (i = 0; i < n; i++)
		trace_event(list, &moments[i]);
	free(moments);
	return json_pack("{s:s, s:o}", "displayTimeUnit", "ms", "traceEvents", list);
}

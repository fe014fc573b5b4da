/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>

#include "observe/report.h"

/* Texts of a view are ASCII, which jansson need not check. json_pack() would cost more than all the rest. */
static void put(json_t *o, const char *key, json_t *value)
{
	json_object_set_new_nocheck(o, key, value);
}

static void put_text(json_t *o, const char *key, const char *text)
{
	put(o, key, json_string_nocheck(text));
}

static json_t *number(uint64_t n)
{
	return json_integer((json_int_t)(n < INT64_MAX ? n : INT64_MAX));
}

static void put_number(json_t *o, const char *key, uint64_t n)
{
	put(o, key, number(n));
}

static void put_real(json_t *o, const char *key, double x)
{
	put(o, key, json_real(x));
}

/* The words of a text that spaces separate. */
static json_t *word_list(const char *text)
{
	json_t *list = json_array();
	size_t n;

	for (; *text; text += n + (text[n] == ' ')) {
		n = strcspn(text, " ");
		if (n)
			json_array_append_new(list, json_stringn(text, n));
	}
	return list;
}

/* Without shares and times that do not apply. */
static void put_verdict(json_t *o, const struct verdict *v)
{
	put_text(o, "cause", cause_text(v->cause));
	put_text(o, "text", v->text);
	if (v->share > 0)
		put_real(o, "share", v->share);
	if (v->seconds > 0)
		put_real(o, "seconds", v->seconds);
	if (v->nic)
		put_text(o, "nic", v->nic);
}

static json_t *verdict_json(const struct verdict *v)
{
	json_t *o = json_object();

	put_verdict(o, v);
	put(o, "trouble", json_boolean(verdict_is_trouble(v)));
	return o;
}

static json_t *rail_json(const struct rail_view *r)
{
	json_t *o = json_object();

	put_text(o, "device", r->device);
	put_text(o, "name", r->name);
	put_number(o, "number", r->number);
	put_text(o, "address", r->address);
	put_text(o, "state", r->state == WEFT_STATS_RAIL_DOWN ? "down" : "up");
	put_text(o, "why_not", r->why);
	put_real(o, "speed_mbps", (double)r->nominal * 8 / 1e6);
	put_real(o, "seen_mbps", r->seen * 8 / 1e6);
	put_real(o, "tx_bytes_per_second", r->tx_rate);
	put_real(o, "rx_bytes_per_second", r->rx_rate);
	put(o, "verdict", verdict_json(&r->verdict));
	put(o, "speed_used", r->used < 0 ? json_null() : json_real(r->used));
	if (r->state == WEFT_STATS_RAIL_DOWN)
		put_real(o, "down_seconds", r->down_s);
	put_number(o, "tx_bytes", r->tx_bytes);
	put_number(o, "tx_messages", r->tx_messages);
	put_number(o, "rx_bytes", r->rx_bytes);
	put_number(o, "rx_messages", r->rx_messages);
	put_number(o, "posted", r->posted);
	put_number(o, "completed", r->completed);
	put_number(o, "refused", r->refused);
	put_number(o, "failed", r->failed);
	put_number(o, "in_flight", r->in_flight);
	put_number(o, "queue_depth", r->queue_depth);
	put_number(o, "outstanding_bytes", r->outstanding);
	return o;
}

/* Mean time of a wait in microseconds, and the histogram up to its last message: bucket i begins at 2^i us. */
static json_t *wait_json(const struct wait_view *w)
{
	json_t *o = json_object(), *buckets = json_array();
	int i, last = 0;

	for (i = 0; i < WEFT_STATS_BUCKETS; i++)
		last = w->us[i] ? i + 1 : last;
	for (i = 0; i < last; i++)
		json_array_append_new(buckets, number(w->us[i]));
	put_number(o, "messages", w->count);
	put_real(o, "mean_us", w->count ? (double)w->ns / 1e3 / (double)w->count : 0);
	put_real(o, "seconds", (double)w->ns / 1e9);
	put(o, "histogram_us", buckets);
	return o;
}

static json_t *peer_json(const struct peer_view *p)
{
	json_t *o = json_object();

	put_text(o, "host", p->host);
	put_number(o, "pid", p->pid);
	put_text(o, "address", p->address);
	put_text(o, "direction", p->direction == WEFT_STATS_SEND ? "send" : "receive");
	put_text(o, "protocol", p->protocol);
	put_number(o, "comms", p->comms);
	put_number(o, "open", p->open);
	put_number(o, "paths", p->paths);
	put_real(o, "bytes_per_second", p->rate);
	put_real(o, "messages_per_second", p->message_rate);
	put_number(o, "bytes", p->bytes);
	put_number(o, "messages", p->messages);
	put_number(o, "eager_messages", p->eager_messages);
	put_number(o, "eager_bytes", p->eager_bytes);
	put_number(o, "failed", p->failed);
	put_number(o, "outstanding", p->outstanding);
	put_real(o, "oldest_seconds", p->oldest_s);
	put(o, "waits_for_peer", wait_json(&p->peer));
	put(o, "on_the_wire", wait_json(&p->wire));
	put(o, "verdict", verdict_json(&p->verdict));
	return o;
}

json_t *report_process_json(const struct process_view *p)
{
	const struct weft_stats_head *h = &p->record->head;
	json_t *o = json_object(), *rails = json_array(), *peers = json_array();
	size_t i;

	for (i = 0; i < p->rail_count; i++)
		if (p->rails[i].state != WEFT_STATS_RAIL_CLOSED)
			json_array_append_new(rails, rail_json(&p->rails[i]));
	for (i = 0; i < p->peer_count; i++)
		json_array_append_new(peers, peer_json(&p->peers[i]));
	put_number(o, "pid", h->pid);
	put_text(o, "command", h->command);
	put_text(o, "state", record_life_text(p->record->life));
	put_text(o, "host", h->host);
	put(o, "rank", json_integer((json_int_t)h->rank));
	put(o, "world", json_integer((json_int_t)h->world));
	put(o, "local_rank", json_integer((json_int_t)h->local_rank));
	put_text(o, "launcher", h->launcher);
	put_text(o, "job", h->job);
	put_text(o, "pod", h->pod);
	put_text(o, "weft", h->weft);
	put_text(o, "libfabric", h->libfabric);
	put_text(o, "provider", h->provider);
	put(o, "devices", word_list(h->devices));
	put_text(o, "gpus", h->gpus);
	put_text(o, "record", p->record->path);
	put_number(o, "comms_lost", h->comms_lost);
	put_number(o, "rails_lost", h->rails_lost);
	put_real(o, "core_wait_share", p->core_share);
	put(o, "verdict", verdict_json(&p->verdict));
	put(o, "rails", rails);
	put(o, "peers", peers);
	return o;
}

/* A verdict of the list of troubles, with the process and the peer that it is about. */
static void trouble(json_t *list, const struct process_view *p, const struct peer_view *peer, const struct verdict *v)
{
	json_t *o;

	if (!verdict_is_trouble(v))
		return;
	o = json_object();
	put_verdict(o, v);
	put_number(o, "pid", p->record->head.pid);
	put(o, "rank", json_integer((json_int_t)p->record->head.rank));
	if (peer) {
		put_text(o, "peer_host", peer->host);
		put_number(o, "peer_pid", peer->pid);
		put_text(o, "direction", peer->direction == WEFT_STATS_SEND ? "send" : "receive");
	}
	json_array_append_new(list, o);
}

static json_t *troubles(const struct view *v)
{
	json_t *list = json_array();
	size_t i, j;

	for (i = 0; i < v->count; i++) {
		const struct process_view *p = &v->processes[i];

		trouble(list, p, NULL, &p->verdict);
		for (j = 0; j < p->rail_count; j++)
			trouble(list, p, NULL, &p->rails[j].verdict);
		for (j = 0; j < p->peer_count; j++)
			trouble(list, p, &p->peers[j], &p->peers[j].verdict);
	}
	return list;
}

static json_t *refused_json(const struct snapshot *s)
{
	json_t *list = json_array();
	size_t i;

	for (i = 0; i < s->refused_count; i++) {
		json_t *o = json_object();

		put_text(o, "record", s->refused[i].path);
		put_text(o, "why_not", s->refused[i].why);
		json_array_append_new(list, o);
	}
	return list;
}

/* What jansson writes, part by part, many of one byte: a copy costs less than a call of stdio. */
struct sink {
	FILE *out;
	size_t flags;
	int depth, rc; /* of what is written now in the whole report */
	size_t bytes;
	char buf[16384];
};

static int sink_flush(struct sink *s)
{
	if (fwrite(s->buf, 1, s->bytes, s->out) != s->bytes)
		s->rc = -EIO;
	s->bytes = 0;
	return s->rc;
}

/* A line break is never a part of a text: there it is an escape. */
static int sink_put(const char *text, size_t bytes, void *to)
{
	struct sink *s = to;
	int i, indent = *text == '\n' ? s->depth : 0;

	if (bytes + 2 * (size_t)indent > sizeof(s->buf) - s->bytes && sink_flush(s))
		return -1;
	if (bytes > sizeof(s->buf))
		return fwrite(text, 1, bytes, s->out) == bytes ? 0 : -1;
	memcpy(s->buf + s->bytes, text, bytes);
	s->bytes += bytes;
	for (i = 0; i < indent; i++) {
		s->buf[s->bytes++] = ' ';
		s->buf[s->bytes++] = ' ';
	}
	return 0;
}

static void sink_text(struct sink *s, const char *text)
{
	sink_put(text, strlen(text), s);
}

/* Begins the next part, at this depth. */
static void sink_line(struct sink *s, int depth, const char *before)
{
	sink_text(s, before);
	s->depth = depth;
	if (!(s->flags & JSON_COMPACT))
		sink_text(s, "\n");
}

/* Frees the value: a report of the whole host in memory would cost as much as its text. */
static void sink_value(struct sink *s, json_t *value)
{
	if (!value || json_dump_callback(value, sink_put, s, s->flags | JSON_ENCODE_ANY))
		s->rc = s->rc ? s->rc : -ENOMEM;
	json_decref(value);
}

static void sink_name(struct sink *s, const char *before, const char *name)
{
	sink_line(s, 1, before);
	sink_text(s, "\"");
	sink_text(s, name);
	sink_text(s, s->flags & JSON_COMPACT ? "\":" : "\": ");
}

static void sink_member(struct sink *s, const char *before, const char *name, json_t *value)
{
	sink_name(s, before, name);
	sink_value(s, value);
}

int report_json(const struct view *v, size_t flags, FILE *out)
{
	struct sink s = {.out = out, .flags = flags};
	size_t i;

	sink_member(&s, "{", "weft", json_string_nocheck(PACKAGE_VERSION));
	sink_member(&s, ",", "time", json_real((double)v->snapshot->wall_ns / 1e9));
	sink_member(&s, ",", "seconds", v->seconds > 0 ? json_real(v->seconds) : json_null());
	sink_name(&s, ",", "processes");
	for (i = 0; i < v->count && !s.rc; i++) {
		sink_line(&s, 2, i ? "," : "[");
		sink_value(&s, report_process_json(&v->processes[i]));
	}
	if (v->count)
		sink_line(&s, 1, "");
	sink_text(&s, v->count ? "]" : "[]");
	sink_member(&s, ",", "refused", refused_json(v->snapshot));
	sink_member(&s, ",", "troubles", troubles(v));
	sink_line(&s, 0, "");
	sink_text(&s, "}\n");
	return sink_flush(&s);
}

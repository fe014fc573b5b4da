/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "observe/report.h"

static json_t *number(uint64_t n)
{
	return json_integer((json_int_t)(n < INT64_MAX ? n : INT64_MAX));
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
static json_t *verdict_json(const struct verdict *v)
{
	json_t *o = json_pack("{s:s, s:s, s:b}", "cause", cause_text(v->cause), "text", v->text, "trouble",
			      (int)verdict_is_trouble(v));

	if (v->share > 0)
		json_object_set_new(o, "share", json_real(v->share));
	if (v->seconds > 0)
		json_object_set_new(o, "seconds", json_real(v->seconds));
	if (v->nic)
		json_object_set_new(o, "nic", json_string(v->nic));
	return o;
}

static json_t *rail_json(const struct rail_view *r)
{
	json_t *o = json_pack("{s:s, s:s, s:o, s:s, s:s, s:s, s:f, s:f, s:f, s:f, s:o}", "device", r->device, "name",
			      r->name, "number", number(r->number), "address", r->address, "state",
			      r->state == WEFT_STATS_RAIL_DOWN ? "down" : "up", "why_not", r->why, "speed_mbps",
			      (double)r->nominal * 8 / 1e6, "seen_mbps", r->seen * 8 / 1e6, "tx_bytes_per_second",
			      r->tx_rate, "rx_bytes_per_second", r->rx_rate, "verdict", verdict_json(&r->verdict));
	json_t *counters =
		json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "tx_bytes", number(r->tx_bytes),
			  "tx_messages", number(r->tx_messages), "rx_bytes", number(r->rx_bytes), "rx_messages",
			  number(r->rx_messages), "posted", number(r->posted), "completed", number(r->completed),
			  "refused", number(r->refused), "failed", number(r->failed), "in_flight", number(r->in_flight),
			  "queue_depth", number(r->queue_depth), "outstanding_bytes", number(r->outstanding));

	json_object_set_new(o, "speed_used", r->used < 0 ? json_null() : json_real(r->used));
	if (r->state == WEFT_STATS_RAIL_DOWN)
		json_object_set_new(o, "down_seconds", json_real(r->down_s));
	json_object_update(o, counters);
	json_decref(counters);
	return o;
}

/* Mean time of a wait in microseconds, and the histogram up to its last message: bucket i begins at 2^i us. */
static json_t *wait_json(const struct wait_view *w)
{
	json_t *buckets = json_array();
	int i, last = 0;

	for (i = 0; i < WEFT_STATS_BUCKETS; i++)
		last = w->us[i] ? i + 1 : last;
	for (i = 0; i < last; i++)
		json_array_append_new(buckets, number(w->us[i]));
	return json_pack("{s:o, s:f, s:f, s:o}", "messages", number(w->count), "mean_us",
			 w->count ? (double)w->ns / 1e3 / (double)w->count : 0.0, "seconds", (double)w->ns / 1e9,
			 "histogram_us", buckets);
}

static json_t *peer_json(const struct peer_view *p)
{
	json_t *o =
		json_pack("{s:s, s:o, s:s, s:s, s:s, s:o, s:o, s:o, s:f, s:f}", "host", p->host, "pid", number(p->pid),
			  "address", p->address, "direction", p->direction == WEFT_STATS_SEND ? "send" : "receive",
			  "protocol", p->protocol, "comms", number(p->comms), "open", number(p->open), "paths",
			  number(p->paths), "bytes_per_second", p->rate, "messages_per_second", p->message_rate);
	json_t *more =
		json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:f, s:o, s:o, s:o}", "bytes", number(p->bytes), "messages",
			  number(p->messages), "eager_messages", number(p->eager_messages), "eager_bytes",
			  number(p->eager_bytes), "failed", number(p->failed), "outstanding", number(p->outstanding),
			  "oldest_seconds", p->oldest_s, "waits_for_peer", wait_json(&p->peer), "on_the_wire",
			  wait_json(&p->wire), "verdict", verdict_json(&p->verdict));

	json_object_update(o, more);
	json_decref(more);
	return o;
}

json_t *report_process_json(const struct process_view *p)
{
	const struct weft_stats_head *h = &p->record->head;
	json_t *rails = json_array(), *peers = json_array(), *o;
	size_t i;

	for (i = 0; i < p->rail_count; i++)
		json_array_append_new(rails, rail_json(&p->rails[i]));
	for (i = 0; i < p->peer_count; i++)
		json_array_append_new(peers, peer_json(&p->peers[i]));
	o = json_pack("{s:o, s:s, s:s, s:s, s:I, s:I, s:I, s:s, s:s, s:s}", "pid", number(h->pid), "command",
		      h->command, "state", record_life_text(p->record->life), "host", h->host, "rank",
		      (json_int_t)h->rank, "world", (json_int_t)h->world, "local_rank", (json_int_t)h->local_rank,
		      "launcher", h->launcher, "job", h->job, "pod", h->pod);
	json_object_set_new(o, "weft", json_string(h->weft));
	json_object_set_new(o, "libfabric", json_string(h->libfabric));
	json_object_set_new(o, "provider", json_string(h->provider));
	json_object_set_new(o, "devices", word_list(h->devices));
	json_object_set_new(o, "gpus", json_string(h->gpus));
	json_object_set_new(o, "record", json_string(p->record->path));
	json_object_set_new(o, "comms_lost", number(h->comms_lost));
	json_object_set_new(o, "rails_lost", number(h->rails_lost));
	json_object_set_new(o, "core_wait_share", json_real(p->core_share));
	json_object_set_new(o, "verdict", verdict_json(&p->verdict));
	json_object_set_new(o, "rails", rails);
	json_object_set_new(o, "peers", peers);
	return o;
}

/* A verdict of the list of troubles, with the process and the peer that it is about. */
static void trouble(json_t *list, const struct process_view *p, const struct peer_view *peer, const struct verdict *v)
{
	json_t *o;

	if (!verdict_is_trouble(v))
		return;
	o = verdict_json(v);
	json_object_del(o, "trouble");
	json_object_set_new(o, "pid", number(p->record->head.pid));
	json_object_set_new(o, "rank", json_integer((json_int_t)p->record->head.rank));
	if (peer) {
		json_object_set_new(o, "peer_host", json_string(peer->host));
		json_object_set_new(o, "peer_pid", number(peer->pid));
		json_object_set_new(o, "direction",
				    json_string(peer->direction == WEFT_STATS_SEND ? "send" : "receive"));
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

json_t *report_json(const struct view *v)
{
	json_t *processes = json_array(), *refused = json_array();
	size_t i;

	for (i = 0; i < v->count; i++)
		json_array_append_new(processes, report_process_json(&v->processes[i]));
	for (i = 0; i < v->snapshot->refused_count; i++)
		json_array_append_new(refused, json_pack("{s:s, s:s}", "record", v->snapshot->refused[i].path,
							 "why_not", v->snapshot->refused[i].why));
	return json_pack("{s:s, s:f, s:o, s:o, s:o, s:o}", "weft", PACKAGE_VERSION, "time",
			 (double)v->snapshot->wall_ns / 1e9, "seconds",
			 v->seconds > 0 ? json_real(v->seconds) : json_null(), "processes", processes, "refused",
			 refused, "troubles", troubles(v));
}

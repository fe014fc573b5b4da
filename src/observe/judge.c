/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "observe/judge.h"

#define STUCK_S	    3.0	  /* nothing moves for so long: stuck */
#define STILL_S	    0.5	  /* and for so long while a NIC is down */
#define YOUNG_S	    1.0	  /* a connection of less has begun just now, and nothing can be said yet */
#define LATE_GAP_S  2e-3  /* time per message from which on a receiver suspects the sender */
#define SLOW_WIRE_S 2e-3  /* per message */
#define SLOW_TIMES  20	  /* longer than the NIC's speed explains */
#define QUEUE_TIMES 16	  /* twice the messages of a send comm that NCCL has in flight */
#define FULL_SHARE  0.5	  /* of a NIC's speed, from which on it is no wonder that messages queue */
#define BUSY_SHARE  0.25  /* of a NIC's speed, from which on the sender does enough */
#define SLOW_NIC    125e6 /* bytes per second: slower than any NIC of a cluster */
#define IDLE_S	    1.0
#define FORGET_S    60.0 /* after which a failed and closed comm is history */

const char *cause_text(enum cause cause)
{
	static const char *const text[CAUSES] = {
		"fine",	     "idle",	    "closed",	     "connecting",   "behind",	  "both_wait",
		"host_busy", "sender_late", "receiver_late", "network_slow", "rail_down", "unanswered",
		"stuck",     "not_polling", "stopped",	     "failed",	     "peer_gone", "dead",
	};

	return text[cause];
}

void judge_say(struct verdict *v, enum cause cause, const char *fmt, ...)
{
	va_list ap;

	v->cause = cause;
	va_start(ap, fmt);
	vsnprintf(v->text, sizeof(v->text), fmt, ap);
	va_end(ap);
}

char *judge_duration(double seconds, char *buf, size_t buf_bytes)
{
	if (seconds < 0.001)
		snprintf(buf, buf_bytes, "%.0f us", seconds * 1e6);
	else if (seconds < 1)
		snprintf(buf, buf_bytes, "%.0f ms", seconds * 1e3);
	else if (seconds < 600)
		snprintf(buf, buf_bytes, "%.0f s", seconds);
	else
		snprintf(buf, buf_bytes, "%.0f min", seconds / 60);
	return buf;
}

/* The slow rail of the comm's device, or NULL. */
static const struct rail_view *slow_rail(const struct process_view *p, const struct weft_stats_comm *c)
{
	const struct weft_stats_endpoint *endpoint = record_endpoint(p->record, c->endpoint);
	size_t i;

	for (i = 0; endpoint && i < p->rail_count; i++)
		if (p->rails[i].verdict.cause == CAUSE_NETWORK_SLOW && !strcmp(p->rails[i].device, endpoint->device))
			return &p->rails[i];
	return NULL;
}

/* What the comm's device can and does, all its NICs together, in bytes per second. */
struct load {
	double speed; /* 0: a NIC does not report its own */
	double least; /* the same, but a NIC that reports none is as slow as NICs are */
	double tx;    /* sent by all processes of the host */
	double rx;    /* arrived at this process */
};

/* Not a NIC, but the host's memory: nothing is slow there. */
static bool within_host(const struct process_view *p, const struct rail_view *r)
{
	return !strncmp(p->record->head.provider, "shm", 3) || !strncmp(r->address, "127.", 4) ||
	       !strcmp(r->address, "::1");
}

static struct load device_load(const struct process_view *p, const struct weft_stats_comm *c)
{
	const struct weft_stats_endpoint *endpoint = record_endpoint(p->record, c->endpoint);
	struct load load = {0};
	bool known = true;
	size_t i;

	for (i = 0; endpoint && i < p->rail_count; i++) {
		const struct rail_view *r = &p->rails[i];

		if (r->state == WEFT_STATS_RAIL_CLOSED || strcmp(r->device, endpoint->device) != 0)
			continue;
		known &= r->used >= 0;
		load.speed += (double)r->nominal;
		load.least += r->used >= 0 || within_host(p, r) ? (double)r->nominal : SLOW_NIC;
		load.tx += r->host_tx_rate;
		load.rx += r->rx_rate;
	}
	if (!known)
		load.speed = 0;
	return load;
}

/* The NIC of the comm's endpoint that is down, or NULL. With several NICs, each message needs all of them. */
static const struct weft_stats_rail *down_rail(const struct process_view *p, const struct weft_stats_comm *c)
{
	size_t i;

	for (i = 0; i < p->record->rail_count; i++) {
		const struct weft_stats_rail *r = &p->record->rails[i].r;

		if (r->state == WEFT_STATS_RAIL_DOWN && r->endpoint == c->endpoint)
			return r;
	}
	return NULL;
}

static bool judge_rail_down(struct verdict *v, const struct process_view *p, const struct weft_stats_comm *c,
			    const char *what)
{
	const struct weft_stats_rail *r = down_rail(p, c);

	if (!r)
		return false;
	v->nic = r->name;
	judge_say(v, CAUSE_RAIL_DOWN, "%s: NIC %s is down", what, r->name);
	return true;
}

static bool peer_lost(uint64_t err)
{
	return err == ECONNRESET || err == EPIPE || err == ECONNABORTED || err == EHOSTUNREACH || err == ETIMEDOUT ||
	       err == ESHUTDOWN;
}

/* What is known of a lost peer: its own words, or the error here. */
static void say_lost(struct verdict *v, const struct weft_stats_comm *c, int err)
{
	v->told = c->peer_err || c->peer_closed;
	if (c->peer_err && c->peer_err < 4096)
		judge_say(v, CAUSE_FAILED, "failed: the peer says that its half has: %s", strerror((int)c->peer_err));
	else if (c->peer_closed)
		judge_say(v, CAUSE_PEER_GONE, "peer gone: it has closed its half before all was done");
	else
		judge_say(v, CAUSE_PEER_GONE, "peer gone: %s", strerror(err));
}

static bool judge_failed(struct verdict *v, const struct process_view *p, const struct weft_stats_comm *c)
{
	uint64_t since = weft_stats_ns(&p->record->head, c->since);
	int err = (int)(c->err < 4096 ? c->err : EIO);

	if (c->state != WEFT_STATS_FAILED && c->state != WEFT_STATS_FAILED_CLOSED)
		return false;
	v->seconds = p->now_ns > since ? (double)(p->now_ns - since) / 1e9 : 0;
	if (c->state == WEFT_STATS_FAILED_CLOSED && p->record->life != RECORD_DEAD && v->seconds > FORGET_S)
		judge_say(v, CAUSE_CLOSED, "failed and closed");
	else if (judge_rail_down(v, p, c, "failed"))
		return true;
	else if (peer_lost((uint64_t)err))
		say_lost(v, c, err);
	else
		judge_say(v, CAUSE_FAILED, "failed: %s", strerror(err));
	return true;
}

static bool judge_unconnected(struct verdict *v, const struct process_view *p, const struct weft_stats_comm *c)
{
	uint64_t since = weft_stats_ns(&p->record->head, c->since);
	char text[32];

	if (c->state == WEFT_STATS_CONNECTED)
		return false;
	if (c->state != WEFT_STATS_CONNECTING) {
		judge_say(v, CAUSE_CLOSED, c->state == WEFT_STATS_CLOSING ? "closing" : "closed");
		return true;
	}
	v->seconds = p->now_ns > since ? (double)(p->now_ns - since) / 1e9 : 0;
	judge_duration(v->seconds, text, sizeof(text));
	if (v->seconds >= STUCK_S)
		judge_say(v, CAUSE_UNANSWERED, "connecting for %s: the peer has not answered", text);
	else
		judge_say(v, CAUSE_CONNECTING, "connecting");
	return true;
}

/* The only one of several NICs of the comm's endpoint that has bytes in flight, or NULL. */
static const struct weft_stats_rail *holding_rail(const struct process_view *p, const struct weft_stats_comm *c)
{
	const struct weft_stats_rail *holds = NULL;
	size_t i, rails = 0, holding = 0;

	for (i = 0; i < p->record->rail_count; i++) {
		const struct weft_stats_rail *r = &p->record->rails[i].r;

		if (r->endpoint != c->endpoint || r->state != WEFT_STATS_RAIL_UP)
			continue;
		rails++;
		if (r->outstanding) {
			holds = r;
			holding++;
		}
	}
	return rails > 1 && holding == 1 ? holds : NULL;
}

static void judge_posted(struct verdict *v, const struct process_view *p, const struct weft_stats_comm *c,
			 const char *since)
{
	const struct weft_stats_rail *r = holding_rail(p, c);

	if (r)
		v->nic = r->name;
	judge_say(v, CAUSE_STUCK, "%s: posted%s%s, no completion", since, r ? " on NIC " : "", r ? r->name : "");
}

static bool judge_stuck(struct verdict *v, const struct process_view *p, const struct span *s)
{
	const struct weft_stats_comm *c = s->comm;
	char text[32], since[48];
	const char *what;

	v->seconds = s->oldest_s > s->waits_s ? s->oldest_s : s->waits_s;
	judge_duration(v->seconds, text, sizeof(text));
	snprintf(since, sizeof(since), "stuck for %s", text);
	if (v->seconds >= STILL_S && judge_rail_down(v, p, c, since))
		return true;
	if (v->seconds < STUCK_S) {
		v->seconds = 0;
		return false;
	}
	if (c->direction == WEFT_STATS_SEND && s->oldest_s >= s->waits_s) {
		judge_posted(v, p, c, since);
		return true;
	}
	if (c->direction == WEFT_STATS_SEND)
		what = "the receiver has not posted";
	else
		what = c->stall == WEFT_STATS_WAIT_WIRE ? "only a part has arrived" : "the sender has sent nothing";
	judge_say(v, CAUSE_STUCK, "%s: %s", since, what);
	return true;
}

/* What looks like a late peer may be this process's own wait for a core. */
static bool judge_held_up(struct verdict *v, struct process_view *p, bool held_up)
{
	if (!held_up)
		return false;
	p->held_up = true;
	v->share = p->core_share;
	judge_say(v, CAUSE_BEHIND, "held up: this process waits for a core %.0f %% of the time", 100 * p->core_share);
	return true;
}

static uint64_t all_messages(const struct span *s)
{
	return s->messages + s->eager_messages;
}

/* The part of the span's time that the wait of this process for a core explains. */
static double own_part(const struct process_view *p, const struct span *s)
{
	uint64_t messages = all_messages(s);

	return core_explains(p, (double)(messages ? messages : 1) / s->seconds);
}

static bool judge_receiver(struct verdict *v, struct process_view *p, const struct span *s)
{
	double waited = (double)s->long_ns / 1e9 + (s->waits_s > 5e-4 ? s->waits_s : 0);

	v->share = s->seconds > 0 ? waited / s->seconds : 0;
	if (v->share < LATE_SHARE)
		return false;
	if (v->share > 1)
		v->share = 1;
	if (judge_held_up(v, p, v->share - own_part(p, s) < LATE_SHARE))
		return true;
	judge_say(v, CAUSE_RECEIVER_LATE, "receiver late: %.0f %% of the time waits for its clear-to-send",
		  100 * v->share);
	return true;
}

/*
 * A message takes far longer than the NIC needs for it, and for all that may queue before it, or a rail of several is slow.
 * A NIC that is about full needs no other reason.
 */
static bool judge_wire(struct verdict *v, struct process_view *p, const struct span *s)
{
	const struct rail_view *slow = s->comm->paths > 1 && s->bytes ? slow_rail(p, s->comm) : NULL;
	struct load load = device_load(p, s->comm);
	double each, explained, times = QUEUE_TIMES * (double)p->sending;
	char takes[32], needs[32];

	if (slow) {
		v->share = slow->verdict.share;
		v->nic = slow->name;
		judge_say(v, CAUSE_NETWORK_SLOW, "network slow: NIC %s runs at %.2f of its fellows", slow->name,
			  v->share);
		return true;
	}
	if (!s->wire.count || !s->messages || load.speed <= 0 || load.tx >= FULL_SHARE * load.speed ||
	    (double)s->wire.ns / 1e9 < LATE_SHARE * s->seconds)
		return false;
	each = (double)s->wire.ns / 1e9 / (double)s->wire.count;
	explained = (double)s->bytes / (double)s->messages / load.speed;
	if (each < SLOW_WIRE_S || each < (times > SLOW_TIMES ? times : SLOW_TIMES) * explained)
		return false;
	if (judge_held_up(v, p, p->core_share >= CORE_SHARE))
		return true;
	v->share = explained / each;
	judge_say(v, CAUSE_NETWORK_SLOW, "network slow: a message takes %s on the wire, its NIC needs %s",
		  judge_duration(each, takes, sizeof(takes)), judge_duration(explained, needs, sizeof(needs)));
	return true;
}

/*
 * Receives are posted ahead, so that the wait alone says nothing: messages must also be rare, and little must
 * arrive at the device. Nothing else tells a late sender from a full NIC: both let messages arrive one by one, evenly.
 */
static bool judge_sender(struct verdict *v, struct process_view *p, const struct span *s)
{
	struct load load = device_load(p, s->comm);
	uint64_t messages = all_messages(s);

	v->share = s->seconds > 0 ? (double)s->long_ns / 1e9 / s->seconds : 0;
	if (v->share < LATE_SHARE || !messages || s->seconds / (double)messages < LATE_GAP_S)
		return false;
	if (v->share > 1)
		v->share = 1;
	v->starved = v->share - own_part(p, s) >= LATE_SHARE;
	if (load.rx > BUSY_SHARE * load.least)
		return false;
	if (judge_held_up(v, p, !v->starved))
		return true;
	judge_say(v, CAUSE_SENDER_LATE, "sender late: %.0f %% of the time waits for its data", 100 * v->share);
	return true;
}

static bool comm_idles(const struct process_view *p, const struct span *s, bool interval)
{
	uint64_t last = weft_stats_ns(s->head, s->comm->last);

	if (s->waits_s > 0 || s->oldest_s > 0)
		return false;
	if (interval)
		return !all_messages(s);
	return !(s->comm->messages + s->comm->eager_messages) ||
	       (p->record->life != RECORD_DEAD && last && (double)p->now_ns - (double)last > IDLE_S * 1e9);
}

/* The peer may have been told to start later, and the first messages carry its start. Little else may have been since. */
static bool comm_is_young(const struct process_view *p, const struct span *s)
{
	uint64_t since = weft_stats_ns(s->head, s->comm->since);

	if (p->before)
		return !s->whole;
	return (double)p->now_ns - (double)since < YOUNG_S * 1e9 || (s->seconds < YOUNG_S && s->left_out_s >= YOUNG_S);
}

/* A NIC is down, or has come back while messages of this span waited, which may be why they did. */
static bool outage_explains(const struct process_view *p, const struct span *s)
{
	uint64_t connected = weft_stats_ns(s->head, s->comm->since), back;
	size_t i;

	for (i = 0; p->before && i < p->record->rail_count; i++) {
		const struct weft_stats_rail *r = &p->record->rails[i].r;

		if (r->endpoint != s->comm->endpoint)
			continue;
		if (r->state == WEFT_STATS_RAIL_DOWN)
			return true;
		back = weft_stats_ns(s->head, r->since);
		if (r->state == WEFT_STATS_RAIL_UP && back > connected &&
		    (double)s->now_ns - (double)back < (s->seconds + s->longest_s) * 1e9)
			return true;
	}
	return false;
}

void judge_comm(struct verdict *v, struct process_view *p, const struct span *s)
{
	*v = (struct verdict){.cause = CAUSE_FINE, .text = "fine"};
	if (judge_failed(v, p, s->comm) || judge_unconnected(v, p, s->comm) || judge_stuck(v, p, s))
		return;
	if (comm_idles(p, s, p->before != NULL)) {
		judge_say(v, CAUSE_IDLE, "idle");
		return;
	}
	if (comm_is_young(p, s) || outage_explains(p, s)) {
		judge_say(v, CAUSE_FINE, "too early to say");
		return;
	}
	if (s->comm->direction == WEFT_STATS_SEND) {
		if ((s->wire.ns > s->peer.ns && judge_wire(v, p, s)) || judge_receiver(v, p, s) || judge_wire(v, p, s))
			return;
	} else if (judge_sender(v, p, s)) {
		return;
	}
	*v = (struct verdict){.cause = CAUSE_FINE, .text = "fine", .starved = v->starved};
}

/* Seconds since the endpoint of a comm that waits was last polled. */
static double unpolled(const struct process_view *p)
{
	const struct record *r = p->record;
	double longest = 0, age;
	size_t i;

	for (i = 0; i < r->comm_count; i++) {
		const struct weft_stats_comm *c = &r->comms[i].c;
		const struct weft_stats_endpoint *e = record_endpoint(r, c->endpoint);
		uint64_t now = e ? weft_stats_ns(&r->head, e->now) : 0;

		if (!e || !e->open || !now || now >= p->now_ns || c->state != WEFT_STATS_CONNECTED ||
		    (!c->asked && !weft_stats_in_flight(c)))
			continue;
		age = (double)(p->now_ns - now) / 1e9;
		longest = age > longest ? age : longest;
	}
	return longest;
}

void judge_process(struct process_view *p)
{
	struct verdict *v = &p->verdict;
	char text[32];

	switch (p->record->life) {
	case RECORD_DEAD: judge_say(v, CAUSE_DEAD, "killed: it has left its record behind"); return;
	case RECORD_STOPPED: judge_say(v, CAUSE_STOPPED, "stopped by a signal or a debugger"); return;
	case RECORD_FINISHED: judge_say(v, CAUSE_CLOSED, "finished"); return;
	case RECORD_UNKNOWN: judge_say(v, CAUSE_FINE, "of another host or container"); return;
	case RECORD_RUNNING: break;
	}
	v->seconds = unpolled(p);
	if (v->seconds >= STUCK_S) {
		judge_say(v, CAUSE_NOT_POLLING, "has not polled its network for %s",
			  judge_duration(v->seconds, text, sizeof(text)));
		return;
	}
	v->seconds = 0;
	judge_say(v, CAUSE_FINE, "running");
}

void judge_busy(struct process_view *p)
{
	if (!p->held_up || p->verdict.cause != CAUSE_FINE)
		return;
	p->verdict.share = p->core_share;
	judge_say(&p->verdict, CAUSE_HOST_BUSY, "this host is busy: the process waits for a core %.0f %% of the time",
		  100 * p->core_share);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "observe/blame.h"
#include "observe/judge.h"

static uint64_t gained(uint64_t now, uint64_t before)
{
	return now > before ? now - before : 0;
}

static const struct record *record_before(const struct snapshot *before, const struct record *r)
{
	size_t i;

	for (i = 0; before && i < before->count; i++)
		if (before->records[i]->head.pid == r->head.pid && before->records[i]->head.start == r->head.start)
			return before->records[i];
	return NULL;
}

/* The same comm in the earlier record, or NULL: it is new. */
static const struct weft_stats_comm *comm_before(const struct record *before, const struct record_comm *now)
{
	const struct weft_stats_comm *c = before ? record_comm(before, now->index) : NULL;

	return c && c->generation == now->c.generation ? c : NULL;
}

static const struct weft_stats_rail *rail_before(const struct record *before, const struct record_rail *now)
{
	size_t i;

	for (i = 0; before && i < before->rail_count; i++)
		if (before->rails[i].index == now->index)
			return before->rails[i].r.generation == now->r.generation ? &before->rails[i].r : NULL;
	return NULL;
}

static struct rail_view *view_rail(struct process_view *p, const char *device, const struct weft_stats_rail *r)
{
	struct rail_view *v;
	size_t i;

	for (i = 0; i < p->rail_count; i++) {
		v = &p->rails[i];
		if (v->number == r->number && !strcmp(v->name, r->name) && !strcmp(v->device, device))
			return v;
	}
	v = &p->rails[p->rail_count++];
	*v = (struct rail_view){.device = device,
				.name = r->name,
				.address = r->address,
				.why = "",
				.state = WEFT_STATS_RAIL_CLOSED,
				.number = r->number,
				.nominal = r->nominal,
				.used = r->assumed || !r->nominal ? -1 : 0};
	return v;
}

static void rail_add(struct rail_view *v, const struct weft_stats_rail *r, const struct weft_stats_rail *before,
		     double seconds)
{
	static const struct weft_stats_rail nothing;

	if (!before)
		before = &nothing;
	v->tx_bytes += r->tx_bytes;
	v->tx_messages += r->tx_messages;
	v->rx_bytes += r->rx_bytes;
	v->rx_messages += r->rx_messages;
	v->posted += r->posted;
	v->completed += r->completed;
	v->refused += r->refused;
	v->failed += r->failed;
	if (seconds > 0) {
		v->tx_rate += (double)gained(r->tx_bytes, before->tx_bytes) / seconds;
		v->rx_rate += (double)gained(r->rx_bytes, before->rx_bytes) / seconds;
	}
}

/* What a rail is now, which is nothing once it is closed. */
static void rail_add_state(struct rail_view *v, const struct weft_stats_rail *r, const struct weft_stats_rail *before,
			   double down_s)
{
	if (r->state == WEFT_STATS_RAIL_DOWN) {
		v->why = r->why;
		v->down_s = down_s > v->down_s ? down_s : v->down_s;
	}
	if (v->state != WEFT_STATS_RAIL_DOWN)
		v->state = (enum weft_stats_rail_state)r->state;
	v->in_flight += r->in_flight;
	v->queue_depth += r->queue_depth;
	v->outstanding += r->outstanding;
	if (r->seen)
		v->seen += ((double)r->seen - v->seen) / (double)++v->measured;
	if (before && before->seen)
		v->seen_before += ((double)before->seen - v->seen_before) / (double)++v->measured_before;
}

static void add_rails(struct process_view *p, double seconds)
{
	const struct record *r = p->record;
	double life = p->now_ns > r->head.base_ns ? (double)(p->now_ns - r->head.base_ns) / 1e9 : 0;
	double span = seconds > 0 ? seconds : life;
	uint64_t since;
	size_t i;

	for (i = 0; i < r->rail_count; i++) {
		const struct weft_stats_rail *rail = &r->rails[i].r;
		const struct weft_stats_rail *before = seconds > 0 ? rail_before(p->before, &r->rails[i]) : NULL;
		const char *device = record_rail_device(r, i);
		struct rail_view *v;

		if (!*device) /* its endpoint was not there yet */
			continue;
		v = view_rail(p, device, rail);
		since = weft_stats_ns(&r->head, rail->since);
		rail_add(v, rail, before, span);
		if (rail->state == WEFT_STATS_RAIL_UP || rail->state == WEFT_STATS_RAIL_DOWN)
			rail_add_state(v, rail, before, p->now_ns > since ? (double)(p->now_ns - since) / 1e9 : 0);
	}
	for (i = 0; i < p->rail_count; i++) {
		struct rail_view *v = &p->rails[i];

		if (v->used >= 0)
			v->used = (v->tx_rate > v->rx_rate ? v->tx_rate : v->rx_rate) / (double)v->nominal;
	}
}

static const struct weft_stats_endpoint *endpoint_before(const struct record *before, const struct record_endpoint *now)
{
	const struct weft_stats_endpoint *e = before ? record_endpoint(before, now->index) : NULL;

	return e && e->generation == now->e.generation ? e : NULL;
}

/* The figures of the endpoint that is worst off: others may have nothing to do. */
static void measure_core(struct process_view *p, double seconds)
{
	const struct record *r = p->record;
	size_t i;

	if (!p->before)
		seconds = p->now_ns > r->head.base_ns ? (double)(p->now_ns - r->head.base_ns) / 1e9 : 0;
	for (i = 0; i < r->endpoint_count && seconds > 0; i++) {
		const struct weft_stats_endpoint *e = &r->endpoints[i].e,
						 *old = endpoint_before(p->before, &r->endpoints[i]);
		double waited = (double)gained(e->core_wait, old ? old->core_wait : 0) / 1e9;
		uint64_t runs = gained(e->core_runs, old ? old->core_runs : 0);

		if (waited / seconds <= p->core_share)
			continue;
		p->core_share = waited / seconds < 1 ? waited / seconds : 1;
		p->core_wait_s = waited / (double)(runs ? runs : 1);
	}
}

/* Finds peers by a hash of what names them: a process may have thousands. */
struct peer_index {
	size_t *first; /* 1 + index of a peer, or 0 */
	size_t *next;  /* the same, of each peer */
	size_t mask;
};

static int index_make(struct peer_index *x, size_t peers)
{
	size_t size = 16;

	while (size < peers)
		size *= 2;
	x->mask = size - 1;
	x->first = calloc(size, sizeof(*x->first));
	x->next = calloc(peers + 1, sizeof(*x->next));
	return x->first && x->next ? 0 : -1;
}

static void index_free(struct peer_index *x)
{
	free(x->first);
	free(x->next);
}

static size_t *index_place(const struct peer_index *x, const struct weft_stats_comm *c)
{
	uint64_t hash = (2 * c->peer_pid + c->direction) * UINT64_C(0x9e3779b97f4a7c15);

	return &x->first[(hash >> 32) & x->mask];
}

static struct peer_view *view_peer(struct process_view *p, const struct peer_index *x, const struct weft_stats_comm *c)
{
	size_t *place = index_place(x, c), at;
	struct peer_view *v;

	for (at = *place; at; at = x->next[at - 1]) {
		v = &p->peers[at - 1];
		if (v->pid == c->peer_pid && v->direction == c->direction && !strcmp(v->host, c->host))
			return v;
	}
	x->next[p->peer_count] = *place;
	*place = p->peer_count + 1;
	v = &p->peers[p->peer_count++];
	*v = (struct peer_view){.host = c->host,
				.address = c->address,
				.protocol = c->protocol,
				.pid = c->peer_pid,
				.direction = (enum weft_stats_direction)c->direction,
				.verdict = {.cause = CAUSE_FINE, .text = "fine"}};
	return v;
}

static void wait_add(struct wait_view *sum, const struct wait_view *w)
{
	int i;

	sum->ns += w->ns;
	sum->count += w->count;
	for (i = 0; i < WEFT_STATS_BUCKETS; i++)
		sum->us[i] += w->us[i];
}

static void peer_add(struct peer_view *v, const struct span *s, const struct verdict *verdict)
{
	const struct weft_stats_comm *c = s->comm;
	double oldest = s->oldest_s > s->waits_s ? s->oldest_s : s->waits_s;

	v->comms++;
	v->open += c->state == WEFT_STATS_CONNECTING || c->state == WEFT_STATS_CONNECTED;
	v->paths = c->paths > v->paths ? c->paths : v->paths;
	v->bytes += c->bytes;
	v->messages += c->messages;
	v->eager_messages += c->eager_messages;
	v->eager_bytes += c->eager_bytes;
	v->all_messages += c->messages + c->eager_messages;
	v->all_bytes += c->bytes + c->eager_bytes;
	v->failed += c->failed;
	v->outstanding += weft_stats_in_flight(c);
	v->starved |= verdict->starved;
	v->oldest_s = oldest > v->oldest_s ? oldest : v->oldest_s;
	if (s->seconds > 0) {
		v->rate += (double)(s->bytes + s->eager_bytes) / s->seconds;
		v->message_rate += (double)(s->messages + s->eager_messages) / s->seconds;
	}
	v->all_peer_ns += weft_stats_span_ns(s->head, c->peer_ticks);
	v->all_wire_ns += weft_stats_span_ns(s->head, c->wire_ticks);
	wait_add(&v->peer, &s->peer);
	wait_add(&v->wire, &s->wire);
	if (v->comms == 1 || verdict->cause > v->verdict.cause ||
	    (verdict->cause == v->verdict.cause &&
	     verdict->seconds + verdict->share > v->verdict.seconds + v->verdict.share))
		v->verdict = *verdict;
	/* A connection that works is no longer closed or idle. */
	if (verdict->cause == CAUSE_FINE && (v->verdict.cause == CAUSE_IDLE || v->verdict.cause == CAUSE_CLOSED))
		v->verdict = *verdict;
	if (verdict->cause == CAUSE_IDLE && v->verdict.cause == CAUSE_CLOSED)
		v->verdict = *verdict;
}

static void count_sends(struct process_view *p)
{
	const struct record *r = p->record;
	size_t i;

	for (i = 0; i < r->comm_count; i++) {
		const struct weft_stats_comm *c = &r->comms[i].c, *old;

		if (c->direction != WEFT_STATS_SEND || c->state != WEFT_STATS_CONNECTED)
			continue;
		old = comm_before(p->before, &r->comms[i]);
		p->sends++;
		p->sending += c->messages > (old ? old->messages : 0) || weft_stats_in_flight(c);
	}
}

static int add_peers(struct process_view *p, double seconds)
{
	const struct record *r = p->record;
	struct peer_index index;
	struct verdict verdict;
	struct span span;
	size_t i;
	int rc = index_make(&index, r->comm_count);

	for (i = 0; !rc && i < r->comm_count; i++) {
		const struct weft_stats_comm *c = &r->comms[i].c;

		if (c->direction != WEFT_STATS_SEND && c->direction != WEFT_STATS_RECV)
			continue;
		span_measure(&span, r, c, comm_before(p->before, &r->comms[i]), seconds);
		judge_comm(&verdict, p, &span);
		peer_add(view_peer(p, &index, c), &span, &verdict);
	}
	for (i = 0; i < p->peer_count; i++) {
		p->tx_rate += p->peers[i].direction == WEFT_STATS_SEND ? p->peers[i].rate : 0;
		p->rx_rate += p->peers[i].direction == WEFT_STATS_RECV ? p->peers[i].rate : 0;
		p->outstanding += p->peers[i].outstanding;
	}
	index_free(&index);
	return rc;
}

static int by_gravity(const void *a, const void *b)
{
	const struct peer_view *x = a, *y = b;

	if (x->verdict.cause != y->verdict.cause)
		return x->verdict.cause > y->verdict.cause ? -1 : 1;
	if (x->verdict.seconds + x->verdict.share != y->verdict.seconds + y->verdict.share)
		return x->verdict.seconds + x->verdict.share > y->verdict.seconds + y->verdict.share ? -1 : 1;
	if (x->rate != y->rate)
		return x->rate > y->rate ? -1 : 1;
	return strcmp(x->host, y->host);
}

/* The last sign of life of any endpoint. */
static uint64_t last_sign(const struct record *r)
{
	uint64_t ns, last = r->head.base_ns;
	size_t i;

	for (i = 0; i < r->endpoint_count; i++) {
		ns = weft_stats_ns(&r->head, r->endpoints[i].e.now);
		last = ns > last ? ns : last;
	}
	return last;
}

/* All but the peers. */
static int process_begin(struct process_view *p, const struct record *r, const struct record *before, double seconds,
			 uint64_t now_ns)
{
	bool here = r->life == RECORD_RUNNING || r->life == RECORD_STOPPED;

	*p = (struct process_view){.record = r, .before = before, .now_ns = here ? now_ns : last_sign(r)};
	p->rails = calloc(r->rail_count + 1, sizeof(*p->rails));
	p->peers = calloc(r->comm_count + 1, sizeof(*p->peers));
	if (!p->rails || !p->peers)
		return -1;
	count_sends(p);
	measure_core(p, before ? seconds : 0);
	add_rails(p, before ? seconds : 0);
	judge_rails(p);
	return 0;
}

static int process_end(struct process_view *p, double seconds)
{
	if (add_peers(p, p->before ? seconds : 0))
		return -1;
	qsort(p->peers, p->peer_count, sizeof(*p->peers), by_gravity);
	judge_process(p);
	return 0;
}

/* What the NIC sends for this process and for others, which name it alike. */
static double host_tx_rate(const struct view *v, const struct process_view *own, const struct rail_view *r)
{
	double sum = 0;
	size_t i, j;

	for (i = 0; i < v->count; i++) {
		const struct process_view *p = &v->processes[i];

		if (p != own && p->record->life != RECORD_RUNNING && p->record->life != RECORD_UNKNOWN)
			continue;
		for (j = 0; j < p->rail_count; j++)
			if (&p->rails[j] == r ||
			    (!strcmp(p->rails[j].name, r->name) && !strcmp(p->rails[j].address, r->address)))
				sum += p->rails[j].tx_rate;
	}
	return sum;
}

static void share_nics(struct view *v)
{
	size_t i, j;

	for (i = 0; i < v->count; i++)
		for (j = 0; j < v->processes[i].rail_count; j++)
			v->processes[i].rails[j].host_tx_rate =
				host_tx_rate(v, &v->processes[i], &v->processes[i].rails[j]);
}

static void count_troubles(struct view *v)
{
	size_t i, j;

	for (i = 0; i < v->count; i++) {
		struct process_view *p = &v->processes[i];

		qsort(p->peers, p->peer_count, sizeof(*p->peers), by_gravity);
		p->worst = p->verdict.cause;
		v->peers += p->peer_count;
		v->troubles += verdict_is_trouble(&p->verdict);
		for (j = 0; j < p->rail_count; j++) {
			v->troubles += verdict_is_trouble(&p->rails[j].verdict);
			p->worst = p->rails[j].verdict.cause > p->worst ? p->rails[j].verdict.cause : p->worst;
		}
		for (j = 0; j < p->peer_count; j++) {
			v->troubles += verdict_is_trouble(&p->peers[j].verdict);
			p->worst = p->peers[j].verdict.cause > p->worst ? p->peers[j].verdict.cause : p->worst;
		}
	}
}

static int add_processes(struct view *v, const struct snapshot *before)
{
	const struct snapshot *now = v->snapshot;
	size_t i;

	v->processes = calloc(now->count + 1, sizeof(*v->processes));
	if (!v->processes)
		return -ENOMEM;
	for (i = 0; i < now->count; i++) {
		v->count++;
		if (process_begin(&v->processes[i], now->records[i], record_before(before, now->records[i]), v->seconds,
				  now->ns))
			return -ENOMEM;
	}
	share_nics(v);
	for (i = 0; i < v->count; i++)
		if (process_end(&v->processes[i], v->seconds))
			return -ENOMEM;
	return 0;
}

struct view *view_make(const struct snapshot *before, const struct snapshot *now)
{
	struct view *v = calloc(1, sizeof(*v));

	if (!v)
		return NULL;
	v->snapshot = now;
	v->seconds = before ? (double)gained(now->ns, before->ns) / 1e9 : 0;
	if (add_processes(v, before)) {
		view_free(v);
		return NULL;
	}
	blame_follow(v);
	count_troubles(v);
	return v;
}

void view_free(struct view *v)
{
	size_t i;

	if (!v)
		return;
	for (i = 0; i < v->count && v->processes; i++) {
		free(v->processes[i].rails);
		free(v->processes[i].peers);
	}
	free(v->processes);
	free(v);
}

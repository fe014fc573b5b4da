/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "observe/metrics.h"
#include "observe/shown.h"

#define FIRST_BUCKET 2 /* histograms are exported in powers of four of microseconds, up to 2^26 us: 67 s */
#define LAST_BUCKET  26

/* A number of a struct: a uint64_t or a double, with the labels of its sample. */
struct field {
	const char *name, *type, *help, *labels;
	size_t offset;
	bool real;
	double scale;
};

#define PROCESS(member)	  offsetof(struct process_view, member), false, 1
#define RAIL(member)	  offsetof(struct rail_view, member), false, 1
#define RAIL_REAL(member) offsetof(struct rail_view, member), true, 1
#define PEER(member)	  offsetof(struct peer_view, member), false, 1
#define PEER_NS(member)	  offsetof(struct peer_view, member), false, 1e-9
#define PEER_REAL(member) offsetof(struct peer_view, member), true, 1

/* Fields of one name stand beside each other. */
static const struct field rail_fields[] = {
	{"weft_rail_bytes_total", "counter", "Bytes of messages that a NIC moved.", "direction=\"transmit\"",
	 RAIL(tx_bytes)},
	{"weft_rail_bytes_total", "counter", "", "direction=\"receive\"", RAIL(rx_bytes)},
	{"weft_rail_messages_total", "counter", "Messages, or stripes of them, that a NIC moved.",
	 "direction=\"transmit\"", RAIL(tx_messages)},
	{"weft_rail_messages_total", "counter", "", "direction=\"receive\"", RAIL(rx_messages)},
	{"weft_rail_operations_total", "counter", "Operations of a NIC by what became of them.", "result=\"posted\"",
	 RAIL(posted)},
	{"weft_rail_operations_total", "counter", "", "result=\"completed\"", RAIL(completed)},
	{"weft_rail_operations_total", "counter", "", "result=\"refused\"", RAIL(refused)},
	{"weft_rail_operations_total", "counter", "", "result=\"failed\"", RAIL(failed)},
	{"weft_rail_in_flight_operations", "gauge", "Operations that hold room in the completion queue.", "",
	 RAIL(in_flight)},
	{"weft_rail_queue_operations", "gauge", "Size of the completion queue.", "", RAIL(queue_depth)},
	{"weft_rail_outstanding_bytes", "gauge", "Bytes posted and not completed.", "", RAIL(outstanding)},
	{"weft_rail_speed_bytes_per_second", "gauge", "Speed that the NIC reports.", "", RAIL(nominal)},
	{"weft_rail_seen_bytes_per_second", "gauge", "Speed measured while busy; 0: not measured.", "",
	 RAIL_REAL(seen)},
	{"weft_rail_fellows_ratio", "gauge", "Speed relative to the other NICs of the device; 0: not measured.", "",
	 RAIL_REAL(verdict.share)},
};

static const struct field peer_fields[] = {
	{"weft_peer_bytes", "gauge", "Bytes moved over the connections that a peer has now.", "", PEER(all_bytes)},
	{"weft_peer_messages", "gauge", "Messages moved over the connections that a peer has now.", "",
	 PEER(all_messages)},
	{"weft_peer_bytes_per_second", "gauge", "Rate since the last scrape.", "", PEER_REAL(rate)},
	{"weft_peer_wait_seconds", "gauge", "Sum of the waits over the connections that a peer has now.",
	 "wait=\"peer\"", PEER_NS(all_peer_ns)},
	{"weft_peer_wait_seconds", "gauge", "", "wait=\"wire\"", PEER_NS(all_wire_ns)},
	{"weft_peer_outstanding_messages", "gauge", "Messages in flight.", "", PEER(outstanding)},
	{"weft_peer_oldest_message_seconds", "gauge", "Age of the oldest message in flight.", "", PEER_REAL(oldest_s)},
};

static const struct field process_fields[] = {
	{"weft_peers", "gauge", "Peers of a process, each direction counted.", "", PROCESS(peer_count)},
	{"weft_process_outstanding_messages", "gauge", "Messages of a process in flight, of all peers.", "",
	 PROCESS(outstanding)},
	{"weft_process_send_connections", "gauge", "Connected send comms of a process.", "", PROCESS(sends)},
};

/* Where the samples go. One thread writes them, so nothing is locked. */
struct sheet {
	const struct metrics_want *want;
	FILE *out;
	char **labels; /* of each process of the view: they stand in each of its samples */
	size_t closed; /* processes behind those of the view, of which only the verdict is written */
};

/* The head of a family, once. */
static void head(FILE *out, const char **last, const char *name, const char *type, const char *help)
{
	if (*last && !strcmp(*last, name))
		return;
	*last = name;
	fprintf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

/* The text of a record is ASCII without control characters. */
static void label(FILE *out, const char *name, const char *value)
{
	size_t n;

	fputs_unlocked(name, out);
	fputs_unlocked("=\"", out);
	for (;; value += n) {
		n = strcspn(value, "\"\\");
		fwrite_unlocked(value, 1, n, out);
		if (!value[n])
			break;
		putc_unlocked('\\', out);
		putc_unlocked(value[n++], out);
	}
	putc_unlocked('"', out);
}

/* The labels of one process; the caller frees them. NULL: out of memory. */
static char *process_labels_make(const struct weft_stats_head *h)
{
	char *text = NULL;
	size_t bytes;
	FILE *out = open_memstream(&text, &bytes);

	if (!out)
		return NULL;
	/* Processes of several containers may have one pid, so the host, which is the container's, is always named. */
	label(out, "host", h->host);
	fprintf(out, ",pid=\"%" PRIu64 "\"", h->pid);
	if (h->rank >= 0)
		fprintf(out, ",rank=\"%" PRId64 "\"", h->rank);
	if (*h->job) {
		fputc(',', out);
		label(out, "job_id", h->job);
	}
	if (!fclose(out))
		return text;
	free(text);
	return NULL;
}

static void labels_free(struct sheet *s)
{
	size_t i;

	for (i = 0; s->labels && i < s->want->view->count + s->closed; i++)
		free(s->labels[i]);
	free(s->labels);
}

static int labels_make(struct sheet *s)
{
	const struct view *v = s->want->view;
	size_t i;

	s->labels = calloc(v->count + s->closed + 1, sizeof(*s->labels));
	for (i = 0; s->labels && i < v->count + s->closed; i++) {
		s->labels[i] = process_labels_make(&v->processes[i].record->head);
		if (!s->labels[i])
			break;
	}
	return s->labels && i == v->count + s->closed ? 0 : -ENOMEM;
}

static void process_labels(const struct sheet *s, const struct process_view *p)
{
	fputs_unlocked(s->labels[p - s->want->view->processes], s->out);
}

static void peer_labels(const struct sheet *s, const struct process_view *p, const struct peer_view *peer)
{
	process_labels(s, p);
	fputc(',', s->out);
	label(s->out, "peer_host", peer->host);
	fprintf(s->out, ",peer_pid=\"%" PRIu64 "\",direction=\"%s\"", peer->pid,
		peer->direction == WEFT_STATS_SEND ? "send" : "receive");
}

static double field_value(const struct field *f, const void *of)
{
	double real;
	uint64_t n;

	if (f->real) {
		memcpy(&real, (const char *)of + f->offset, sizeof(real));
		return real;
	}
	memcpy(&n, (const char *)of + f->offset, sizeof(n));
	return (double)n * f->scale;
}

static void rail_labels(const struct sheet *s, const struct process_view *p, const struct rail_view *r)
{
	process_labels(s, p);
	fputc(',', s->out);
	label(s->out, "device", r->device);
	fputc(',', s->out);
	label(s->out, "nic", r->name);
}

/* A rail with the counts of its forerunners. */
static struct rail_view whole_rail(const struct sheet *s, const struct process_view *p, const struct rail_view *now)
{
	const struct weft_stats_rail *old =
		retired_rails(s->want->retired, p->record, now->device, now->name, now->number);
	struct rail_view r = *now;

	if (old) {
		r.tx_bytes += old->tx_bytes;
		r.tx_messages += old->tx_messages;
		r.rx_bytes += old->rx_bytes;
		r.rx_messages += old->rx_messages;
		r.posted += old->posted;
		r.completed += old->completed;
		r.refused += old->refused;
		r.failed += old->failed;
	}
	return r;
}

/* A NIC that no endpoint uses now has its counters only. */
static void write_rail_field(const struct sheet *s, const struct process_view *p, const struct rail_view *now,
			     const struct field *f)
{
	struct rail_view r = whole_rail(s, p, now);

	if (r.state == WEFT_STATS_RAIL_CLOSED && strcmp(f->type, "counter"))
		return;
	fprintf(s->out, "%s{", f->name);
	rail_labels(s, p, &r);
	fprintf(s->out, "%s%s} %.17g\n", *f->labels ? "," : "", f->labels, field_value(f, &r));
}

static void write_rail_metrics(const struct sheet *s)
{
	const struct view *v = s->want->view;
	const char *last = NULL;
	size_t f, i, j;

	for (f = 0; f < sizeof(rail_fields) / sizeof(rail_fields[0]); f++) {
		const struct field *field = &rail_fields[f];

		head(s->out, &last, field->name, field->type, field->help);
		for (i = 0; i < v->count; i++)
			for (j = 0; j < v->processes[i].rail_count; j++)
				write_rail_field(s, &v->processes[i], &v->processes[i].rails[j], field);
	}
	head(s->out, &last, "weft_rail_up", "gauge", "1: the NIC is in use; 0: it is down.");
	for (i = 0; i < v->count; i++)
		for (j = 0; j < v->processes[i].rail_count; j++) {
			if (v->processes[i].rails[j].state == WEFT_STATS_RAIL_CLOSED)
				continue;
			fputs("weft_rail_up{", s->out);
			rail_labels(s, &v->processes[i], &v->processes[i].rails[j]);
			fprintf(s->out, "} %d\n", v->processes[i].rails[j].state == WEFT_STATS_RAIL_UP);
		}
}

static void write_peers(const struct sheet *s)
{
	const struct view *v = s->want->view;
	const char *last = NULL;
	size_t f, i, j;

	for (f = 0; f < sizeof(peer_fields) / sizeof(peer_fields[0]); f++) {
		const struct field *field = &peer_fields[f];

		head(s->out, &last, field->name, field->type, field->help);
		for (i = 0; i < v->count; i++)
			for (j = 0; j < v->processes[i].peer_count && j < s->want->peers; j++) {
				const struct peer_view *peer = &v->processes[i].peers[j];

				fprintf(s->out, "%s{", field->name);
				peer_labels(s, &v->processes[i], peer);
				fprintf(s->out, "%s%s} %.17g\n", *field->labels ? "," : "", field->labels,
					field_value(field, peer));
			}
	}
	head(s->out, &last, "weft_peer_verdict", "gauge", "1: what is wrong with a peer, or that nothing is.");
	for (i = 0; i < v->count; i++)
		for (j = 0; j < v->processes[i].peer_count && j < s->want->peers; j++) {
			fputs("weft_peer_verdict{", s->out);
			peer_labels(s, &v->processes[i], &v->processes[i].peers[j]);
			fprintf(s->out, ",cause=\"%s\"} 1\n", cause_text(v->processes[i].peers[j].verdict.cause));
		}
}

/* The counts of all comms of one direction, also of retired ones. */
static struct weft_stats_comm sum_comms(const struct sheet *s, const struct process_view *p, uint64_t direction)
{
	const struct weft_stats_comm *old = retired_comms(s->want->retired, p->record, direction);
	struct weft_stats_comm sum = {0};
	size_t i;

	if (old)
		retired_add_comm(&sum, old);
	for (i = 0; i < p->record->comm_count; i++)
		if (p->record->comms[i].c.direction == direction)
			retired_add_comm(&sum, &p->record->comms[i].c);
	return sum;
}

static void write_histogram(const struct sheet *s, const struct process_view *p, const char *direction,
			    const char *wait, const uint64_t *us, uint64_t ticks)
{
	static const char name[] = "weft_wait_seconds";
	uint64_t sum = 0;
	int i;

	for (i = 0; i < WEFT_STATS_BUCKETS; i++) {
		sum += us[i];
		/* Bucket i ends at 2^(i + 1) us. */
		if (i + 1 < FIRST_BUCKET || i + 1 > LAST_BUCKET || (i + 1) % 2)
			continue;
		fprintf(s->out, "%s_bucket{", name);
		process_labels(s, p);
		fprintf(s->out, ",direction=\"%s\",wait=\"%s\",le=\"%.9g\"} %" PRIu64 "\n", direction, wait,
			(double)(UINT64_C(1) << (i + 1)) * 1e-6, sum);
	}
	fprintf(s->out, "%s_bucket{", name);
	process_labels(s, p);
	fprintf(s->out, ",direction=\"%s\",wait=\"%s\",le=\"+Inf\"} %" PRIu64 "\n%s_sum{", direction, wait, sum, name);
	process_labels(s, p);
	fprintf(s->out, ",direction=\"%s\",wait=\"%s\"} %.17g\n%s_count{", direction, wait,
		(double)retired_span_ns(s->want->retired, p->record, ticks) * 1e-9, name);
	process_labels(s, p);
	fprintf(s->out, ",direction=\"%s\",wait=\"%s\"} %" PRIu64 "\n", direction, wait, sum);
}

static void write_histograms(const struct sheet *s)
{
	const char *last = NULL;
	size_t i;

	head(s->out, &last, "weft_wait_seconds", "histogram",
	     "Times that messages waited: for the peer, and on the wire. Small messages that wait for nobody are left out.");
	for (i = 0; i < s->want->view->count; i++) {
		const struct process_view *p = &s->want->view->processes[i];
		struct weft_stats_comm tx = sum_comms(s, p, WEFT_STATS_SEND);
		struct weft_stats_comm rx = sum_comms(s, p, WEFT_STATS_RECV);

		write_histogram(s, p, "send", "peer", tx.peer_us, tx.peer_ticks);
		write_histogram(s, p, "send", "wire", tx.wire_us, tx.wire_ticks);
		write_histogram(s, p, "receive", "peer", rx.peer_us, rx.peer_ticks);
		write_histogram(s, p, "receive", "wire", rx.wire_us, rx.wire_ticks);
	}
}

static void write_counts(const struct sheet *s)
{
	static const char *const name[] = {"weft_messages_total", "weft_bytes_total", "weft_eager_messages_total",
					   "weft_failed_messages_total", "weft_stalls_total"};
	static const char *const help[] = {"Messages of a process.", "Bytes of a process's messages.",
					   "Messages that waited for nobody: a part of all.",
					   "Messages that completed with an error.",
					   "Messages that the watchdog has warned of."};
	const char *last = NULL;
	size_t i, k;
	int d;

	for (k = 0; k < sizeof(name) / sizeof(name[0]); k++) {
		head(s->out, &last, name[k], "counter", help[k]);
		for (i = 0; i < s->want->view->count; i++)
			for (d = WEFT_STATS_SEND; d <= WEFT_STATS_RECV; d++) {
				struct weft_stats_comm c = sum_comms(s, &s->want->view->processes[i], (uint64_t)d);
				uint64_t value[] = {c.messages + c.eager_messages, c.bytes + c.eager_bytes,
						    c.eager_messages, c.failed, c.stalls};

				fprintf(s->out, "%s{", name[k]);
				process_labels(s, &s->want->view->processes[i]);
				fprintf(s->out, ",direction=\"%s\"} %" PRIu64 "\n",
					d == WEFT_STATS_SEND ? "send" : "receive", value[k]);
			}
	}
}

static void write_info(const struct process_view *p, const struct sheet *s)
{
	const struct weft_stats_head *h = &p->record->head;
	const struct {
		const char *name, *value;
	} labels[] = {{"command", h->command},	 {"launcher", h->launcher},  {"pod", h->pod},
		      {"provider", h->provider}, {"devices", h->devices},    {"gpus", h->gpus},
		      {"weft", h->weft},	 {"libfabric", h->libfabric}};
	size_t i;

	fputs("weft_process_info{", s->out);
	process_labels(s, p);
	for (i = 0; i < sizeof(labels) / sizeof(labels[0]); i++) {
		fputc(',', s->out);
		label(s->out, labels[i].name, labels[i].value);
	}
	fputs("} 1\n", s->out);
}

/* Peers of one cause of trouble, over all peers, whatever --peers is. */
static void write_troubles(const struct process_view *p, const struct sheet *s)
{
	uint64_t n[CAUSES] = {0};
	size_t j;
	int c;

	for (j = 0; j < p->peer_count; j++)
		n[p->peers[j].verdict.cause]++;
	for (c = CAUSE_SENDER_LATE; c < CAUSES; c++) {
		fputs("weft_peers_in_trouble{", s->out);
		process_labels(s, p);
		fprintf(s->out, ",cause=\"%s\"} %" PRIu64 "\n", cause_text((enum cause)c), n[c]);
	}
}

static void write_processes(const struct sheet *s)
{
	const struct view *v = s->want->view;
	const char *last = NULL;
	size_t f, i;

	head(s->out, &last, "weft_process_info", "gauge", "What a process is; always 1.");
	for (i = 0; i < v->count; i++)
		write_info(&v->processes[i], s);
	head(s->out, &last, "weft_process_verdict", "gauge", "1: what is wrong with a process, or that nothing is.");
	for (i = 0; i < v->count + s->closed; i++) {
		fputs("weft_process_verdict{", s->out);
		process_labels(s, &v->processes[i]);
		fprintf(s->out, ",cause=\"%s\"} 1\n", cause_text(v->processes[i].verdict.cause));
	}
	for (f = 0; f < sizeof(process_fields) / sizeof(process_fields[0]); f++) {
		const struct field *field = &process_fields[f];

		head(s->out, &last, field->name, field->type, field->help);
		for (i = 0; i < v->count; i++) {
			fprintf(s->out, "%s{", field->name);
			process_labels(s, &v->processes[i]);
			fprintf(s->out, "} %.17g\n", field_value(field, &v->processes[i]));
		}
	}
	head(s->out, &last, "weft_peers_in_trouble", "gauge", "Peers of a process that are in trouble, by its cause.");
	for (i = 0; i < v->count; i++)
		write_troubles(&v->processes[i], s);
}

static int write_shown(const struct metrics_want *want, size_t closed, FILE *out)
{
	struct sheet s = {.want = want, .out = out, .closed = closed};
	int rc = labels_make(&s);

	if (!rc) {
		write_processes(&s);
		write_counts(&s);
		write_histograms(&s);
		write_rail_metrics(&s);
		write_peers(&s);
	}
	labels_free(&s);
	return rc;
}

int metrics_write(const struct metrics_want *want, FILE *out)
{
	struct metrics_want these = *want;
	const char *last = NULL;
	struct shown shown;
	int rc = shown_make(&shown, want->view);

	if (rc)
		return rc;
	these.view = &shown.view;
	rc = write_shown(&these, shown.closed, out);
	shown_free(&shown);
	if (rc)
		return rc;
	head(out, &last, "weft_records", "gauge", "Records of processes that were read.");
	fprintf(out, "weft_records %zu\n", want->view->snapshot->count);
	head(out, &last, "weft_records_refused", "gauge",
	     "Files among the records that were refused: weft-top says why.");
	fprintf(out, "weft_records_refused %zu\n", want->view->snapshot->refused_count);
	head(out, &last, "weft_exporter_read_seconds", "gauge", "Time that reading the records took.");
	fprintf(out, "weft_exporter_read_seconds %.6f\n", want->seconds);
	return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/text.h"
#include "observe/report.h"

#define NARROW 110 /* below this width a verdict has a line of its own */

struct page {
	struct report_lines *lines;
	int width;
	int err;
};

static void page_put(struct page *page, enum report_tone tone, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* Adds a line, cut to the width. */
static void page_put(struct page *page, enum report_tone tone, const char *fmt, ...)
{
	struct report_lines *lines = page->lines;
	struct report_line *more = reallocarray(lines->line, lines->count + 1, sizeof(*more));
	va_list ap;
	int n;

	if (!more) {
		page->err = -ENOMEM;
		return;
	}
	lines->line = more;
	more += lines->count;
	more->tone = tone;
	va_start(ap, fmt);
	n = vasprintf(&more->text, fmt, ap);
	va_end(ap);
	if (n < 0) {
		page->err = -ENOMEM;
		return;
	}
	if (n > page->width)
		more->text[page->width] = '\0';
	lines->count++;
}

/* "1.2 GB", "17 B": powers of 1000, as networks count. */
static char *amount(double v, char *buf, size_t buf_bytes)
{
	static const char unit[] = " kMGTP";
	int i = 0;

	while (v >= 999.5 && unit[i + 1]) {
		v /= 1000;
		i++;
	}
	if (!i)
		snprintf(buf, buf_bytes, "%.0f B", v);
	else
		snprintf(buf, buf_bytes, "%.*f %cB", v < 9.95 ? 1 : 0, v, unit[i]);
	return buf;
}

/* Mean of a wait: "310 us", "4.2 ms", "-": none. */
static char *mean(const struct wait_view *w, char *buf, size_t buf_bytes)
{
	double us = w->count ? (double)w->ns / 1e3 / (double)w->count : 0;

	if (!w->count)
		snprintf(buf, buf_bytes, "-");
	else if (us < 999.5)
		snprintf(buf, buf_bytes, "%.0f us", us);
	else if (us < 999500)
		snprintf(buf, buf_bytes, "%.*f ms", us < 9950 ? 1 : 0, us / 1e3);
	else
		snprintf(buf, buf_bytes, "%.1f s", us / 1e6);
	return buf;
}

static enum report_tone tone_of(const struct verdict *v)
{
	if (verdict_is_trouble(v))
		return REPORT_TROUBLE;
	return v->cause == CAUSE_IDLE || v->cause == CAUSE_CLOSED ? REPORT_FAINT : REPORT_PLAIN;
}

/* Does a verdict need a line of its own? */
static bool needs_line(const struct page *page, const struct verdict *v)
{
	return page->width < NARROW && strlen(v->text) > 20;
}

static void put_rail(struct page *page, const struct rail_view *r)
{
	char tx[32], rx[32], used[16] = "";
	bool own_line = needs_line(page, &r->verdict);

	if (r->used >= 0)
		snprintf(used, sizeof(used), "  %3.0f %%", r->used * 100);
	page_put(page, tone_of(&r->verdict), "  NIC %-14.14s %7s/s out %7s/s in%s  %4" PRIu64 " in flight  %s", r->name,
		 amount(r->tx_rate, tx, sizeof(tx)), amount(r->rx_rate, rx, sizeof(rx)), used, r->in_flight,
		 own_line ? "" : r->verdict.text);
	if (own_line)
		page_put(page, tone_of(&r->verdict), "       %s", r->verdict.text);
}

/* The peer's name ends with its pid, which must not be cut. */
static void put_peer(struct page *page, const struct peer_view *p)
{
	char name[128], rate[32], wait[32], wire[32];
	bool own_line = needs_line(page, &p->verdict);

	if (p->pid)
		snprintf(name, sizeof(name), "%.19s:%" PRIu64, *p->host ? p->host : "?", p->pid);
	else
		snprintf(name, sizeof(name), "%.19s", *p->host ? p->host : "not connected");
	page_put(page, tone_of(&p->verdict), "  %-4s %-27s %7s/s %7s %7s  %s",
		 p->direction == WEFT_STATS_SEND ? "to" : "from", name, amount(p->rate, rate, sizeof(rate)),
		 mean(&p->peer, wait, sizeof(wait)), mean(&p->wire, wire, sizeof(wire)),
		 own_line ? "" : p->verdict.text);
	if (own_line)
		page_put(page, tone_of(&p->verdict), "       %s", p->verdict.text);
}

static void put_process_title(struct page *page, const struct process_view *p)
{
	const struct weft_stats_head *h = &p->record->head;
	char title[512] = "", tx[32], rx[32];

	text_append(title, sizeof(title), "%" PRIu64 " %s", h->pid, h->command);
	if (h->rank >= 0)
		text_append(title, sizeof(title), "  rank %" PRId64, h->rank);
	if (h->rank >= 0 && h->world > 0)
		text_append(title, sizeof(title), "/%" PRId64, h->world);
	if (*h->job)
		text_append(title, sizeof(title), "  job %s", h->job);
	if (*h->pod)
		text_append(title, sizeof(title), "  pod %s", h->pod);
	text_append(title, sizeof(title), "  %s  %s/s out %s/s in", h->provider, amount(p->tx_rate, tx, sizeof(tx)),
		    amount(p->rx_rate, rx, sizeof(rx)));
	page_put(page, REPORT_TITLE, "%s", title);
	if (p->verdict.cause != CAUSE_FINE || p->record->life == RECORD_UNKNOWN)
		page_put(page, tone_of(&p->verdict), "  %s", p->verdict.text);
	if (h->comms_lost || h->rails_lost)
		page_put(page, REPORT_PLAIN,
			 "  %" PRIu64 " comms and %" PRIu64 " endpoints found no room in the record", h->comms_lost,
			 h->rails_lost);
}

/* Closed connections of a living process are history. */
static bool worth_showing(const struct process_view *p, const struct peer_view *peer)
{
	return peer->verdict.cause != CAUSE_CLOSED || p->record->life == RECORD_DEAD;
}

static void put_process(struct page *page, const struct process_view *p)
{
	size_t i, shown = 0;

	put_process_title(page, p);
	for (i = 0; i < p->rail_count; i++)
		if (p->rails[i].state != WEFT_STATS_RAIL_CLOSED)
			put_rail(page, &p->rails[i]);
	for (i = 0; i < p->peer_count; i++) {
		if (!worth_showing(p, &p->peers[i]))
			continue;
		if (!shown++)
			page_put(page, REPORT_FAINT, "  %-32s %9s %7s %7s  VERDICT", "PEER", "RATE", "WAITS", "WIRE");
		put_peer(page, &p->peers[i]);
	}
}

int report_process_text(const struct process_view *p, int width, struct report_lines *out)
{
	struct page page = {.lines = out, .width = width};

	report_lines_free(out);
	put_process(&page, p);
	return page.err;
}

static int by_worst(const void *a, const void *b)
{
	const struct process_view *x = *(const struct process_view *const *)a,
				  *y = *(const struct process_view *const *)b;
	bool bad_x = x->worst >= CAUSE_HOST_BUSY, bad_y = y->worst >= CAUSE_HOST_BUSY;

	if ((bad_x || bad_y) && x->worst != y->worst)
		return x->worst > y->worst ? -1 : 1;
	return x < y ? -1 : x > y;
}

static void put_head(struct page *page, const struct view *v)
{
	time_t now = (time_t)(v->snapshot->wall_ns / 1000000000);
	char clock[32], span[32] = "since the start";
	struct tm tm;

	localtime_r(&now, &tm);
	strftime(clock, sizeof(clock), "%H:%M:%S", &tm);
	if (v->seconds > 0)
		snprintf(span, sizeof(span), "in the last %.1f s", v->seconds);
	page_put(page, REPORT_TITLE, "weft-top %s  %zu process%s, %zu peer%s, %zu in trouble  %s", clock, v->count,
		 v->count == 1 ? "" : "es", v->peers, v->peers == 1 ? "" : "s", v->troubles, span);
}

int report_text(const struct view *v, int width, struct report_lines *out)
{
	struct page page = {.lines = out, .width = width};
	const struct process_view **order = calloc(v->count + 1, sizeof(const struct process_view *));
	size_t i;

	report_lines_free(out);
	if (!order)
		return -ENOMEM;
	for (i = 0; i < v->count; i++)
		order[i] = &v->processes[i];
	qsort(order, v->count, sizeof(*order), by_worst);
	put_head(&page, v);
	for (i = 0; i < v->snapshot->refused_count; i++)
		page_put(&page, REPORT_TROUBLE, "not read: %s: %s", v->snapshot->refused[i].why,
			 v->snapshot->refused[i].path);
	if (!v->count)
		page_put(&page, REPORT_PLAIN, "No process of yours uses Weft here with WEFT_STATS=1, its default.");
	for (i = 0; i < v->count; i++)
		put_process(&page, order[i]);
	free(order);
	return page.err;
}

void report_lines_free(struct report_lines *lines)
{
	size_t i;

	for (i = 0; i < lines->count; i++)
		free(lines->line[i].text);
	free(lines->line);
	*lines = (struct report_lines){0};
}

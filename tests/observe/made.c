/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "observe/made.h"

#define SECOND UINT64_C(1000000000)
#define ALL_S  100

static uint64_t now_of(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (uint64_t)ts.tv_sec * SECOND + (uint64_t)ts.tv_nsec;
}

static uint64_t start_of(uint64_t pid)
{
	char path[64], text[1024] = "", *p;
	uint64_t start = 0;
	int i;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%" PRIu64 "/stat", pid);
	f = fopen(path, "r");
	if (!f)
		return 1;
	i = (int)fread(text, 1, sizeof(text) - 1, f);
	fclose(f);
	text[i] = '\0';
	p = strrchr(text, ')');
	for (i = 2; p && i < 22; i++)
		p = strchr(p + 1, ' ');
	if (p)
		sscanf(p, " %" SCNu64, &start);
	return start;
}

static void name_boot(struct weft_stats_head *h)
{
	char text[64] = "";
	unsigned char id[16] = {0};
	size_t n = 0;
	const char *p;
	unsigned byte;
	struct stat st;
	FILE *f = fopen("/proc/sys/kernel/random/boot_id", "r");

	if (f && fgets(text, sizeof(text), f))
		for (p = text; n < sizeof(id) && sscanf(p, "%2x", &byte) == 1; p += 2 + (p[2] == '-'))
			id[n++] = (unsigned char)byte;
	if (f)
		fclose(f);
	memcpy(h->boot_id, id, sizeof(id));
	if (!stat("/proc/self/ns/pid", &st))
		h->pid_namespace = st.st_ino;
}

static void fill_head(struct made *m, const struct made_want *want, uint64_t file_bytes)
{
	struct weft_stats_head *h = m->head;
	uint64_t at = sizeof(*h);

	h->version = WEFT_STATS_VERSION;
	h->head_bytes = sizeof(*h);
	h->file_bytes = file_bytes;
	h->endpoints = (struct weft_stats_table){at, sizeof(struct weft_stats_endpoint), 2};
	at += 2 * sizeof(struct weft_stats_endpoint);
	h->rails = (struct weft_stats_table){at, sizeof(struct weft_stats_rail), 4};
	at += 4 * sizeof(struct weft_stats_rail);
	h->comms = (struct weft_stats_table){at, sizeof(struct weft_stats_comm), want->comms};
	at += (uint64_t)want->comms * sizeof(struct weft_stats_comm);
	h->events = (struct weft_stats_table){at, sizeof(struct weft_stats_event), 2 * MADE_EVENTS_EACH};
	h->events_each = MADE_EVENTS_EACH;
	h->pid = want->pid;
	h->start = want->start ? want->start : start_of(want->pid);
	h->uid = geteuid();
	name_boot(h);
	if (want->pid_namespace)
		h->pid_namespace = want->pid_namespace;
	h->base_ns = h->base_ticks = m->now - ALL_S * SECOND;
	h->base_wall = now_of(CLOCK_REALTIME) - ALL_S * SECOND;
	h->scale = UINT64_C(1) << 32;
	h->rank = 0;
	h->world = 2;
	h->local_rank = 0;
	strcpy(h->launcher, "slurm");
	strcpy(h->job, "4711");
	strcpy(h->command, "train");
	strcpy(h->weft, "0.1.0");
	strcpy(h->libfabric, "1.17");
	strcpy(h->provider, "tcp");
	strcpy(h->devices, "eth0");
	snprintf(h->host, sizeof(h->host), "%s", want->host);
	h->state = WEFT_STATS_LIVE;
	h->magic = WEFT_STATS_MAGIC;
}

static void fill_rails(struct made *m)
{
	int i;

	m->endpoint->generation = 2;
	m->endpoint->open = 1;
	m->endpoint->now = m->now;
	strcpy(m->endpoint->device, "eth0");
	for (i = 0; i < 2; i++) {
		struct weft_stats_rail *r = &m->rail[i];

		r->generation = 2;
		r->number = (uint64_t)i;
		r->since = m->now - ALL_S * SECOND;
		r->tx_bytes = r->rx_bytes = UINT64_C(50000000000);
		r->tx_messages = r->rx_messages = 50000;
		r->nominal = UINT64_C(12500000000);
		r->seen = UINT64_C(10000000000);
		r->queue_depth = 4096;
		snprintf(r->name, sizeof(r->name), "eth%d", i);
		snprintf(r->address, sizeof(r->address), "10.0.%d.1", i);
	}
}

int made_open(struct made *m, const struct made_want *want)
{
	uint64_t bytes = sizeof(struct weft_stats_head) + 2 * sizeof(struct weft_stats_endpoint) +
			 4 * sizeof(struct weft_stats_rail) + (uint64_t)want->comms * sizeof(struct weft_stats_comm) +
			 2 * MADE_EVENTS_EACH * sizeof(struct weft_stats_event);
	int fd;

	snprintf(m->path, sizeof(m->path), "%s/%" PRIu64 "-%" PRIu64 WEFT_STATS_SUFFIX, want->dir, want->pid,
		 want->start ? want->start : start_of(want->pid));
	fd = open(m->path, O_RDWR | O_CREAT | O_TRUNC, 0600);
	m->map = fd < 0 || ftruncate(fd, (off_t)bytes) ? MAP_FAILED
						       : mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (fd >= 0)
		close(fd);
	if (m->map == MAP_FAILED) {
		fprintf(stderr, "%s: %s\n", m->path, strerror(errno));
		return -1;
	}
	m->head = m->map;
	m->bytes = bytes;
	m->now = now_of(CLOCK_MONOTONIC);
	fill_head(m, want, bytes);
	m->endpoint = (void *)((char *)m->map + m->head->endpoints.offset);
	m->rail = (void *)((char *)m->map + m->head->rails.offset);
	m->comm = (void *)((char *)m->map + m->head->comms.offset);
	m->event = (void *)((char *)m->map + m->head->events.offset);
	fill_rails(m);
	return 0;
}

/* n messages that waited for `us` each. */
static void wait_for(uint64_t *hist, uint64_t *sum, uint64_t n, uint64_t us)
{
	int bucket = 0;

	while (us >> (bucket + 1))
		bucket++;
	hist[bucket] += n;
	*sum += n * us * 1000;
}

struct weft_stats_comm *made_comm(struct made *m, const struct made_want *want, uint32_t index, int direction)
{
	struct weft_stats_comm *c = &m->comm[index];

	c->direction = (uint64_t)direction;
	c->state = WEFT_STATS_CONNECTED;
	c->since = m->now - ALL_S * SECOND;
	c->id = 1000 + index;
	c->peer_pid = want->peer_pid;
	c->paths = 2;
	c->posted = c->messages = 100000;
	c->bytes = c->messages << 20;
	c->last = m->now + 3600 * SECOND; /* never idle, however slow the test is */
	wait_for(c->peer_us, &c->peer_ticks, c->messages, 3);
	wait_for(c->wire_us, &c->wire_ticks, c->messages, 150);
	strcpy(c->protocol, "rma");
	strcpy(c->address, "10.0.0.2");
	snprintf(c->host, sizeof(c->host), "%s", want->peer_host);
	c->generation = 2;
	return c;
}

/* All messages were eager, and none waited. */
static void only_small(struct weft_stats_comm *c)
{
	memset(c->peer_us, 0, sizeof(c->peer_us));
	memset(c->wire_us, 0, sizeof(c->wire_us));
	c->peer_ticks = c->wire_ticks = c->messages = c->bytes = 0;
	c->eager_messages = 2000;
	c->eager_bytes = c->eager_messages << 10;
	c->posted = c->direction == WEFT_STATS_RECV ? c->eager_messages : 0;
}

static void forget_waits(struct weft_stats_comm *c, uint64_t messages)
{
	memset(c->peer_us, 0, sizeof(c->peer_us));
	memset(c->wire_us, 0, sizeof(c->wire_us));
	c->peer_ticks = c->wire_ticks = 0;
	c->posted = c->messages = messages;
	c->bytes = messages << 20;
	wait_for(c->wire_us, &c->wire_ticks, messages, 150);
}

static void add_event(struct made *m, int kind, uint16_t comm, uint32_t number, uint64_t age_ns, uint64_t value)
{
	struct weft_stats_event *e = &m->event[m->endpoint->event_end++ % MADE_EVENTS_EACH];

	*e = (struct weft_stats_event){.time = m->now - age_ns,
				       .kind = (uint8_t)kind,
				       .rail = WEFT_STATS_NO_RAIL,
				       .comm = comm,
				       .number = number,
				       .value = value};
	if (kind == WEFT_STATS_EV_DONE) {
		e->peer_us = 50000;
		e->wire_us = 150;
	}
}

static void add_events(struct made *m)
{
	uint32_t i;

	add_event(m, WEFT_STATS_EV_OPENED, 0, 0, 9 * SECOND, 0);
	add_event(m, WEFT_STATS_EV_CONNECTED, 0, 0, 8 * SECOND, 2000);
	for (i = 0; i < 20; i++)
		add_event(m, WEFT_STATS_EV_DONE, 0, i, 7 * SECOND - i * SECOND / 10, 1 << 20);
	add_event(m, WEFT_STATS_EV_COMM_FAILED, 0, 0, SECOND, ECONNRESET);
}

static void scenario_small(struct made *m, struct weft_stats_comm *tx, struct weft_stats_comm *rx, const char *what)
{
	only_small(tx);
	only_small(rx);
	if (!strcmp(what, "-late")) {
		wait_for(rx->peer_us, &rx->peer_ticks, 1900, 50000);
	} else if (!strcmp(what, "-unsent")) {
		rx->posted++;
		rx->oldest_after = rx->eager_messages;
		rx->oldest = m->now - 41 * SECOND;
	} else if (!strcmp(what, "-stuck")) {
		tx->oldest_after = tx->eager_messages;
		tx->oldest = m->now - 41 * SECOND;
	} else if (!strcmp(what, "-quiet")) {
		m->endpoint->now = m->now - 20 * SECOND;
	}
}

/*
 * A second endpoint on the same NICs; it is closed, and its own entry another device's; its rails' entries are those of
 * a later endpoint, too.
 */
static void scenario_endpoint(struct made *m, const char *what)
{
	int i;

	m->endpoint[1] = m->endpoint[0];
	for (i = 2; i < 4; i++) {
		m->rail[i] = m->rail[i - 2];
		m->rail[i].endpoint = 1;
		if (!strcmp(what, "closed")) {
			m->rail[i].state = WEFT_STATS_RAIL_CLOSED;
			strcpy(m->endpoint[1].device, "eth9");
		} else if (!strcmp(what, "new")) {
			m->rail[i].generation += 2;
			m->rail[i].tx_bytes = m->rail[i].rx_bytes = 1000000000;
		}
	}
}

/* What the NICs do, and whether they report their speed. */
static void scenario_nics(struct made *m, const char *what)
{
	unsigned percent = !strcmp(what, "-full") ? 90 : !strcmp(what, "-shared") ? 30 : 4;
	int i;

	for (i = 0; i < 2; i++) {
		m->rail[i].tx_bytes = m->rail[i].nominal * ALL_S * percent / 100;
		m->rail[i].assumed = !strcmp(what, "-unknown");
	}
}

/* Large messages over the loopback, whose speed is not known. */
static void scenario_inside(struct made *m)
{
	int i;

	for (i = 0; i < 2; i++) {
		m->rail[i].rx_bytes *= 10;
		m->rail[i].assumed = 1;
		strcpy(m->rail[i].address, "127.0.0.1");
	}
}

/* Bursts at full speed, for a tenth of the time: seven comms have eight messages of 4 MiB in flight. */
static void scenario_queue(struct made *m, const struct made_want *want)
{
	uint32_t i;

	for (i = 0; i < 8; i++) {
		struct weft_stats_comm *c = made_comm(m, want, i, i == 1 ? WEFT_STATS_RECV : WEFT_STATS_SEND);

		forget_waits(c, 8500);
		c->bytes = c->messages << 22;
		wait_for(c->wire_us, &c->wire_ticks, i == 1 ? 0 : 8500, 9400);
	}
}

static void scenario_busy(struct made *m, const struct made_want *want)
{
	uint32_t i;

	for (i = 2; i < want->comms; i++) {
		struct made_want other = *want;

		other.peer_pid = want->peer_pid + i;
		made_comm(m, &other, i, i % 2 ? WEFT_STATS_RECV : WEFT_STATS_SEND)->posted += 2;
	}
}

int made_scenario(struct made *m, const struct made_want *want, const char *scenario)
{
	struct weft_stats_comm *tx = made_comm(m, want, 0, WEFT_STATS_SEND),
			       *rx = made_comm(m, want, 1, WEFT_STATS_RECV);

	add_events(m);
	if (!strcmp(scenario, "healthy") || !strcmp(scenario, "churn"))
		return 0;
	if (!strcmp(scenario, "closed")) {
		m->head->state = WEFT_STATS_CLOSED;
	} else if (!strcmp(scenario, "busy")) {
		scenario_busy(m, want);
	} else if (!strcmp(scenario, "no-speed")) {
		m->rail[1].assumed = 1;
	} else if (!strcmp(scenario, "idle")) {
		tx->last = rx->last = m->now - 20 * SECOND;
	} else if (!strcmp(scenario, "receiver-late")) {
		forget_waits(tx, 1840);
		wait_for(tx->peer_us, &tx->peer_ticks, 1840, 50000);
	} else if (!strcmp(scenario, "late-start")) { /* one long wait at the beginning is nobody's fault */
		forget_waits(tx, 1000);
		wait_for(tx->peer_us, &tx->peer_ticks, 1, 60000000);
	} else if (!strcmp(scenario, "started-early")) {
		forget_waits(tx, 4);
		tx->since = m->now - 3 * SECOND / 2;
		wait_for(tx->peer_us, &tx->peer_ticks, 3, 600000);
	} else if (!strncmp(scenario, "started-", 8)) { /* after 40 s of 60, or only now */
		forget_waits(tx, 1000);
		tx->since = m->now - (!strcmp(scenario, "started-now") ? 40 : 60) * SECOND;
		wait_for(tx->peer_us, &tx->peer_ticks, 1, 40000000);
		if (!strcmp(scenario, "started-slow"))
			wait_for(tx->peer_us, &tx->peer_ticks, 400, 50000);
	} else if (!strncmp(scenario, "sender-late", 11)) {
		scenario_nics(m, scenario + 11);
		forget_waits(rx, 1840);
		wait_for(rx->peer_us, &rx->peer_ticks, 1840, 50000);
		m->rail[0].rx_bytes = m->rail[1].rx_bytes = 1000000000;
		if (!strcmp(scenario + 11, "-inside"))
			scenario_inside(m);
	} else if (!strcmp(scenario, "slow-rail")) {
		m->rail[1].seen = m->rail[0].seen * 24 / 100;
	} else if (!strncmp(scenario, "slow-wire", 9)) {
		forget_waits(tx, 1000);
		wait_for(tx->wire_us, &tx->wire_ticks, 1000, 90000);
		scenario_nics(m, scenario + 9);
	} else if (!strcmp(scenario, "queue")) {
		scenario_queue(m, want);
	} else if (!strcmp(scenario, "full-unknown")) { /* 1 Gbit/s, eight receives posted */
		forget_waits(rx, 11300);
		wait_for(rx->peer_us, &rx->peer_ticks, 11300, 71000);
		scenario_nics(m, "-unknown");
		m->rail[0].rx_bytes = m->rail[1].rx_bytes = 5900000000;
	} else if (!strcmp(scenario, "rail-down")) {
		m->rail[1].state = WEFT_STATS_RAIL_DOWN;
		m->rail[1].since = m->now - 41 * SECOND;
		strcpy(m->rail[1].why, "the provider failed");
	} else if (!strcmp(scenario, "slower-clock")) {
		m->head->scale--;
	} else if (!strcmp(scenario, "nic-closed")) {
		m->rail[1].state = WEFT_STATS_RAIL_CLOSED;
	} else if (!strncmp(scenario, "endpoint-", 9)) {
		scenario_endpoint(m, scenario + 9);
	} else if (!strcmp(scenario, "stuck")) {
		tx->posted++;
		tx->oldest_after = tx->messages;
		tx->oldest = m->now - 41 * SECOND;
	} else if (!strcmp(scenario, "uncleared")) {
		tx->asked = m->now - 41 * SECOND;
	} else if (!strcmp(scenario, "waits") || !strcmp(scenario, "nic-back")) {
		tx->asked = m->now - 2 * SECOND;
		if (*scenario == 'n')
			m->rail[1].since = m->now - SECOND;
	} else if (!strcmp(scenario, "nic-lost")) {
		tx->asked = m->now - 3 * SECOND / 10;
		m->rail[1].state = WEFT_STATS_RAIL_DOWN;
		m->rail[1].since = m->now - 2 * SECOND / 10;
	} else if (!strcmp(scenario, "unsent")) {
		rx->posted++;
		rx->oldest_after = rx->messages;
		rx->oldest = m->now - 41 * SECOND;
	} else if (!strncmp(scenario, "small", 5)) {
		scenario_small(m, tx, rx, scenario + 5);
	} else if (!strcmp(scenario, "unpolled")) {
		tx->asked = m->now - 21 * SECOND;
		m->endpoint->now = m->now - 20 * SECOND;
	} else if (!strcmp(scenario, "gone")) {
		tx->state = WEFT_STATS_FAILED;
		tx->err = ECONNRESET;
	} else if (!strcmp(scenario, "left")) {
		tx->state = WEFT_STATS_FAILED;
		tx->err = ECONNRESET;
		tx->peer_closed = 1;
	} else if (!strcmp(scenario, "told")) {
		tx->state = WEFT_STATS_FAILED;
		tx->err = ECONNRESET;
		tx->peer_err = ENODEV;
	} else if (!strcmp(scenario, "failed")) {
		tx->state = WEFT_STATS_FAILED;
		tx->err = EMSGSIZE;
	} else if (!strcmp(scenario, "unanswered")) {
		tx->state = WEFT_STATS_CONNECTING;
		tx->since = m->now - 41 * SECOND;
	} else if (!strcmp(scenario, "control")) {
		strcpy(tx->host, "\x1b[31mred\x9b"
				 "1m\n");
		memset(m->head->command, 'x', sizeof(m->head->command));
	} else {
		return -1;
	}
	return 0;
}

void made_close(struct made *m)
{
	munmap(m->map, m->bytes);
}

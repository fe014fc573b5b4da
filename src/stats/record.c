/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The record's file: made with the first endpoint, mapped until the process ends, removed by exit(). The pages of an
 * entry are reserved before its first use, because a store into a full file system would be a SIGBUS.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/log.h"
#include "stats/internal.h"
#include "stats/stats.h"

#define ENDPOINTS   64
#define RAILS	    256
#define COMMS	    4096
#define EVENTS_EACH 4096
#define GROW_BYTES  65536 /* what is reserved of a table at a time */

/* The entries of one table. */
struct entries {
	struct weft_stats_table *table;
	uint64_t reserved; /* bytes from the start of the table that have pages */
	uint32_t next;	   /* where the search for a free entry begins: closed entries stay readable for long */
	uint32_t count;	   /* of used ones */
	uint8_t used[COMMS];
};

/* Everything under `lock`. `lock` is held for connects and closes only. */
static struct {
	pthread_mutex_t lock;
	bool tried; /* to make the file */
	struct weft_stats_head *head;
	uint64_t bytes;
	dev_t dev;
	ino_t ino;
	char path[PARAM_TEXT_BYTES + 64];
	struct entries endpoints, rails, comms;
	struct weft_stats_head alone; /* the clock, without a file */
} record = {.lock = PTHREAD_MUTEX_INITIALIZER};

_Static_assert(RAILS <= COMMS && ENDPOINTS <= COMMS && COMMS < WEFT_STATS_NO_COMM, "indices fit");
_Static_assert(offsetof(struct weft_stats_rail, failed) - offsetof(struct weft_stats_rail, tx_bytes) ==
		       offsetof(struct fab_counts, failed),
	       "fabric counts into the entry of a rail");

static uint64_t lay_out(struct weft_stats_head *h)
{
	uint64_t at = sizeof(*h);

	h->endpoints = (struct weft_stats_table){at, sizeof(struct weft_stats_endpoint), ENDPOINTS};
	at += ENDPOINTS * sizeof(struct weft_stats_endpoint);
	h->rails = (struct weft_stats_table){at, sizeof(struct weft_stats_rail), RAILS};
	at += RAILS * sizeof(struct weft_stats_rail);
	h->comms = (struct weft_stats_table){at, sizeof(struct weft_stats_comm), COMMS};
	at += COMMS * sizeof(struct weft_stats_comm);
	h->events = (struct weft_stats_table){at, sizeof(struct weft_stats_event), ENDPOINTS * EVENTS_EACH};
	h->events_each = EVENTS_EACH;
	return at + ENDPOINTS * EVENTS_EACH * sizeof(struct weft_stats_event);
}

/* Reserves pages of the file, which must still be the one that is mapped. */
static int reserve(uint64_t offset, uint64_t bytes)
{
	int fd = open(record.path, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC), ret = 0;
	struct stat st;

	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) || st.st_ino != record.ino || st.st_dev != record.dev)
		ret = -ESTALE;
	else
		ret = -posix_fallocate(fd, (off_t)offset, (off_t)bytes);
	close(fd);
	return ret;
}

/* A free entry of the table: its index, or -1. */
static int entry_take(struct entries *t)
{
	uint32_t i, n = t->table->entries;

	for (i = 0; i < n; i++) {
		uint32_t at = (t->next + i) % n;
		uint64_t end = (uint64_t)(at + 1) * t->table->entry_bytes;

		if (t->used[at])
			continue;
		if (end > t->reserved) {
			uint64_t all = (uint64_t)n * t->table->entry_bytes, more = t->reserved + GROW_BYTES;

			more = more < end ? end : more > all ? all : more;
			if (reserve(t->table->offset + t->reserved, more - t->reserved))
				return -1;
			t->reserved = more;
		}
		t->used[at] = 1;
		t->next = (at + 1) % n;
		return (int)at;
	}
	return -1;
}

static void *entry_at(const struct entries *t, int i)
{
	return (char *)record.head + t->table->offset + (uint64_t)i * t->table->entry_bytes;
}

/* Clears an entry, whose generation stays odd until entry_ready. */
static void entry_clear(void *entry, size_t bytes)
{
	uint64_t *generation = entry;

	/* An exchange, since what follows must not become visible before it. */
	__atomic_exchange_n(generation, (*generation | 1) + (*generation & 1 ? 2 : 0), __ATOMIC_ACQ_REL);
	memset(generation + 1, 0, bytes - sizeof(*generation));
}

static void entry_ready(void *entry)
{
	uint64_t *generation = entry;

	__atomic_store_n(generation, *generation + 1, __ATOMIC_RELEASE);
}

/* In a forked child: the file is the parent's. The mapping becomes memory that nobody reads. */
static void stats_in_child(void)
{
	pthread_mutex_init(&record.lock, NULL);
	if (record.head)
		mmap(record.head, record.bytes, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0);
	record.head = NULL;
	record.tried = false;
	record.path[0] = 0;
}

static void stats_before_fork(void)
{
	pthread_mutex_lock(&record.lock);
}

static void stats_in_parent(void)
{
	pthread_mutex_unlock(&record.lock);
}

static void stats_register_fork(void)
{
	pthread_atfork(stats_before_fork, stats_in_parent, stats_in_child);
}

void stats_prepare(void)
{
	static pthread_once_t fork_once = PTHREAD_ONCE_INIT;

	pthread_once(&fork_once, stats_register_fork);
}

/* A process that ends by itself leaves nothing. Threads of the provider may still write: the mapping stays. */
__attribute__((destructor)) static void stats_at_exit(void)
{
	bool locked = !pthread_mutex_trylock(&record.lock); /* another thread may have ended with it */

	if (record.head) {
		record.head->state = WEFT_STATS_CLOSED;
		unlink(record.path);
	}
	if (locked)
		pthread_mutex_unlock(&record.lock);
}

static int map_file(int fd)
{
	struct stat st;
	void *at;
	int ret;

	if (ftruncate(fd, (off_t)record.bytes) || fstat(fd, &st))
		return -errno;
	ret = -posix_fallocate(fd, 0, sizeof(struct weft_stats_head));
	if (ret)
		return ret;
	at = mmap(NULL, record.bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (at == MAP_FAILED)
		return -errno;
	record.dev = st.st_dev;
	record.ino = st.st_ino;
	record.head = at;
	return 0;
}

static void start_entries(struct entries *t, struct weft_stats_table *table)
{
	memset(t, 0, sizeof(*t));
	t->table = table;
}

static int make_file(int dir, const struct weft_stats_head *head, const char *name)
{
	bool locked;
	int fd, ret;

	unlinkat(dir, name, 0); /* an earlier boot had a process of this number and start */
	fd = openat(dir, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	ret = map_file(fd);
	locked = !flock(fd, LOCK_EX | LOCK_NB);
	close(fd);
	if (ret) {
		unlinkat(dir, name, 0);
		return ret;
	}
	*record.head = *head;
	record.head->locked = locked && stats_place_locked(dir, name);
	start_entries(&record.endpoints, &record.head->endpoints);
	start_entries(&record.rails, &record.head->rails);
	start_entries(&record.comms, &record.head->comms);
	stats_clock_start(record.head);
	return 0;
}

/* Makes the file. Returns 0, or a negative errno with a clause in `why`; `path` gets the directory. */
static int make_record(const struct conf *conf, char *path, size_t path_bytes, char *why, size_t why_bytes)
{
	struct weft_stats_head head = {.magic = WEFT_STATS_MAGIC,
				       .version = WEFT_STATS_VERSION,
				       .head_bytes = sizeof(head),
				       .state = WEFT_STATS_NEW};
	int dir = stats_place_open(conf, path, path_bytes, why, why_bytes), ret;
	char name[64];

	if (dir < 0)
		return dir;
	record.bytes = head.file_bytes = lay_out(&head);
	stats_process_fill(&head);
	stats_place_clean(dir, &head);
	snprintf(name, sizeof(name), "%" PRIu64 "-%" PRIu64 WEFT_STATS_SUFFIX, head.pid, head.start);
	snprintf(record.path, sizeof(record.path), "%s/%s", path, name);
	ret = make_file(dir, &head, name);
	if (ret) {
		record.path[0] = 0;
		snprintf(why, why_bytes, "the file cannot be made (%s)", strerror(-ret));
	}
	close(dir);
	return ret;
}

static void open_record(const struct conf *conf)
{
	char path[PARAM_TEXT_BYTES], why[200] = "";

	record.tried = true;
	stats_prepare();
	if (conf->stats && make_record(conf, path, sizeof(path), why, sizeof(why)))
		log_info("no record of this process in %s: %s (WEFT_STATS_DIR; WEFT_STATS=0 makes none)", path, why);
	if (!record.head)
		stats_clock_start(&record.alone);
}

const char *stats_path(void)
{
	return record.path;
}

/* Adds the name to a list with spaces, if it is not there yet. */
static void add_name(char *list, size_t bytes, const char *name)
{
	size_t len = strlen(name), at = strlen(list);
	const char *p;

	for (p = list; (p = strstr(p, name)); p += len)
		if ((p == list || p[-1] == ' ') && (!p[len] || p[len] == ' '))
			return;
	if (at + len + 2 <= bytes)
		snprintf(list + at, bytes - at, "%s%s", at ? " " : "", name);
}

static void open_rail(struct stats_ep *s, const struct dev *dev, int i)
{
	const struct fab_nic *nic = dev->rails[i];
	int mbps = nic->speed_mbps ? nic->speed_mbps : dev->speed_mbps / dev->rail_count;

	s->rails[i] = &s->no_rail[i];
	s->rail_index[i] = s->index < 0 ? -1 : entry_take(&record.rails);
	if (s->rail_index[i] < 0)
		return;
	s->rails[i] = entry_at(&record.rails, s->rail_index[i]);
	entry_clear(s->rails[i], sizeof(*s->rails[i]));
	s->rails[i]->endpoint = (uint64_t)s->index;
	s->rails[i]->number = (uint64_t)i;
	s->rails[i]->since = stats_now();
	s->rails[i]->nominal = (uint64_t)mbps * 125000;
	s->rails[i]->assumed = !dev_nic_mbps(nic);
	snprintf(s->rails[i]->name, sizeof(s->rails[i]->name), "%s", nic->name);
	snprintf(s->rails[i]->address, sizeof(s->rails[i]->address), "%.63s", nic->address);
	entry_ready(s->rails[i]);
}

static void open_endpoint(struct stats_ep *s, const struct dev *dev, uint32_t id)
{
	struct weft_stats_head *h = record.head;
	uint64_t events = EVENTS_EACH * sizeof(struct weft_stats_event);

	s->index = h ? entry_take(&record.endpoints) : -1;
	if (s->index >= 0 && reserve(h->events.offset + (uint64_t)s->index * events, events)) {
		record.endpoints.used[s->index] = 0;
		s->index = -1;
	}
	if (s->index < 0)
		return;
	s->at = entry_at(&record.endpoints, s->index);
	s->events = (struct weft_stats_event *)((char *)h + h->events.offset + (uint64_t)s->index * events);
	s->mask = EVENTS_EACH - 1;
	entry_clear(s->at, sizeof(*s->at));
	memset(s->events, 0, events);
	s->at->open = 1;
	s->at->now = stats_now();
	s->at->id = id;
	s->at->thread = (uint64_t)syscall(SYS_gettid);
	snprintf(s->at->device, sizeof(s->at->device), "%s", dev->nic->name);
	entry_ready(s->at);
	record.endpoints.count++;
	h->state = WEFT_STATS_LIVE;
	snprintf(h->provider, sizeof(h->provider), "%s", dev->nic->provider);
	add_name(h->devices, sizeof(h->devices), dev->nic->name);
}

void stats_ep_open(struct stats_ep *s, const struct conf *conf, const struct dev *dev, uint32_t id)
{
	bool lost;
	int i;

	memset(s, 0, sizeof(*s));
	s->at = &s->no_endpoint;
	s->events = &s->no_event;
	pthread_mutex_lock(&record.lock);
	if (!record.tried)
		open_record(conf);
	open_endpoint(s, dev, id);
	lost = s->index < 0;
	for (i = 0; i < dev->rail_count; i++) {
		open_rail(s, dev, i);
		lost |= s->rail_index[i] < 0;
	}
	if (record.head)
		record.head->rails_lost += lost;
	s->per_us = stats_clock_per_us(record.head ? record.head : &record.alone);
	s->late = (uint64_t)(WEFT_STATS_LATE_US * 18446744073709551616.0 / (double)s->per_us);
	pthread_mutex_unlock(&record.lock);
}

void stats_ep_close(struct stats_ep *s)
{
	int i;

	if (!s->at)
		return;
	pthread_mutex_lock(&record.lock);
	for (i = 0; i < DEV_RAILS_MAX && s->rails[i]; i++) {
		s->rails[i]->state = WEFT_STATS_RAIL_CLOSED;
		s->rails[i]->since = stats_now();
		if (record.head && s->rail_index[i] >= 0)
			record.rails.used[s->rail_index[i]] = 0;
	}
	s->at->open = 0;
	if (record.head && s->index >= 0) {
		record.endpoints.used[s->index] = 0;
		if (!--record.endpoints.count)
			record.head->state = WEFT_STATS_CLOSED;
	}
	pthread_mutex_unlock(&record.lock);
}

void stats_comm_name(struct stats_comm *c, const struct stats_names *names)
{
	c->at->peer_pid = names->pid;
	snprintf(c->at->protocol, sizeof(c->at->protocol), "%s", names->protocol);
	snprintf(c->at->host, sizeof(c->at->host), "%.63s", names->host);
	snprintf(c->at->address, sizeof(c->at->address), "%.63s", names->address);
}

void stats_comm_open(struct stats_comm *c, struct stats_ep *ep, enum weft_stats_direction direction, uint32_t id,
		     const struct stats_names *names)
{
	struct weft_stats_event done = {.kind = WEFT_STATS_EV_DONE};
	int i = -1;

	c->ep = ep;
	c->index = WEFT_STATS_NO_COMM;
	pthread_mutex_lock(&record.lock);
	if (record.head && ep->index >= 0) {
		i = entry_take(&record.comms);
		record.head->comms_lost += i < 0;
	}
	pthread_mutex_unlock(&record.lock);
	if (i >= 0) {
		c->at = entry_at(&record.comms, i);
		c->index = (uint16_t)i;
		entry_clear(c->at, sizeof(*c->at));
	} else {
		c->at = calloc(1, sizeof(*c->at)); /* the watchdog (comm/stall.c) needs it, too */
		if (!c->at)
			c->at = &ep->no_comm;
	}
	done.comm = c->index;
	memcpy(&c->done, (const char *)&done + offsetof(struct weft_stats_event, kind), sizeof(c->done));
	c->at->endpoint = (uint64_t)ep->index;
	c->at->direction = direction;
	c->at->since = stats_now();
	c->at->id = id;
	stats_comm_name(c, names);
	if (i >= 0)
		entry_ready(c->at);
	stats_note(ep, WEFT_STATS_EV_OPENED, c, 0, 0);
}

void stats_comm_close(struct stats_comm *c)
{
	if (!c->at)
		return;
	stats_comm_state(c, c->at->err ? WEFT_STATS_FAILED_CLOSED : WEFT_STATS_COMM_CLOSED, 0);
	pthread_mutex_lock(&record.lock);
	if (record.head && c->index != WEFT_STATS_NO_COMM)
		record.comms.used[c->index] = 0;
	pthread_mutex_unlock(&record.lock);
	if (c->index == WEFT_STATS_NO_COMM && c->at != &c->ep->no_comm)
		free(c->at);
	c->at = &c->ep->no_comm;
}

uint64_t stats_check(struct stats_ep *s)
{
	if (s->index >= 0 && record.head)
		stats_clock_refine(record.head);
	return s->at->now = stats_now();
}

void stats_note(struct stats_ep *s, enum weft_stats_event_kind kind, const struct stats_comm *comm, uint32_t number,
		uint64_t value)
{
	s->at->now = stats_now();
	stats_event(s, (struct weft_stats_event){.time = s->at->now,
						 .kind = (uint8_t)kind,
						 .rail = WEFT_STATS_NO_RAIL,
						 .comm = comm ? comm->index : WEFT_STATS_NO_COMM,
						 .number = number,
						 .value = value});
}

void stats_rail_down(struct stats_ep *s, int rail, int err, const char *why)
{
	struct weft_stats_rail *r = s->rails[rail];

	if (!r || r->state == WEFT_STATS_RAIL_DOWN)
		return;
	s->at->now = r->since = stats_now();
	snprintf(r->why, sizeof(r->why), "%.63s", why);
	__atomic_store_n(&r->state, WEFT_STATS_RAIL_DOWN, __ATOMIC_RELEASE);
	stats_event(s, (struct weft_stats_event){.time = r->since,
						 .kind = WEFT_STATS_EV_RAIL_DOWN,
						 .rail = (uint8_t)rail,
						 .comm = WEFT_STATS_NO_COMM,
						 .value = (uint64_t)-err});
}

void stats_rail_up(struct stats_ep *s, int rail)
{
	struct weft_stats_rail *r = s->rails[rail];

	if (!r || r->state != WEFT_STATS_RAIL_DOWN)
		return;
	s->at->now = r->since = stats_now();
	r->state = WEFT_STATS_RAIL_UP;
	r->why[0] = '\0';
	stats_event(s, (struct weft_stats_event){.time = r->since,
						 .kind = WEFT_STATS_EV_RAIL_UP,
						 .rail = (uint8_t)rail,
						 .comm = WEFT_STATS_NO_COMM});
}

void stats_comm_state(struct stats_comm *c, enum weft_stats_comm_state state, int err)
{
	static const uint8_t kinds[] = {
		[WEFT_STATS_CONNECTING] = WEFT_STATS_EV_OPENED,	   [WEFT_STATS_CONNECTED] = WEFT_STATS_EV_CONNECTED,
		[WEFT_STATS_COMM_CLOSED] = WEFT_STATS_EV_CLOSED,   [WEFT_STATS_FAILED] = WEFT_STATS_EV_COMM_FAILED,
		[WEFT_STATS_FAILED_CLOSED] = WEFT_STATS_EV_CLOSED,
	};

	if (err)
		c->at->err = (uint64_t)-err;
	if (kinds[state])
		stats_note(c->ep, kinds[state], c, 0, err ? (uint64_t)-err : c->at->peer_id);
	c->at->since = c->ep->at->now;
	__atomic_store_n(&c->at->state, state, __ATOMIC_RELEASE);
}

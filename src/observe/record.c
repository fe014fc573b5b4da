/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "observe/life.h"
#include "observe/record.h"
#include "observe/table.h"

#define EVENTS_EACH_MAX (UINT64_C(1) << 20)

#define clean(text) record_clean(text, sizeof(text))

const char *record_life_text(enum record_life life)
{
	static const char *const text[] = {"running", "stopped", "dead", "finished", "unknown"};

	return text[life];
}

void record_clean(char *text, size_t bytes)
{
	size_t i;

	text[bytes - 1] = '\0';
	for (i = 0; text[i]; i++)
		if (text[i] < ' ' || text[i] > '~')
			text[i] = '?';
}

const struct weft_stats_endpoint *record_endpoint(const struct record *r, uint64_t index)
{
	size_t i;

	for (i = 0; i < r->endpoint_count; i++)
		if (r->endpoints[i].index == index)
			return &r->endpoints[i].e;
	return NULL;
}

const char *record_rail_device(const struct record *r, size_t i)
{
	uint64_t index = r->rails[i].r.endpoint;
	const struct weft_stats_endpoint *endpoint = record_endpoint(r, index);
	size_t n;

	for (n = i + 1; n-- && r->rails[i].r.state == WEFT_STATS_RAIL_CLOSED;)
		if (r->rails[n].r.endpoint == index && !r->rails[n].r.number)
			return r->rails[n].r.name;
	return endpoint ? endpoint->device : "";
}

const struct weft_stats_comm *record_comm(const struct record *r, uint64_t index)
{
	size_t low = 0, high = r->comm_count;

	while (low < high) {
		size_t mid = (low + high) / 2;

		if (r->comms[mid].index == index)
			return &r->comms[mid].c;
		if (r->comms[mid].index < index)
			low = mid + 1;
		else
			high = mid;
	}
	return NULL;
}

static void clean_texts(struct record *r)
{
	struct weft_stats_head *h = &r->head;
	size_t i;

	clean(h->launcher);
	clean(h->job);
	clean(h->pod);
	clean(h->host);
	clean(h->command);
	clean(h->weft);
	clean(h->libfabric);
	clean(h->provider);
	clean(h->devices);
	clean(h->gpus);
	for (i = 0; i < r->endpoint_count; i++)
		clean(r->endpoints[i].e.device);
	for (i = 0; i < r->rail_count; i++) {
		clean(r->rails[i].r.why);
		clean(r->rails[i].r.name);
		clean(r->rails[i].r.address);
	}
	for (i = 0; i < r->comm_count; i++) {
		clean(r->comms[i].c.protocol);
		clean(r->comms[i].c.host);
		clean(r->comms[i].c.address);
	}
}

/* The whole events of one endpoint. The writer may overwrite the oldest ones while they are read. */
static int read_endpoint_events(int fd, const struct record *r, const struct record_endpoint *endpoint,
				struct table_items *items)
{
	const struct weft_stats_table *t = &r->head.events;
	uint64_t each = r->head.events_each, base = t->offset + endpoint->index * each * t->entry_bytes;
	uint64_t end = endpoint->e.event_end, first = end >= each ? end - each + 1 : 0, later, n;
	struct record_event *event;
	size_t begin = items->count, gone = 0;
	uint64_t end_offset = r->head.endpoints.offset + endpoint->index * r->head.endpoints.entry_bytes +
			      offsetof(struct weft_stats_endpoint, event_end);

	for (n = first; n < end; n++) {
		event = table_add(items);
		if (!event)
			return -ENOMEM;
		event->endpoint = endpoint->index;
		event->place = n;
		if (table_pread(fd, &event->e, sizeof(event->e), base + (n & (each - 1)) * t->entry_bytes))
			return -EIO;
	}
	if (table_pread(fd, &later, sizeof(later), end_offset))
		return -EIO;
	if (later < end || later - first < each)
		return 0;
	while (gone < items->count - begin && first + gone < later - each + 1)
		gone++;
	event = (struct record_event *)items->data + begin;
	memmove(event, event + gone, (items->count - begin - gone) * sizeof(*event));
	items->count -= gone;
	return 0;
}

static int read_events(int fd, struct record *r)
{
	struct table_items items = {.item_bytes = sizeof(struct record_event)};
	size_t i;
	int rc = r->head.events_each > EVENTS_EACH_MAX ? -EFBIG : 0;

	for (i = 0; !rc && i < r->endpoint_count; i++)
		rc = read_endpoint_events(fd, r, &r->endpoints[i], &items);
	r->events = items.data;
	r->event_count = items.count;
	return rc;
}

/* The comms before the rails: a comm fails after its rail went down, and the record must say why. */
static int read_tables(int fd, struct record *r, bool events)
{
	struct table_items endpoints = {0}, rails = {0}, comms = {0};
	int rc = table_read(fd, &r->head.endpoints, sizeof(struct weft_stats_endpoint), &endpoints);

	if (!rc)
		rc = table_read(fd, &r->head.comms, sizeof(struct weft_stats_comm), &comms);
	if (!rc)
		rc = table_read(fd, &r->head.rails, sizeof(struct weft_stats_rail), &rails);
	r->endpoints = endpoints.data;
	r->endpoint_count = endpoints.count;
	r->rails = rails.data;
	r->rail_count = rails.count;
	r->comms = comms.data;
	r->comm_count = comms.count;
	return rc || !events ? rc : read_events(fd, r);
}

/* Why the file is refused, or NULL. Its head goes to `head`. */
static const char *refusal(int fd, uid_t owner, struct weft_stats_head *head)
{
	struct stat st;

	if (fstat(fd, &st))
		return strerror(errno);
	if (!S_ISREG(st.st_mode))
		return "it is not a regular file";
	if (st.st_uid != owner)
		return "it belongs to another user";
	if (st.st_mode & (S_IWGRP | S_IWOTH))
		return "others may write to it";
	if (st.st_size < (off_t)sizeof(*head) || table_pread(fd, head, sizeof(*head), 0))
		return "it is no record of Weft";
	return weft_stats_check(head, (uint64_t)st.st_size);
}

static const char *open_error(int err)
{
	return err == ELOOP ? "it is a symbolic link" : strerror(err);
}

static struct record *record_load(int fd, uid_t owner, bool events, char *why)
{
	struct record *r = calloc(1, sizeof(*r));
	const char *no = r ? refusal(fd, owner, &r->head) : "out of memory";
	int rc;

	snprintf(why, RECORD_WHY_BYTES, "%s", no ? no : "");
	if (no || r->head.state == WEFT_STATS_NEW) {
		record_free(r);
		return NULL;
	}
	rc = read_tables(fd, r, events);
	if (rc) {
		snprintf(why, RECORD_WHY_BYTES, "%s",
			 rc == -EIO	? "it was truncated"
			 : rc == -EFBIG ? "its tables are too large"
					: strerror(-rc));
		record_free(r);
		return NULL;
	}
	clean_texts(r);
	r->life = life_of(&r->head, fd, &r->gone);
	return r;
}

struct record *record_read(int dir, const char *dir_name, const char *name, uid_t owner, bool events, char *why)
{
	int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
	struct record *r;

	if (fd < 0) {
		/* A record that has gone since its directory was read is none. */
		snprintf(why, RECORD_WHY_BYTES, "%s", errno == ENOENT && *dir_name ? "" : open_error(errno));
		return NULL;
	}
	r = record_load(fd, owner, events, why);
	close(fd);
	if (r && asprintf(&r->path, "%s%s%s", dir_name, *dir_name ? "/" : "", name) < 0) {
		r->path = NULL;
		record_free(r);
		snprintf(why, RECORD_WHY_BYTES, "out of memory");
		return NULL;
	}
	if (r)
		record_clean(r->path, strlen(r->path) + 1);
	return r;
}

void record_free(struct record *r)
{
	if (!r)
		return;
	free(r->path);
	free(r->endpoints);
	free(r->rails);
	free(r->comms);
	free(r->events);
	free(r);
}

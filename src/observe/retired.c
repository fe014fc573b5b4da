/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "observe/retired.h"

void retired_add_comm(struct weft_stats_comm *sum, const struct weft_stats_comm *c)
{
	int i;

	sum->messages += c->messages;
	sum->bytes += c->bytes;
	sum->eager_messages += c->eager_messages;
	sum->eager_bytes += c->eager_bytes;
	sum->failed += c->failed;
	sum->stalls += c->stalls;
	sum->peer_ticks += c->peer_ticks;
	sum->wire_ticks += c->wire_ticks;
	for (i = 0; i < WEFT_STATS_BUCKETS; i++) {
		sum->peer_us[i] += c->peer_us[i];
		sum->wire_us[i] += c->wire_us[i];
	}
}

void retired_add_rail(struct weft_stats_rail *sum, const struct weft_stats_rail *r)
{
	sum->tx_bytes += r->tx_bytes;
	sum->tx_messages += r->tx_messages;
	sum->rx_bytes += r->rx_bytes;
	sum->rx_messages += r->rx_messages;
	sum->posted += r->posted;
	sum->completed += r->completed;
	sum->refused += r->refused;
	sum->failed += r->failed;
}

static bool of_record(const struct retired *item, const struct record *r, enum retired_kind kind)
{
	return item->pid == r->head.pid && item->start == r->head.start && item->kind == kind;
}

static struct retired *find_comms(const struct retired_list *list, const struct record *r, uint64_t direction)
{
	size_t i;

	for (i = 0; i < list->count; i++)
		if (of_record(&list->item[i], r, RETIRED_COMMS) && list->item[i].c.direction == direction)
			return &list->item[i];
	return NULL;
}

static struct retired *find_rails(const struct retired_list *list, const struct record *r, const char *device,
				  const char *name, uint64_t number)
{
	size_t i;

	for (i = 0; i < list->count; i++) {
		struct retired *item = &list->item[i];

		if (of_record(item, r, RETIRED_RAIL) && item->r.number == number && !strcmp(item->r.name, name) &&
		    !strcmp(item->device, device))
			return item;
	}
	return NULL;
}

const struct weft_stats_comm *retired_comms(const struct retired_list *list, const struct record *r, uint64_t direction)
{
	const struct retired *item = find_comms(list, r, direction);

	return item ? &item->c : NULL;
}

const struct weft_stats_rail *retired_rails(const struct retired_list *list, const struct record *r, const char *device,
					    const char *name, uint64_t number)
{
	const struct retired *item = find_rails(list, r, device, name, number);

	return item ? &item->r : NULL;
}

static const struct retired *find_scale(const struct retired_list *list, const struct record *r)
{
	size_t i;

	for (i = 0; i < list->count; i++)
		if (of_record(&list->item[i], r, RETIRED_SCALE))
			return &list->item[i];
	return NULL;
}

uint64_t retired_span_ns(const struct retired_list *list, const struct record *r, uint64_t ticks)
{
	const struct retired *item = find_scale(list, r);
	struct weft_stats_head h = {.scale = item ? item->scale : r->head.scale};

	return weft_stats_span_ns(&h, ticks);
}

static struct retired *add_item(struct retired_list *list, const struct record *r, enum retired_kind kind)
{
	struct retired *more = reallocarray(list->item, list->count + 1, sizeof(*more));

	if (!more)
		return NULL;
	list->item = more;
	more += list->count++;
	*more = (struct retired){.pid = r->head.pid, .start = r->head.start, .kind = kind};
	return more;
}

static int keep_scale(struct retired_list *list, const struct record *before)
{
	struct retired *item;

	if (find_scale(list, before))
		return 0;
	item = add_item(list, before, RETIRED_SCALE);
	if (!item)
		return -ENOMEM;
	item->scale = before->head.scale;
	return 0;
}

static int retire_comm(struct retired_list *list, const struct record *before, const struct weft_stats_comm *c)
{
	struct retired *item = find_comms(list, before, c->direction);

	if (!item)
		item = add_item(list, before, RETIRED_COMMS);
	if (!item)
		return -ENOMEM;
	item->c.direction = c->direction;
	retired_add_comm(&item->c, c);
	return 0;
}

static int retire_rail(struct retired_list *list, const struct record *before, size_t i)
{
	const struct weft_stats_rail *r = &before->rails[i].r;
	const char *device = record_rail_device(before, i);
	struct retired *item = find_rails(list, before, device, r->name, r->number);

	if (!item)
		item = add_item(list, before, RETIRED_RAIL);
	if (!item)
		return -ENOMEM;
	snprintf(item->device, sizeof(item->device), "%s", device);
	memcpy(item->r.name, r->name, sizeof(item->r.name));
	item->r.number = r->number;
	retired_add_rail(&item->r, r);
	return 0;
}

static int retire_record(struct retired_list *list, const struct record *before, const struct record *now)
{
	size_t i, j = 0;
	int rc = keep_scale(list, before);

	for (i = 0; !rc && i < before->comm_count; i++) {
		const struct weft_stats_comm *c = &before->comms[i].c,
					     *still = record_comm(now, before->comms[i].index);

		if (!still || still->generation != c->generation)
			rc = retire_comm(list, before, c);
	}
	for (i = 0; !rc && i < before->rail_count; i++) {
		while (j < now->rail_count && now->rails[j].index < before->rails[i].index)
			j++;
		if (j == now->rail_count || now->rails[j].index != before->rails[i].index ||
		    now->rails[j].r.generation != before->rails[i].r.generation)
			rc = retire_rail(list, before, i);
	}
	return rc;
}

static const struct record *same_process(const struct snapshot *s, uint64_t pid, uint64_t start)
{
	size_t i;

	for (i = 0; i < s->count; i++)
		if (s->records[i]->head.pid == pid && s->records[i]->head.start == start)
			return s->records[i];
	return NULL;
}

int retired_update(struct retired_list *list, const struct snapshot *before, const struct snapshot *now)
{
	size_t i, kept = 0;
	int rc = 0;

	for (i = 0; i < list->count; i++)
		if (same_process(now, list->item[i].pid, list->item[i].start))
			list->item[kept++] = list->item[i];
	list->count = kept;
	for (i = 0; !rc && i < before->count; i++) {
		const struct record *r = before->records[i], *later = same_process(now, r->head.pid, r->head.start);

		if (later)
			rc = retire_record(list, r, later);
	}
	return rc;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Map from ids to pointers; see idmap.h. */
#include "base/idmap.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define GENERATION_MASK 0x3ffu
#define NO_SLOT		IDMAP_SLOTS_MAX

void idmap_init(struct idmap *m, uint32_t seed)
{
	memset(m, 0, sizeof(*m));
	m->free_head = NO_SLOT;
	m->generation = seed & GENERATION_MASK;
}

void idmap_fini(struct idmap *m)
{
	free(m->slots);
	idmap_init(m, m->generation);
}

static int grow(struct idmap *m)
{
	uint32_t capacity = m->capacity ? m->capacity * 2 : 16;
	struct idmap_slot *slots;
	uint32_t i;

	if (m->capacity >= IDMAP_SLOTS_MAX)
		return -ENOSPC;
	slots = realloc(m->slots, capacity * sizeof(*slots));
	if (!slots)
		return -ENOMEM;
	memset(slots + m->capacity, 0, (capacity - m->capacity) * sizeof(*slots));
	for (i = m->capacity; i < capacity; i++)
		slots[i].generation = m->generation;
	m->slots = slots;
	m->capacity = capacity;
	return 0;
}

int idmap_add(struct idmap *m, void *ptr, uint32_t *out_id)
{
	uint32_t slot = m->free_head;
	struct idmap_slot *s;
	int ret;

	if (slot == NO_SLOT) {
		if (m->used == m->capacity) {
			ret = grow(m);
			if (ret)
				return ret;
		}
		slot = m->used++;
	} else {
		m->free_head = m->slots[slot].next_free;
	}
	s = &m->slots[slot];
	s->generation = (s->generation + 1) & GENERATION_MASK;
	if (!s->generation) /* id 0 is never assigned */
		s->generation = 1;
	s->ptr = ptr;
	m->count++;
	*out_id = s->generation << IDMAP_SLOT_BITS | slot;
	return 0;
}

void idmap_remove(struct idmap *m, uint32_t id)
{
	struct idmap_slot *s;

	if (!idmap_get(m, id))
		return;
	s = &m->slots[IDMAP_SLOT(id)];
	s->ptr = NULL;
	s->next_free = m->free_head;
	m->free_head = IDMAP_SLOT(id);
	m->count--;
}

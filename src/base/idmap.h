/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Map from 32-bit ids, which name objects in messages, to pointers.
 *
 *	id = generation (10 bits) | slot (20 bits)
 *
 * The generation changes with each reuse of a slot, so a late message for a closed object matches no object.
 * Maps in different processes start at different generations, so a message for an ended process matches no
 * object of a new process at the same address. The top two bits stay zero: ids travel in the upper half of
 * tags, and some providers reserve tag bits. Id 0 is never assigned. Not thread-safe: the owner's lock guards
 * it.
 */
#ifndef WEFT_BASE_IDMAP_H
#define WEFT_BASE_IDMAP_H

#include <stddef.h>
#include <stdint.h>

#define IDMAP_SLOT_BITS 20
#define IDMAP_SLOTS_MAX (1u << IDMAP_SLOT_BITS)

struct idmap_slot {
	void *ptr;	     /* NULL: free */
	uint32_t generation; /* generation of the current or the last use */
	uint32_t next_free;  /* number of the next free slot; valid if free */
};

struct idmap {
	struct idmap_slot *slots;
	uint32_t capacity;   /* slots allocated */
	uint32_t used;	     /* slots ever used */
	uint32_t free_head;  /* first free slot, or IDMAP_SLOTS_MAX */
	uint32_t count;	     /* ids in use */
	uint32_t generation; /* initial generation of each slot, increased before its first use */
};

/* Initializes the map. The lower 10 bits of `seed` are the initial generation. */
void idmap_init(struct idmap *m, uint32_t seed);

/* Frees the map but not the objects. */
void idmap_fini(struct idmap *m);

/* Assigns an id to ptr (not NULL). 0, -ENOMEM, or -ENOSPC: 2^20 ids are in use. */
int idmap_add(struct idmap *m, void *ptr, uint32_t *out_id);

/* Returns the object in this slot regardless of generation, or NULL. IDMAP_SLOT(id) is the slot of an id. */
static inline void *idmap_at(const struct idmap *m, uint32_t slot)
{
	return slot < m->used ? m->slots[slot].ptr : NULL;
}
#define IDMAP_SLOT(id) ((id) & (IDMAP_SLOTS_MAX - 1))

/* Returns the object of the id, or NULL: the id is not in use (any more). */
static inline void *idmap_get(const struct idmap *m, uint32_t id)
{
	uint32_t slot = IDMAP_SLOT(id);

	return slot < m->used && m->slots[slot].generation == id >> IDMAP_SLOT_BITS ? m->slots[slot].ptr : NULL;
}

/* Releases the id. Ignores an unknown id. */
void idmap_remove(struct idmap *m, uint32_t id);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Map from 32-bit ids to pointers: what a message names an object by.
 *
 *	id = generation (10 bits) | slot (20 bits)
 *
 * The generation changes each time a slot is used again, so a late message for a closed object finds
 * nothing instead of a stranger. Maps in different processes begin at different ones, so a message for a
 * process that is gone finds nothing at the one that has its address now. The top two bits stay zero: ids
 * travel in the upper half of tags, and some providers keep tag bits for themselves. Id 0 is never given
 * out. Not thread-safe: the owner's lock covers it.
 */
#ifndef WEFT_BASE_IDMAP_H
#define WEFT_BASE_IDMAP_H

#include <stdint.h>

#define IDMAP_SLOT_BITS 20
#define IDMAP_SLOTS_MAX (1u << IDMAP_SLOT_BITS)

struct idmap_slot {
	void *ptr;	     /* NULL when free */
	uint32_t generation; /* of the current or the last use */
	uint32_t next_free;  /* slot number; valid when free */
};

struct idmap {
	struct idmap_slot *slots;
	uint32_t capacity;
	uint32_t used;	    /* slots ever used */
	uint32_t free_head; /* first free slot, or IDMAP_SLOTS_MAX */
	uint32_t count;	    /* ids in use */
	uint32_t generation; /* before every slot's first */
};

/* Only the seed's lower bits count. */
void idmap_init(struct idmap *m, uint32_t seed);

/* Frees the map, not what it points to. */
void idmap_fini(struct idmap *m);

/* Gives out an id for ptr (not NULL). 0, -ENOMEM, or -ENOSPC when 2^20 ids are in use. */
int idmap_add(struct idmap *m, void *ptr, uint32_t *out_id);

/* What the id stands for, or NULL when it is not in use (any more). */
void *idmap_get(const struct idmap *m, uint32_t id);

/* What stands in this slot, whatever its generation, or NULL; the slot of an id is IDMAP_SLOT(id). */
void *idmap_at(const struct idmap *m, uint32_t slot);
#define IDMAP_SLOT(id) ((id) & (IDMAP_SLOTS_MAX - 1))

/* Ends the id's use; an unknown id is ignored. */
void idmap_remove(struct idmap *m, uint32_t id);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Intrusive doubly linked list. A head and an unlinked node point to themselves, so a second removal is
 * harmless, and the test for being linked is one comparison.
 *
 *	head <-> a <-> b <-> head
 */
#ifndef WEFT_BASE_LIST_H
#define WEFT_BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct list {
	struct list *next, *prev;
};

static inline void list_init(struct list *l)
{
	l->next = l->prev = l;
}

static inline bool list_empty(const struct list *l)
{
	return l->next == l;
}

static inline void list_append(struct list *head, struct list *node)
{
	node->prev = head->prev;
	node->next = head;
	head->prev->next = node;
	head->prev = node;
}

static inline void list_remove(struct list *node)
{
	node->prev->next = node->next;
	node->next->prev = node->prev;
	list_init(node);
}

/* The object of `type` whose member `member` is at `ptr`. */
#ifndef container_of /* libfabric's headers also define it */
#define container_of(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))
#endif

/* Walks the list; the current node may be removed inside the body. */
#define list_each(head, it, tmp)                                                                                       \
	for ((it) = (head)->next, (tmp) = (it)->next; (it) != (head); (it) = (tmp), (tmp) = (it)->next)

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* base: the containers (list, idmap, pool). */
#include "unit/unit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/idmap.h"
#include "base/list.h"
#include "base/pool.h"

struct item {
	int number;
	struct list link;
};

static int sum_in_order(struct list *head)
{
	struct list *it, *tmp;
	int sum = 0;

	list_each (head, it, tmp)
		sum = sum * 10 + container_of(it, struct item, link)->number;
	return sum;
}

static void list_keeps_order(void **state)
{
	struct item a = {.number = 1}, b = {.number = 2}, c = {.number = 3};
	struct list head;

	(void)state;
	list_init(&head);
	assert_true(list_empty(&head));
	assert_int_equal(sum_in_order(&head), 0);
	list_append(&head, &a.link);
	list_append(&head, &b.link);
	list_append(&head, &c.link);
	assert_false(list_empty(&head));
	assert_int_equal(sum_in_order(&head), 123);
	list_remove(&b.link);
	assert_int_equal(sum_in_order(&head), 13);
	list_append(&head, &b.link);
	assert_int_equal(sum_in_order(&head), 132);
}

static void list_removes_twice(void **state)
{
	struct item a = {.number = 1}, b = {.number = 2};
	struct list head;

	(void)state;
	list_init(&head);
	list_append(&head, &a.link);
	list_append(&head, &b.link);
	list_remove(&a.link);
	assert_true(list_empty(&a.link));
	list_remove(&a.link);
	assert_int_equal(sum_in_order(&head), 2);
	list_remove(&b.link);
	assert_true(list_empty(&head));
}

static void list_each_survives_removal(void **state)
{
	struct item items[5];
	struct list head, *it, *tmp;
	int i, seen = 0;

	(void)state;
	list_init(&head);
	for (i = 0; i < 5; i++) {
		items[i].number = i;
		list_append(&head, &items[i].link);
	}
	list_each (&head, it, tmp) {
		assert_int_equal(container_of(it, struct item, link)->number, seen);
		seen++;
		list_remove(it);
	}
	assert_int_equal(seen, 5);
	assert_true(list_empty(&head));
}

static void idmap_finds_what_was_added(void **state)
{
	struct idmap m;
	uint32_t ids[1000];
	int objects[1000];
	size_t i, j;

	(void)state;
	idmap_init(&m, 0);
	for (i = 0; i < COUNT(ids); i++) { /* far beyond the first growth */
		assert_int_equal(idmap_add(&m, &objects[i], &ids[i]), 0);
		assert_int_not_equal(ids[i], 0);
		assert_int_equal(ids[i] >> 30, 0);
	}
	assert_int_equal(m.count, COUNT(ids));
	for (i = 0; i < COUNT(ids); i++) {
		assert_ptr_equal(idmap_get(&m, ids[i]), &objects[i]);
		for (j = 0; j < i; j += 97)
			assert_int_not_equal(ids[i], ids[j]);
	}
	idmap_fini(&m);
	assert_null(idmap_get(&m, ids[0]));
}

static void idmap_knows_no_strangers(void **state)
{
	struct idmap m;
	uint32_t id;
	int object;

	(void)state;
	idmap_init(&m, 0);
	assert_null(idmap_get(&m, 0));
	assert_null(idmap_get(&m, 1));
	assert_null(idmap_get(&m, UINT32_MAX));
	idmap_remove(&m, 0);
	idmap_remove(&m, 77);
	assert_int_equal(idmap_add(&m, &object, &id), 0);
	assert_null(idmap_get(&m, 0));
	assert_null(idmap_get(&m, id + 1));
	assert_null(idmap_get(&m, id ^ 1u << IDMAP_SLOT_BITS));
	assert_null(idmap_get(&m, id | 1u << 30)); /* bits beyond the generation count too */
	assert_null(idmap_get(&m, id | 1u << 31));
	idmap_remove(&m, id ^ 1u << IDMAP_SLOT_BITS);
	assert_ptr_equal(idmap_get(&m, id), &object);
	assert_int_equal(m.count, 1);
	idmap_fini(&m);
}

static void idmap_forgets_stale_ids(void **state)
{
	struct idmap m;
	uint32_t first, id, last = 0;
	int a, b;
	int i;

	(void)state;
	idmap_init(&m, 0);
	assert_int_equal(idmap_add(&m, &a, &first), 0);
	idmap_remove(&m, first);
	assert_null(idmap_get(&m, first));
	idmap_remove(&m, first); /* the second removal is ignored */
	assert_int_equal(m.count, 0);
	/* the slot uses all its generations before an id repeats, and 0 is never used */
	for (i = 0; i < 1022; i++) {
		assert_int_equal(idmap_add(&m, &b, &id), 0);
		assert_int_equal(m.used, 1);
		assert_int_not_equal(id, 0);
		assert_int_not_equal(id, first);
		assert_int_not_equal(id, last);
		assert_int_equal(id >> 30, 0);
		assert_null(idmap_get(&m, first));
		last = id;
		idmap_remove(&m, id);
	}
	assert_int_equal(idmap_add(&m, &b, &id), 0);
	assert_int_equal(id, first);
	idmap_fini(&m);
}

/* Maps with different seeds give out different ids, permanently. */
static void idmap_seeds_tell_maps_apart(void **state)
{
	struct idmap a, b, zero;
	uint32_t in_a, in_b, i;
	int object;

	(void)state;
	idmap_init(&a, 0xabcdef01);
	idmap_init(&b, 0xabcdef02);
	idmap_init(&zero, 1023); /* the generation after the last is 1 */
	assert_int_equal(idmap_add(&zero, &object, &i), 0);
	assert_int_equal(i, 1u << IDMAP_SLOT_BITS);
	for (i = 0; i < 100; i++) {
		assert_int_equal(idmap_add(&a, &object, &in_a), 0);
		assert_int_equal(idmap_add(&b, &object, &in_b), 0);
		assert_null(idmap_get(&a, in_b));
		assert_null(idmap_get(&b, in_a));
		assert_ptr_equal(idmap_get(&a, in_a), &object);
	}
	idmap_fini(&a);
	idmap_fini(&b);
	idmap_fini(&zero);
}

static void idmap_ends_at_its_limit(void **state)
{
	struct idmap m;
	uint32_t id, middle = 0;
	uint32_t i;
	int object;

	(void)state;
	idmap_init(&m, 0);
	for (i = 0; i < IDMAP_SLOTS_MAX; i++) {
		if (idmap_add(&m, &object, &id) || id >> 30 || !id)
			fail_msg("number %u got id %x", i, id);
		if (i == IDMAP_SLOTS_MAX / 2)
			middle = id;
	}
	assert_int_equal(idmap_add(&m, &object, &id), -ENOSPC);
	assert_int_equal(m.count, IDMAP_SLOTS_MAX);
	assert_ptr_equal(idmap_get(&m, middle), &object);
	idmap_remove(&m, middle);
	assert_int_equal(idmap_add(&m, &object, &id), 0);
	assert_int_not_equal(id, middle);
	assert_int_equal(idmap_add(&m, &object, &id), -ENOSPC);
	idmap_fini(&m);
}

static void pool_grows_and_reuses(void **state)
{
	struct pool p;
	void *objects[100], *again;
	size_t i, j;

	(void)state;
	pool_init(&p, 40, 8);
	for (i = 0; i < COUNT(objects); i++) {
		objects[i] = pool_get(&p);
		assert_non_null(objects[i]);
		assert_int_equal((uintptr_t)objects[i] % 16, 0);
		memset(objects[i], (int)i, 40);
	}
	assert_int_equal(p.in_use, COUNT(objects));
	for (i = 0; i < COUNT(objects); i++) /* no two objects overlap */
		for (j = 0; j < 40; j++)
			assert_int_equal(((unsigned char *)objects[i])[j], i);
	pool_put(&p, objects[42]);
	assert_int_equal(p.in_use, COUNT(objects) - 1);
	again = pool_get(&p);
	assert_ptr_equal(again, objects[42]);
	for (i = 0; i < COUNT(objects); i++)
		pool_put(&p, objects[i]);
	assert_int_equal(p.in_use, 0);
	pool_fini(&p);
	assert_null(p.free);
	assert_null(p.chunks);
	again = pool_get(&p); /* usable again, as after pool_init */
	assert_non_null(again);
	pool_fini(&p); /* objects in use are freed too */
}

static void pool_aligns_cache_lines(void **state)
{
	struct pool p;
	int i;

	(void)state;
	pool_init(&p, 192, 3);
	for (i = 0; i < 20; i++)
		assert_int_equal((uintptr_t)pool_get(&p) % 64, 0);
	pool_fini(&p);
	pool_init(&p, 1, 5); /* smaller than the word needed by the free list */
	for (i = 0; i < 20; i++)
		assert_int_equal((uintptr_t)pool_get(&p) % 16, 0);
	pool_fini(&p);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(list_keeps_order),
		cmocka_unit_test(list_removes_twice),
		cmocka_unit_test(list_each_survives_removal),
		cmocka_unit_test(idmap_finds_what_was_added),
		cmocka_unit_test(idmap_knows_no_strangers),
		cmocka_unit_test(idmap_forgets_stale_ids),
		cmocka_unit_test(idmap_seeds_tell_maps_apart),
		cmocka_unit_test(idmap_ends_at_its_limit),
		cmocka_unit_test(pool_grows_and_reuses),
		cmocka_unit_test(pool_aligns_cache_lines),
	};

	return unit_run("store", tests);
}

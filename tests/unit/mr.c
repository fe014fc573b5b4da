/* SPDX-License-Identifier: Apache-2.0 */
/* dev: registrations are shared while they live, and never afterwards. */
#include "unit/unit.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "dev/mr.h"
#include "unit/net.h"

#define PAGES 64

static size_t page;
static char *memory;

static void begin(void)
{
	page = (size_t)sysconf(_SC_PAGESIZE);
	memory = mmap(NULL, PAGES * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_true(memory != MAP_FAILED);
}

static void end(void)
{
	assert_int_equal(munmap(memory, PAGES * page), 0);
	assert_null(net.home->access->mrs); /* no registration is left */
}

static struct dev_mr *get(void *base, size_t len)
{
	struct dev_mr *mr;

	assert_int_equal(dev_mr_get(net.home->access, base, len, &mr), 0);
	return mr;
}

static void same_pages_are_shared(void **state)
{
	struct dev_mr *a, *b, *c, *d;

	(void)state;
	NET_NEEDED();
	begin();
	a = get(memory + 10, 100);
	b = get(memory + 200, 1);
	c = get(memory + 10, page);
	d = get(memory + page, page);
	assert_ptr_equal(a, b);
	assert_ptr_not_equal(a, c);
	assert_ptr_not_equal(c, d);
	assert_int_equal(a->base, (uintptr_t)memory);
	assert_int_equal(a->len, page);
	assert_int_equal(c->len, 2 * page);
	dev_mr_put(a);
	assert_ptr_equal(get(memory, page), b);
	dev_mr_put(b);
	dev_mr_put(b);
	dev_mr_put(c);
	dev_mr_put(d);
	end();
}

static void every_rail_has_its_own(void **state)
{
	struct dev_mr *mr;
	int i;

	(void)state;
	NET_NEEDED();
	begin();
	mr = get(memory, 3 * page);
	for (i = 0; i < net.dev->rail_count; i++)
		assert_non_null(mr->rail[i]);
	assert_true(i == DEV_RAILS_MAX || !mr->rail[i]);
	dev_mr_put(mr);
	end();
}

/* Memory that is freed and mapped again at the same address gets a new registration. */
static void fresh_memory_is_registered_anew(void **state)
{
	struct dev_mr *mr;
	uint64_t key;

	(void)state;
	NET_NEEDED();
	begin();
	mr = get(memory, page);
	key = fab_mr_key(mr->rail[0]);
	dev_mr_put(mr);
	assert_true(mmap(memory, PAGES * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1,
			 0) == memory);
	mr = get(memory, page);
	assert_true(fab_mr_key(mr->rail[0]) != key);
	dev_mr_put(mr);
	end();
}

static const char *many(uintptr_t seed_at)
{
	uint64_t seed = seed_at;
	int i;

	for (i = 0; i < 3000; i++) {
		size_t first = unit_random(&seed) % 4, n = 1 + unit_random(&seed) % 3;
		struct dev_mr *mr;

		if (dev_mr_get(net.home->access, memory + first * page, n * page, &mr))
			return "a registration failed";
		if (mr->base != (uintptr_t)memory + first * page || mr->len != n * page)
			return "another registration was given";
		dev_mr_put(mr);
	}
	return "";
}

static void *thread_main(void *arg)
{
	return (void *)(uintptr_t)many((uintptr_t)arg);
}

static void threads_share(void **state)
{
	pthread_t threads[4];
	uintptr_t i;
	void *wrong;

	(void)state;
	NET_NEEDED();
	begin();
	for (i = 0; i < COUNT(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, thread_main, (void *)(i + 1)), 0);
	for (i = 0; i < COUNT(threads); i++) {
		pthread_join(threads[i], &wrong);
		assert_string_equal(wrong, "");
	}
	end();
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		NET_TEST(same_pages_are_shared, NET_RMA),
		NET_TEST(every_rail_has_its_own, NET_RMA),
		NET_TEST(fresh_memory_is_registered_anew, NET_RMA),
		NET_TEST(threads_share, NET_RMA),
	};

	setenv("WEFT_TEST_RAILS", "2", 1);
	return unit_run("mr", tests);
}

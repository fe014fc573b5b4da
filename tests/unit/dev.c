/* SPDX-License-Identifier: Apache-2.0 */
/* dev: the table of devices, and the domains that its endpoints share or have for themselves. */
#include "unit/unit.h"

#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "dev/table.h"

static struct dev_table table;

static int begin(void **state)
{
	(void)state;
	setenv("WEFT_PROVIDER", "tcp", 1);
	setenv("WEFT_NICS", "lo", 1);
	memset(&table, 0xa5, sizeof(table));
	unit_log_catch();
	return 0;
}

static int end(void **state)
{
	(void)state;
	dev_table_fini(&table);
	unsetenv("WEFT_CQ_DEPTH");
	return 0;
}

static void fills_the_table(void **state)
{
	struct dev_table again;

	(void)state;
	assert_int_equal(dev_table_load(&table), 0);
	assert_int_equal(table.count, 1);
	assert_string_equal(table.why, "");
	assert_false(table.user_error);
	assert_string_equal(table.devs[0].nic->name, "lo");
	assert_null(table.devs[0].pci_path);
	assert_in_range(table.devs[0].speed_mbps, 1, 10000000);
	assert_true(list_empty(&table.devs[0].accesses));
	assert_int_equal(table.conf.cq_depth > 0, 1);
	assert_int_equal(dev_table_load(&again), 0); /* the same machine, the same devices */
	assert_true(again.devs[0].guid == table.devs[0].guid);
	dev_table_fini(&again);
	assert_int_equal(unit_log_count(1), 0); /* the host decides the log level */
}

static void tells_devices_apart(void **state)
{
	int i, j;

	(void)state;
	setenv("WEFT_NICS", "*", 1);
	assert_int_equal(dev_table_load(&table), 0);
	for (i = 0; i < table.count; i++)
		for (j = 0; j < i; j++)
			assert_true(table.devs[i].guid != table.devs[j].guid);
}

static void has_no_devices_by_mistake(void **state)
{
	(void)state;
	setenv("WEFT_CQ_DEPTH", "many", 1);
	assert_int_equal(dev_table_load(&table), 0);
	assert_int_equal(table.count, 0);
	assert_true(table.user_error);
	assert_non_null(strstr(table.why, "WEFT_CQ_DEPTH=many"));
	dev_table_fini(&table);
	unsetenv("WEFT_CQ_DEPTH");

	setenv("WEFT_PROVIDER", "nonsense", 1);
	assert_int_equal(dev_table_load(&table), 0);
	assert_int_equal(table.count, 0);
	assert_true(table.user_error);
	assert_non_null(strstr(table.why, "WEFT_PROVIDER=nonsense"));
	dev_table_fini(&table);

	setenv("WEFT_PROVIDER", "tcp", 1);
	setenv("WEFT_NICS", "nosuch", 1);
	assert_int_equal(dev_table_load(&table), 0);
	assert_int_equal(table.count, 0);
	assert_true(table.user_error);
	assert_non_null(strstr(table.why, "WEFT_NICS=nosuch"));
}

/* Two users of a device have domains of their own where threads that share one would wait for each other, else the same. */
static void opens_domains_for_users(const char *provider, bool own)
{
	struct dev_access *a, *b, *c;
	struct dev *d;

	setenv("WEFT_PROVIDER", provider, 1);
	assert_int_equal(dev_table_load(&table), 0);
	if (!table.count)
		skip();
	d = &table.devs[0];
	assert_int_equal(dev_get(d, &a), 0);
	assert_int_equal(dev_get(d, &b), 0);
	assert_int_equal(a != b, own);
	assert_int_equal(a->domains[0] != b->domains[0], own);
	dev_put(a);
	assert_ptr_equal(container_of(d->accesses.next, struct dev_access, link), b);
	assert_int_equal(dev_get(d, &c), 0);
	assert_int_equal(c != b, own);
	dev_put(c);
	dev_put(b);
	assert_true(list_empty(&d->accesses));
}

static void opens_domains_for_each_on_tcp(void **state)
{
	(void)state;
	opens_domains_for_users("tcp", true);
}

/* Without descriptors for a domain of its own, a user shares that of another. */
static void shares_domains_without_descriptors(void **state)
{
	struct rlimit full, none;
	struct dev_access *a, *b;
	struct dev *d;
	int ret;

	(void)state;
	assert_int_equal(dev_table_load(&table), 0);
	if (!table.count)
		skip();
	d = &table.devs[0];
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &full), 0);
	none = (struct rlimit){.rlim_cur = 3, .rlim_max = full.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	ret = dev_get(d, &a);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &full), 0);
	if (!ret) {
		dev_put(a);
		skip(); /* this libfabric needs none */
	}
	assert_true(list_empty(&d->accesses));
	assert_int_equal(dev_get(d, &a), 0);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	ret = dev_get(d, &b);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &full), 0);
	assert_int_equal(ret, 0);
	assert_ptr_equal(a, b);
	dev_put(a);
	dev_put(b);
	assert_true(list_empty(&d->accesses));
}

static void shares_domains_on_shm(void **state)
{
	(void)state;
	opens_domains_for_users("shm", false);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, begin, end)
	static const struct CMUnitTest tests[] = {
		TEST(fills_the_table),		 TEST(tells_devices_apart),
		TEST(has_no_devices_by_mistake), TEST(opens_domains_for_each_on_tcp),
		TEST(shares_domains_on_shm),	 TEST(shares_domains_without_descriptors),
	};

	return unit_run("dev", tests);
}

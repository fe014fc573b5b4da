/* SPDX-License-Identifier: Apache-2.0 */
/* dev: the table of devices, and the domain that the endpoints of a device share. */
#include "unit/unit.h"

#include <stdlib.h>
#include <string.h>

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
	assert_null(table.devs[0].domains[0]);
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

static void counts_the_domains_users(void **state)
{
	struct fab_domain *a;
	struct dev *d;

	(void)state;
	assert_int_equal(dev_table_load(&table), 0);
	d = &table.devs[0];
	assert_int_equal(dev_get(d), 0);
	a = d->domains[0];
	assert_non_null(a);
	assert_int_equal(dev_get(d), 0);
	dev_put(d);
	assert_ptr_equal(d->domains[0], a);
	dev_put(d);
	assert_null(d->domains[0]);
	assert_int_equal(dev_get(d), 0);
	dev_put(d);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, begin, end)
	static const struct CMUnitTest tests[] = {
		TEST(fills_the_table),
		TEST(tells_devices_apart),
		TEST(has_no_devices_by_mistake),
		TEST(counts_the_domains_users),
	};

	return unit_run("dev", tests);
}

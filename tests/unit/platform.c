/* SPDX-License-Identifier: Apache-2.0 */
/* topo, dev: detection of the machine type, and the resulting NCCL variables. */
#include "unit/unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "dev/dev.h"
#include "dev/tuning.h"

#define DMI "/sys/devices/virtual/dmi/id"

static char root[] = "/tmp/weft-platform-XXXXXX";

static void write_line(const char *file, const char *text)
{
	char path[200];
	FILE *f;

	snprintf(path, sizeof(path), "%s" DMI "/%s", root, file);
	f = fopen(path, "w");
	assert_non_null(f);
	fprintf(f, "%s\n", text);
	fclose(f);
}

static int begin(void)
{
	char path[sizeof(root) + sizeof(DMI)];
	char *at;

	if (!mkdtemp(root))
		return -1;
	snprintf(path, sizeof(path), "%s" DMI, root);
	for (at = path + sizeof(root); (at = strchr(at, '/')); *at++ = '/') {
		*at = 0;
		mkdir(path, 0700);
	}
	return mkdir(path, 0700);
}

static void end(void)
{
	char command[100];

	snprintf(command, sizeof(command), "rm -r %s", root);
	if (system(command))
		printf("# %s is left\n", root);
}

static struct platform_choice on(const char *vendor, const char *product, const char *requested)
{
	struct platform_choice c;

	write_line("sys_vendor", vendor);
	write_line("product_name", product);
	platform_choose(requested, root, &c);
	return c;
}

static void each_type_is_recognised(void **state)
{
	static const struct {
		const char *product, *row;
		int efa, latency_us, settings;
	} rows[] = {
		{"p3dn.24xlarge", "p3dn.24xlarge", 1, 150, 0},
		{"p4d.24xlarge", "p4d.24xlarge", 1, 75, 2},
		{"p4de.24xlarge", "p4de.24xlarge", 1, 75, 2},
		{"p5.4xlarge", "p5.4xlarge", 2, 75, 0},
		{"p5.48xlarge", "p5.48xlarge", 2, 75, 4},
		{"p5e.48xlarge", "p5e.48xlarge", 2, 75, 4},
		{"p5en.48xlarge", "p5en.48xlarge", 3, 35, 5},
		{"p6-b200.48xlarge", "p6-b200.48xlarge", 4, 35, 5},
		{"p6-b300.48xlarge", "p6-b300.48xlarge", 4, 35, 4},
		{"p6e-gb200.36xlarge", "p6e-gb200.36xlarge", 4, 35, 4},
		{"g4dn.metal", "g4dn.*", 1, 75, 0},
		{"g5.48xlarge", "g5.*", 1, 75, 0},
		{"g6.8xlarge", "g6.*", 2, 75, 0},
		{"g6e.24xlarge", "g6e.*", 0, 75, 0},
		{"g7e.48xlarge", "g7e.*", 0, 35, 2},
	};
	struct platform_setting s[PLATFORM_SETTINGS];
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(rows); i++) {
		struct platform_choice c = on("Amazon EC2", rows[i].product, "auto");

		assert_string_equal(c.platform->name, rows[i].row);
		assert_string_equal(c.name, rows[i].product);
		assert_int_equal(c.platform->efa, rows[i].efa);
		assert_int_equal(c.platform->latency_us, rows[i].latency_us);
		assert_int_equal(platform_settings(c.platform, s), rows[i].settings);
		assert_false(c.forced);
		assert_string_equal(c.wrong, "");
		c = on("QEMU", "p5.48xlarge", rows[i].product); /* the configured type applies on any machine */
		assert_string_equal(c.platform->name, rows[i].row);
		assert_true(c.forced);
	}
	assert_null(platform_row(COUNT(rows) + 1));
}

/* NICs and NVLink: complete, or not known; GPUs share NICs evenly. */
static void tables_of_nics_are_whole(void **state)
{
	const struct platform *p;
	size_t i;

	(void)state;
	for (i = 0; (p = platform_row(i)); i++) {
		assert_int_equal(p->nics > 0, p->gpus > 0);
		assert_int_equal(p->nics > 0, p->nic_gbits > 0);
		assert_int_equal(p->gpus > 1, p->nvlink_gbs > 0);
		if (p->nics)
			assert_true(p->nics % p->gpus == 0 || p->gpus % p->nics == 0);
	}
	p = on("Amazon EC2", "p5.48xlarge", "auto").platform;
	assert_int_equal(p->nics * p->nic_gbits, 3200);
	assert_int_equal(on("Amazon EC2", "g5.48xlarge", "auto").platform->nics, 0);
}

static void others_are_unknown(void **state)
{
	struct platform_choice c;

	(void)state;
	c = on("Amazon EC2", "p5.48xlarge", "none");
	assert_string_equal(c.platform->name, "unknown");
	assert_string_equal(c.how, "WEFT_PLATFORM=none");
	c = on("Amazon EC2", "m7i.large", "auto");
	assert_string_equal(c.platform->name, "unknown");
	assert_string_equal(c.name, "m7i.large");
	assert_non_null(strstr(c.how, "nothing in particular"));
	c = on("Dell Inc.", "p5.48xlarge", "auto");
	assert_string_equal(c.name, "unknown");
	assert_non_null(strstr(c.how, "Dell Inc."));
	c = on("Amazon EC2", "", "auto");
	assert_string_equal(c.name, "unknown");
	platform_choose("auto", "/nowhere", &c);
	assert_string_equal(c.platform->name, "unknown");
	assert_int_equal(c.platform->latency_us, 0);
}

static void a_wrong_wish_is_said(void **state)
{
	struct platform_choice c = on("Amazon EC2", "p4d.24xlarge", "p4d.24xlarg");

	(void)state;
	assert_string_equal(c.platform->name, "p4d.24xlarge");
	assert_false(c.forced);
	assert_non_null(strstr(c.wrong, "WEFT_PLATFORM=p4d.24xlarg is no platform"));
	assert_non_null(strstr(c.wrong, "p6e-gb200.36xlarge"));
	assert_non_null(strstr(c.wrong, "; auto is used"));
}

/* A table with one device of a provider, on a platform. */
static struct dev_table with(const char *provider, const char *platform, const char *requested)
{
	static struct fab_nic nic;
	static struct dev dev;
	struct dev_table t = {.count = 1, .devs = &dev, .report = {.nics = &nic, .nic_count = 1}};

	snprintf(nic.provider, sizeof(nic.provider), "%s", provider);
	dev.nic = &nic;
	t.platform = on("Amazon EC2", platform, requested);
	return t;
}

static void expect(const struct dev_table *t, const char *name, const char *value)
{
	const char *is;

	tuning_apply(t);
	is = getenv(name);
	if (value)
		assert_string_equal(is ? is : "(nothing)", value);
	else
		assert_null(is);
	unsetenv("NCCL_BUFFSIZE");
	unsetenv("NCCL_P2P_NET_CHUNKSIZE");
	unsetenv("NCCL_NVLS_CHUNKSIZE");
	unsetenv("NCCL_NVLSTREE_MAX_CHUNKSIZE");
	unsetenv("NCCL_NETDEVS_POLICY");
}

static void settings_are_made_where_they_fit(void **state)
{
	struct dev_table t = with("efa", "p5.48xlarge", "auto");

	(void)state;
	unit_log_catch();
	expect(&t, "NCCL_BUFFSIZE", "8388608");
	assert_true(unit_log_has(2, "NCCL_BUFFSIZE=8388608 for p5.48xlarge: "));
	expect(&t, "NCCL_P2P_NET_CHUNKSIZE", "524288");
	expect(&t, "NCCL_NETDEVS_POLICY", NULL);
	assert_int_equal(dev_latency_us(&t), 75);
	t = with("efa", "p6-b200.48xlarge", "auto");
	expect(&t, "NCCL_NETDEVS_POLICY", "MAX:1");
	t = with("efa", "p5.48xlarge", "none");
	expect(&t, "NCCL_BUFFSIZE", NULL);
	t = with("tcp", "p5.48xlarge", "auto");
	expect(&t, "NCCL_BUFFSIZE", NULL);
	assert_int_equal(dev_latency_us(&t), 0);
	t = with("tcp", "p5.48xlarge", "p4d.24xlarge"); /* a named type applies on any provider */
	expect(&t, "NCCL_BUFFSIZE", "8388608");
	assert_int_equal(dev_latency_us(&t), 75);
}

static void what_the_user_has_set_stays(void **state)
{
	struct dev_table t = with("efa", "p5.48xlarge", "auto");
	struct tuning list[PLATFORM_SETTINGS];

	(void)state;
	unit_log_catch();
	setenv("NCCL_BUFFSIZE", "4M", 1);
	assert_int_equal(tuning_list(&t, list), 4);
	assert_int_equal(list[0].becomes, TUNING_KEPT);
	assert_int_equal(list[1].becomes, TUNING_KEPT);
	assert_string_equal(list[1].whose, "NCCL_BUFFSIZE");
	assert_int_equal(list[2].becomes, TUNING_SET);
	expect(&t, "NCCL_BUFFSIZE", "4M");
	assert_true(unit_log_has(2, "keeping your NCCL_BUFFSIZE=4M"));
	setenv("NCCL_BUFFSIZE", "4M", 1);
	expect(&t, "NCCL_P2P_NET_CHUNKSIZE", NULL); /* set only together with the other variable */
	setenv("NCCL_BUFFSIZE", "4M", 1);
	expect(&t, "NCCL_NVLS_CHUNKSIZE", "524288");
	setenv("NCCL_BUFFSIZE", "", 1);
	expect(&t, "NCCL_BUFFSIZE", "");
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_type_is_recognised),
		cmocka_unit_test(tables_of_nics_are_whole),
		cmocka_unit_test(others_are_unknown),
		cmocka_unit_test(a_wrong_wish_is_said),
		cmocka_unit_test(settings_are_made_where_they_fit),
		cmocka_unit_test(what_the_user_has_set_stays),
	};
	int failed;

	if (begin())
		return 99; /* automake's exit status for an error */
	failed = unit_run("platform", tests);
	end();
	return failed;
}

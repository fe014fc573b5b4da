/* SPDX-License-Identifier: Apache-2.0 */
/* topo: where NICs sit, on a machine of which only the loopback is certain. */
#include "unit/unit.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "topo/nic.h"

/* Its plugins forget what they found. */
UNIT_FOREIGN_LEAKS("leak:libhwloc.so\n");

static void nonsense_has_no_path(void **state)
{
	static const char *const rows[][2] = {
		{"lo", ""},
		{"nosuchnic", ""},
		{"", ""},
		{".", ""},
		{"..", ""},
		{"../../../../etc", ""},
		{"lo/../lo", ""},
		{"%s%s%n", ""},
		{"lo", "ffff:ff:1f.7"},
		{"lo", "nonsense"},
		{"lo", "../../../class/net/lo"},
		{"lo", "."},
		{"lo", "0000"},
	};
	char *longer;
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(rows); i++) {
		char *path = topo_nic_pci_path(rows[i][0], rows[i][1]);

		if (path)
			fail_msg("\"%s\" at \"%s\" lies at %s", rows[i][0], rows[i][1], path);
	}
	longer = malloc(100000);
	assert_non_null(longer);
	memset(longer, 'x', 99999);
	longer[99999] = 0;
	assert_null(topo_nic_pci_path(longer, ""));
	assert_null(topo_nic_pci_path("lo", longer));
	assert_int_equal(topo_nic_speed_mbps(longer), 0);
	free(longer);
}

/* Any PCI function of this machine, by its address, resolves to a directory of that name. */
static void pci_functions_have_a_path(void **state)
{
	DIR *dir = opendir("/sys/bus/pci/devices");
	struct dirent *entry;
	int seen = 0;

	(void)state;
	if (!dir)
		skip();
	while ((entry = readdir(dir)) && seen < 8) {
		char *path;

		if (entry->d_name[0] == '.')
			continue;
		path = topo_nic_pci_path("", entry->d_name);
		assert_non_null(path);
		assert_int_equal(path[0], '/');
		assert_string_equal(strrchr(path, '/') + 1, entry->d_name);
		assert_int_equal(access(path, F_OK), 0);
		if (!seen)
			assert_in_range(topo_nic_numa(path) + 1, 0, 1025);
		free(path);
		seen++;
	}
	closedir(dir);
	if (!seen)
		skip();
}

static void speed_of_nonsense_is_unknown(void **state)
{
	(void)state;
	assert_int_equal(topo_nic_speed_mbps("lo"), 0);
	assert_int_equal(topo_nic_speed_mbps("nosuchnic"), 0);
	assert_int_equal(topo_nic_speed_mbps(""), 0);
	assert_int_equal(topo_nic_speed_mbps("../../.."), 0);
}

static void numa_of_nonsense_is_unknown(void **state)
{
	(void)state;
	assert_int_equal(topo_nic_numa(NULL), -1);
	assert_int_equal(topo_nic_numa("/sys/devices/pci0000:00/nonsense"), -1);
	assert_int_equal(topo_nic_numa("/sys/devices/pciffff:ff/ffff:ff:1f.7"), -1);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(nonsense_has_no_path),
		cmocka_unit_test(pci_functions_have_a_path),
		cmocka_unit_test(speed_of_nonsense_is_unknown),
		cmocka_unit_test(numa_of_nonsense_is_unknown),
	};

	return unit_run("topo", tests);
}

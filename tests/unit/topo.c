/* SPDX-License-Identifier: Apache-2.0 */
/* topo: positions of NICs, on a machine of which only the loopback is certain. */
#include "unit/unit.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "topo/group.h"
#include "topo/nic.h"

/* hwloc's plugins leak their results. */
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

/* The address of any PCI function of this machine resolves to a directory of that name. */
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
			assert_in_range(topo_nic_numa("", "", path) + 1, 0, 1025);
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
	assert_int_equal(topo_nic_numa("", "", NULL), -1);
	assert_int_equal(topo_nic_numa("", "nonsense", NULL), -1);
	assert_int_equal(topo_nic_numa("", "", "/sys/devices/pci0000:00/nonsense"), -1);
	assert_int_equal(topo_nic_numa("", "", "/sys/devices/pciffff:ff/ffff:ff:1f.7"), -1);
	assert_int_equal(topo_nic_numa("", "ffff:ff:1f.7", NULL), -1);
	assert_int_equal(topo_nic_numa("/nowhere/none.xml", "0000:00:00.0", NULL), -1);
}

/* A random machine: objects, some of them GPUs, and NICs on other objects or without a place. */
enum { OBJECTS = 60, NICS = 40 };

struct world {
	struct topo_object objects[OBJECTS];
	struct topo_machine machine;
	struct topo_nic nics[NICS];
	int nic_count, gpus;
};

static void make_world(struct world *w, uint64_t *seed)
{
	int i;

	memset(w, 0, sizeof(*w));
	w->machine = (struct topo_machine){w->objects, 1 + (int)(unit_random(seed) % OBJECTS)};
	for (i = 0; i < w->machine.count; i++) {
		struct topo_object *o = &w->objects[i];

		o->parent = i ? (int)(unit_random(seed) % (unsigned)i) : -1;
		o->pci = i && unit_random(seed) % 2 ? 1000 + (topo_pci)i * 7 % 61 : 0;
		o->kind = o->pci && unit_random(seed) % 3 == 0 ? TOPO_GPU : TOPO_OTHER;
		w->gpus += o->kind == TOPO_GPU;
		if (o->pci && o->kind != TOPO_GPU && w->nic_count < NICS && unit_random(seed) % 2)
			w->nics[w->nic_count++].pci = o->pci;
	}
	if (w->nic_count < NICS && unit_random(seed) % 4 == 0)
		w->nics[w->nic_count++].pci = 5000; /* the machine does not report its place */
	for (i = 0; i < w->nic_count; i++)
		w->nics[i].speed_mbps = unit_random(seed) % 2 ? 100000 : 100000 * (1 + (int)(unit_random(seed) % 4));
}

/* Each NIC is in one group, no group is too large or empty, every GPU is served; returns the number of groups. */
static int check_groups(const struct world *w, int most, struct topo_group *groups)
{
	int i, j, gpus = 0, seen[NICS] = {0}, n = topo_group(&w->machine, w->nics, w->nic_count, most, groups);

	assert_in_range(n, 0, w->nic_count);
	for (i = 0; i < n; i++) {
		assert_in_range(groups[i].nic_count, 1, most);
		for (j = 0; j < groups[i].nic_count; j++)
			assert_int_equal(seen[groups[i].nics[j]]++, 0);
		gpus += groups[i].gpus;
	}
	for (i = 0; i < w->nic_count; i++)
		assert_int_equal(seen[i], 1);
	if (w->nic_count)
		assert_true(gpus >= w->gpus);
	if (!w->gpus)
		assert_int_equal(n, w->nic_count);
	return n;
}

static void groups_hold_on_any_machine(void **state)
{
	static struct topo_group groups[NICS], again[NICS];
	struct world w, turned;
	uint64_t seed = 17;
	int round, i, j, n, most;

	(void)state;
	for (round = 0; round < 2000; round++) {
		make_world(&w, &seed);
		most = 1 + (int)(unit_random(&seed) % TOPO_GROUP_MAX);
		n = check_groups(&w, most, groups);
		turned = w; /* the same NICs in another order */
		turned.machine.objects = turned.objects;
		for (i = 0; i < w.nic_count; i++)
			turned.nics[i] = w.nics[w.nic_count - 1 - i];
		assert_int_equal(check_groups(&turned, most, again), n);
		for (i = 0; i < n; i++) {
			assert_int_equal(again[i].nic_count, groups[i].nic_count);
			assert_int_equal(again[i].gpus, groups[i].gpus);
			for (j = 0; j < groups[i].nic_count; j++)
				assert_int_equal(again[i].nics[j], w.nic_count - 1 - groups[i].nics[j]);
		}
	}
}

static void addresses_are_ordered_numbers(void **state)
{
	(void)state;
	assert_true(topo_pci_parse("0000:3b:00.0") != 0);
	assert_true(topo_pci_parse("0000:00:00.0") != 0);
	assert_true(topo_pci_parse("0000:3b:00.1") > topo_pci_parse("0000:3b:00.0"));
	assert_true(topo_pci_parse("0000:3b:1f.7") < topo_pci_parse("0000:3c:00.0"));
	assert_true(topo_pci_parse("0001:00:00.0") > topo_pci_parse("0000:ff:1f.7"));
	assert_true(topo_pci_parse("") == 0);
	assert_true(topo_pci_parse("eth0") == 0);
	assert_true(topo_pci_parse("0000:3b:00.0z") == 0);
}

static void loads_this_machine(void **state)
{
	struct topo_machine m;
	int i;

	(void)state;
	assert_int_equal(topo_machine_load("", &m), 0);
	assert_true(m.count > 0);
	for (i = 0; i < m.count; i++)
		assert_true(m.objects[i].parent < i);
	topo_machine_fini(&m);
	assert_int_equal(topo_machine_load("/nowhere/none.xml", &m), -EINVAL);
	topo_machine_fini(&m);
	assert_int_equal(topo_machine_load("/dev/null", &m), -EINVAL);
	topo_machine_fini(&m);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(nonsense_has_no_path),		cmocka_unit_test(pci_functions_have_a_path),
		cmocka_unit_test(speed_of_nonsense_is_unknown), cmocka_unit_test(numa_of_nonsense_is_unknown),
		cmocka_unit_test(groups_hold_on_any_machine),	cmocka_unit_test(addresses_are_ordered_numbers),
		cmocka_unit_test(loads_this_machine),
	};

	return unit_run("topo", tests);
}

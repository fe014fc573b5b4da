/* SPDX-License-Identifier: Apache-2.0 */
/*
 * topo: memory near a NIC, and an endpoint's use of it. hwloc is given two NUMA nodes (HWLOC_SYNTHETIC) and takes them
 * for this machine's (HWLOC_THISSYSTEM), so that binding calls the real kernel; node 1 need not exist. The resulting
 * policy of the pages is read from /proc.
 */
#include "unit/unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/log.h"
#include "cm/internal.h"
#include "dev/table.h"
#include "topo/near.h"
#include "proto/eager.h"
#include "proto/group.h"
#include "proto/rma.h"
#include "proto/tagged.h"
#include "xfer/internal.h"

UNIT_FOREIGN_LEAKS("leak:libfabric.so\n"); /* its net provider leaks a little at each endpoint */

/* The kernel's text for the page, "prefer (many):0 anon=...", or "" if it has none. */
static const char *policy(const void *mem)
{
	static char text[64];
	char line[512];
	unsigned long at, best = 0;
	FILE *f = fopen("/proc/self/numa_maps", "r");

	text[0] = 0;
	while (f && fgets(line, sizeof(line), f)) {
		at = strtoul(line, NULL, 16);
		if (at > (unsigned long)mem || at < best)
			continue;
		best = at;
		snprintf(text, sizeof(text), "%.60s", strchr(line, ' ') + 1);
	}
	if (f)
		fclose(f);
	return text;
}

/* True if the kernel supports memory policies, permits them here and reports them. A container may forbid it. */
static bool kernel_places(void)
{
	static char page[4096] __attribute__((aligned(65536)));
	unsigned long node_0 = 1;

	return *policy(page) && !syscall(SYS_mbind, page, sizeof(page), 0 /* MPOL_DEFAULT */, NULL, 0ul, 0u) &&
	       !syscall(SYS_set_mempolicy, 1 /* MPOL_PREFERRED */, &node_0, 8 * sizeof(node_0)) &&
	       !syscall(SYS_set_mempolicy, 0, NULL, 0ul);
}

/* Allocates memory near the node, uses it from end to end, and frees it. */
static void use(int node, size_t bytes)
{
	char where[32], *mem = topo_near_alloc(node, bytes);

	assert_non_null(mem);
	assert_int_equal((uintptr_t)mem % (uintptr_t)sysconf(_SC_PAGESIZE), 0);
	memset(mem, 1, bytes);
	topo_near_where(mem, bytes, where, sizeof(where));
	assert_int_equal(strspn(where, "0123456789,-"), strlen(where));
	topo_near_free(mem, bytes);
}

static int begin(void **state)
{
	(void)state;
	unit_log_catch();
	return 0;
}

static void binds_to_a_node(void **state)
{
	char where[32], *mem;
	size_t bytes = 32 << 10; /* from the heap, not from mmap */

	(void)state;
	if (!kernel_places())
		skip();
	assert_int_equal(topo_near_nodes(), 2);
	mem = topo_near_alloc(0, bytes);
	assert_non_null(mem);
	memset(mem, 1, bytes);
	if (strncmp(policy(mem), "prefer", 6) || !strstr(policy(mem), ":0 "))
		fail_msg("bound to node 0, but %s", policy(mem));
	assert_string_equal(topo_near_where(mem, bytes, where, sizeof(where)), "0");
	topo_near_free(mem, bytes);
	if (strncmp(policy(mem), "default", 7))
		fail_msg("given back, but %s", policy(mem));
}

static void leaves_the_rest_alone(void **state)
{
	char *mem = topo_near_alloc(-1, 32 << 10);

	(void)state;
	assert_non_null(mem);
	memset(mem, 1, 32 << 10);
	assert_true(!*policy(mem) || !strncmp(policy(mem), "default", 7));
	topo_near_free(mem, 32 << 10);
	topo_near_free(NULL, 32 << 10);
}

/* A failed binding is reported once, and the memory is still usable. */
static void works_without(void **state)
{
	(void)state;
	use(1000, 4096); /* no such node: no report */
	assert_int_equal(unit_log_count(LOG_LEVEL_INFO), 0);
	use(1, 4096); /* hwloc lists this node; the kernel may not have it */
	use(1, 4096);
	assert_in_range(unit_log_count(LOG_LEVEL_INFO), 0, 1);
	assert_int_equal(unit_log_count(LOG_LEVEL_WARN), 0);
}

static void takes_any_size(void **state)
{
	size_t bytes;
	int node;

	(void)state;
	for (node = -1; node < 2; node++)
		for (bytes = 1; bytes < 4 << 20; bytes = bytes * 3 + 1)
			use(node, bytes);
}

/* Two sockets, the NIC on the first. */
static const char two_nodes[] =
#define SETS(bit) "cpuset=\"" bit "\" complete_cpuset=\"" bit "\" nodeset=\"" bit "\" complete_nodeset=\"" bit "\""
#define SOCKET(i, bit, inside)                                                                                         \
	"<object type=\"Package\" os_index=\"" i "\" gp_index=\"1" i                                                   \
	"\" " SETS(bit) ">"                                                                                            \
			"<object type=\"NUMANode\" os_index=\"" i "\" gp_index=\"2" i                                  \
			"\" " SETS(bit) " local_memory=\"1048576\"/>"                                                  \
					"<object type=\"PU\" os_index=\"" i "\" gp_index=\"3" i                        \
					"\" " SETS(bit) "/>" inside "</object>"
	"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<!DOCTYPE topology SYSTEM \"hwloc2.dtd\">\n<topology version=\"2.0\">\n"
	"<object type=\"Machine\" os_index=\"0\" gp_index=\"1\" " SETS("0x3") " allowed_cpuset=\"0x3\" allowed_nodeset=\"0x3\">" SOCKET(
		"0", "0x1",
		"<object type=\"Bridge\" gp_index=\"40\" bridge_type=\"0-1\" depth=\"0\" bridge_pci=\"0000:[00-ff]\">"
		"<object type=\"PCIDev\" gp_index=\"41\" pci_busid=\"0000:10:00.0\" pci_type=\"0200 [1d0f:efa2] "
		"[0000:0000] 00\" pci_link_speed=\"0.0\"/></object>") SOCKET("1", "0x2", "") "</object></topology>\n";

static void check_near(const char *what, const void *mem)
{
	if (strncmp(policy(mem), "prefer", 6) || !strstr(policy(mem), ":0 "))
		fail_msg("%s: %s", what, policy(mem));
}

/* The memory that an endpoint posts, and that its peers write, is near the NIC. */
static void places_a_port(void **state)
{
	char file[] = "/tmp/weft-near-XXXXXX";
	struct dev_table table;
	struct xfer_ep *ep;
	struct cts_ring *ring;
	int fd;

	(void)state;
	if (!kernel_places())
		skip();
	fd = mkstemp(file);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, two_nodes, sizeof(two_nodes) - 1), sizeof(two_nodes) - 1);
	close(fd);
	setenv("WEFT_TOPOLOGY", file, 1);
	setenv("WEFT_PROVIDER", "tcp", 1);
	setenv("WEFT_PROTOCOL", "rma", 1);
	setenv("WEFT_NICS", "lo", 1);
	assert_int_equal(dev_table_load(&table), 0);
	assert_int_equal(table.count, 1);
	strcpy(table.report.nics[0].pci, "0000:10:00.0"); /* tcp reports no PCI address */
	assert_int_equal(xfer_ep_get(&table.devs[0], &table.conf, &ep), 0);
	unlink(file);
	assert_int_equal(ep->node, 0);
	check_near("control buffers", ep->ctrl_memory);
	assert_int_equal(cts_ring_get(ep, &ring), 0);
	check_near("ring", ring->entries);
	cts_ring_put(ep, ring);
	xfer_ep_put(ep);
	dev_table_fini(&table);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup(f, begin)
	static const struct CMUnitTest tests[] = {
		TEST(binds_to_a_node), TEST(leaves_the_rest_alone), TEST(works_without),
		TEST(takes_any_size),  TEST(places_a_port),
	};

	setenv("HWLOC_SYNTHETIC", "numa:2 pu:1", 1);
	setenv("HWLOC_THISSYSTEM", "1", 1);
	return unit_run("near", tests);
}

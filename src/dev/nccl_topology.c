/* SPDX-License-Identifier: Apache-2.0 */
/* See nccl_topology.h. */
#include "dev/nccl_topology.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/log.h"
#include "topo/machine.h"

#define VARIABLE "NCCL_TOPO_FILE"
#define VIRTUAL	 "/var/run/nvidia-topologyd/virtualTopology.xml" /* NCCL's default file */
#define MEMFD	 "weft-nccl-topology"
#define OUR_PATH "/proc/self/fd/"

/* Do both have a common bridge above them? */
static bool share_bridge(const struct topo_machine *m, int a, int b)
{
	int place;

	for (place = topo_common_ancestor(m, a, b); place >= 0; place = m->objects[place].parent)
		if (m->objects[place].kind == TOPO_SWITCH)
			return true;
	return false;
}

/* Does a device serve a GPU that the tree does not show to be near its primary rail? */
static bool is_hidden(const struct topo_machine *m, const struct dev *d)
{
	int i, nic = topo_machine_find(m, topo_pci_parse(d->nic->pci));

	for (i = 0; i < dev_gpus_named(d) && nic >= 0; i++)
		if (!share_bridge(m, nic, topo_machine_find(m, d->gpu[i])))
			return true;
	return false;
}

/* The slowest PCIe generation whose 16 lanes carry this speed. */
static const char *link_speed(int mbps)
{
	return mbps <= 100000	? "8.0 GT/s PCIe"
	       : mbps <= 200000 ? "16.0 GT/s PCIe"
	       : mbps <= 400000 ? "32.0 GT/s PCIe"
				: "64.0 GT/s PCIe";
}

static void write_device(const struct dev *d, int number, FILE *out)
{
	const char *speed = link_speed(d->speed_mbps);
	char pci[TOPO_PCI_BYTES];
	int i;

	fprintf(out, "    <pci busid=\"ffff:ff:%02x.0\" class=\"0x060400\" link_speed=\"%s\" link_width=\"16\">\n",
		number + 1, speed);
	for (i = 0; i < d->rail_count; i++)
		fprintf(out, "      <pci busid=\"%s\" class=\"0x020000\" link_speed=\"%s\" link_width=\"16\"/>\n",
			d->rails[i]->pci, speed);
	for (i = 0; i < dev_gpus_named(d); i++)
		fprintf(out, "      <pci busid=\"%s\" class=\"0x030200\"/>\n", topo_pci_text(d->gpu[i], pci));
	fprintf(out, "    </pci>\n");
}

static int node_of(const struct topo_machine *m, const struct dev *d)
{
	int nic = topo_machine_find(m, topo_pci_parse(d->nic->pci));

	return nic >= 0 ? m->objects[nic].node : -1;
}

/* Prints the hidden devices of one NUMA node (-1: unknown node) if out is not NULL. Returns their number. */
static int print_node(const struct dev_table *t, const struct topo_machine *m, int node, FILE *out)
{
	int i, n = 0;

	for (i = 0; i < t->count; i++) {
		if (node_of(m, &t->devs[i]) != node || !is_hidden(m, &t->devs[i]))
			continue;
		if (!n++ && out)
			fprintf(out, "  <cpu numaid=\"%d\">\n", node);
		if (out)
			write_device(&t->devs[i], i, out);
	}
	if (n && out)
		fprintf(out, "  </cpu>\n");
	return n;
}

/* Counts the hidden devices, and prints them if out is not NULL. A single device leaves NCCL no choice: 0. */
static int each_hidden(const struct dev_table *t, FILE *out)
{
	int i, n = 0, node, last = -1, ret;
	struct topo_machine m;

	ret = topo_machine_load(t->conf.topology, &m);
	for (i = 0; i < m.count; i++)
		last = m.objects[i].node > last ? m.objects[i].node : last;
	for (node = -1; node <= last && !ret && t->count > 1; node++)
		n += print_node(t, &m, node, out);
	topo_machine_fini(&m);
	return ret ? ret : n;
}

int nccl_topology_print(const struct dev_table *t, FILE *out)
{
	int n;

	fprintf(out, "<system version=\"1\" name=\"weft\">\n");
	n = each_hidden(t, out);
	fprintf(out, "</system>\n");
	return n;
}

/* Did this process, or a parent before exec, set this path for Weft? */
static bool is_ours(const char *path)
{
	char target[100];
	ssize_t n;

	if (strncmp(path, OUR_PATH, strlen(OUR_PATH)))
		return false;
	n = readlink(path, target, sizeof(target) - 1);
	target[n > 0 ? n : 0] = 0;
	return n < 0 || strstr(target, MEMFD);
}

static bool is_wanted(const struct dev_table *t)
{
	if (t->count < 2)
		return false;
	if (t->conf.nccl_topology == CONF_NCCL_TOPOLOGY_AUTO)
		return t->platform.platform->hidden && dev_platform_fits(t);
	return t->conf.nccl_topology == CONF_NCCL_TOPOLOGY_ON;
}

enum nccl_topology nccl_topology_of(const struct dev_table *t)
{
	const char *path = getenv(VARIABLE);

	if (each_hidden(t, NULL) <= 0)
		return NCCL_TOPOLOGY_NONE;
	if ((path && *path && !is_ours(path)) || !access(VIRTUAL, F_OK))
		return NCCL_TOPOLOGY_USERS;
	return is_wanted(t) ? NCCL_TOPOLOGY_GIVEN : NCCL_TOPOLOGY_OFF;
}

/* Writes the topology to a file in memory that stays open in this process. path: its path, or "" on failure. */
static void write_memory(const struct dev_table *t, char *path, size_t bytes)
{
	int fd = memfd_create(MEMFD, MFD_CLOEXEC);
	FILE *f = fd >= 0 ? fdopen(fd, "w") : NULL;
	bool good;

	*path = 0;
	if (!f) {
		if (fd >= 0)
			close(fd);
		return;
	}
	good = nccl_topology_print(t, f) > 0 && !fflush(f) && !ferror(f);
	if (good)
		snprintf(path, bytes, OUR_PATH "%d", fcntl(fd, F_DUPFD_CLOEXEC, 0));
	fclose(f);
}

void nccl_topology_give(const struct dev_table *t)
{
	char path[sizeof(OUR_PATH) + 12];

	if (!is_wanted(t))
		return; /* skip loading the machine, which is slow */
	switch (nccl_topology_of(t)) {
	case NCCL_TOPOLOGY_NONE:
	case NCCL_TOPOLOGY_OFF: return;
	case NCCL_TOPOLOGY_USERS:
		log_info("keeping your " VARIABLE
			 "=%s, although it may not show which devices and GPUs belong together",
			 getenv(VARIABLE) ? getenv(VARIABLE) : VIRTUAL);
		return;
	case NCCL_TOPOLOGY_GIVEN: break;
	}
	write_memory(t, path, sizeof(path));
	if (!*path || access(path, R_OK) || setenv(VARIABLE, path, 1))
		log_info(VARIABLE " is not set: cannot make a file in memory: %s", strerror(errno));
	else
		log_info(VARIABLE "=%s shows NCCL which devices and GPUs belong together; the PCI tree does not", path);
}

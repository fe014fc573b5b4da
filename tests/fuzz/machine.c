/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Machines described by a file, as WEFT_TOPOLOGY names one. The bytes choose bridges, devices and what is said of them;
 * the file is well-formed. hwloc's reader itself is not tried: release 2.9 crashes on some damaged files.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* memfd_create */
#endif
#include "fuzz/fuzz.h"

#include <sys/mman.h>
#include <unistd.h>

#include "topo/machine.h"

#define DEPTH_MAX  30
#define OBJECT_MAX 300

struct input {
	const uint8_t *at;
	size_t left;
	int number;
};

static unsigned next(struct input *in)
{
	if (!in->left)
		return 0;
	in->left--;
	return *in->at++;
}

/* A value for an attribute: up to 12 characters, among them what a number may begin with. */
static void put_text(FILE *f, struct input *in)
{
	static const char set[] = "0123456789-+.eEx abcmlrdfiptn_:%s/";
	unsigned n = next(in) % 13;

	while (n--)
		fputc(set[next(in) % (sizeof(set) - 1)], f);
}

static void put_info(FILE *f, struct input *in)
{
	static const char *const names[] = {"WeftName", "WeftMbps", "Port1State", "NodeGUID", "Address", "PCIVendor"};

	fprintf(f, "<info name=\"%s\" value=\"", names[next(in) % 6]);
	put_text(f, in);
	fprintf(f, "\"/>\n");
}

static void put_device(FILE *f, struct input *in)
{
	static const unsigned classes[] = {0x0302, 0x0300, 0x0200, 0x0280, 0x0207, 0x0108};
	static const unsigned vendors[] = {0x10de, 0x1d0f, 0x15b3, 0x8086};
	unsigned what = next(in), n;

	fprintf(f, "<object type=\"PCIDev\" gp_index=\"%d\" pci_busid=\"0000:%02x:%02x.%x\" ", in->number++, next(in),
		next(in) % 32, what % 8);
	fprintf(f, "pci_type=\"%04x [%04x:%04x] [0000:0000] 00\" pci_link_speed=\"%u.5\">\n", classes[what % 6],
		vendors[what / 6 % 4], 0xefa0 + next(in) % 4, next(in));
	for (n = next(in) % 4; n; n--)
		put_info(f, in);
	for (n = next(in) % 3; n; n--) {
		fprintf(f, "<object type=\"OSDev\" gp_index=\"%d\" osdev_type=\"%u\" name=\"", in->number++,
			next(in) % 6);
		put_text(f, in);
		fprintf(f, "\"/>\n");
	}
	fprintf(f, "</object>\n");
}

static void put_io(FILE *f, struct input *in)
{
	int depth = 0;

	while (in->left && in->number < OBJECT_MAX) {
		unsigned op = next(in) % 4;

		if (op == 0 && depth) {
			fprintf(f, "</object>\n");
			depth--;
		} else if (op == 1 && depth < DEPTH_MAX && !depth) {
			fprintf(f,
				"<object type=\"Bridge\" gp_index=\"%d\" bridge_type=\"0-1\" depth=\"0\" "
				"bridge_pci=\"0000:[00-ff]\">\n",
				in->number++);
			depth++;
		} else if (op <= 2 && depth && depth < DEPTH_MAX) {
			fprintf(f,
				"<object type=\"Bridge\" gp_index=\"%d\" bridge_type=\"1-1\" depth=\"%d\" "
				"bridge_pci=\"0000:[%02x-ff]\" pci_busid=\"0000:%02x:00.0\" "
				"pci_type=\"0604 [8086:0000] [0000:0000] 00\" pci_link_speed=\"0.0\">\n",
				in->number++, depth, depth, next(in));
			depth++;
		} else if (depth) {
			put_device(f, in);
		}
	}
	while (depth--)
		fprintf(f, "</object>\n");
}

#define SETS "cpuset=\"0x1\" complete_cpuset=\"0x1\" nodeset=\"0x1\" complete_nodeset=\"0x1\""

static void put_machine(FILE *f, struct input *in)
{
	fprintf(f, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<!DOCTYPE topology SYSTEM \"hwloc2.dtd\">\n"
		   "<topology version=\"2.0\">\n<object type=\"Machine\" os_index=\"0\" " SETS
		   " allowed_cpuset=\"0x1\" allowed_nodeset=\"0x1\" gp_index=\"1\">\n"
		   "<object type=\"Package\" os_index=\"0\" " SETS " gp_index=\"2\">\n"
		   "<object type=\"NUMANode\" os_index=\"0\" " SETS " gp_index=\"3\" local_memory=\"1073741824\"/>\n"
		   "<object type=\"PU\" os_index=\"0\" " SETS " gp_index=\"4\"/>\n");
	in->number = 5;
	put_io(f, in);
	fprintf(f, "</object>\n</object>\n</topology>\n");
}

static void look(const struct topo_machine *m)
{
	int i;

	must(m->count > 0);
	for (i = 0; i < m->count; i++) {
		must(m->objects[i].parent < i);
		must(memchr(m->objects[i].name, 0, sizeof(m->objects[i].name)));
		must(topo_common_ancestor(m, i, m->count - 1) >= 0);
		topo_machine_uses(m, &m->objects[i]);
	}
	topo_machine_find(m, m->objects[m->count - 1].pci);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	struct input in = {data, bytes, 0};
	int fd = memfd_create("machine.xml", MFD_CLOEXEC);
	struct topo_machine m;
	char path[64];
	FILE *f;

	must(fd >= 0);
	f = fdopen(dup(fd), "w");
	must(f);
	put_machine(f, &in);
	fclose(f);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	must(!topo_machine_load(path, &m)); /* it is a machine */
	look(&m);
	topo_machine_fini(&m);
	close(fd);
	return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Table of platforms and their detection; see platform.h. */
#include "topo/platform.h"

#include <fnmatch.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"

#define DMI "/sys/devices/virtual/dmi/id/"
#define EC2 "Amazon EC2" /* DMI's sys_vendor */

/* Sets of settings, one bit each. */
enum { CHUNKS = 1, NVLS = 2, ONE_DEVICE = 4 };

static const struct platform_setting settings[] = {
	{CHUNKS, "NCCL_BUFFSIZE", "8388608",
	 "NCCL sends an eighth of this at a time: twice its default fills EFA better"},
	{CHUNKS, "NCCL_P2P_NET_CHUNKSIZE", "524288",
	 "EFA needs 256 KiB and more in one write; NCCL's default is 128 KiB"},
	{NVLS, "NCCL_NVLS_CHUNKSIZE", "524288", "larger writes for NVLink SHARP's collectives"},
	{NVLS, "NCCL_NVLSTREE_MAX_CHUNKSIZE", "524288",
	 "else NCCL cuts these chunks to 64 KiB on more than four nodes"},
	{ONE_DEVICE, "NCCL_NETDEVS_POLICY", "MAX:1",
	 "two GPUs and two devices share a switch: each GPU keeps to one of them"},
};

/* The first matching row counts; the last row matches every name. */
static const struct platform table[] = {
	{"p3dn.24xlarge", 1, PLATFORM_WRITES_EMULATED, false, false, 150, 0, 8, 1, 100, 150},
	{"p4d.24xlarge", 1, PLATFORM_WRITES_EMULATED, true, false, 75, CHUNKS, 8, 4, 100, 300},
	{"p4de.24xlarge", 1, PLATFORM_WRITES_EMULATED, true, false, 75, CHUNKS, 8, 4, 100, 300},
	{"p5.4xlarge", 2, PLATFORM_WRITES_NATIVE, false, false, 75, 0, 1, 1, 100, 0},
	{"p5.48xlarge", 2, PLATFORM_WRITES_NATIVE, false, false, 75, CHUNKS | NVLS, 8, 32, 100, 450},
	{"p5e.48xlarge", 2, PLATFORM_WRITES_NATIVE, false, false, 75, CHUNKS | NVLS, 8, 32, 100, 450},
	{"p5en.48xlarge", 3, PLATFORM_WRITES_NATIVE, false, false, 35, CHUNKS | NVLS | ONE_DEVICE, 8, 16, 200, 450},
	{"p6-b200.48xlarge", 4, PLATFORM_WRITES_NATIVE, false, false, 35, CHUNKS | NVLS | ONE_DEVICE, 8, 8, 400, 900},
	{"p6-b300.48xlarge", 4, PLATFORM_WRITES_NATIVE, false, false, 35, CHUNKS | NVLS, 8, 16, 400, 900},
	{"p6e-gb200.36xlarge", 4, PLATFORM_WRITES_NATIVE, false, true, 35, CHUNKS | NVLS, 0, 0, 0, 0},
	{"g4dn.*", 1, PLATFORM_WRITES_EMULATED, false, false, 75, 0, 0, 0, 0, 0},
	{"g5.*", 1, PLATFORM_WRITES_EMULATED, false, false, 75, 0, 0, 0, 0, 0},
	{"g6.*", 2, PLATFORM_WRITES_UNKNOWN, false, false, 75, 0, 0, 0, 0, 0},
	{"g6e.*", 0, PLATFORM_WRITES_UNKNOWN, false, false, 75, 0, 0, 0, 0, 0},
	{"g7e.*", 0, PLATFORM_WRITES_UNKNOWN, false, false, 35, CHUNKS, 0, 0, 0, 0},
	{"unknown", 0, PLATFORM_WRITES_UNKNOWN, false, false, 0, 0, 0, 0, 0, 0},
};

enum { ROWS = sizeof(table) / sizeof(table[0]) };

static const struct platform *const unknown = &table[ROWS - 1];

const struct platform *platform_row(size_t i)
{
	return i < ROWS ? &table[i] : NULL;
}

static const struct platform *platform_find(const char *name)
{
	const struct platform *p;

	for (p = table; p < unknown; p++)
		if (!fnmatch(p->name, name, 0))
			return p;
	return unknown;
}

int platform_settings(const struct platform *p, struct platform_setting out[PLATFORM_SETTINGS])
{
	size_t i;
	int n = 0;

	for (i = 0; i < sizeof(settings) / sizeof(settings[0]) && n < PLATFORM_SETTINGS; i++)
		if (p->settings & settings[i].set)
			out[n++] = settings[i];
	return n;
}

/* Reads the first line of a file; "" if there is none. */
static void read_line(const char *root, const char *file, char *out, size_t bytes)
{
	char path[4096];
	FILE *f;

	*out = 0;
	snprintf(path, sizeof(path), "%s%s%s", root, DMI, file);
	f = fopen(path, "r");
	if (!f)
		return;
	if (!fgets(out, (int)bytes, f))
		*out = 0;
	out[strcspn(out, "\n")] = 0;
	fclose(f);
}

static void detect(const char *root, struct platform_choice *c)
{
	char vendor[64], product[sizeof(c->name)];

	read_line(root, "sys_vendor", vendor, sizeof(vendor));
	read_line(root, "product_name", product, sizeof(product));
	if (!*vendor)
		snprintf(c->how, sizeof(c->how), "not on EC2, as far as can be seen: " DMI "sys_vendor can't be read");
	else if (strcmp(vendor, EC2))
		snprintf(c->how, sizeof(c->how), "not on EC2: " DMI "sys_vendor says \"%s\"", vendor);
	if (strcmp(vendor, EC2))
		return;
	c->platform = platform_find(product);
	snprintf(c->name, sizeof(c->name), "%s", *product ? product : "unknown");
	snprintf(c->how, sizeof(c->how), DMI "product_name says so%s",
		 c->platform == unknown ? "; Weft knows nothing in particular about it" : "");
}

static void explain(const char *requested, struct platform_choice *c)
{
	size_t i;

	snprintf(c->wrong, sizeof(c->wrong), "WEFT_PLATFORM=%.60s is no platform that Weft knows: auto, none",
		 requested);
	for (i = 0; i + 1 < ROWS; i++)
		text_append(c->wrong, sizeof(c->wrong), ", %s", table[i].name);
	text_append(c->wrong, sizeof(c->wrong), "; auto is used");
}

void platform_choose(const char *requested, const char *root, struct platform_choice *out)
{
	*out = (struct platform_choice){.platform = unknown, .name = "unknown"};
	if (!strcmp(requested, "none")) {
		snprintf(out->how, sizeof(out->how), "WEFT_PLATFORM=none");
		return;
	}
	if (strcmp(requested, "auto")) {
		out->platform = platform_find(requested);
		out->forced = out->platform != unknown;
		if (out->forced) {
			snprintf(out->name, sizeof(out->name), "%s", requested);
			snprintf(out->how, sizeof(out->how), "WEFT_PLATFORM=%s", out->name);
			return;
		}
		explain(requested, out);
	}
	detect(root, out);
}

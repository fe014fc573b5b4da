/* SPDX-License-Identifier: Apache-2.0 */
/* See machines.h. */
#include "info/machines.h"

#include <fnmatch.h>
#include <string.h>

/* GB/s of a link of 16 lanes, or of NVLink, in each direction. */
enum { PCIE3 = 15, PCIE4 = 31, PCIE5 = 63, NVLINK5 = 900 };

struct size {
	const char *name;
	const char *of; /* platform */
	int gpus, nics, nic_gbits, link_gbs;
	bool pcie;
};

/*
 * Sizes with EFA, as AWS publishes them; the links as NVIDIA's data sheets have them. An UltraServer is one machine here, since
 * NVLink connects all of its GPUs.
 */
static const struct size sizes[] = {
	{"u-p6e-gb200x36", "p6e-gb200.36xlarge", 36, 36, 400, NVLINK5, false},
	{"u-p6e-gb200x72", "p6e-gb200.36xlarge", 72, 72, 400, NVLINK5, false},
	{"g4dn.8xlarge", "g4dn.*", 1, 1, 50, 0, true},
	{"g4dn.12xlarge", "g4dn.*", 4, 1, 50, PCIE3, true},
	{"g4dn.16xlarge", "g4dn.*", 1, 1, 50, 0, true},
	{"g4dn.metal", "g4dn.*", 8, 1, 100, PCIE3, true},
	{"g5.8xlarge", "g5.*", 1, 1, 25, 0, true},
	{"g5.12xlarge", "g5.*", 4, 1, 40, PCIE4, true},
	{"g5.16xlarge", "g5.*", 1, 1, 25, 0, true},
	{"g5.24xlarge", "g5.*", 4, 1, 50, PCIE4, true},
	{"g5.48xlarge", "g5.*", 8, 1, 100, PCIE4, true},
	{"g6.8xlarge", "g6.*", 1, 1, 25, 0, true},
	{"g6.12xlarge", "g6.*", 4, 1, 40, PCIE4, true},
	{"g6.16xlarge", "g6.*", 1, 1, 25, 0, true},
	{"g6.24xlarge", "g6.*", 4, 1, 50, PCIE4, true},
	{"g6.48xlarge", "g6.*", 8, 1, 100, PCIE4, true},
	{"g6e.8xlarge", "g6e.*", 1, 1, 25, 0, true},
	{"g6e.12xlarge", "g6e.*", 4, 1, 100, PCIE4, true},
	{"g6e.16xlarge", "g6e.*", 1, 1, 35, 0, true},
	{"g6e.24xlarge", "g6e.*", 4, 2, 100, PCIE4, true},
	{"g6e.48xlarge", "g6e.*", 8, 4, 100, PCIE4, true},
	{"g7e.8xlarge", "g7e.*", 1, 1, 100, 0, true},
	{"g7e.12xlarge", "g7e.*", 2, 1, 400, PCIE5, true},
	{"g7e.24xlarge", "g7e.*", 4, 2, 400, PCIE5, true},
	{"g7e.48xlarge", "g7e.*", 8, 4, 400, PCIE5, true},
};

static const struct platform *row_of(const char *name)
{
	const struct platform *p = NULL;

	for (size_t i = 0; (p = platform_row(i)) && strcmp(p->name, name); i++)
		;
	return p;
}

bool machine_at(size_t i, struct machine *out)
{
	const struct platform *p;
	const struct size *s;

	for (size_t row = 0; (p = platform_row(row)); row++)
		if (p->nics && p->latency_us && i-- == 0) {
			*out = (struct machine){p->name, p, p->gpus, p->nics, p->nic_gbits, p->nvlink_gbs, false};
			return true;
		}
	if (i >= sizeof(sizes) / sizeof(sizes[0]))
		return false;
	s = &sizes[i];
	*out = (struct machine){s->name, row_of(s->of), s->gpus, s->nics, s->nic_gbits, s->link_gbs, s->pcie};
	return out->platform != NULL;
}

bool machine_find(const char *name, struct machine *out)
{
	for (size_t i = 0; machine_at(i, out); i++)
		if (!strcmp(out->name, name))
			return true;
	return false;
}

bool machine_is_of(const struct machine *m, const char *platform)
{
	return !strcmp(m->platform->name, platform) || !fnmatch(m->platform->name, platform, 0);
}

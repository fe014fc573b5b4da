/* SPDX-License-Identifier: Apache-2.0 */
/* Construction of the table of devices; see table.h. */
#include "dev/table.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dev/gdr.h"
#include "peer/ident.h"
#include "topo/machine.h"
#include "topo/nic.h"

/* NCCL's assumption for a network that reports no speed. */
#define DEFAULT_SPEED_MBPS 10000

/* WEFT_STREAMS=auto: a NIC of this speed, or of unknown speed, gets so many streams. */
#define FAST_MBPS    10000
#define FAST_STREAMS 4

static uint64_t hash_text(uint64_t hash, const char *s)
{
	for (; *s; s++)
		hash = (hash ^ (unsigned char)*s) * 1099511628211ull; /* FNV-1a */
	return hash;
}

static int nic_speed(const struct fab_nic *nic)
{
	int mbps = dev_nic_mbps(nic);

	return mbps ? mbps : DEFAULT_SPEED_MBPS;
}

/* Connections to each peer on each of the device's n NICs. Several NICs have one each: their speeds are measured. */
static int choose_streams(const struct dev_table *t, const struct fab_nic *nic, int n)
{
	int mbps = dev_nic_mbps(nic), streams = (int)t->conf.streams;

	if (!nic->streams || n > 1)
		return 1;
	if (!streams)
		streams = dev_nic_leaves_host(nic) && (!mbps || mbps >= FAST_MBPS) ? FAST_STREAMS : 1;
	return streams;
}

/* Adds a device of these NICs; the first is its primary rail. */
static void dev_add(struct dev_table *t, const int nics[], int n)
{
	const struct fab_nic *nic = &t->report.nics[nics[0]];
	struct dev *d = &t->devs[t->count++];

	d->nic = nic;
	for (d->rail_count = 0; d->rail_count < n; d->rail_count++) {
		const struct fab_nic *rail = &t->report.nics[nics[d->rail_count]];

		d->rails[d->rail_count] = rail;
		d->speed_mbps += nic_speed(rail);
	}
	d->streams = choose_streams(t, nic, n);
	d->pci_path = topo_nic_pci_path(nic->name, nic->pci);
	d->guid = hash_text(hash_text(14695981039346656037ull, peer_self()->host), nic->name);
	pthread_mutex_init(&d->lock, NULL);
	list_init(&d->accesses);
}

/* Makes devices of at most `rails` consecutive NICs each. */
static void deal(struct dev_table *t, int rails)
{
	int n = t->report.nic_count, nics[DEV_RAILS_MAX], at, i;

	for (at = 0; at < n; at += rails) {
		for (i = 0; i < rails && at + i < n; i++)
			nics[i] = at + i;
		dev_add(t, nics, i);
	}
}

/* For tests: with fewer NICs than `rails`, one device uses them repeatedly. */
static void deal_again(struct dev_table *t, int rails)
{
	int i, at, n = t->report.nic_count < rails ? 1 : t->report.nic_count / rails, nics[DEV_RAILS_MAX];

	for (at = 0; at < n * rails; at += rails) {
		for (i = 0; i < rails; i++)
			nics[i] = (at + i) % t->report.nic_count;
		dev_add(t, nics, rails);
	}
}

/* PCI address as the provider reports it or, where WEFT_RAILS asks for groups, as the kernel does; else 0. */
static topo_pci place_of(const struct dev_table *t, const struct fab_nic *nic)
{
	return t->conf.rails > 1 ? topo_nic_place(nic->name, nic->pci) : topo_pci_parse(nic->pci);
}

/* Are there several NICs to group, each with a known PCI address? */
static bool can_group(const struct dev_table *t)
{
	int i;

	for (i = 0; i < t->report.nic_count; i++)
		if (!place_of(t, &t->report.nics[i]))
			return false;
	return t->report.nic_count > 1 && t->conf.rails != 1;
}

/* Is WEFT_RAILS the only reason to group NICs, which serve host memory? */
static bool by_number_only(const struct dev_table *t, bool gpus)
{
	return t->conf.rails > 1 && !gpus && !*t->report.nics[0].pci;
}

static void describe(struct dev_table *t, int gpus, int least, int most)
{
	char range[40] = "";

	if (least != most)
		snprintf(range, sizeof(range), " to %d: they differ", most);
	snprintf(t->note, sizeof(t->note), "NICs: %d; GPUs: %d; devices: %d; rails of each: %d%s", t->report.nic_count,
		 gpus, t->count, least, range);
}

static int add_groups(struct dev_table *t, const struct topo_machine *m)
{
	int limit = t->conf.rails ? (int)t->conf.rails : DEV_RAILS_MAX;
	int i, n = t->report.nic_count, least = limit, most = 0, gpus = 0;
	bool some = false;
	struct topo_group *groups = calloc((size_t)n, sizeof(*groups));
	struct topo_nic *nics = calloc((size_t)n, sizeof(*nics));

	for (i = 0; i < n && nics; i++)
		nics[i] = (struct topo_nic){.pci = place_of(t, &t->report.nics[i]),
					    .speed_mbps = nic_speed(&t->report.nics[i])};
	n = nics && groups ? topo_group(m, nics, n, limit, groups) : -ENOMEM;
	for (i = 0; i < n; i++)
		some |= groups[i].gpus > 0;
	if (by_number_only(t, some)) {
		deal(t, limit);
		n = n < 0 ? n : 0;
	}
	for (i = 0; i < n; i++) {
		if (some && !groups[i].gpus && t->platform.platform->spare)
			continue;
		dev_add(t, groups[i].nics, groups[i].nic_count);
		t->devs[t->count - 1].gpus = groups[i].gpus;
		memcpy(t->devs[t->count - 1].gpu, groups[i].gpu, sizeof(groups[i].gpu));
		least = groups[i].nic_count < least ? groups[i].nic_count : least;
		most = groups[i].nic_count > most ? groups[i].nic_count : most;
		gpus += groups[i].gpus;
	}
	if (n > 0)
		describe(t, gpus, least, most);
	free(groups);
	free(nics);
	return n < 0 ? n : 0;
}

static int group(struct dev_table *t)
{
	struct topo_machine m;
	int ret = topo_machine_load(t->conf.topology, &m);

	if (ret == -EINVAL && *t->conf.topology) {
		snprintf(t->why, sizeof(t->why), "WEFT_TOPOLOGY=%s is not a file that hwloc can read",
			 t->conf.topology);
		t->user_error = true;
		ret = 0;
	} else if (ret == -EINVAL) {
		deal(t, 1);
		ret = 0;
	} else if (!ret) {
		ret = add_groups(t, &m);
	}
	topo_machine_fini(&m);
	return ret;
}

static int make_devices(struct dev_table *out, bool by_place)
{
	out->devs = calloc((size_t)out->report.nic_count, sizeof(*out->devs));
	if (!out->devs)
		return -ENOMEM;
	if (by_place)
		return group(out);
	if (out->conf.test_rails > 1)
		deal_again(out, (int)out->conf.test_rails);
	else
		deal(out, out->conf.rails > 1 ? (int)out->conf.rails : 1);
	return 0;
}

/* Initializes the table with parameters and platform, which all printers of a table need. False: invalid parameter. */
static bool table_begin(struct dev_table *out)
{
	memset(out, 0, sizeof(*out));
	out->user_error = conf_load(&out->conf, out->origins, out->why, sizeof(out->why)) != 0;
	platform_choose(out->conf.platform, "", &out->platform);
	return !out->user_error;
}

int dev_table_load(struct dev_table *out)
{
	int ret;

	if (!table_begin(out))
		return 0;
	ret = fab_discover(&out->conf, &out->report);
	if (ret)
		return ret;
	memcpy(out->why, out->report.why, sizeof(out->why));
	out->user_error = out->report.user_error;
	if (!out->report.nic_count)
		return 0;
	ret = make_devices(out, out->conf.test_rails == 1 && can_group(out));
	if (!ret)
		gdr_decide(out);
	return ret;
}

/* Fills the report with the NICs of another machine. */
static int load_xml_nics(struct fab_report *r, const struct topo_machine *m)
{
	int i;

	r->nics = calloc((size_t)m->count + 1, sizeof(*r->nics));
	if (!r->nics)
		return -ENOMEM;
	for (i = 0; i < m->count; i++) {
		const struct topo_object *o = &m->objects[i];
		struct fab_nic *nic = &r->nics[r->nic_count];

		if (!topo_machine_uses(m, o))
			continue;
		topo_pci_text(o->pci, nic->pci);
		snprintf(nic->name, sizeof(nic->name), "%s", *o->name ? o->name : nic->pci);
		nic->speed_mbps = o->speed_mbps;
		nic->number = r->nic_count++;
	}
	r->nic_seen = r->nic_count;
	return 0;
}

int dev_table_imagine(const char *xml, struct dev_table *out)
{
	struct topo_machine m;
	int ret;

	if (!table_begin(out))
		return 0;
	snprintf(out->conf.topology, sizeof(out->conf.topology), "%s", xml);
	platform_choose(strcmp(out->conf.platform, "auto") ? out->conf.platform : "none", "", &out->platform);
	ret = topo_machine_load(xml, &m);
	if (!ret)
		ret = load_xml_nics(&out->report, &m);
	topo_machine_fini(&m);
	if (ret == -EINVAL) {
		snprintf(out->why, sizeof(out->why), "%s is not a file that hwloc can read", xml);
		out->user_error = true;
		return 0;
	}
	if (ret || out->report.nic_count)
		return ret ? ret : make_devices(out, true);
	snprintf(out->why, sizeof(out->why), "the machine in %s has no NIC", xml);
	return 0;
}

void dev_table_fini(struct dev_table *t)
{
	int i;

	for (i = 0; i < t->count; i++) {
		dev_close(&t->devs[i]);
		free(t->devs[i].pci_path);
		pthread_mutex_destroy(&t->devs[i].lock);
	}
	free(t->devs);
	fab_report_fini(&t->report);
	memset(t, 0, sizeof(*t));
}

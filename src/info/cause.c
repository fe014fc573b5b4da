/* SPDX-License-Identifier: Apache-2.0 */
/* Probable causes; see cause.h. */
#include "info/cause.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/text.h"
#include "fabric/provider.h"
#include "topo/nic.h"

#define PCI_DEVICES "/sys/bus/pci/devices"
#define RDMA_CLASS  "/sys/class/infiniband"
#define RDMA_FILES  "/dev/infiniband"

#define say(c, ...) text_append((c)->text, sizeof((c)->text), __VA_ARGS__)

/* Test of a directory entry: count the entry at `path`? */
typedef bool (*is_one)(const char *path, const struct provider_devices *kind);

static int count(const char *root, const char *dir, is_one is, const struct provider_devices *kind)
{
	char path[PATH_MAX];
	struct dirent *entry;
	int n = 0;
	DIR *d;

	snprintf(path, sizeof(path), "%s%s", root, dir);
	d = opendir(path);
	while (d && (entry = readdir(d))) {
		if (*entry->d_name == '.')
			continue;
		snprintf(path, sizeof(path), "%s%s/%s", root, dir, entry->d_name);
		n += is(path, kind);
	}
	if (d)
		closedir(d);
	return n;
}

/* Does the file's first line begin with `with`? */
static bool begins(const char *dir, const char *file, const char *with)
{
	char path[PATH_MAX], word[32] = "";
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, file);
	f = fopen(path, "r");
	if (!f)
		return false;
	if (!fgets(word, sizeof(word), f))
		*word = 0;
	fclose(f);
	return !strncmp(word, with, strlen(with));
}

/* Does the last part of the link's target match `name`? NULL: any. */
static bool links_to(const char *dir, const char *link, const char *name)
{
	char path[PATH_MAX], target[PATH_MAX];
	const char *last;
	ssize_t len;

	snprintf(path, sizeof(path), "%s/%s", dir, link);
	len = readlink(path, target, sizeof(target) - 1);
	if (len < 0)
		return false;
	target[len] = 0;
	last = strrchr(target, '/');
	return !name || !strcmp(last ? last + 1 : target, name);
}

static bool is_function(const char *path, const struct provider_devices *kind)
{
	return begins(path, "vendor", kind->pci_vendor) && begins(path, "device", kind->pci_device);
}

static bool is_driven(const char *path, const struct provider_devices *kind)
{
	return is_function(path, kind) && links_to(path, "driver", kind->driver);
}

static bool is_rdma(const char *path, const struct provider_devices *kind)
{
	return !kind->driver || links_to(path, "device/driver", kind->driver);
}

static bool is_file(const char *path, const struct provider_devices *kind)
{
	(void)kind;
	return !strncmp(strrchr(path, '/'), "/uverbs", 7);
}

static bool can_open(const char *path, const struct provider_devices *kind)
{
	int fd = is_file(path, kind) ? open(path, O_RDWR | O_CLOEXEC) : -1;

	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

static const struct provider_devices *devices_of(const char *provider)
{
	const struct provider_quirks *row;
	int i;

	for (i = 0; (row = provider_row(i)); i++)
		if (provider_is(provider, row->name) && row->devices)
			return row->devices;
	return NULL;
}

static bool short_on_bus(struct cause *c, const struct provider_devices *kind, int64_t wanted)
{
	int there = count(c->root, PCI_DEVICES, is_function, kind);
	int driven = count(c->root, PCI_DEVICES, is_driven, kind);
	const char *vendor = kind->pci_vendor + 2, *device = kind->pci_device + 2; /* without 0x */

	if (there < wanted)
		say(c,
		    "%d PCI functions %s:%s* on the bus: this machine, or the part of it that a virtual machine or "
		    "container sees, has no more such NICs",
		    there, vendor, device);
	else if (driven < wanted)
		say(c,
		    "%d of %d PCI functions %s:%s* have the driver: is the kernel module %s loaded? dmesg says why "
		    "not",
		    driven, there, vendor, device, kind->driver);
	return there < wanted || driven < wanted;
}

/* Reports the first stage from the PCI bus to libfabric with fewer devices than wanted. False: no such stage. */
static bool short_of_devices(struct cause *c, const struct provider_devices *kind, int64_t wanted)
{
	int devices = count(c->root, RDMA_CLASS, is_rdma, kind);
	int files = count(c->root, RDMA_FILES, is_file, kind);

	if (kind->pci_vendor && short_on_bus(c, kind, wanted))
		return true;
	if (devices < wanted)
		say(c, "%d %s devices in %s%s: is the driver loaded, and ib_uverbs with it?", devices,
		    kind->driver ? kind->driver : "RDMA", c->root, RDMA_CLASS);
	else if (files < wanted)
		say(c,
		    "%d device files %s%s/uverbs*, for %d devices in %s%s: a container needs them passed in "
		    "(docker run --device=/dev/infiniband; in Kubernetes the device plugin's resource)",
		    files, c->root, RDMA_FILES, devices, c->root, RDMA_CLASS);
	else if (count(c->root, RDMA_FILES, can_open, kind) < wanted)
		say(c,
		    "device files %s%s/uverbs* can't be opened: look at their permissions, and at the device "
		    "rules of the container",
		    c->root, RDMA_FILES);
	return *c->text;
}

static const struct fab_candidate *offered(const struct dev_table *t, const char *provider)
{
	int i;

	for (i = 0; i < t->report.candidate_count; i++)
		if (t->report.candidates[i].nics && provider_is(provider, t->report.candidates[i].provider))
			return &t->report.candidates[i];
	return NULL;
}

/* Reports copies of libfabric other than the loaded one. */
static void say_other_libraries(struct cause *c)
{
	static const char *const dirs[] = {"/opt/amazon/efa/lib",
					   "/opt/amazon/efa/lib64",
					   "/usr/local/lib",
					   "/usr/local/lib64",
					   "/usr/lib64",
					   "/usr/lib/x86_64-linux-gnu",
					   "/usr/lib/aarch64-linux-gnu"};
	char path[PATH_MAX], *loaded = realpath(fab_library_path(), NULL), *real;
	size_t i;

	for (i = 0; i < sizeof(dirs) / sizeof(dirs[0]); i++) {
		snprintf(path, sizeof(path), "%s%s/libfabric.so.1", c->root, dirs[i]);
		real = realpath(path, NULL);
		if (real && (!loaded || strcmp(real, loaded)))
			say(c, "; another one is in %s%s: should that come first on LD_LIBRARY_PATH?", c->root,
			    dirs[i]);
		free(real);
	}
	free(loaded);
}

static void say_library(struct cause *c)
{
	const char *path = getenv("LD_LIBRARY_PATH");

	say(c, "the library loaded is %s, %s (LD_LIBRARY_PATH is %s)", fab_library_path(), fab_library_version(),
	    path && *path ? path : "empty");
	say_other_libraries(c);
}

void cause_library(struct cause *c, int64_t wanted)
{
	(void)wanted;
	*c->text = 0;
	say_library(c);
}

/* Clears the text. False: discovery stopped before libfabric was queried, and the text has the table's reason. */
static bool cause_begin(struct cause *c)
{
	*c->text = 0;
	if (!c->t->report.candidate_count)
		say(c, "%s", c->t->why);
	return !*c->text;
}

void cause_provider(struct cause *c, int64_t wanted)
{
	const struct provider_devices *kind = devices_of(c->provider);
	const struct fab_candidate *here = offered(c->t, c->provider);
	const char *only = getenv("FI_PROVIDER");

	(void)wanted;
	if (!cause_begin(c))
		return;
	if (here) {
		say(c, "libfabric offers it, but it is not used by default: %s; WEFT_PROVIDER=%s selects it", here->why,
		    c->provider);
		return;
	}
	if (kind && short_of_devices(c, kind, 1))
		return;
	say(c, "libfabric offers no %s: is it built with it? FI_LOG_LEVEL=warn fi_info -p '%s' says more; ",
	    c->provider, c->provider);
	if (only)
		say(c, "FI_PROVIDER=%s limits it; ", only);
	say_library(c);
}

/* Reports the setting, or the missing interface, that leaves only devices limited to this host. */
static void say_host_only(struct cause *c)
{
	const struct conf *conf = &c->t->conf;
	const struct dev *d = &c->t->devs[0];

	if (fab_nic_local_only(d->nic))
		say(c, "provider %s reaches this host only%s", d->nic->provider,
		    strcmp(conf->provider, "auto") ? ", and WEFT_PROVIDER selects it" : "");
	else if (*conf->nics)
		say(c, "WEFT_NICS=%s takes NICs that reach this host only", conf->nics);
	else
		say(c,
		    "no interface that leads to other hosts is up, with a link and an IP address: `ip addr` shows them");
}

static bool leaves_host(const struct dev_table *t)
{
	int i;

	for (i = 0; i < t->count; i++)
		if (dev_nic_leaves_host(t->devs[i].nic))
			return true;
	return false;
}

/* Reports the cause of having no device: missing hardware, or the table's reason. False: there is a device. */
static bool no_device(struct cause *c)
{
	const struct provider_devices *kind = devices_of(c->provider);

	if (cause_begin(c) && !c->t->count && (!kind || !short_of_devices(c, kind, 1)))
		say(c, "%s", c->t->why);
	return *c->text;
}

/* The same for a device that reaches other hosts. */
static bool no_device_out(struct cause *c)
{
	if (!no_device(c) && !leaves_host(c->t))
		say_host_only(c);
	return *c->text;
}

void cause_no_device(struct cause *c)
{
	*c->text = 0;
	if (c->t->count)
		say_host_only(c);
	else
		say(c, "%s", c->t->why);
}

void cause_nics(struct cause *c, int64_t wanted)
{
	const struct provider_devices *kind = devices_of(c->provider);
	const struct fab_report *r = &c->t->report;

	if (no_device(c) || (kind && !leaves_host(c->t) && short_of_devices(c, kind, wanted)) || no_device_out(c))
		return;
	if (r->nic_seen >= wanted)
		say(c, "%d of %d NICs are left out by %s%s: weft-info lists them with the reasons",
		    r->nic_seen - r->nic_count, r->nic_seen, *c->t->conf.nics ? "WEFT_NICS=" : "default",
		    c->t->conf.nics);
	else if (!kind || !short_of_devices(c, kind, wanted))
		say(c, "libfabric lists no more for %s: fi_info -p '%s' shows them", c->provider, c->provider);
}

void cause_devices(struct cause *c, int64_t wanted)
{
	const struct dev_table *t = c->t;

	if (t->report.nic_count < wanted)
		cause_nics(c, wanted);
	else if (!no_device_out(c))
		say(c, "%s: WEFT_RAILS makes smaller devices", *t->note ? t->note : "a device has several NICs");
}

void cause_rails(struct cause *c, int64_t wanted)
{
	const struct dev_table *t = c->t;
	int i;

	if (no_device_out(c))
		return;
	if (t->conf.rails && t->conf.rails < wanted) {
		say(c, "WEFT_RAILS=%" PRId64 " allows no more", t->conf.rails);
		return;
	}
	if (t->report.nic_count < wanted) {
		cause_nics(c, wanted);
		return;
	}
	for (i = 0; i < t->report.nic_count; i++)
		if (!*t->report.nics[i].pci) {
			say(c, "%s reports no PCI address for %s: each of its NICs is a device of its own", c->provider,
			    t->report.nics[i].name);
			return;
		}
	say(c,
	    "%s: a NIC is missing, or hwloc does not see where GPUs and NICs sit (a virtual machine may hide it: "
	    "WEFT_TOPOLOGY)",
	    *t->note ? t->note : "the NICs do not lie near enough to each other");
}

void cause_speed(struct cause *c, int64_t wanted)
{
	const struct dev *slow;
	int i;

	(void)wanted;
	if (no_device_out(c))
		return;
	slow = &c->t->devs[0];
	for (i = 1; i < c->t->count; i++)
		if (c->t->devs[i].speed_mbps < slow->speed_mbps)
			slow = &c->t->devs[i];
	say(c, "the rails of the slowest device are");
	for (i = 0; i < slow->rail_count; i++) {
		const struct fab_nic *nic = slow->rails[i];
		int mbps = dev_nic_mbps(nic);

		say(c, "%s %s", i ? "," : "", nic->name);
		if (mbps)
			say(c, " (%d Mbit/s)", mbps);
		else
			say(c, " (speed unknown)");
	}
	say(c, ": a link is down or slow, or rails are missing");
}

void cause_gdr(struct cause *c, int64_t wanted)
{
	char path[PATH_MAX];
	int i;

	(void)wanted;
	if (no_device_out(c))
		return;
	for (i = 0; i < c->t->count; i++)
		if (dev_nic_leaves_host(c->t->devs[i].nic) && !c->t->devs[i].gdr.cuda) {
			say(c, "%s", c->t->devs[i].gdr.cuda_why);
			break;
		}
	snprintf(path, sizeof(path), "%s/proc/driver/nvidia/version", c->root);
	if (!accel_info()->gpu_count && access(path, F_OK))
		say(c, "; %s is missing: no NVIDIA driver, or a container without it", path);
}

void cause_memlock(struct cause *c, int64_t wanted)
{
	struct rlimit limit;

	*c->text = 0;
	if (!getrlimit(RLIMIT_MEMLOCK, &limit) &&
	    (limit.rlim_max == RLIM_INFINITY || (int64_t)limit.rlim_max >= wanted)) {
		say(c, "only the soft limit is low: ulimit -l raises it");
		return;
	}
	say(c, "whoever started this process limits it: LimitMEMLOCK=infinity for slurmd or containerd, "
	       "PropagateResourceLimitsExcept=MEMLOCK in slurm.conf, docker run --ulimit memlock=-1, or "
	       "/etc/security/limits.conf");
}

int64_t cause_meminfo(const char *root, const char *name)
{
	char path[PATH_MAX], line[128];
	int64_t value = -1;
	FILE *f;

	snprintf(path, sizeof(path), "%s/proc/meminfo", root);
	f = fopen(path, "r");
	while (f && value < 0 && fgets(line, sizeof(line), f))
		if (!strncmp(line, name, strlen(name)) && sscanf(line + strlen(name), "%" SCNd64, &value) != 1)
			value = -1;
	if (f)
		fclose(f);
	return value;
}

void cause_hugepages(struct cause *c, int64_t wanted)
{
	int64_t total = cause_meminfo(c->root, "HugePages_Total:");

	*c->text = 0;
	if (total >= wanted)
		say(c, "%" PRId64 " are set aside, but other processes hold them", total);
	else if (total >= 0)
		say(c,
		    "%" PRId64 " are set aside: sysctl vm.nr_hugepages=%" PRId64 " sets more (a Kubernetes pod asks "
		    "for its own by a hugepages-2Mi limit)",
		    total, wanted);
	else
		say(c, "%s/proc/meminfo does not say", c->root);
}

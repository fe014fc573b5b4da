/* SPDX-License-Identifier: Apache-2.0 */
/* Contents of the v8 table: entries, devices, properties. */
#include <ctype.h>
#include <limits.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cases.h"
#include "drive.h"

struct named_entry {
	const char *name;
	size_t offset;
	bool may_be_null;
};

#define ENTRY(field, text, optional)                                                                                   \
	{                                                                                                              \
		text, offsetof(struct weft_nccl_net_v8, field), optional                                               \
	}
static const struct named_entry entries[] = {
	ENTRY(init, "init", false),
	ENTRY(devices, "devices", false),
	ENTRY(get_properties, "getProperties", false),
	ENTRY(listen, "listen", false),
	ENTRY(connect, "connect", false),
	ENTRY(accept, "accept", false),
	ENTRY(reg_mr, "regMr", false),
	ENTRY(reg_mr_dmabuf, "regMrDmaBuf", true),
	ENTRY(dereg_mr, "deregMr", false),
	ENTRY(isend, "isend", false),
	ENTRY(irecv, "irecv", false),
	ENTRY(iflush, "iflush", false),
	ENTRY(test, "test", false),
	ENTRY(close_send, "closeSend", false),
	ENTRY(close_recv, "closeRecv", false),
	ENTRY(close_listen, "closeListen", false),
	ENTRY(get_device_mr, "getDeviceMr", true),
	ENTRY(irecv_consumed, "irecvConsumed", true),
};

static void run_entries(struct side *s)
{
	void *p;
	size_t i;

	check(s->net->name && s->net->name[0], "the table has no name");
	for (i = 0; i < sizeof(entries) / sizeof(entries[0]); i++) {
		memcpy(&p, (const char *)s->net + entries[i].offset, sizeof(p));
		check(p || entries[i].may_be_null, "%s is NULL", entries[i].name);
	}
	/* If these two exist, NCCL calls them after every receive, or for every registration. */
	if (s->is_weft)
		check(!s->net->irecv_consumed && !s->net->get_device_mr, "irecvConsumed and getDeviceMr must be NULL");
}

__attribute__((format(printf, 5, 6))) static void quiet_logger(weft_nccl_log_level level, unsigned long flags,
							       const char *file, int line, const char *fmt, ...)
{
	(void)level;
	(void)flags;
	(void)file;
	(void)line;
	(void)fmt;
}

static void run_init_again(struct side *s)
{
	int ndev = -1;

	check_ok(s->net->init(quiet_logger), "the second init");
	check_ok(s->net->init(quiet_logger), "the third init");
	check_ok(s->net->devices(&ndev), "devices");
	check(ndev == s->plugin.ndev, "%d devices became %d after the second init", s->plugin.ndev, ndev);
}

struct property_field {
	const char *name;
	size_t offset, size;
};

#define FIELD(f)                                                                                                       \
	{                                                                                                              \
#f, offsetof(struct weft_nccl_props_v8, f), sizeof(((struct weft_nccl_props_v8 *)0)->f)                \
	}
static const struct property_field fields[] = {
	FIELD(name),	    FIELD(pci_path),	    FIELD(guid),
	FIELD(ptr_support), FIELD(reg_is_global),   FIELD(speed_mbps),
	FIELD(port),	    FIELD(latency_us),	    FIELD(max_comms),
	FIELD(max_recvs),   FIELD(net_device_type), FIELD(net_device_version),
};

/* NCCL passes uninitialised memory: a byte that keeps two different fillings was not written. */
static void run_all_fields(struct side *s)
{
	struct weft_nccl_props_v8 p, q;
	const unsigned char *a = (const void *)&p, *b = (const void *)&q;
	size_t i, j;
	int dev;

	for (dev = 0; dev < s->plugin.ndev; dev++) {
		memset(&p, 0xa5, sizeof(p));
		memset(&q, 0x5a, sizeof(q));
		check_ok(s->net->get_properties(dev, &p), "getProperties");
		check_ok(s->net->get_properties(dev, &q), "getProperties, the second time");
		for (i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
			for (j = fields[i].offset; j < fields[i].offset + fields[i].size; j++)
				check(a[j] != 0xa5 || b[j] != 0x5a, "device %d: getProperties does not write %s", dev,
				      fields[i].name);
	}
}

/* The results of getProperties stay the same, and its strings stay valid, when it is called again. */
static void run_stable(struct side *s)
{
	struct weft_nccl_props_v8 p, q;
	char name[256];
	int dev;

	for (dev = 0; dev < s->plugin.ndev; dev++) {
		check_ok(s->net->get_properties(dev, &p), "getProperties");
		snprintf(name, sizeof(name), "%s", p.name);
		check_ok(s->net->get_properties(dev, &q), "getProperties, the second time");
		check(!strcmp(p.name, name), "device %d: the name changed in place", dev);
		check(!strcmp(q.name, name), "device %d was %s and is %s", dev, name, q.name);
		check(!p.pci_path == !q.pci_path && (!p.pci_path || !strcmp(p.pci_path, q.pci_path)),
		      "device %d: pciPath changed", dev);
		check(!memcmp(&p.guid, &q.guid,
			      offsetof(struct weft_nccl_props_v8, net_device_version) + sizeof(int) -
				      offsetof(struct weft_nccl_props_v8, guid)),
		      "device %d: the properties changed", dev);
	}
}

/* "0000:3b:00.0" */
static bool looks_like_pci(const char *path)
{
	static const char shape[] = "xxxx:xx:xx.x";
	const char *last = strrchr(path, '/');
	size_t i;

	if (!last || strlen(last + 1) != sizeof(shape) - 1)
		return false;
	for (i = 0; shape[i]; i++)
		if (shape[i] == 'x' ? !isxdigit((unsigned char)last[1 + i]) : last[1 + i] != shape[i])
			return false;
	return true;
}

static void check_pci_path(const char *path, int dev)
{
	char real[PATH_MAX];
	struct stat st;

	if (!path)
		return;
	check(!stat(path, &st) && S_ISDIR(st.st_mode), "device %d: pciPath %s is no directory", dev, path);
	check(realpath(path, real) && !strcmp(real, path), "device %d: pciPath %s is not resolved", dev, path);
	check(looks_like_pci(path), "device %d: pciPath %s does not end in a PCI address", dev, path);
}

static void run_values(struct side *s)
{
	struct weft_nccl_props_v8 p;
	int dev;

	for (dev = 0; dev < s->plugin.ndev; dev++) {
		check_ok(s->net->get_properties(dev, &p), "getProperties");
		check(p.name && p.name[0], "device %d has no name", dev);
		check_pci_path(p.pci_path, dev);
		check(p.ptr_support & WEFT_NCCL_PTR_HOST, "device %d: no host memory", dev);
		check(!(p.ptr_support & ~7), "device %d: ptrSupport %#x", dev, (unsigned)p.ptr_support);
		check(!(p.ptr_support & WEFT_NCCL_PTR_DMABUF) || s->net->reg_mr_dmabuf,
		      "device %d offers DMA-BUF, but regMrDmaBuf is NULL", dev);
		check(p.reg_is_global == 0 || p.reg_is_global == 1, "device %d: regIsGlobal %d", dev, p.reg_is_global);
		check(p.speed_mbps > 0, "device %d: speed %d", dev, p.speed_mbps);
		check(p.latency_us >= 0, "device %d: latency %f", dev, (double)p.latency_us);
		check(p.max_comms > 0, "device %d: maxComms %d", dev, p.max_comms);
		check(p.max_recvs >= 1, "device %d: maxRecvs %d", dev, p.max_recvs);
		check(!p.net_device_type && !p.net_device_version, "device %d: netDevice type %d, version %d", dev,
		      p.net_device_type, p.net_device_version);
		/* NCCL 2.24 and later keep whole microseconds. */
		check(!s->is_weft || p.latency_us == (float)(int)p.latency_us,
		      "device %d: latency %f is not whole microseconds", dev, (double)p.latency_us);
	}
}

static void run_distinct(struct side *s)
{
	struct weft_nccl_props_v8 p, q;
	int i, j;

	for (i = 0; i < s->plugin.ndev; i++) {
		check_ok(s->net->get_properties(i, &p), "getProperties");
		for (j = 0; j < i; j++) {
			check_ok(s->net->get_properties(j, &q), "getProperties");
			check(strcmp(p.name, q.name), "devices %d and %d are both named %s", j, i, p.name);
			check(p.guid != q.guid, "devices %d and %d have the same guid", j, i);
		}
	}
}

static void run_no_such_device(struct side *s)
{
	const int wrong[] = {-1, s->plugin.ndev, s->plugin.ndev + 1000, INT_MAX, INT_MIN};
	struct weft_nccl_props_v8 p;
	struct drive_handle h;
	void *comm;
	size_t i;

	for (i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		side_step("getProperties of device %d of %d", wrong[i], s->plugin.ndev);
		check(s->net->get_properties(wrong[i], &p) != WEFT_NCCL_SUCCESS,
		      "getProperties of device %d of %d succeeds", wrong[i], s->plugin.ndev);
		side_step("listen on device %d of %d", wrong[i], s->plugin.ndev);
		comm = NULL;
		check(s->net->listen(wrong[i], h.bytes, &comm) != WEFT_NCCL_SUCCESS,
		      "listen on device %d of %d succeeds", wrong[i], s->plugin.ndev);
	}
}

const struct suite_case table_cases[] = {
	{.name = "table/entries", .run = run_entries, .nprocs = 1, .flags = SUITE_ONCE},
	{.name = "table/init-again", .run = run_init_again, .nprocs = 1, .flags = SUITE_ONCE},
	{.name = "table/all-fields", .run = run_all_fields, .nprocs = 1, .flags = SUITE_ONCE},
	{.name = "table/stable", .run = run_stable, .nprocs = 1, .flags = SUITE_ONCE},
	{.name = "table/values", .run = run_values, .nprocs = 1},
	{.name = "table/distinct-devices", .run = run_distinct, .nprocs = 1},
	{.name = "table/no-such-device", .run = run_no_such_device, .nprocs = 1, .flags = SUITE_ONCE},
	{.name = NULL},
};

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The files that describe the devices, below $SOFTEFA_SYSFS/<host number> or a private directory that exists as long as
 * the process; $SYSFS_PATH tells every library its path:
 *   class/infiniband_verbs/abi_version
 *   class/infiniband/<name>/...            a link to devices/pci.../infiniband/<name>
 *   devices/pci.../{vendor,device,driver,numa_node,p2p}
 *   .../<name>/ports/1/hw_counters, .../<name>/hw_counters
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "softefa.h"

/* clang-format off */
static const char *const names[SOFT_COUNTERS] = {
	"tx_bytes", "tx_pkts", "rx_bytes", "rx_pkts", "rx_drops",
	"send_bytes", "send_wrs", "recv_bytes", "recv_wrs",
	"rdma_read_wrs", "rdma_read_bytes", "rdma_read_wr_err", "rdma_read_resp_bytes",
	"rdma_write_wrs", "rdma_write_bytes", "rdma_write_wr_err", "rdma_write_recv_bytes",
	"retrans_bytes", "retrans_pkts", "retrans_timeout_events", "unresponsive_remote_events",
	"impaired_remote_conn_events", "softefa_doorbells", "softefa_completions",
	"softefa_overtaken", "softefa_not_ready",
	"submitted_cmds", "completed_cmds", "cmds_err", "no_completion_cmds", "keep_alive_rcvd",
	"alloc_pd_err", "create_qp_err", "create_cq_err", "reg_mr_err", "alloc_ucontext_err",
	"create_ah_err", "mmap_err",
};
/* clang-format on */

static char root[128]; /* "": not created yet */
static pid_t owner;    /* owner of the private directory; 0: it is not private */
static pthread_mutex_t files_lock = PTHREAD_MUTEX_INITIALIZER;
/* Counts of closed contexts, and the counts in the files. */
static uint64_t kept[SOFT_NICS_MAX][SOFT_COUNTERS], sum[SOFT_NICS_MAX][SOFT_COUNTERS],
	written[SOFT_NICS_MAX][SOFT_COUNTERS];

const char *soft_sysfs_path(void)
{
	return root;
}

void soft_nic_name(const struct soft_nic *nic, char *out, size_t bytes)
{
	char domain[16] = "";

	if (nic->domain)
		snprintf(domain, sizeof(domain), "P%u", nic->domain);
	if (nic->function)
		snprintf(out, bytes, "rdma%sp%us%uf%u", domain, nic->bus, nic->device, nic->function);
	else
		snprintf(out, bytes, "rdma%sp%us%u", domain, nic->bus, nic->device);
}

/* Creates a directory and its parents. */
static int make_dirs(char *path)
{
	char *at;

	for (at = strchr(path + 1, '/'); at; at = strchr(at + 1, '/')) {
		*at = 0;
		if (mkdir(path, 0755) && errno != EEXIST)
			return -errno;
		*at = '/';
	}
	return mkdir(path, 0755) && errno != EEXIST ? -errno : 0;
}

/* Writes a file below the root and creates its parent directories. */
static int put(const char *text, const char *format, ...) __attribute__((format(printf, 2, 3)));
static int put(const char *text, const char *format, ...)
{
	char path[512], *slash;
	int err, fd, used = snprintf(path, sizeof(path), "%s/", root);
	va_list args;

	va_start(args, format);
	vsnprintf(path + used, sizeof(path) - (size_t)used, format, args);
	va_end(args);
	slash = strrchr(path, '/');
	*slash = 0;
	err = make_dirs(path);
	*slash = '/';
	if (err)
		return err;
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (fd < 0)
		return -errno;
	err = write(fd, text, strlen(text)) < 0 ? -errno : 0;
	close(fd);
	return err;
}

static int put_link(const char *to, const char *format, ...) __attribute__((format(printf, 2, 3)));
static int put_link(const char *to, const char *format, ...)
{
	char path[512], target[512], *slash;
	int err, used = snprintf(path, sizeof(path), "%s/", root);
	va_list args;

	va_start(args, format);
	vsnprintf(path + used, sizeof(path) - (size_t)used, format, args);
	va_end(args);
	snprintf(target, sizeof(target), "%s/%s", root, to);
	slash = strrchr(path, '/');
	*slash = 0;
	err = make_dirs(path);
	*slash = '/';
	if (!err && symlink(target, path) && errno != EEXIST)
		err = -errno;
	return err;
}

static int make_nic(const struct soft_nic *nic)
{
	char name[IBV_SYSFS_NAME_MAX], pci[160], text[32], target[256];
	int i, err = 0;

	soft_nic_name(nic, name, sizeof(name));
	snprintf(pci, sizeof(pci), "devices/pci%04x:%02x/%04x:%02x:%02x.%x", nic->domain, nic->bus, nic->domain,
		 nic->bus, nic->device, nic->function);
	snprintf(text, sizeof(text), "0x%04x\n", soft_setup.part_id);
	err = err ? err : put("0x1d0f\n", "%s/vendor", pci);
	err = err ? err : put(text, "%s/device", pci);
	err = err ? err : put("-1\n", "%s/numa_node", pci);
	err = err ? err : put("\n", "%s/p2p", pci);
	err = err ? err : put_link("bus/pci/drivers/efa", "%s/driver", pci);
	for (i = 0; i < SOFT_COUNTERS; i++)
		err = err ? err
			  : put("0\n", "%s/infiniband/%s%s/hw_counters/%s", pci, name,
				i < PORT_COUNTERS ? "/ports/1" : "", names[i]);
	err = err ? err : put_link(pci, "%s/infiniband/%s/device", pci, name);
	snprintf(target, sizeof(target), "%s/infiniband/%s", pci, name);
	return err ? err : put_link(target, "class/infiniband/%s", name);
}

static void unmake(void)
{
	if (owner == getpid() && *root)
		soft_tree_remove(root);
}

/* A directory of this process alone. Other processes remove such directories once no lock is held in them. */
static int make_private(void)
{
	char fresh[128], lock[160];

	if (mkdir(soft_setup.dir, 0700) && errno != EEXIST)
		return -errno;
	soft_dir_sweep();
	snprintf(fresh, sizeof(fresh), "%s/.sys-XXXXXX", soft_setup.dir);
	if (!mkdtemp(fresh))
		return -errno;
	snprintf(lock, sizeof(lock), "%s/page", fresh);
	snprintf(root, sizeof(root), "%s/%s", soft_setup.dir, strrchr(fresh, '/') + 2);
	if (soft_lock_file(lock) < 0 || rename(fresh, root))
		return -errno;
	owner = getpid();
	atexit(unmake);
	return 0;
}

int soft_sysfs_make(void)
{
	int i, err = 0;

	if (soft_setup.sysfs)
		snprintf(root, sizeof(root), "%.100s/%u", soft_setup.sysfs, soft_setup.host);
	else
		err = make_private();
	err = err ? err : put("1\n", "class/infiniband_verbs/abi_version");
	err = err ? err : put("", "bus/pci/drivers/efa/module");
	for (i = 0; i < soft_setup.nic_count && !err; i++)
		err = make_nic(&soft_setup.nics[i]);
	if (err)
		soft_log("cannot write to %s: %s; SOFTEFA_DIR or SOFTEFA_SYSFS name another directory", root,
			 strerror(-err));
	else
		setenv("SYSFS_PATH", root, 1);
	return err;
}

static void add(struct soft_context *c, uint64_t to[SOFT_NICS_MAX][SOFT_COUNTERS])
{
	int i;

	for (i = 0; i < SOFT_COUNTERS; i++)
		to[c->device->index][i] += atomic_load_explicit(&c->counts[i], memory_order_relaxed);
}

static void add_up(struct soft_context *c)
{
	add(c, sum);
}

void soft_sysfs_keep(const struct soft_context *c)
{
	pthread_mutex_lock(&files_lock);
	add((struct soft_context *)(uintptr_t)c, kept);
	pthread_mutex_unlock(&files_lock);
	soft_sysfs_update();
}

static void write_counter(int nic, int i)
{
	char path[512], name[IBV_SYSFS_NAME_MAX], text[32];
	int fd, used;

	soft_nic_name(&soft_setup.nics[nic], name, sizeof(name));
	snprintf(path, sizeof(path), "%s/class/infiniband/%s%s/hw_counters/%s", root, name,
		 i < PORT_COUNTERS ? "/ports/1" : "", names[i]);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	/* Counts only grow, and so do their texts: a reader never sees a partial number. */
	used = snprintf(text, sizeof(text), "%llu\n", (unsigned long long)sum[nic][i]);
	if (pwrite(fd, text, (size_t)used, 0) == used)
		written[nic][i] = sum[nic][i];
	close(fd);
}

void soft_sysfs_update(void)
{
	int nic, i;

	pthread_mutex_lock(&files_lock);
	memcpy(sum, kept, sizeof(sum));
	soft_contexts_each(add_up);
	for (nic = 0; nic < soft_setup.nic_count; nic++)
		for (i = 0; i < SOFT_COUNTERS; i++)
			if (sum[nic][i] != written[nic][i])
				write_counter(nic, i);
	pthread_mutex_unlock(&files_lock);
}

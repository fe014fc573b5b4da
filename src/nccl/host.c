/* SPDX-License-Identifier: Apache-2.0 */
/* Weft inside NCCL; see host.h. */
#include "nccl/host.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/text.h"
#include "dev/gdr.h"
#include "dev/nccl_topology.h"
#include "dev/table.h"
#include "dev/tuning.h"
#include "nccl/ctx.h"
#include "nccl/profile.h"
#include "stats/stats.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct dev_table devs;
static atomic_int owner; /* pid of the process that filled devs: a forked child loads its own */
static _Atomic(weft_nccl_logger) nccl_log;

static void to_nccl(enum log_level level, const char *file, int line, const char *text)
{
	weft_nccl_logger logger = atomic_load(&nccl_log);

	if (!logger)
		return;
	/* NCCL drops lines without an enabled subsystem, warnings too; plain NCCL_DEBUG=INFO enables INIT. */
	if (level == LOG_LEVEL_WARN)
		logger(WEFT_NCCL_LOG_WARN, WEFT_NCCL_SUB_ALL, file, line, "NET/weft: %s", text);
	else if (level == LOG_LEVEL_INFO)
		logger(WEFT_NCCL_LOG_INFO, WEFT_NCCL_SUB_INIT | WEFT_NCCL_SUB_NET, file, line, "NET/weft: %s", text);
	else
		logger(WEFT_NCCL_LOG_TRACE, WEFT_NCCL_SUB_NET, file, line, "NET/weft: %s", text);
}

/* GPUDirect RDMA of each device. */
static void log_gdr(void)
{
	int d;

	for (d = 0; d < devs.count; d++) {
		const struct dev_gdr *g = &devs.devs[d].gdr;

		if (g->cuda)
			log_info("device %d: GPU memory by pointer%s; flush: %s, as %s", d,
				 g->dmabuf ? " and dma-buf" : "", gdr_flush_text(g->flush), g->flush_why);
		else
			log_info("device %d: no GPU memory: %s", d, g->cuda_why);
	}
}

static void log_start(void)
{
	char value[PARAM_TEXT_BYTES];
	size_t i;
	int d;

	log_info("Weft " PACKAGE_VERSION " on libfabric %s from %s", fab_library_version(), fab_library_path());
	for (i = 0; i < conf_count; i++)
		if (devs.origins[i] == PARAM_FROM_ENVIRONMENT)
			log_info("%s=%s (environment)", conf_table[i].name,
				 param_value_text(&conf_table[i], &devs.conf, value, sizeof(value)));
	if (*devs.report.unmatched)
		log_warn("%s", devs.report.unmatched);
	if (*devs.platform.wrong)
		log_must_see("%s", devs.platform.wrong);
	if (*devs.note)
		log_info("%s", devs.note);
	for (d = 0; d < devs.count; d++)
		log_info("device %d: NIC %s, rails %d, provider %s, %d Mbit/s, PCI %s", d, devs.devs[d].nic->name,
			 devs.devs[d].rail_count, devs.devs[d].nic->provider, devs.devs[d].speed_mbps,
			 devs.devs[d].pci_path ? devs.devs[d].pci_path : "none");
	if (devs.count) {
		log_gdr();
		tuning_apply(&devs);
		gdr_guard_order(&devs);
		nccl_topology_give(&devs);
		return;
	}
	/* A wrong setting must be seen. A machine without a network for Weft is normal. */
	if (devs.user_error)
		log_must_see("Weft is not used: %s", devs.why);
	else
		log_info("Weft is not used: %s", devs.why);
}

/* Other threads of the parent may hold locks. */
static void host_in_child(void)
{
	pthread_mutex_init(&lock, NULL);
	net_ctx_in_child();
	profile_in_child();
}

static void prepare_fork(void)
{
	pthread_atfork(NULL, NULL, host_in_child);
}

void host_init(weft_nccl_logger logger)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, prepare_fork);
	atomic_store(&nccl_log, logger);
	log_set_sink(to_nccl);
	pthread_mutex_lock(&lock);
	if (atomic_load(&owner) != (int)getpid()) {
		/* the resources of a parent process are forgotten, not closed, because they belong to the parent */
		stats_read_environment();
		if (dev_table_load(&devs)) {
			memset(&devs, 0, sizeof(devs));
			memcpy(devs.why, "out of memory", sizeof("out of memory"));
		}
		log_set_stderr((enum log_level)devs.conf.log);
		conf_warn_unknown();
		log_start();
		atomic_store(&owner, (int)getpid());
	}
	pthread_mutex_unlock(&lock);
}

const struct dev_table *host_devs(void)
{
	int of = atomic_load(&owner);

	if (of && of != (int)getpid())
		host_init(atomic_load(&nccl_log)); /* a forked child whose NCCL takes the parent's init for its own */
	return of ? &devs : NULL;
}

struct dev *host_dev(int dev)
{
	const struct dev_table *t = host_devs();

	if (t && dev >= 0 && dev < t->count)
		return &t->devs[dev];
	log_warn("there is no device %d: %s", dev, t ? "the number is out of range" : "init never ran");
	return NULL;
}

weft_nccl_result host_error(int err)
{
	switch (err) {
	case -EINVAL: return WEFT_NCCL_INVALID_ARGUMENT;
	case -EMSGSIZE: return WEFT_NCCL_INVALID_USAGE;
	case -EPROTO: return WEFT_NCCL_INTERNAL_ERROR;
	case -ECONNRESET:
	case -ECONNREFUSED:
	case -ECONNABORTED:
	case -ENOTCONN:
	case -EPIPE:
	case -EHOSTUNREACH:
	case -ETIMEDOUT:
	case -EPROTONOSUPPORT: return WEFT_NCCL_REMOTE_ERROR;
	default: return WEFT_NCCL_SYSTEM_ERROR;
	}
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Facts about each provider; see provider.h. */
#include "fabric/provider.h"

#include <stddef.h>
#include <strings.h>

#include <rdma/fabric.h>

#define DEPRECATED "deprecated and slow"

static const struct provider_devices efa_devices = {.driver = "efa", .pci_vendor = "0x1d0f", .pci_device = "0xefa"};
static const struct provider_devices rdma_devices = {0};

static const struct provider_quirks table[] = {
	{.name = "efa",
	 .rank = 100,
	 .rma_native = true,
	 .efa_options = true,
	 .inject_lossy = true,
	 .silent_dead = true,
	 .devices = &efa_devices,
	 .needs = "an EFA device, its kernel driver, /dev/infiniband/uverbs* inside this container, and a "
		  "libfabric built with the efa provider"},
	{.name = "efa-direct",
	 .part_of = "efa",
	 .untagged = true,
	 .rma = true,
	 .efa_options = true,
	 .inject_lossy = true,
	 .silent_dead = true,
	 .devices = &efa_devices,
	 .on_demand = "not yet tried on EFA hardware",
	 .needs =
		 "EFA v2 or newer (p5 and later), libfabric 2.1 or newer, and rdma-core and a kernel driver with receives "
		 "of unsolicited writes"},
	{.name = "verbs;ofi_rxm",
	 .alias = "verbs",
	 .rank = 80,
	 .devices = &rdma_devices,
	 .needs = "an InfiniBand or RoCE device whose interface has an address"},
	{.name = "tcp",
	 .rank = 60,
	 .ip = true,
	 .rma = true,
	 .kernel_tcp = true,
	 .mr_unlocked_below = FI_VERSION(1, 20)},
	/* libfabric 1.17's name of the provider called "tcp" from 1.18 on */
	{.name = "net",
	 .alias = "tcp",
	 .rank = 60,
	 .ip = true,
	 .rma = true,
	 .kernel_tcp = true,
	 .mr_unlocked_below = FI_VERSION(1, 20)},
	{.name = "tcp;ofi_rxm", .rank = 40, .ip = true},
	{.name = "net;ofi_rxm", .ip = true, .on_demand = "layered on net, which is faster alone"},
	{.name = "sockets", .ip = true, .on_demand = DEPRECATED},
	{.name = "udp;ofi_rxd", .alias = "udp", .ip = true, .on_demand = "slower than tcp"},
	{.name = "shm",
	 .local_only = true,
	 .queued = 4096,
	 .closed_read_below = FI_VERSION(2, 5),
	 .on_demand = "reaches this host only"},
	{.name = "sm2", .local_only = true, .on_demand = "reaches this host only"},
};

static const struct provider_quirks unknown = {.name = "", .on_demand = "Weft knows nothing about it"};

#define ROWS (sizeof(table) / sizeof(table[0]))

const struct provider_quirks *provider_row(int i)
{
	return i >= 0 && (size_t)i < ROWS ? &table[i] : NULL;
}

const struct provider_quirks *provider_quirks(const char *name)
{
	size_t i;

	for (i = 0; i < ROWS; i++)
		if (!strcasecmp(table[i].name, name))
			return &table[i];
	return &unknown;
}

bool provider_is(const char *requested, const char *name)
{
	const struct provider_quirks *quirks = provider_quirks(name);

	return !strcasecmp(requested, name) || (quirks->alias && !strcasecmp(requested, quirks->alias));
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Facts about each provider, one row each: no other place asks "is this efa?". For fabric, and for weft-info when it
 * explains what is missing.
 */
#ifndef WEFT_FABRIC_PROVIDER_H
#define WEFT_FABRIC_PROVIDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The kernel's devices that a provider drives. */
struct provider_devices {
	const char *driver;	/* NULL: any that makes RDMA devices */
	const char *pci_vendor; /* as sysfs writes it, "0x1d0f"; NULL: of many makers */
	const char *pci_device; /* what its id begins with */
};

struct provider_facts {
	const char *name;     /* as libfabric prints it, or, with `part_of`, its fabric */
	const char *part_of;  /* the provider that libfabric takes it for, or NULL */
	const char *alias;    /* what WEFT_PROVIDER may say instead, or NULL */
	int rank;	      /* by default the highest rank present wins; 0: only when asked for */
	bool ip;	      /* one domain per network interface */
	bool local_only;      /* reaches this host only */
	bool untagged;	      /* has no tagged messages: remote writes are all that carries Weft; `rma` goes with it */
	bool rma;	      /* remote writes with immediate data carry Weft better than tagged messages ... */
	bool rma_native;      /* ... where the NIC itself does them */
	/*
	 * Below this release of libfabric (FI_VERSION; 0: never) the provider takes no lock for its table of memory
	 * regions, whatever the threading level; tcp's was added in 1.20.
	 */
	uint32_t mr_unlocked_below;
	/*
	 * What is injected gets lost, or the provider crashes, while its receiver is not ready: 1.17 on tests/softefa. An
	 * operation with a completion is sure to end, and costs efa no more.
	 */
	bool inject_lossy;
	bool silent_dead;     /* a NIC that has died says nothing, and one that lives ends what it was given by itself */
	size_t queued;	      /* bytes of a message that its queues carry; larger ones cost it system calls; 0: they all do */
	bool efa_options;     /* takes FI_OPT_EFA_* and FI_OPT_SHARED_MEMORY_PERMITTED */
	const char *on_demand; /* why it is not a default, when rank is 0 */
	const struct provider_devices *devices; /* NULL: needs none of its own */
	const char *needs;     /* what is missing where libfabric does not list it; NULL: not worth a word */
};

/* Row number i of the table, best known first, or NULL behind the last. */
const struct provider_facts *provider_row(int i);

/* The row for a provider's name; a row of cautious defaults for a provider unknown to Weft. */
const struct provider_facts *provider_facts(const char *name);

/*
 * Does WEFT_PROVIDER=`wish` name the provider `name`? `tcp` means the native TCP RDM provider: `tcp`, or
 * `net` where libfabric calls it so.
 */
bool provider_is(const char *wish, const char *name);

#endif

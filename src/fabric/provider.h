/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Facts about each provider, one row each, so that other code need not test provider names. Used by fabric, and by
 * weft-info to explain a missing provider.
 */
#ifndef WEFT_FABRIC_PROVIDER_H
#define WEFT_FABRIC_PROVIDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Kernel devices that a provider drives. */
struct provider_devices {
	const char *driver;	/* kernel driver; NULL: any driver of RDMA devices */
	const char *pci_vendor; /* vendor in sysfs notation, "0x1d0f"; NULL: any */
	const char *pci_device; /* prefix of the device id in sysfs notation */
};

struct provider_quirks {
	const char *name;    /* libfabric's name of it or, with `part_of`, of its fabric */
	const char *part_of; /* libfabric's provider that includes it, or NULL */
	const char *alias;   /* alternative name in WEFT_PROVIDER, or NULL */
	int rank;	     /* the highest rank present is the default; 0: used only on request */
	bool ip;	     /* one domain per network interface */
	bool local_only;     /* reaches this host only */
	/*
	 * One connection of the kernel's TCP for each pair of endpoints. Such a domain is one progress engine with one
	 * lock, and costs next to nothing.
	 */
	bool kernel_tcp;
	bool untagged;	 /* lacks tagged messages: data needs remote writes; implies `rma` */
	bool rma;	 /* prefers remote writes with immediate data to tagged messages */
	bool rma_native; /* `rma` applies only if the NIC itself does remote writes */
	/*
	 * Below this release of libfabric (FI_VERSION; 0: never) the provider takes no lock for its table of memory
	 * regions, whatever the threading level; tcp's was added in 1.20.
	 */
	uint32_t mr_unlocked_below;
	/*
	 * Below this release of libfabric (0: never), an endpoint crashes when it reads the first message of another
	 * endpoint of the same process after the sender's close: shm reads the memory of all endpoints of the process
	 * and never removes a closed one from their list (smr_ep_close, smr_map_to_region; fixed by the design of 2.5).
	 */
	uint32_t closed_read_below;
	/*
	 * Injected messages get lost, or the provider crashes, while the receiver is not ready (1.17 on tests/softefa).
	 * Operations with a completion do not have this fault and cost no more on efa.
	 */
	bool inject_lossy;
	bool silent_dead;      /* a dead NIC reports no error, and a live one completes every operation by itself */
	size_t queued;	       /* bytes of the largest message without a system call; 0: all messages may need one */
	bool efa_options;      /* supports FI_OPT_EFA_* and FI_OPT_SHARED_MEMORY_PERMITTED */
	const char *on_demand; /* reason for rank 0, or NULL */
	const struct provider_devices *devices; /* devices it needs; NULL: none of its own */
	const char *needs; /* requirements, reported if libfabric does not list it; NULL: not reported */
};

/* Row i of the table, best known first, or NULL past the end. */
const struct provider_quirks *provider_row(int i);

/* Row of the named provider; a row of conservative defaults for an unknown provider. */
const struct provider_quirks *provider_quirks(const char *name);

/*
 * Does WEFT_PROVIDER=`requested` select the provider `name`? `tcp` selects the native TCP RDM provider, which
 * libfabric calls `tcp` or `net`.
 */
bool provider_is(const char *requested, const char *name);

#endif

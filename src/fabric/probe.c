/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a NIC can only be asked by opening it: whether its provider really reaches GPUs, whether 128 bytes come in order,
 * and who does remote writes. Providers that claim FI_HMEM whatever the machine has are asked here; others are believed.
 */
#include "fabric/probe.h"

#include <stdio.h>
#include <string.h>

#include <rdma/fabric.h>
#include <rdma/fi_domain.h>
#include <rdma/fi_errno.h>

#include "fabric/internal.h"
#include "fabric/provider.h"

#define PROBE_DEPTH 64

static void no_arrival(void *arg, uint64_t imm, size_t len)
{
	(void)arg;
	(void)imm;
	(void)len;
}

/* A provider that was built without CUDA says so even for memory of the host. */
static bool knows_cuda(struct fab_domain *d)
{
	static char some[4096];
	struct iovec iov = {.iov_base = some, .iov_len = sizeof(some)};
	struct fi_mr_attr attr = {.mr_iov = &iov, .iov_count = 1, .access = FI_SEND, .iface = FI_HMEM_CUDA};
	struct fid_mr *mr;
	int ret = fi_mr_regattr(d->domain, &attr, 0, &mr);

	if (!ret)
		fi_close(&mr->fid);
	return ret != -FI_ENOSYS;
}

static void ask(struct fab_nic *nic, struct fab_domain *d, char *why, size_t why_bytes)
{
	struct fab_ep_says says = {.order = FAB_ORDER_KEPT};
	struct fab_ep *ep;

	nic->order = FAB_ORDER_UNKNOWN;
	if (fab_ep_open(d, PROBE_DEPTH, no_arrival, NULL, &ep)) {
		snprintf(why, why_bytes, "an endpoint on NIC %s can't be opened to ask", nic->name);
		return;
	}
	fab_ep_says(ep, &says);
	fab_ep_close(ep);
	nic->order = says.order;
	nic->writes_native = says.writes_told && !says.writes_emulated;
	if (!says.cuda_forbidden)
		snprintf(why, why_bytes, "%s", says.cuda_why);
	else if (nic->rma && says.writes_emulated)
		snprintf(why, why_bytes, "remote writes of NIC %s are emulated by messages; WEFT_PROTOCOL=tagged does without",
			 nic->name);
}

void probe_nic(struct fab_nic *nic, char *why, size_t why_bytes)
{
	const struct provider_facts *facts = provider_facts(nic->provider);
	struct fab_domain *d;

	*why = 0;
	nic->order = FAB_ORDER_KEPT;
	if (!facts->efa_options && !(facts->local_only && nic->hmem))
		return;
	if (fab_domain_open(nic, &d)) {
		snprintf(why, why_bytes, "NIC %s can't be opened to ask", nic->name);
		return;
	}
	if (facts->efa_options)
		ask(nic, d, why, why_bytes);
	else if (!knows_cuda(d))
		snprintf(why, why_bytes, "provider %s of this libfabric was built without CUDA", nic->provider);
	fab_domain_close(d);
}

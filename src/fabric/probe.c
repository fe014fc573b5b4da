/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Properties that are known only after opening a NIC: real GPU access of its provider, arrival order of 128 bytes, and
 * native or emulated remote writes. Only providers that claim FI_HMEM on every machine are probed for GPU access.
 */
#include "fabric/probe.h"

#include <stdio.h>
#include <string.h>

#include <rdma/fabric.h>
#include <rdma/fi_domain.h>
#include <rdma/fi_errno.h>

#include "fabric/internal.h"
#include "fabric/newer.h"
#include "fabric/provider.h"

#define PROBE_DEPTH 64

static void no_arrival(void *arg, uint64_t imm, size_t len)
{
	(void)arg;
	(void)imm;
	(void)len;
}

/* A provider built without CUDA returns -FI_ENOSYS even for host memory. */
static bool knows_cuda(struct fab_domain *d)
{
	static char some[4096];
	struct iovec iov = {.iov_base = some, .iov_len = sizeof(some)};
	struct mr_attr a = {.attr = {.mr_iov = &iov, .iov_count = 1, .access = FI_SEND, .iface = FI_HMEM_CUDA}};
	struct fid_mr *mr;
	int ret = fi_mr_regattr(d->domain, &a.attr, 0, &mr);

	if (!ret)
		fi_close(&mr->fid);
	return ret != -FI_ENOSYS;
}

static void probe_ask(struct fab_nic *nic, struct fab_domain *d, char *why, size_t why_bytes)
{
	struct fab_ep_attrs attrs = {.order = FAB_ORDER_KEPT};
	struct fab_ep *ep;

	nic->order = FAB_ORDER_UNKNOWN;
	if (fab_ep_open(d, PROBE_DEPTH, no_arrival, NULL, &ep)) {
		snprintf(why, why_bytes, "an endpoint on NIC %s can't be opened to ask", nic->name);
		return;
	}
	fab_ep_attrs(ep, &attrs);
	fab_ep_close(ep);
	nic->order = attrs.order;
	nic->writes_native = attrs.writes_reported && !attrs.writes_emulated;
	if (!attrs.cuda_forbidden)
		snprintf(why, why_bytes, "%s", attrs.cuda_why);
	else if (nic->rma && attrs.writes_emulated)
		snprintf(why, why_bytes,
			 "remote writes of NIC %s are emulated by messages; WEFT_PROTOCOL=tagged does without",
			 nic->name);
}

void probe_nic(struct fab_nic *nic, char *why, size_t why_bytes)
{
	const struct provider_quirks *quirks = provider_quirks(nic->provider);
	struct fab_domain *d;

	*why = 0;
	nic->order = FAB_ORDER_KEPT;
	if (!quirks->efa_options && !(quirks->local_only && nic->hmem))
		return;
	if (fab_domain_open(nic, &d)) {
		snprintf(why, why_bytes, "NIC %s can't be opened to ask", nic->name);
		return;
	}
	if (quirks->efa_options)
		probe_ask(nic, d, why, why_bytes);
	else if (!knows_cuda(d))
		snprintf(why, why_bytes, "provider %s of this libfabric was built without CUDA", nic->provider);
	fab_domain_close(d);
}

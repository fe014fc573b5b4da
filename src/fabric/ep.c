/* SPDX-License-Identifier: Apache-2.0 */
/* Endpoints: opening, options, addresses, closing. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <rdma/fabric.h>
#include <rdma/fi_cm.h>
#include <rdma/fi_domain.h>
#include <rdma/fi_endpoint.h>
#include <rdma/fi_errno.h>
#include <rdma/fi_ext.h>

#include "base/log.h"
#include "fabric/address.h"
#include "fabric/ep_priv.h"
#include "fabric/lib.h"
#include "fabric/newer.h"
#include "fabric/provider.h"

/* The part of the completion queue, in eighths, that may be in use when an operation of each kind is posted. */
static const size_t eighths[SHARES] = {[SHARE_RECEIVE] = 6, [SHARE_SEND] = 7, [SHARE_CONTROL] = 8};

_Static_assert(sizeof(((struct fab_op *)0)->provider_scratch) >= sizeof(struct fi_context2),
	       "fab_op has room for FI_CONTEXT2");
_Static_assert(offsetof(struct fab_op, provider_scratch) == 0, "the context is the operation");

/* Returns 0, or libfabric's error if the provider refuses the option. */
static int set_bool(struct fab_ep *ep, int option, bool value)
{
	return fi_setopt(&ep->ep->fid, FI_OPT_ENDPOINT, option, &value, sizeof(value));
}

/* CUDA calls from the provider can deadlock with NCCL's kernels. */
static void forbid_cuda(struct fab_ep *ep)
{
	if (FI_VERSION_LT(fi_version(), SINCE_EFA_OPTIONS)) {
		ep->attrs.cuda_why = "libfabric before 1.18 can't be kept from calling CUDA";
		return;
	}
	ep->attrs.cuda_forbidden = !set_bool(ep, OPT_CUDA_API_PERMITTED, false);
	ep->attrs.cuda_why = ep->attrs.cuda_forbidden
				     ? ""
				     : "the provider reaches GPUs by calls of CUDA only: no GPUDirect RDMA "
				       "with this NIC, its driver or its libfabric";
}

/* Needed for every protocol: the provider only guarantees an order that was requested. */
static void ask_order(struct fab_ep *ep)
{
	int option = ep->domain->nic->rma ? OPT_EFA_WRITE_IN_ORDER_ALIGNED_128_BYTES
					  : OPT_EFA_SENDRECV_IN_ORDER_ALIGNED_128_BYTES;

	if (FI_VERSION_LT(fi_version(), SINCE_EFA_OPTIONS))
		ep->attrs.order = FAB_ORDER_UNKNOWN;
	else
		ep->attrs.order = set_bool(ep, option, true) ? FAB_ORDER_LOST : FAB_ORDER_KEPT;
}

/* A refused option is no error: it does not apply to the provider. */
static void set_options(struct fab_ep *ep)
{
	ep->attrs.cuda_why = "";
	if (!provider_quirks(ep->domain->nic->provider)->efa_options)
		return;
	/* The provider's shm shortcut leaks files when a process is killed and defeats flushes. */
	if (FI_VERSION_GE(fi_version(), SINCE_SHARED_MEMORY))
		set_bool(ep, OPT_SHARED_MEMORY_PERMITTED, false);
	forbid_cuda(ep);
	ask_order(ep);
}

/* Works only after fi_enable. */
static void ask_writes(struct fab_ep *ep)
{
	bool emulated = false;
	size_t bytes = sizeof(emulated);

	if (FI_VERSION_LT(fi_version(), SINCE_EFA_OPTIONS) || !provider_quirks(ep->domain->nic->provider)->efa_options)
		return;
	if (!fi_getopt(&ep->ep->fid, FI_OPT_ENDPOINT, OPT_EFA_EMULATED_WRITE, &emulated, &bytes))
		ep->attrs.writes_reported = true, ep->attrs.writes_emulated = emulated;
}

void fab_ep_attrs(const struct fab_ep *ep, struct fab_ep_attrs *out)
{
	*out = ep->attrs;
}

static int open_parts(struct fab_ep *ep)
{
	struct fab_domain *d = ep->domain;
	struct fi_cq_attr cq_attr = {.size = ep->cq_depth, .format = FI_CQ_FORMAT_DATA, .wait_obj = FI_WAIT_NONE};
	struct fi_av_attr av_attr = {.type = FI_AV_TABLE};
	int ret;

	ret = ep->cq ? 0 : fi_cq_open(d->domain, &cq_attr, &ep->cq, NULL);
	if (ret)
		return fab_failed(ep->domain->nic, "fi_cq_open", ret);
	ret = fi_av_open(d->domain, &av_attr, &ep->av, NULL);
	if (ret)
		return fab_failed(ep->domain->nic, "fi_av_open", ret);
	ret = fi_endpoint(d->domain, d->nic->info, &ep->ep, NULL);
	if (ret)
		return fab_failed(ep->domain->nic, "fi_endpoint", ret);
	ret = fi_ep_bind(ep->ep, &ep->cq->fid, FI_TRANSMIT | FI_RECV);
	ep->has_cq = !ret;
	if (!ret)
		ret = fi_ep_bind(ep->ep, &ep->av->fid, 0);
	if (ret)
		return fab_failed(ep->domain->nic, "fi_ep_bind", ret);
	if (d->eq)
		fi_ep_bind(ep->ep, &d->eq->fid, 0); /* failure means that the provider reports no events */
	set_options(ep);
	ret = fi_enable(ep->ep);
	if (!ret)
		ask_writes(ep);
	return ret ? fab_failed(ep->domain->nic, "fi_enable", ret) : 0;
}

static struct fab_ep *fab_ep_new(struct fab_domain *d)
{
	struct fab_ep *ep = calloc(1, sizeof(*ep));

	if (!ep)
		return NULL;
	ep->domain = d;
	list_init(&ep->link);
	if (!provider_quirks(d->nic->provider)->inject_lossy)
		ep->inject_bytes = d->nic->info->tx_attr->inject_size;
	ep->counts = &ep->uncounted;
	return ep;
}

static int fab_ep_begin(struct fab_ep *ep, struct fab_ep **out)
{
	struct fab_domain *d = ep->domain;
	int ret = open_parts(ep);

	if (ret) {
		fab_ep_close(ep);
		return ret;
	}
	pthread_mutex_lock(&d->endpoints_lock);
	list_append(&d->endpoints, &ep->link);
	pthread_mutex_unlock(&d->endpoints_lock);
	*out = ep;
	return 0;
}

int fab_ep_open(struct fab_domain *d, size_t cq_depth, fab_arrival arrival, void *arg, struct fab_ep **out)
{
	struct fab_ep *ep = fab_ep_new(d);
	int i;

	*out = NULL;
	if (!ep)
		return -ENOMEM;
	ep->first = ep;
	ep->cq_depth = cq_depth;
	for (i = 0; i < SHARES; i++)
		ep->limit[i] = cq_depth / 8 * eighths[i];
	ep->arrival = arrival;
	ep->arrival_arg = arg;
	return fab_ep_begin(ep, out);
}

int fab_ep_open_beside(struct fab_ep *first, struct fab_ep **out)
{
	struct fab_ep *ep = fab_ep_new(first->domain);

	*out = NULL;
	if (!ep)
		return -ENOMEM;
	ep->first = first;
	ep->cq = first->cq;
	return fab_ep_begin(ep, out);
}

void fab_ep_await_delivery(struct fab_ep *ep)
{
	ep->delivery = true;
}

/*
 * Removes the endpoint from the list of open ones. Where provider_quirks.closed_read_below requires it, the other
 * endpoints first read its messages to them: fi_cq_read with count 0 does that and consumes no completion.
 */
static void fab_leave_domain(struct fab_ep *ep)
{
	struct fab_domain *d = ep->domain;
	bool heard = fi_version() < provider_quirks(d->nic->provider)->closed_read_below;
	struct list *it, *tmp;

	pthread_mutex_lock(&d->endpoints_lock);
	list_remove(&ep->link);
	if (heard)
		list_each (&d->endpoints, it, tmp)
			fi_cq_read(container_of(it, struct fab_ep, link)->cq, NULL, 0);
	pthread_mutex_unlock(&d->endpoints_lock);
}

void fab_ep_close(struct fab_ep *ep)
{
	if (!ep)
		return;
	fab_leave_domain(ep);
	if (ep->has_cq) /* tcp crashes on closing an endpoint that has no CQ: leak it */
		fi_close(&ep->ep->fid);
	if (ep->av)
		fi_close(&ep->av->fid);
	if (ep->cq && ep->first == ep)
		fi_close(&ep->cq->fid);
	free(ep);
}

int fab_ep_addr(struct fab_ep *ep, uint8_t *out, size_t *out_bytes)
{
	int ret;

	*out_bytes = FAB_ADDR_BYTES;
	ret = fi_getname(&ep->ep->fid, out, out_bytes);
	return ret ? fab_failed(ep->domain->nic, "fi_getname", ret) : 0;
}

int fab_ep_insert(struct fab_ep *ep, const uint8_t *addr, uint64_t *out_peer)
{
	uint8_t own[FAB_ADDR_BYTES] = {0}, theirs[FAB_ADDR_BYTES];
	fi_addr_t peer = FI_ADDR_UNSPEC;
	size_t bytes = sizeof(own) - 1;
	char why[256];
	int ret;

	memcpy(theirs, addr, sizeof(theirs));
	if (fi_getname(&ep->ep->fid, own, &bytes))
		own[0] = 0;
	ret = address_fit(ep->domain->nic, (const char *)own, theirs, why, sizeof(why));
	if (ret) {
		log_warn("%s", why);
		return ret;
	}
	ret = fi_av_insert(ep->av, theirs, 1, &peer, 0, NULL);
	if (ret == 1 && peer != FI_ADDR_UNSPEC) {
		*out_peer = peer;
		return 0;
	}
	return fab_failed(ep->domain->nic, "inserting a peer's address (fi_av_insert)", ret < 0 ? ret : -FI_EINVAL);
}

void fab_ep_forget(struct fab_ep *ep, uint64_t peer)
{
	fi_addr_t addr = peer;

	fi_av_remove(ep->av, &addr, 1, 0);
}

size_t fab_ep_max_bytes(const struct fab_ep *ep)
{
	return ep->domain->nic->info->ep_attr->max_msg_size;
}

void fab_ep_count(struct fab_ep *ep, struct fab_counts *counts)
{
	ep->counts = counts ? counts : &ep->uncounted;
}

size_t fab_ep_fill(const struct fab_ep *ep, size_t *out_depth)
{
	*out_depth = ep->first->cq_depth;
	return ep->first->in_flight;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Endpoints: opening, addresses, posting, completions. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <rdma/fabric.h>
#include <rdma/fi_cm.h>
#include <rdma/fi_domain.h>
#include <rdma/fi_endpoint.h>
#include <rdma/fi_eq.h>
#include <rdma/fi_errno.h>
#include <rdma/fi_ext.h>
#include <rdma/fi_rma.h>
#include <rdma/fi_tagged.h>

#include "base/log.h"
#include "fabric/internal.h"
#include "fabric/provider.h"

#define POLL_BATCH 16

struct fab_ep {
	struct fab_domain *domain;
	struct fid_ep *ep;
	bool has_cq;
	struct fid_cq *cq;
	struct fid_av *av;
	size_t in_flight; /* operations posted and not completed: never more than cq_depth */
	size_t cq_depth;
	size_t inject_bytes;
	size_t expected; /* of in_flight: writes of peers that are to come */
	fab_arrival arrival;
	void *arrival_arg;
	struct fab_ep_says says;
};

/*
 * How much of the completion queue each kind of operation may claim. Receives wait for others and must not
 * keep the sends that they wait for from being posted; nothing must keep control messages out.
 */
enum share { SHARE_RECEIVE = 6, SHARE_SEND = 7, SHARE_CONTROL = 8 }; /* eighths */

_Static_assert(sizeof(((struct fab_op *)0)->provider_scratch) >= sizeof(struct fi_context2),
	       "fab_op has room for FI_CONTEXT2");
_Static_assert(offsetof(struct fab_op, provider_scratch) == 0, "the context is the operation");

static int failed(const struct fab_ep *ep, const char *what, int ret)
{
	log_warn("%s failed on NIC %s of provider %s: %s (%d); FI_LOG_LEVEL=warn says more", what,
		 ep->domain->nic->name, ep->domain->nic->provider, fi_strerror(-ret), ret);
	return fab_errno(ret);
}

/* 0, or why the option is refused. */
__attribute__((unused)) /* with an old libfabric */
static int set_bool(struct fab_ep *ep, int option, bool value)
{
	return fi_setopt(&ep->ep->fid, FI_OPT_ENDPOINT, option, &value, sizeof(value));
}

/* CUDA calls from inside the provider can deadlock with NCCL's kernels. */
static void forbid_cuda(struct fab_ep *ep)
{
#ifdef HAVE_FI_OPT_CUDA_API_PERMITTED
	ep->says.cuda_forbidden = !set_bool(ep, FI_OPT_CUDA_API_PERMITTED, false);
	ep->says.cuda_why = ep->says.cuda_forbidden ? "" : "the provider reaches GPUs by calls of CUDA only: no GPUDirect RDMA "
							    "with this NIC, its driver or its libfabric";
#else
	ep->says.cuda_why = "this Weft was built with a libfabric older than 1.18, which can't be kept from calling CUDA";
#endif
}

/* Whatever the wire: an order that was not asked for is not kept. */
static void ask_order(struct fab_ep *ep)
{
#ifdef HAVE_FI_OPT_EFA_WRITE_IN_ORDER_ALIGNED_128_BYTES
	int option = ep->domain->nic->rma ? FI_OPT_EFA_WRITE_IN_ORDER_ALIGNED_128_BYTES
					  : FI_OPT_EFA_SENDRECV_IN_ORDER_ALIGNED_128_BYTES;

	ep->says.order = set_bool(ep, option, true) ? FAB_ORDER_LOST : FAB_ORDER_KEPT;
#else
	ep->says.order = FAB_ORDER_UNKNOWN;
#endif
}

/* Refusals are fine: an option the provider does not know does not apply to it. */
static void set_options(struct fab_ep *ep)
{
	ep->says.cuda_why = "";
	if (!provider_facts(ep->domain->nic->provider)->efa_options)
		return;
#ifdef HAVE_FI_OPT_SHARED_MEMORY_PERMITTED
	/* The shm shortcut leaves files behind when a process is killed and defeats flushes. */
	set_bool(ep, FI_OPT_SHARED_MEMORY_PERMITTED, false);
#endif
	forbid_cuda(ep);
	ask_order(ep);
}

/* Known only of an endpoint that is enabled. */
static void ask_writes(struct fab_ep *ep)
{
#ifdef HAVE_FI_OPT_EFA_EMULATED_WRITE
	bool emulated = false;
	size_t bytes = sizeof(emulated);

	if (provider_facts(ep->domain->nic->provider)->efa_options &&
	    !fi_getopt(&ep->ep->fid, FI_OPT_ENDPOINT, FI_OPT_EFA_EMULATED_WRITE, &emulated, &bytes))
		ep->says.writes_told = true, ep->says.writes_emulated = emulated;
#else
	(void)ep;
#endif
}

void fab_ep_says(const struct fab_ep *ep, struct fab_ep_says *out)
{
	*out = ep->says;
}

static int open_parts(struct fab_ep *ep)
{
	struct fab_domain *d = ep->domain;
	struct fi_cq_attr cq_attr = {
		.size = ep->cq_depth, .format = FI_CQ_FORMAT_DATA, .wait_obj = FI_WAIT_NONE};
	struct fi_av_attr av_attr = {.type = FI_AV_TABLE};
	int ret;

	ret = fi_cq_open(d->domain, &cq_attr, &ep->cq, NULL);
	if (ret)
		return failed(ep, "fi_cq_open", ret);
	ret = fi_av_open(d->domain, &av_attr, &ep->av, NULL);
	if (ret)
		return failed(ep, "fi_av_open", ret);
	ret = fi_endpoint(d->domain, d->nic->info, &ep->ep, NULL);
	if (ret)
		return failed(ep, "fi_endpoint", ret);
	ret = fi_ep_bind(ep->ep, &ep->cq->fid, FI_TRANSMIT | FI_RECV);
	ep->has_cq = !ret;
	if (!ret)
		ret = fi_ep_bind(ep->ep, &ep->av->fid, 0);
	if (ret)
		return failed(ep, "fi_ep_bind", ret);
	if (d->eq)
		fi_ep_bind(ep->ep, &d->eq->fid, 0); /* where the provider takes one */
	set_options(ep);
	ret = fi_enable(ep->ep);
	if (!ret)
		ask_writes(ep);
	return ret ? failed(ep, "fi_enable", ret) : 0;
}

int fab_ep_open(struct fab_domain *d, size_t cq_depth, fab_arrival arrival, void *arg,
		struct fab_ep **out)
{
	struct fab_ep *ep = calloc(1, sizeof(*ep));
	int ret;

	*out = NULL;
	if (!ep)
		return -ENOMEM;
	ep->domain = d;
	ep->cq_depth = cq_depth;
	if (!provider_facts(d->nic->provider)->inject_lossy)
		ep->inject_bytes = d->nic->info->tx_attr->inject_size;
	ep->arrival = arrival;
	ep->arrival_arg = arg;
	ret = open_parts(ep);
	if (ret) {
		fab_ep_close(ep);
		return ret;
	}
	*out = ep;
	return 0;
}

void fab_ep_close(struct fab_ep *ep)
{
	if (!ep)
		return;
	if (ep->has_cq) /* tcp crashes on closing an endpoint without; rather than that, we lose it */
		fi_close(&ep->ep->fid);
	if (ep->av)
		fi_close(&ep->av->fid);
	if (ep->cq)
		fi_close(&ep->cq->fid);
	free(ep);
}

int fab_ep_addr(struct fab_ep *ep, uint8_t *out, size_t *out_bytes)
{
	int ret;

	*out_bytes = FAB_ADDR_BYTES;
	ret = fi_getname(&ep->ep->fid, out, out_bytes);
	return ret ? failed(ep, "fi_getname", ret) : 0;
}

int fab_ep_insert(struct fab_ep *ep, const uint8_t *addr, uint64_t *out_peer)
{
	fi_addr_t peer = FI_ADDR_UNSPEC;
	int ret = fi_av_insert(ep->av, addr, 1, &peer, 0, NULL);

	if (ret == 1 && peer != FI_ADDR_UNSPEC) {
		*out_peer = peer;
		return 0;
	}
	return failed(ep, "inserting a peer's address (fi_av_insert)", ret < 0 ? ret : -FI_EINVAL);
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

static bool full(const struct fab_ep *ep, enum share share)
{
	return ep->in_flight >= ep->cq_depth / 8 * share;
}

static int posted(struct fab_ep *ep, ssize_t ret)
{
	if (ret == -FI_ENOMEM) /* shm's word for a queue that is full */
		return -EAGAIN;
	if (ret)
		return fab_errno(ret);
	ep->in_flight++;
	return 0;
}

int fab_send(struct fab_ep *ep, struct fab_op *op, const void *buf, size_t len, void *desc,
	     uint64_t peer)
{
	if (full(ep, SHARE_CONTROL))
		return -EAGAIN;
	return posted(ep, fi_send(ep->ep, buf, len, desc, peer, op));
}

int fab_recv(struct fab_ep *ep, struct fab_op *op, void *buf, size_t len, void *desc)
{
	if (full(ep, SHARE_CONTROL))
		return -EAGAIN;
	return posted(ep, fi_recv(ep->ep, buf, len, desc, FI_ADDR_UNSPEC, op));
}

int fab_tsend(struct fab_ep *ep, struct fab_op *op, const void *buf, size_t len, void *desc,
	      uint64_t peer, uint64_t tag)
{
	if (full(ep, SHARE_SEND))
		return -EAGAIN;
	return posted(ep, fi_tsend(ep->ep, buf, len, desc, peer, tag, op));
}

/* From anyone: the tag is unique at this endpoint, and a source filter costs some providers a search. */
int fab_trecv(struct fab_ep *ep, struct fab_op *op, void *buf, size_t len, void *desc, uint64_t tag)
{
	if (full(ep, SHARE_RECEIVE))
		return -EAGAIN;
	return posted(ep, fi_trecv(ep->ep, buf, len, desc, FI_ADDR_UNSPEC, tag, 0, op));
}

int fab_inject(struct fab_ep *ep, const void *buf, size_t len, uint64_t peer)
{
	ssize_t ret = fi_inject(ep->ep, buf, len, peer);

	return ret == -FI_ENOMEM ? -EAGAIN : fab_errno(ret);
}

int fab_write(struct fab_ep *ep, struct fab_op *op, const void *buf, size_t len, void *desc,
	      uint64_t peer, uint64_t addr, uint64_t key)
{
	if (full(ep, SHARE_CONTROL))
		return -EAGAIN;
	return posted(ep, fi_write(ep->ep, buf, len, desc, peer, addr, key, op));
}

int fab_write_imm(struct fab_ep *ep, struct fab_op *op, const void *buf, size_t len, void *desc,
		  uint64_t peer, uint64_t addr, uint64_t key, uint64_t imm)
{
	if (full(ep, SHARE_SEND))
		return -EAGAIN;
	if (!fab_imm_is_long(ep))
		imm = (uint32_t)imm;
	return posted(ep, fi_writedata(ep->ep, buf, len, desc, imm, peer, addr, key, op));
}

int fab_read(struct fab_ep *ep, struct fab_op *op, void *buf, size_t len, void *desc, uint64_t peer, uint64_t addr,
	     uint64_t key)
{
	if (full(ep, SHARE_CONTROL))
		return -EAGAIN;
	return posted(ep, fi_read(ep->ep, buf, len, desc, peer, addr, key, op));
}

int fab_write_inject(struct fab_ep *ep, const void *buf, size_t len, uint64_t peer, uint64_t addr,
		     uint64_t key)
{
	ssize_t ret = fi_inject_write(ep->ep, buf, len, peer, addr, key);

	return ret == -FI_ENOMEM ? -EAGAIN : fab_errno(ret);
}

size_t fab_inject_bytes(const struct fab_ep *ep)
{
	return ep->inject_bytes;
}

bool fab_imm_is_long(const struct fab_ep *ep)
{
	return ep->domain->nic->info->domain_attr->cq_data_size >= 8;
}

int fab_expect(struct fab_ep *ep)
{
	if (full(ep, SHARE_RECEIVE))
		return -EAGAIN;
	ep->in_flight++;
	ep->expected++;
	return 0;
}

void fab_unexpect(struct fab_ep *ep)
{
	if (ep->expected) {
		ep->expected--;
		ep->in_flight--;
	}
}

void fab_cancel(struct fab_ep *ep, struct fab_op *op)
{
	fi_cancel(&ep->ep->fid, op);
}

static void finish(struct fab_ep *ep, void *context, const struct fab_result *r)
{
	struct fab_op *op = context;

	if (!op) {
		/* shm reports a dead peer this way; the lifeline tells whose operations failed. */
		log_debug("a completion without context on NIC %s: %s", ep->domain->nic->name,
			  r->text ? r->text : "");
		return;
	}
	ep->in_flight--;
	op->done(op, r);
}

static int poll_error(struct fab_ep *ep)
{
	struct fi_cq_err_entry entry;
	struct fab_result r = {0};
	char text[256];
	ssize_t ret;

	memset(&entry, 0, sizeof(entry));
	ret = fi_cq_readerr(ep->cq, &entry, 0);
	if (ret == -FI_EAGAIN || !ret)
		return 0;
	if (ret < 0)
		return fab_errno(ret);
	/* shm 1.17 hands out negative codes */
	r.err = entry.err > 0 ? fab_errno(-entry.err) : fab_errno(entry.err);
	if (!r.err)
		r.err = -EIO;
	r.len = entry.len;
	r.text = fi_cq_strerror(ep->cq, entry.prov_errno, entry.err_data, text, sizeof(text));
	if (!r.text || !*r.text)
		r.text = fi_strerror(-r.err);
	finish(ep, entry.op_context, &r);
	return 1;
}

/*
 * fi_cq(3) would have FI_REMOTE_CQ_DATA say it alone. But sockets marks the writer's own completion with it too, and efa
 * 1.17 the target's with FI_WRITE where it emulates the write.
 */
static bool is_arrival(uint64_t flags)
{
	return flags & FI_REMOTE_CQ_DATA && (flags & FI_REMOTE_WRITE || !(flags & FI_WRITE));
}

int fab_ep_poll(struct fab_ep *ep)
{
	struct fi_cq_data_entry entries[POLL_BATCH];
	struct fab_result r = {0};
	ssize_t n, i;

	fab_gate_enter(ep->domain);
	n = fi_cq_read(ep->cq, entries, POLL_BATCH);
	fab_gate_leave(ep->domain);
	if (n == -FI_EAGAIN)
		return 0;
	if (n == -FI_EAVAIL)
		return poll_error(ep);
	if (n < 0)
		return failed(ep, "fi_cq_read", (int)n);
	for (i = 0; i < n; i++) {
		if (is_arrival(entries[i].flags)) {
			ep->arrival(ep->arrival_arg, entries[i].data, entries[i].len);
			continue;
		}
		r.len = entries[i].len;
		finish(ep, entries[i].op_context, &r);
	}
	return (int)n;
}

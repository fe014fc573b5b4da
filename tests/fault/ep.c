/* SPDX-License-Identifier: Apache-2.0 */
/* Endpoints: all calls except data transfer. */
#include <stdlib.h>

#include "fault.h"

static struct fault_ep *of_fid(struct fid *fid)
{
	return fault_owner(fid->ops, struct fault_ep, fid_ops);
}

/* Installs our tables, or restores the inner provider's: it may use its own tables while it works on them. */
static void hook(struct fault_ep *ep, struct fid_ep *fid)
{
	fid->fid.ops = &ep->fid_ops;
	fid->ops = &ep->ops;
	fid->cm = &ep->cm;
	if (ep->inner_msg)
		fid->msg = &ep->msg;
	if (ep->inner_tagged)
		fid->tagged = &ep->tagged;
	if (ep->inner_rma)
		fid->rma = &ep->rma;
}

static void unhook(struct fault_ep *ep, struct fid_ep *fid)
{
	fid->fid.ops = ep->inner_fid;
	fid->ops = ep->inner;
	fid->cm = ep->inner_cm;
	if (ep->inner_msg)
		fid->msg = ep->inner_msg;
	if (ep->inner_tagged)
		fid->tagged = ep->inner_tagged;
	if (ep->inner_rma)
		fid->rma = ep->inner_rma;
}

/* The tables for data transfer are final once the endpoint is enabled. */
static void take_data_ops(struct fault_ep *ep, struct fid_ep *fid)
{
	if (ep->caps & FI_MSG)
		ep->inner_msg = fid->msg;
	if (ep->caps & FI_TAGGED)
		ep->inner_tagged = fid->tagged;
	if (ep->caps & FI_RMA)
		ep->inner_rma = fid->rma;
}

static void leave_queue(struct fault_ep *ep)
{
	struct fault_op *op;

	pthread_mutex_lock(&ep->domain->lock);
	for (op = ep->flying; op; op = op->next) {
		struct fault_cq *cq = fault_is_rx(op->call) ? ep->rx_cq : ep->tx_cq;

		if (cq && !op->stuck)
			atomic_fetch_sub(&cq->outstanding, 1);
	}
	pthread_mutex_unlock(&ep->domain->lock);
	if (!ep->rx_cq)
		return;
	atomic_fetch_sub(&ep->rx_cq->rx_eps, 1);
	if (atomic_load(&ep->rx_cq->rx_ep) == ep)
		atomic_store(&ep->rx_cq->rx_ep, NULL);
}

static int ep_close(struct fid *fid)
{
	struct fault_ep *ep = of_fid(fid);
	struct fid_ep *ep_fid = fault_owner(fid, struct fid_ep, fid);
	int ret;

	unhook(ep, ep_fid);
	ret = fi_close(fid);
	if (ret)
		hook(ep, ep_fid);
	else
		leave_queue(ep);
	return ret;
}

/*
 * An injected failure of bind is reported after the bind was done: libfabric 1.17 can't close an endpoint without an
 * address vector.
 */
static int ep_bind(struct fid *fid, struct fid *bfid, uint64_t flags)
{
	struct fault_ep *ep = of_fid(fid);
	struct fault_cq *cq = fault_cq_of(bfid);
	int ret = ep->inner_fid->bind(fid, bfid, flags);

	if (!ret)
		fault_eq_bound(bfid, fid);
	if (!ret)
		ret = fault_fail(CALL_BIND);
	if (ret || !cq)
		return ret;
	if (flags & FI_TRANSMIT)
		ep->tx_cq = cq;
	if (flags & FI_RECV) {
		ep->rx_cq = cq;
		atomic_store(&cq->rx_ep, atomic_fetch_add(&cq->rx_eps, 1) ? NULL : ep);
	}
	return 0;
}

static int ep_control(struct fid *fid, int command, void *arg)
{
	struct fault_ep *ep = of_fid(fid);
	struct fid_ep *ep_fid = fault_owner(fid, struct fid_ep, fid);
	int ret;

	if (command == FI_ALIAS)
		return -FI_ENOSYS;
	ret = command == FI_ENABLE ? fault_fail(CALL_ENABLE) : 0;
	if (ret)
		return ret;
	unhook(ep, ep_fid);
	ret = fi_control(fid, command, arg);
	if (!ret && command == FI_ENABLE)
		take_data_ops(ep, ep_fid);
	hook(ep, ep_fid);
	return ret;
}

/* Maps the application's context to ours, which the inner provider knows. */
static ssize_t ep_cancel(fid_t fid, void *context)
{
	struct fault_ep *ep = of_fid(fid);
	struct fault_op *op = fault_op_find(ep, context);
	enum fault_call call;

	if (!op)
		return -FI_ENOENT; /* completed, although the application may not have read that yet */
	if (!op->stuck)
		return ep->inner->cancel(fid, &op->inner);
	call = op->call;
	fault_op_put(op);
	fault_cq_error(ep->rx_cq, context, fault_flags(call), FI_ECANCELED);
	return 0;
}

static int ep_getname(fid_t fid, void *addr, size_t *addrlen)
{
	struct fault_ep *ep = of_fid(fid);
	int ret = fault_fail(CALL_GETNAME);

	return ret ? ret : ep->inner_cm->getname(fid, addr, addrlen);
}

static void wrap(struct fault_ep *ep, struct fid_ep *fid, const struct fi_info *info)
{
	ep->caps = info->caps;
	ep->tx_flags = info->tx_attr ? info->tx_attr->op_flags : 0;
	ep->rx_flags = info->rx_attr ? info->rx_attr->op_flags : 0;
	ep->inner_fid = fid->fid.ops;
	ep->inner = fid->ops;
	ep->inner_cm = fid->cm;
	ep->fid_ops = *ep->inner_fid;
	ep->ops = *ep->inner;
	ep->cm = *ep->inner_cm;
	/* A newer libfabric may have longer tables; entries beyond our headers stay unreachable. */
	ep->fid_ops.size = sizeof(ep->fid_ops);
	ep->ops.size = sizeof(ep->ops);
	ep->cm.size = sizeof(ep->cm);
	ep->fid_ops.close = ep_close;
	ep->fid_ops.bind = ep_bind;
	ep->fid_ops.control = ep_control;
	ep->ops.cancel = ep_cancel;
	ep->cm.getname = ep_getname;
	ep->msg = fault_msg_ops;
	ep->tagged = fault_tagged_ops;
	ep->rma = fault_rma_ops;
	hook(ep, fid);
}

int fault_endpoint(struct fid_domain *domain, struct fi_info *info, struct fid_ep **out, void *context)
{
	struct fault_domain *d = fault_owner(domain->ops, struct fault_domain, ops);
	struct fi_info *inner;
	struct fault_ep *ep;
	int nic, ret;

	inner = fault_info_inner(info, &nic);
	if (nic < 0) /* the inner provider opens its own endpoints through the domain's table, too */
		return d->inner->endpoint(domain, info, out, context);
	ret = fault_fail(CALL_ENDPOINT);
	if (ret) {
		fault_lib.freeinfo(inner);
		return ret;
	}
	ep = calloc(1, sizeof(*ep));
	ret = inner && ep ? d->inner->endpoint(domain, inner, out, context) : -FI_ENODATA;
	if (inner)
		fault_lib.freeinfo(inner);
	if (ret) {
		free(ep);
		return ret;
	}
	ep->domain = d;
	wrap(ep, *out, info);
	pthread_mutex_lock(&d->lock);
	ep->next = d->eps;
	d->eps = ep;
	pthread_mutex_unlock(&d->lock);
	return 0;
}

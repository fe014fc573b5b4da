/* SPDX-License-Identifier: Apache-2.0 */
/* Endpoints: posting of operations, and their room in the completion queue. */
#include <errno.h>

#include <rdma/fabric.h>
#include <rdma/fi_endpoint.h>
#include <rdma/fi_errno.h>
#include <rdma/fi_rma.h>
#include <rdma/fi_tagged.h>

#include "fabric/ep_priv.h"
#include "fabric/lib.h"

static int refuse_post(struct fab_ep *ep)
{
	ep->counts->refused++;
	return -EAGAIN;
}

static bool full(const struct fab_ep *ep, enum share share)
{
	return ep->first->in_flight >= ep->first->limit[share];
}

static int posted(struct fab_ep *ep, ssize_t ret)
{
	if (ret == -FI_ENOMEM || ret == -FI_EAGAIN) /* shm reports a full queue as the first */
		return refuse_post(ep);
	if (ret)
		return fab_errno(ret);
	ep->first->in_flight++;
	return 0;
}

static void count_data(struct fab_ep *ep, size_t len)
{
	ep->counts->tx_messages++;
	ep->counts->tx_bytes += len;
}

/* The same for data. */
static int posted_data(struct fab_ep *ep, size_t len, ssize_t ret)
{
	if (ret)
		return posted(ep, ret);
	ep->first->in_flight++;
	count_data(ep, len);
	return 0;
}

int fab_send(struct fab_ep *ep, struct fab_op *op, const void *buf, size_t len, void *desc, uint64_t peer)
{
	if (full(ep, SHARE_CONTROL))
		return refuse_post(ep);
	return posted(ep, fi_send(ep->ep, buf, len, desc, peer, op));
}

int fab_recv(struct fab_ep *ep, struct fab_op *op, void *buf, size_t len, void *desc)
{
	if (full(ep, SHARE_CONTROL))
		return refuse_post(ep);
	return posted(ep, fi_recv(ep->ep, buf, len, desc, FI_ADDR_UNSPEC, op));
}

int fab_tsend(struct fab_ep *ep, struct fab_op *op, const void *buf, size_t len, void *desc, uint64_t peer,
	      uint64_t tag)
{
	if (full(ep, SHARE_SEND))
		return refuse_post(ep);
	return posted_data(ep, len, fi_tsend(ep->ep, buf, len, desc, peer, tag, op));
}

/* Matches any source: the tag is unique at this endpoint, and a source filter costs some providers a search. */
int fab_trecv(struct fab_ep *ep, struct fab_op *op, void *buf, size_t len, void *desc, uint64_t tag)
{
	if (full(ep, SHARE_RECEIVE))
		return refuse_post(ep);
	return posted(ep, fi_trecv(ep->ep, buf, len, desc, FI_ADDR_UNSPEC, tag, 0, op));
}

int fab_inject(struct fab_ep *ep, const void *buf, size_t len, size_t data, uint64_t peer)
{
	ssize_t ret = fi_inject(ep->ep, buf, len, peer);

	if (ret)
		return ret == -FI_ENOMEM ? -EAGAIN : fab_errno(ret);
	count_data(ep, data);
	return 0;
}

int fab_write(struct fab_ep *ep, struct fab_op *op, const void *buf, size_t len, void *desc, uint64_t peer,
	      uint64_t addr, uint64_t key)
{
	if (full(ep, SHARE_CONTROL))
		return refuse_post(ep);
	return posted(ep, fi_write(ep->ep, buf, len, desc, peer, addr, key, op));
}

static int write_delivered(struct fab_ep *ep, struct fab_op *op, const void *buf, size_t len, void *desc, uint64_t peer,
			   uint64_t addr, uint64_t key, uint64_t imm)
{
	struct iovec from = {.iov_base = (void *)(uintptr_t)buf, .iov_len = len};
	struct fi_rma_iov to = {.addr = addr, .len = len, .key = key};
	struct fi_msg_rma msg = {.msg_iov = &from,
				 .desc = &desc,
				 .iov_count = 1,
				 .addr = peer,
				 .rma_iov = &to,
				 .rma_iov_count = 1,
				 .context = op,
				 .data = imm};

	return posted_data(ep, len,
			   fi_writemsg(ep->ep, &msg, FI_REMOTE_CQ_DATA | FI_COMPLETION | FI_DELIVERY_COMPLETE));
}

int fab_write_imm(struct fab_ep *ep, struct fab_op *op, const void *buf, size_t len, void *desc, uint64_t peer,
		  uint64_t addr, uint64_t key, uint64_t imm)
{
	if (full(ep, SHARE_SEND))
		return refuse_post(ep);
	if (!fab_imm_is_long(ep))
		imm = (uint32_t)imm;
	if (ep->delivery)
		return write_delivered(ep, op, buf, len, desc, peer, addr, key, imm);
	return posted_data(ep, len, fi_writedata(ep->ep, buf, len, desc, imm, peer, addr, key, op));
}

int fab_read(struct fab_ep *ep, struct fab_op *op, void *buf, size_t len, void *desc, uint64_t peer, uint64_t addr,
	     uint64_t key)
{
	if (full(ep, SHARE_CONTROL))
		return refuse_post(ep);
	return posted(ep, fi_read(ep->ep, buf, len, desc, peer, addr, key, op));
}

int fab_write_inject(struct fab_ep *ep, const void *buf, size_t len, uint64_t peer, uint64_t addr, uint64_t key)
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

int fab_cq_reserve(struct fab_ep *ep, size_t n)
{
	if (full(ep, SHARE_RECEIVE))
		return refuse_post(ep);
	ep->in_flight += n;
	ep->expected += n;
	return 0;
}

void fab_cq_release(struct fab_ep *ep, size_t n)
{
	if (ep->expected >= n) {
		ep->expected -= n;
		ep->in_flight -= n;
	}
}

void fab_cancel(struct fab_ep *ep, struct fab_op *op)
{
	fi_cancel(&ep->ep->fid, op);
}

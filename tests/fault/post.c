/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Data transfer. Each of libfabric's many forms is converted to one of three: a message, a tagged message, an RMA
 * operation, each with vectors and flags; injected ones are separate because they never complete.
 */
#include "fault.h"

#define IOV_MOST 16

/* One post, in any form. */
struct post {
	enum fault_call call;
	const struct iovec *iov; /* replaced by the inner provider's when begin succeeds */
	size_t count;
	void **desc; /* replaced by the inner provider's when begin succeeds */
	uint64_t flags;
	void *context;
	struct fault_op *op;
	void *own_desc[IOV_MOST];
	struct iovec own_iov[IOV_MOST];
};

static struct fault_ep *of_msg(struct fid_ep *fid)
{
	return fault_owner(fid->msg, struct fault_ep, msg);
}

static struct fault_ep *of_tagged(struct fid_ep *fid)
{
	return fault_owner(fid->tagged, struct fault_ep, tagged);
}

static struct fault_ep *of_rma(struct fid_ep *fid)
{
	return fault_owner(fid->rma, struct fault_ep, rma);
}

static size_t bytes(const struct post *p)
{
	size_t i, n = 0;

	for (i = 0; i < p->count; i++)
		n += p->iov[i].iov_len;
	return n;
}

/* Counts a post towards the endpoint's death. True once it is dead. */
static bool is_dead(struct fault_ep *ep)
{
	uint64_t limit = fault_setup.nics[ep->domain->nic].kill_after;

	if (limit && atomic_fetch_add(&ep->posts, 1) >= limit)
		atomic_store(&ep->dead, true);
	return atomic_load(&ep->dead);
}

static struct fault_cq *queue(const struct fault_ep *ep, enum fault_call call)
{
	return fault_is_rx(call) ? ep->rx_cq : ep->tx_cq;
}

/* A post on a dead endpoint: a send fails later, a receive never completes. */
static int bury(struct fault_ep *ep, const struct post *p)
{
	struct fault_op *op;

	fault_count(COUNT_DEAD);
	if (!fault_is_rx(p->call)) {
		fault_cq_error(ep->tx_cq, p->context, fault_flags(p->call), FI_ENOTCONN);
		return 1;
	}
	op = fault_op_get(ep, p->call, 0, p->context);
	if (!op)
		return -FI_ENOMEM;
	op->stuck = true;
	return 1;
}

/* Begins every post. 0: continue, with p->op; 1: done already; negative: failed. */
static int begin(struct fault_ep *ep, struct post *p)
{
	struct fault_cq *cq = queue(ep, p->call);
	int ret = fault_fail(p->call);

	if (!ret && p->count > IOV_MOST)
		ret = -FI_EINVAL;
	if (!ret && fault_setup.mr_local && !(p->flags & FI_INJECT))
		ret = fault_mr_check(ep->domain, p->call, p->iov, p->desc, p->count, p->own_desc);
	if (ret)
		return ret;
	if (fault_setup.mr_local)
		p->desc = p->own_desc;
	if (fault_setup.hmem) {
		if (fault_hmem_translate(ep->domain->nic, p->iov, p->count, p->own_iov) && p->flags & FI_INJECT)
			return -FI_EINVAL; /* the CPU would have to copy it */
		p->iov = p->own_iov;
	}
	if (fault_percent(DICE_EAGAIN, fault_setup.eagain_percent)) {
		fault_count(COUNT_EAGAIN);
		return -FI_EAGAIN;
	}
	if (is_dead(ep))
		return bury(ep, p);
	p->op = fault_op_get(ep, p->call, bytes(p), p->context);
	if (!p->op)
		return -FI_ENOMEM;
	p->op->multi = p->flags & FI_MULTI_RECV;
	if (atomic_fetch_add(&cq->outstanding, 1) >= (long)cq->size && cq->size)
		fault_count(COUNT_OVERRUN);
	return 0;
}

/* Ends every post. After a success the operation may have completed already. */
static ssize_t end(struct fault_ep *ep, const struct post *p, ssize_t ret)
{
	if (!ret) {
		fault_count(COUNT_POSTS);
		return 0;
	}
	atomic_fetch_sub(&queue(ep, p->call)->outstanding, 1);
	fault_op_put(p->op);
	return ret;
}

static ssize_t begun(int ret)
{
	return ret > 0 ? 0 : ret;
}

/* ---- messages ---- */

static ssize_t post_msg(struct fid_ep *fid, enum fault_call call, const struct fi_msg *msg, uint64_t flags)
{
	struct fault_ep *ep = of_msg(fid);
	struct post p = {.call = call,
			 .iov = msg->msg_iov,
			 .count = msg->iov_count,
			 .desc = msg->desc,
			 .flags = flags,
			 .context = msg->context};
	struct fi_msg inner = *msg;
	int ret = begin(ep, &p);

	if (ret)
		return begun(ret);
	inner.context = &p.op->inner;
	inner.desc = p.desc;
	inner.msg_iov = p.iov;
	return end(ep, &p,
		   call == CALL_SEND ? ep->inner_msg->sendmsg(fid, &inner, flags)
				     : ep->inner_msg->recvmsg(fid, &inner, flags));
}

static ssize_t msg_sendmsg(struct fid_ep *fid, const struct fi_msg *msg, uint64_t flags)
{
	return post_msg(fid, CALL_SEND, msg, flags);
}

static ssize_t msg_recvmsg(struct fid_ep *fid, const struct fi_msg *msg, uint64_t flags)
{
	return flags & (FI_PEEK | FI_CLAIM | FI_DISCARD) ? -FI_ENOSYS : post_msg(fid, CALL_RECV, msg, flags);
}

static ssize_t msg_sendv(struct fid_ep *fid, const struct iovec *iov, void **desc, size_t count, fi_addr_t dest,
			 void *context)
{
	struct fi_msg msg = {.msg_iov = iov, .desc = desc, .iov_count = count, .addr = dest, .context = context};

	return msg_sendmsg(fid, &msg, of_msg(fid)->tx_flags);
}

static ssize_t msg_send(struct fid_ep *fid, const void *buf, size_t len, void *desc, fi_addr_t dest, void *context)
{
	struct iovec iov = {(void *)buf, len};

	return msg_sendv(fid, &iov, &desc, 1, dest, context);
}

static ssize_t msg_senddata(struct fid_ep *fid, const void *buf, size_t len, void *desc, uint64_t data, fi_addr_t dest,
			    void *context)
{
	struct iovec iov = {(void *)buf, len};
	struct fi_msg msg = {
		.msg_iov = &iov, .desc = &desc, .iov_count = 1, .addr = dest, .context = context, .data = data};

	return msg_sendmsg(fid, &msg, of_msg(fid)->tx_flags | FI_REMOTE_CQ_DATA);
}

static ssize_t msg_recvv(struct fid_ep *fid, const struct iovec *iov, void **desc, size_t count, fi_addr_t src,
			 void *context)
{
	struct fi_msg msg = {.msg_iov = iov, .desc = desc, .iov_count = count, .addr = src, .context = context};

	return msg_recvmsg(fid, &msg, of_msg(fid)->rx_flags);
}

static ssize_t msg_recv(struct fid_ep *fid, void *buf, size_t len, void *desc, fi_addr_t src, void *context)
{
	struct iovec iov = {buf, len};

	return msg_recvv(fid, &iov, &desc, 1, src, context);
}

/* ---- tagged messages ---- */

static ssize_t post_tagged(struct fid_ep *fid, enum fault_call call, const struct fi_msg_tagged *msg, uint64_t flags)
{
	struct fault_ep *ep = of_tagged(fid);
	struct post p = {.call = call,
			 .iov = msg->msg_iov,
			 .count = msg->iov_count,
			 .desc = msg->desc,
			 .flags = flags,
			 .context = msg->context};
	struct fi_msg_tagged inner = *msg;
	int ret = begin(ep, &p);

	if (ret)
		return begun(ret);
	inner.context = &p.op->inner;
	inner.desc = p.desc;
	inner.msg_iov = p.iov;
	return end(ep, &p,
		   call == CALL_TSEND ? ep->inner_tagged->sendmsg(fid, &inner, flags)
				      : ep->inner_tagged->recvmsg(fid, &inner, flags));
}

static ssize_t tagged_sendmsg(struct fid_ep *fid, const struct fi_msg_tagged *msg, uint64_t flags)
{
	return post_tagged(fid, CALL_TSEND, msg, flags);
}

/* A peek and a later claim of the message would need one context for both. */
static ssize_t tagged_recvmsg(struct fid_ep *fid, const struct fi_msg_tagged *msg, uint64_t flags)
{
	return flags & (FI_PEEK | FI_CLAIM | FI_DISCARD) ? -FI_ENOSYS : post_tagged(fid, CALL_TRECV, msg, flags);
}

static ssize_t tagged_sendv(struct fid_ep *fid, const struct iovec *iov, void **desc, size_t count, fi_addr_t dest,
			    uint64_t tag, void *context)
{
	struct fi_msg_tagged msg = {
		.msg_iov = iov, .desc = desc, .iov_count = count, .addr = dest, .tag = tag, .context = context};

	return tagged_sendmsg(fid, &msg, of_tagged(fid)->tx_flags);
}

static ssize_t tagged_send(struct fid_ep *fid, const void *buf, size_t len, void *desc, fi_addr_t dest, uint64_t tag,
			   void *context)
{
	struct iovec iov = {(void *)buf, len};

	return tagged_sendv(fid, &iov, &desc, 1, dest, tag, context);
}

static ssize_t tagged_senddata(struct fid_ep *fid, const void *buf, size_t len, void *desc, uint64_t data,
			       fi_addr_t dest, uint64_t tag, void *context)
{
	struct iovec iov = {(void *)buf, len};
	struct fi_msg_tagged msg = {.msg_iov = &iov,
				    .desc = &desc,
				    .iov_count = 1,
				    .addr = dest,
				    .tag = tag,
				    .context = context,
				    .data = data};

	return tagged_sendmsg(fid, &msg, of_tagged(fid)->tx_flags | FI_REMOTE_CQ_DATA);
}

static ssize_t tagged_recvv(struct fid_ep *fid, const struct iovec *iov, void **desc, size_t count, fi_addr_t src,
			    uint64_t tag, uint64_t ignore, void *context)
{
	struct fi_msg_tagged msg = {.msg_iov = iov,
				    .desc = desc,
				    .iov_count = count,
				    .addr = src,
				    .tag = tag,
				    .ignore = ignore,
				    .context = context};

	return tagged_recvmsg(fid, &msg, of_tagged(fid)->rx_flags);
}

static ssize_t tagged_recv(struct fid_ep *fid, void *buf, size_t len, void *desc, fi_addr_t src, uint64_t tag,
			   uint64_t ignore, void *context)
{
	struct iovec iov = {buf, len};

	return tagged_recvv(fid, &iov, &desc, 1, src, tag, ignore, context);
}

/* ---- RMA ---- */

static ssize_t post_rma(struct fid_ep *fid, enum fault_call call, const struct fi_msg_rma *msg, uint64_t flags)
{
	struct fault_ep *ep = of_rma(fid);
	struct post p = {.call = call,
			 .iov = msg->msg_iov,
			 .count = msg->iov_count,
			 .desc = msg->desc,
			 .flags = flags,
			 .context = msg->context};
	struct fi_msg_rma inner = *msg;
	int ret = begin(ep, &p);

	if (ret)
		return begun(ret);
	inner.context = &p.op->inner;
	inner.desc = p.desc;
	inner.msg_iov = p.iov;
	p.op->target = call == CALL_READ ? fault_mr_base(ep->domain, msg->rma_iov[0].key) : NULL;
	return end(ep, &p,
		   call == CALL_WRITE ? ep->inner_rma->writemsg(fid, &inner, flags)
				      : ep->inner_rma->readmsg(fid, &inner, flags));
}

static ssize_t rma_writemsg(struct fid_ep *fid, const struct fi_msg_rma *msg, uint64_t flags)
{
	return post_rma(fid, CALL_WRITE, msg, flags);
}

static ssize_t rma_readmsg(struct fid_ep *fid, const struct fi_msg_rma *msg, uint64_t flags)
{
	return post_rma(fid, CALL_READ, msg, flags);
}

static ssize_t post_rmav(struct fid_ep *fid, enum fault_call call, const struct iovec *iov, void **desc, size_t count,
			 fi_addr_t peer, uint64_t addr, uint64_t key, uint64_t data, uint64_t flags, void *context)
{
	struct fi_rma_iov remote = {.addr = addr, .key = key};
	struct post all = {.iov = iov, .count = count};
	struct fi_msg_rma msg = {.msg_iov = iov,
				 .desc = desc,
				 .iov_count = count,
				 .addr = peer,
				 .rma_iov = &remote,
				 .rma_iov_count = 1,
				 .context = context,
				 .data = data};

	remote.len = bytes(&all);
	return post_rma(fid, call, &msg, of_rma(fid)->tx_flags | flags);
}

static ssize_t rma_writev(struct fid_ep *fid, const struct iovec *iov, void **desc, size_t count, fi_addr_t dest,
			  uint64_t addr, uint64_t key, void *context)
{
	return post_rmav(fid, CALL_WRITE, iov, desc, count, dest, addr, key, 0, 0, context);
}

static ssize_t rma_write(struct fid_ep *fid, const void *buf, size_t len, void *desc, fi_addr_t dest, uint64_t addr,
			 uint64_t key, void *context)
{
	struct iovec iov = {(void *)buf, len};

	return post_rmav(fid, CALL_WRITE, &iov, &desc, 1, dest, addr, key, 0, 0, context);
}

static ssize_t rma_writedata(struct fid_ep *fid, const void *buf, size_t len, void *desc, uint64_t data, fi_addr_t dest,
			     uint64_t addr, uint64_t key, void *context)
{
	struct iovec iov = {(void *)buf, len};

	return post_rmav(fid, CALL_WRITE, &iov, &desc, 1, dest, addr, key, data, FI_REMOTE_CQ_DATA, context);
}

static ssize_t rma_readv(struct fid_ep *fid, const struct iovec *iov, void **desc, size_t count, fi_addr_t src,
			 uint64_t addr, uint64_t key, void *context)
{
	return post_rmav(fid, CALL_READ, iov, desc, count, src, addr, key, 0, 0, context);
}

static ssize_t rma_read(struct fid_ep *fid, void *buf, size_t len, void *desc, fi_addr_t src, uint64_t addr,
			uint64_t key, void *context)
{
	struct iovec iov = {buf, len};

	return post_rmav(fid, CALL_READ, &iov, &desc, 1, src, addr, key, 0, 0, context);
}

/* ---- injected: complete for the application on return ---- */

static int inject_begin(struct fault_ep *ep)
{
	int ret = fault_fail(CALL_INJECT);

	if (ret)
		return ret;
	if (fault_percent(DICE_EAGAIN, fault_setup.eagain_percent)) {
		fault_count(COUNT_EAGAIN);
		return -FI_EAGAIN;
	}
	if (!is_dead(ep))
		return 0;
	fault_count(COUNT_DEAD);
	return -FI_ENOTCONN;
}

static ssize_t inject_end(struct fault_ep *ep, size_t len, ssize_t ret)
{
	if (!ret) {
		fault_count(COUNT_POSTS);
		fault_pass(ep->domain->nic, false, len);
	}
	return ret;
}

static ssize_t msg_inject(struct fid_ep *fid, const void *buf, size_t len, fi_addr_t dest)
{
	struct fault_ep *ep = of_msg(fid);
	int ret = inject_begin(ep);

	return ret ? ret : inject_end(ep, len, ep->inner_msg->inject(fid, buf, len, dest));
}

static ssize_t msg_injectdata(struct fid_ep *fid, const void *buf, size_t len, uint64_t data, fi_addr_t dest)
{
	struct fault_ep *ep = of_msg(fid);
	int ret = inject_begin(ep);

	return ret ? ret : inject_end(ep, len, ep->inner_msg->injectdata(fid, buf, len, data, dest));
}

static ssize_t tagged_inject(struct fid_ep *fid, const void *buf, size_t len, fi_addr_t dest, uint64_t tag)
{
	struct fault_ep *ep = of_tagged(fid);
	int ret = inject_begin(ep);

	return ret ? ret : inject_end(ep, len, ep->inner_tagged->inject(fid, buf, len, dest, tag));
}

static ssize_t tagged_injectdata(struct fid_ep *fid, const void *buf, size_t len, uint64_t data, fi_addr_t dest,
				 uint64_t tag)
{
	struct fault_ep *ep = of_tagged(fid);
	int ret = inject_begin(ep);

	return ret ? ret : inject_end(ep, len, ep->inner_tagged->injectdata(fid, buf, len, data, dest, tag));
}

static ssize_t rma_inject(struct fid_ep *fid, const void *buf, size_t len, fi_addr_t dest, uint64_t addr, uint64_t key)
{
	struct fault_ep *ep = of_rma(fid);
	int ret = inject_begin(ep);

	return ret ? ret : inject_end(ep, len, ep->inner_rma->inject(fid, buf, len, dest, addr, key));
}

static ssize_t rma_injectdata(struct fid_ep *fid, const void *buf, size_t len, uint64_t data, fi_addr_t dest,
			      uint64_t addr, uint64_t key)
{
	struct fault_ep *ep = of_rma(fid);
	int ret = inject_begin(ep);

	return ret ? ret : inject_end(ep, len, ep->inner_rma->injectdata(fid, buf, len, data, dest, addr, key));
}

const struct fi_ops_msg fault_msg_ops = {
	.size = sizeof(struct fi_ops_msg),
	.recv = msg_recv,
	.recvv = msg_recvv,
	.recvmsg = msg_recvmsg,
	.send = msg_send,
	.sendv = msg_sendv,
	.sendmsg = msg_sendmsg,
	.inject = msg_inject,
	.senddata = msg_senddata,
	.injectdata = msg_injectdata,
};

const struct fi_ops_tagged fault_tagged_ops = {
	.size = sizeof(struct fi_ops_tagged),
	.recv = tagged_recv,
	.recvv = tagged_recvv,
	.recvmsg = tagged_recvmsg,
	.send = tagged_send,
	.sendv = tagged_sendv,
	.sendmsg = tagged_sendmsg,
	.inject = tagged_inject,
	.senddata = tagged_senddata,
	.injectdata = tagged_injectdata,
};

const struct fi_ops_rma fault_rma_ops = {
	.size = sizeof(struct fi_ops_rma),
	.read = rma_read,
	.readv = rma_readv,
	.readmsg = rma_readmsg,
	.write = rma_write,
	.writev = rma_writev,
	.writemsg = rma_writemsg,
	.inject = rma_inject,
	.writedata = rma_writedata,
	.injectdata = rma_injectdata,
};

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests built call by call, between wr_start, which takes the context's lock, and wr_complete or wr_abort. The first
 * error of a batch refuses the whole batch, as in libefa.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "softefa.h"

#define BATCH_MAX (sizeof(((struct soft_qp *)0)->batch) / sizeof(struct soft_op *))

static struct soft_qp *qp_of(struct ibv_qp_ex *ibv)
{
	return soft_owner(ibv, struct soft_qp, ibv);
}

static void wr_start(struct ibv_qp_ex *ibv)
{
	struct soft_qp *qp = qp_of(ibv);

	pthread_mutex_lock(&qp->context->lock);
	qp->batched = 0;
	qp->batch_error = 0;
}

static void fail(struct soft_qp *qp, int err, const char *why)
{
	if (!qp->batch_error && why)
		soft_log("%s: queue pair %u: %s", qp->context->device->ibv.name, qp->ibv.qp_base.qp_num, why);
	if (!qp->batch_error)
		qp->batch_error = err;
}

static struct soft_op *add(struct ibv_qp_ex *ibv, enum soft_op_kind kind)
{
	struct soft_qp *qp = qp_of(ibv);
	struct soft_op *op;

	if (qp->batch_error)
		return NULL;
	if (qp->state != IBV_QPS_RTS && qp->state != IBV_QPS_SQD)
		fail(qp, EINVAL, "a request is posted, but it is not ready to send");
	else if (qp->flying + qp->batched >= qp->send_depth || qp->batched == BATCH_MAX)
		fail(qp, ENOMEM, NULL);
	if (qp->batch_error)
		return NULL;
	op = soft_op_new(qp->context);
	if (!op) {
		fail(qp, ENOMEM, NULL);
		return NULL;
	}
	op->kind = kind;
	op->wr_id = ibv->wr_id;
	op->quiet = !qp->sig_all && !(ibv->wr_flags & IBV_SEND_SIGNALED);
	op->src_qpn = ibv->qp_base.qp_num;
	qp->batch[qp->batched++] = op;
	return op;
}

/* The request under construction. */
static struct soft_op *current(struct ibv_qp_ex *ibv)
{
	struct soft_qp *qp = qp_of(ibv);

	return qp->batch_error || !qp->batched ? NULL : qp->batch[qp->batched - 1];
}

static void wr_send(struct ibv_qp_ex *ibv)
{
	add(ibv, OP_SEND);
}

static void wr_send_imm(struct ibv_qp_ex *ibv, __be32 imm)
{
	struct soft_op *op = add(ibv, OP_SEND);

	if (!op)
		return;
	op->has_imm = true;
	op->imm = imm;
}

static struct soft_op *add_rdma(struct ibv_qp_ex *ibv, enum soft_op_kind kind, uint32_t rkey, uint64_t addr)
{
	struct soft_op *op = add(ibv, kind);

	if (op) {
		op->rkey = rkey;
		op->remote_addr = addr;
	}
	return op;
}

static void wr_rdma_read(struct ibv_qp_ex *ibv, uint32_t rkey, uint64_t addr)
{
	add_rdma(ibv, OP_READ, rkey, addr);
}

static void wr_rdma_write(struct ibv_qp_ex *ibv, uint32_t rkey, uint64_t addr)
{
	add_rdma(ibv, OP_WRITE, rkey, addr);
}

static void wr_rdma_write_imm(struct ibv_qp_ex *ibv, uint32_t rkey, uint64_t addr, __be32 imm)
{
	struct soft_op *op = add_rdma(ibv, OP_WRITE, rkey, addr);

	if (!op)
		return;
	op->has_imm = true;
	op->imm = imm;
}

static void wr_set_sge_list(struct ibv_qp_ex *ibv, size_t count, const struct ibv_sge *list)
{
	struct soft_op *op = current(ibv);
	size_t i;

	if (!op)
		return;
	if (count > (op->kind == OP_SEND ? SOFT_SEND_SGES : 1)) {
		fail(qp_of(ibv), EINVAL,
		     op->kind == OP_SEND ? "a send has more than 2 segments"
					 : "an RDMA request has more than one segment");
		return;
	}
	op->sges = (int)count;
	op->len = 0;
	for (i = 0; i < count; i++) {
		op->sge[i] = list[i];
		op->len += list[i].length;
	}
}

static void wr_set_sge(struct ibv_qp_ex *ibv, uint32_t lkey, uint64_t addr, uint32_t length)
{
	const struct ibv_sge sge = {.addr = addr, .length = length, .lkey = lkey};

	wr_set_sge_list(ibv, 1, &sge);
}

static void wr_set_inline_data_list(struct ibv_qp_ex *ibv, size_t count, const struct ibv_data_buf *list)
{
	struct soft_op *op = current(ibv);
	size_t i;

	if (!op)
		return;
	op->is_inline = true;
	op->len = 0;
	for (i = 0; i < count; i++) {
		if (op->kind != OP_SEND || op->len + list[i].length > SOFT_INLINE) {
			fail(qp_of(ibv), EINVAL,
			     op->kind == OP_SEND ? "more than 32 bytes of inline data"
						 : "inline data in an RDMA request");
			return;
		}
		if (list[i].length)
			memcpy(op->data + op->len, list[i].addr, list[i].length);
		op->len += list[i].length;
	}
}

static void wr_set_inline_data(struct ibv_qp_ex *ibv, void *addr, size_t length)
{
	const struct ibv_data_buf one = {.addr = addr, .length = length};

	wr_set_inline_data_list(ibv, 1, &one);
}

static void wr_set_ud_addr(struct ibv_qp_ex *ibv, struct ibv_ah *ah, uint32_t qpn, uint32_t qkey)
{
	struct soft_op *op = current(ibv);

	if (!op)
		return;
	op->gid = soft_owner(ah, struct soft_ah, ibv)->gid;
	op->dst_qpn = qpn;
	op->qkey = qkey;
}

void soft_qp_drop(struct soft_qp *qp, unsigned keep)
{
	struct soft_context *c = qp->context;

	for (; qp->batched > keep; qp->batched--) {
		struct soft_op *op = qp->batch[qp->batched - 1];

		op->qp = NULL;
		soft_op_finish(c, op, SOFT_OK);
	}
}

static int wr_complete(struct ibv_qp_ex *ibv)
{
	struct soft_qp *qp = qp_of(ibv);
	struct soft_context *c = qp->context;
	int err = qp->batch_error;
	unsigned i;

	if (!err) {
		for (i = 0; i < qp->batched; i++) {
			qp->batch[i]->qp = qp;
			qp->flying++;
			soft_op_start(c, qp->batch[i]);
		}
		qp->batched = 0;
		soft_count(c, DOORBELLS, 1);
		soft_time_acts();
		soft_tx_run(c);
	}
	soft_qp_drop(qp, 0);
	pthread_mutex_unlock(&c->lock);
	return err;
}

static void wr_abort(struct ibv_qp_ex *ibv)
{
	struct soft_qp *qp = qp_of(ibv);

	soft_qp_drop(qp, 0);
	pthread_mutex_unlock(&qp->context->lock);
}

void soft_qp_fill_wr(struct ibv_qp_ex *ibv)
{
	ibv->wr_start = wr_start;
	ibv->wr_complete = wr_complete;
	ibv->wr_abort = wr_abort;
	ibv->wr_send = wr_send;
	ibv->wr_send_imm = wr_send_imm;
	ibv->wr_rdma_read = wr_rdma_read;
	ibv->wr_rdma_write = wr_rdma_write;
	ibv->wr_rdma_write_imm = wr_rdma_write_imm;
	ibv->wr_set_sge = wr_set_sge;
	ibv->wr_set_sge_list = wr_set_sge_list;
	ibv->wr_set_inline_data = wr_set_inline_data;
	ibv->wr_set_inline_data_list = wr_set_inline_data_list;
	ibv->wr_set_ud_addr = wr_set_ud_addr;
}

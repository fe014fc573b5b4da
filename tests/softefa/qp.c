/* SPDX-License-Identifier: Apache-2.0 */
/* Queue pairs: their life, their receives, and requests posted as lists. wr.c has the requests built call by call. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "softefa.h"

static struct soft_qp *qp_of(struct ibv_qp *ibv)
{
	return soft_owner(ibv, struct soft_qp, ibv.qp_base);
}

struct soft_qp *soft_qp_find(struct soft_context *c, uint32_t qpn)
{
	struct soft_qp *qp;

	for (qp = c->qps; qp && qp->ibv.qp_base.qp_num != qpn; qp = qp->next)
		;
	return qp;
}

/*
 * Claims an unused number: the low byte is unique in the context, for programs that use it as an index; the high byte
 * is random, so that a restarted process does not get its predecessor's messages.
 */
static int claim_number(struct soft_context *c, struct soft_qp *qp)
{
	uint32_t low, qpn;
	int turn, err = -EMFILE;
	struct soft_qp *other;

	for (low = 0; low < SOFT_QPS; low++) {
		for (other = c->qps; other; other = other->next)
			if ((other->ibv.qp_base.qp_num & 0xff) == low)
				break;
		for (turn = 0; !other && turn < 64; turn++) {
			qpn = (uint32_t)((soft_roll(DICE_NAME, 255) + 1 + (uint64_t)getpid()) & 0xff) << 8 | low;
			err = qpn ? soft_port_claim(c, qpn) : -EEXIST;
			if (!err) {
				qp->ibv.qp_base.qp_num = qpn;
				return 0;
			}
			if (err != -EEXIST)
				return err;
		}
	}
	return err;
}

static const char *refusal(const struct soft_context *c, const struct ibv_qp_init_attr_ex *a)
{
	uint64_t ops = a->comp_mask & IBV_QP_INIT_ATTR_SEND_OPS_FLAGS ? a->send_ops_flags : 0;
	uint64_t able = IBV_QP_EX_WITH_SEND | IBV_QP_EX_WITH_SEND_WITH_IMM;

	if (soft_setup.caps & SOFT_CAP_READ)
		able |= IBV_QP_EX_WITH_RDMA_READ;
	if (soft_setup.caps & SOFT_CAP_WRITE)
		able |= IBV_QP_EX_WITH_RDMA_WRITE | IBV_QP_EX_WITH_RDMA_WRITE_WITH_IMM;
	if (a->qp_type != IBV_QPT_DRIVER && a->qp_type != IBV_QPT_UD)
		return "the device has SRD and UD queue pairs only";
	if (!(a->comp_mask & IBV_QP_INIT_ATTR_PD) || !a->pd)
		return "it has no protection domain";
	if (a->cap.max_send_wr > SOFT_SEND_DEPTH || a->cap.max_recv_wr > SOFT_RECV_DEPTH)
		return "its queues are too deep";
	if (a->cap.max_send_sge > SOFT_SEND_SGES || a->cap.max_recv_sge > SOFT_RECV_SGES)
		return "it wants too many segments";
	if (a->cap.max_inline_data > SOFT_INLINE)
		return "it wants too much inline data";
	if (ops & ~able)
		return "it wants operations that this generation does not have";
	if (c->qp_count == SOFT_QPS)
		return "all queue pairs are in use";
	return NULL;
}

struct ibv_qp *soft_qp_create(struct ibv_context *context, struct ibv_qp_init_attr_ex *a)
{
	struct soft_context *c = soft_context_of(context);
	const char *why = refusal(c, a);
	struct soft_qp *qp;
	int err;

	if (soft_port_refuses(c))
		return NULL;
	if (why) {
		soft_count(c, CREATE_QP_ERR, 1);
		soft_log("%s: no queue pair: %s", c->device->ibv.name, why);
		errno = EINVAL;
		return NULL;
	}
	qp = calloc(1, sizeof(*qp));
	if (!qp)
		return NULL;
	qp->ibv.qp_base.context = context;
	qp->ibv.qp_base.qp_context = a->qp_context;
	qp->ibv.qp_base.pd = a->pd;
	qp->ibv.qp_base.send_cq = a->send_cq;
	qp->ibv.qp_base.recv_cq = a->recv_cq;
	qp->ibv.qp_base.qp_type = a->qp_type;
	qp->context = c;
	qp->datagram = a->qp_type == IBV_QPT_UD;
	qp->state = qp->ibv.qp_base.state = IBV_QPS_RESET;
	qp->rnr_retry = 7;
	qp->sig_all = a->sq_sig_all;
	qp->send_depth = a->cap.max_send_wr;
	qp->recv_size = a->cap.max_recv_wr;
	qp->recvs = calloc(qp->recv_size ? qp->recv_size : 1, sizeof(*qp->recvs));
	soft_qp_fill_wr(&qp->ibv);
	pthread_mutex_lock(&c->lock);
	err = qp->recvs ? claim_number(c, qp) : -ENOMEM;
	if (!err) {
		qp->next = c->qps;
		c->qps = qp;
		c->qp_count++;
	}
	pthread_mutex_unlock(&c->lock);
	if (err) {
		soft_log("%s: no number for a queue pair: %s", c->device->ibv.name, strerror(-err));
		free(qp->recvs);
		free(qp);
		errno = -err;
		return NULL;
	}
	return &qp->ibv.qp_base;
}

SOFT_EXPORT struct ibv_qp *efadv_create_qp_ex(struct ibv_context *context, struct ibv_qp_init_attr_ex *attr,
					      struct soft_efadv_qp_attr *efa, uint32_t bytes)
{
	uint16_t flags = efa && bytes >= offsetof(struct soft_efadv_qp_attr, sl) ? efa->flags : 0;
	struct ibv_qp *qp;

	if (flags & ~SOFT_QP_UNSOLICITED ||
	    (efa && bytes >= sizeof(*efa) && efa->wr_flags & ~(uint64_t)SOFT_WR_HINTS) ||
	    (flags & SOFT_QP_UNSOLICITED && !(soft_setup.caps & SOFT_CAP_UNSOLICITED))) {
		errno = EOPNOTSUPP;
		return NULL;
	}
	qp = soft_qp_create(context, attr);
	if (qp)
		qp_of(qp)->unsolicited = flags & SOFT_QP_UNSOLICITED;
	return qp;
}

static void to_ex(struct ibv_pd *pd, const struct ibv_qp_init_attr *attr, struct ibv_qp_init_attr_ex *out)
{
	memset(out, 0, sizeof(*out));
	out->qp_context = attr->qp_context;
	out->send_cq = attr->send_cq;
	out->recv_cq = attr->recv_cq;
	out->cap = attr->cap;
	out->qp_type = attr->qp_type;
	out->sq_sig_all = attr->sq_sig_all;
	out->comp_mask = IBV_QP_INIT_ATTR_PD;
	out->pd = pd;
}

SOFT_EXPORT struct ibv_qp *ibv_create_qp(struct ibv_pd *pd, struct ibv_qp_init_attr *attr)
{
	struct ibv_qp_init_attr_ex ex;

	to_ex(pd, attr, &ex);
	return soft_qp_create(pd->context, &ex);
}

SOFT_EXPORT struct ibv_qp *efadv_create_driver_qp(struct ibv_pd *pd, struct ibv_qp_init_attr *attr, uint32_t type)
{
	(void)type;
	return ibv_create_qp(pd, attr);
}

SOFT_EXPORT struct ibv_qp_ex *ibv_qp_to_qp_ex(struct ibv_qp *qp)
{
	return &qp_of(qp)->ibv;
}

static void set_hints(struct soft_efadv_qp *qp, uint32_t hints)
{
	(void)qp, (void)hints;
}

SOFT_EXPORT struct soft_efadv_qp *efadv_qp_from_ibv_qp_ex(struct ibv_qp_ex *ibv)
{
	struct soft_qp *qp = soft_owner(ibv, struct soft_qp, ibv);

	qp->efadv.wr_set_processing_hints = set_hints;
	return &qp->efadv;
}

/* The queues' memory layout differs from the hardware's: callers must post by the calls. */
SOFT_EXPORT int efadv_query_qp_wqs(struct ibv_qp *qp, void *sq, void *rq, uint32_t bytes)
{
	(void)qp, (void)sq, (void)rq, (void)bytes;
	return EOPNOTSUPP;
}

SOFT_EXPORT int ibv_query_qp_data_in_order(struct ibv_qp *qp, enum ibv_wr_opcode op, uint32_t flags)
{
	(void)qp, (void)op, (void)flags;
	return 0;
}

/* True if the hardware allows this change of state. */
static bool may_become(enum ibv_qp_state from, enum ibv_qp_state to)
{
	return to == IBV_QPS_RESET || to == IBV_QPS_ERR || from == to ||
	       (from == IBV_QPS_RESET && to == IBV_QPS_INIT) || (from == IBV_QPS_INIT && to == IBV_QPS_RTR) ||
	       (from == IBV_QPS_RTR && to == IBV_QPS_RTS) || (from == IBV_QPS_SQD && to == IBV_QPS_RTS) ||
	       (from == IBV_QPS_RTS && to == IBV_QPS_SQD);
}

static void flush_recvs(struct soft_qp *qp)
{
	struct soft_completion done = {.qp = qp,
				       .qpn = qp->ibv.qp_base.qp_num,
				       .status = SOFT_FLUSHED,
				       .opcode = IBV_WC_RECV,
				       .ah = SOFT_NO_AH};

	for (; qp->recv_count; qp->recv_count--) {
		done.wr_id = qp->recvs[qp->recv_head].wr_id;
		soft_cq_add((struct soft_cq *)qp->ibv.qp_base.recv_cq, &done);
		qp->recv_head = (qp->recv_head + 1) % qp->recv_size;
	}
}

SOFT_EXPORT int ibv_modify_qp(struct ibv_qp *ibv, struct ibv_qp_attr *attr, int mask)
{
	struct soft_qp *qp = qp_of(ibv);
	struct soft_context *c = qp->context;
	int err = 0;

	if (mask & IBV_QP_RNR_RETRY && !(soft_setup.caps & SOFT_CAP_RNR_RETRY))
		return EOPNOTSUPP;
	if (soft_port_refuses(c))
		return EIO;
	pthread_mutex_lock(&c->lock);
	if (mask & IBV_QP_STATE && !may_become(qp->state, attr->qp_state)) {
		soft_log("%s: queue pair %u cannot go from state %d to %d", c->device->ibv.name, ibv->qp_num,
			 (int)qp->state, (int)attr->qp_state);
		err = EINVAL;
	} else {
		if (mask & IBV_QP_QKEY)
			qp->qkey = attr->qkey;
		if (mask & IBV_QP_RNR_RETRY)
			qp->rnr_retry = attr->rnr_retry;
		if (mask & IBV_QP_STATE)
			qp->state = ibv->state = attr->qp_state;
		if (qp->state == IBV_QPS_ERR) {
			soft_ops_flush(c, qp, true);
			flush_recvs(qp);
		}
	}
	pthread_mutex_unlock(&c->lock);
	return err;
}

SOFT_EXPORT int ibv_destroy_qp(struct ibv_qp *ibv)
{
	struct soft_qp *qp = qp_of(ibv), **at;
	struct soft_context *c = qp->context;

	pthread_mutex_lock(&c->lock);
	soft_ops_flush(c, qp, false);
	soft_cq_purge((struct soft_cq *)ibv->send_cq, qp);
	soft_cq_purge((struct soft_cq *)ibv->recv_cq, qp);
	for (at = &c->qps; *at != qp; at = &(*at)->next)
		;
	*at = qp->next;
	c->qp_count--;
	soft_port_release(c, ibv->qp_num);
	pthread_mutex_unlock(&c->lock);
	free(qp->recvs);
	free(qp);
	return 0;
}

int soft_qp_post_recv(struct ibv_qp *ibv, struct ibv_recv_wr *wr, struct ibv_recv_wr **bad)
{
	struct soft_qp *qp = qp_of(ibv);
	struct soft_recv *r;
	int err = 0;

	pthread_mutex_lock(&qp->context->lock);
	for (; wr; wr = wr->next) {
		if (wr->num_sge > SOFT_RECV_SGES)
			soft_log("a receive of %d segments: the device takes %d", wr->num_sge, SOFT_RECV_SGES);
		if (qp->state == IBV_QPS_RESET || qp->state == IBV_QPS_ERR || wr->num_sge > SOFT_RECV_SGES)
			err = EINVAL;
		else if (qp->recv_count == qp->recv_size)
			err = ENOMEM;
		if (err) {
			*bad = wr;
			break;
		}
		r = &qp->recvs[(qp->recv_head + qp->recv_count++) % qp->recv_size];
		r->wr_id = wr->wr_id;
		r->sges = wr->num_sge;
		memcpy(r->sge, wr->sg_list, (size_t)wr->num_sge * sizeof(*wr->sg_list));
	}
	pthread_mutex_unlock(&qp->context->lock);
	return err;
}

/* One request of a list, by the calls of wr.c. */
static int post_one(struct ibv_qp_ex *ex, const struct ibv_send_wr *wr)
{
	struct ibv_data_buf list[SOFT_SEND_SGES];
	int i;

	if (wr->num_sge > SOFT_SEND_SGES)
		return EINVAL;
	ex->wr_id = wr->wr_id;
	ex->wr_flags = wr->send_flags & ~(unsigned)IBV_SEND_INLINE;
	switch (wr->opcode) {
	case IBV_WR_SEND: ex->wr_send(ex); break;
	case IBV_WR_SEND_WITH_IMM: ex->wr_send_imm(ex, wr->imm_data); break;
	case IBV_WR_RDMA_READ: ex->wr_rdma_read(ex, wr->wr.rdma.rkey, wr->wr.rdma.remote_addr); break;
	default: return EOPNOTSUPP;
	}
	for (i = 0; i < wr->num_sge; i++)
		list[i] = (struct ibv_data_buf){(void *)(uintptr_t)wr->sg_list[i].addr, wr->sg_list[i].length};
	if (wr->send_flags & IBV_SEND_INLINE)
		ex->wr_set_inline_data_list(ex, (size_t)wr->num_sge, list);
	else
		ex->wr_set_sge_list(ex, (size_t)wr->num_sge, wr->sg_list);
	ex->wr_set_ud_addr(ex, wr->wr.ud.ah, wr->wr.ud.remote_qpn, wr->wr.ud.remote_qkey);
	return 0;
}

int soft_qp_post_send(struct ibv_qp *ibv, struct ibv_send_wr *wr, struct ibv_send_wr **bad)
{
	struct soft_qp *qp = qp_of(ibv);
	int err = 0;
	unsigned before;

	qp->ibv.wr_start(&qp->ibv);
	for (; wr && !err; wr = wr->next) {
		before = qp->batched;
		err = post_one(&qp->ibv, wr);
		if (!err)
			err = qp->batch_error;
		if (!err)
			continue;
		/* The requests before it are still posted. */
		*bad = wr;
		qp->batch_error = 0;
		soft_qp_drop(qp, before);
	}
	qp->ibv.wr_complete(&qp->ibv);
	return err;
}

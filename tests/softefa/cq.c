/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Completion queues. As with the hardware, an overflowing queue permanently loses completions. A poll shows one
 * completion, which stays readable until the next poll, even after the poll has ended.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "softefa.h"

static struct soft_cq *cq_of(struct ibv_cq_ex *ibv)
{
	return soft_owner(ibv, struct soft_cq, ibv);
}

static enum ibv_wc_status wc_status(enum soft_status status)
{
	switch (status) {
	case SOFT_OK: return IBV_WC_SUCCESS;
	case SOFT_FLUSHED: return IBV_WC_WR_FLUSH_ERR;
	case SOFT_UNSUPPORTED:
	case SOFT_BAD_AH: return IBV_WC_LOC_QP_OP_ERR;
	case SOFT_BAD_LKEY: return IBV_WC_LOC_PROT_ERR;
	case SOFT_TOO_LONG: return IBV_WC_LOC_LEN_ERR;
	case SOFT_BAD_ADDRESS: return IBV_WC_REM_ACCESS_ERR;
	case SOFT_NO_QP: return IBV_WC_REM_INV_RD_REQ_ERR;
	case SOFT_RNR: return IBV_WC_RNR_RETRY_EXC_ERR;
	case SOFT_RECV_SHORT: return IBV_WC_REM_INV_REQ_ERR;
	case SOFT_BAD_STATUS: return IBV_WC_BAD_RESP_ERR;
	case SOFT_UNRESPONSIVE:
	case SOFT_UNREACHABLE: return IBV_WC_RESP_TIMEOUT_ERR;
	case SOFT_UNKNOWN_PEER: return IBV_WC_REM_OP_ERR;
	}
	return IBV_WC_GENERAL_ERR;
}

static struct soft_completion *slot(struct soft_cq *cq, uint32_t i)
{
	return &cq->ring[(cq->head + i) & (cq->size - 1)];
}

void soft_cq_add(struct soft_cq *cq, const struct soft_completion *done)
{
	uint32_t i;

	if (!cq)
		return;
	if (cq->count == cq->size) {
		if (!cq->overrun)
			soft_log("a completion queue of %u entries overflows: completions are lost from here on",
				 cq->size);
		cq->overrun = true;
		return;
	}
	/* In the order of virtual time, if it is on. */
	for (i = cq->count++; i && slot(cq, i - 1)->stamp > done->stamp; i--)
		*slot(cq, i) = *slot(cq, i - 1);
	*slot(cq, i) = *done;
	soft_count(cq->context, COMPLETIONS, 1);
	if (cq->armed && cq->ibv.channel) {
		struct ibv_cq *ibv = ibv_cq_ex_to_cq(&cq->ibv);

		cq->armed = false;
		if (write(cq->ibv.channel->refcnt, &ibv, sizeof(ibv)) != sizeof(ibv))
			soft_log("a completion channel is full: an event is lost");
	}
}

void soft_cq_purge(struct soft_cq *cq, const struct soft_qp *qp)
{
	uint32_t i, kept = 0;

	if (!cq)
		return;
	for (i = 0; i < cq->count; i++) {
		struct soft_completion *one = slot(cq, i);

		if (one->qp != qp)
			*slot(cq, kept++) = *one;
	}
	cq->count = kept;
}

static bool shows(struct soft_cq *cq)
{
	return cq->count && slot(cq, 0)->stamp <= soft_time_now();
}

static int poll_one(struct soft_cq *cq, bool progress)
{
	int err = ENOENT;

	pthread_mutex_lock(&cq->context->lock);
	if (progress && !shows(cq))
		soft_progress(cq->context);
	if (shows(cq)) {
		cq->now = *slot(cq, 0);
		cq->head = (cq->head + 1) & (cq->size - 1);
		cq->count--;
		err = 0;
	}
	pthread_mutex_unlock(&cq->context->lock);
	if (err) {
		if (progress)
			soft_time_looks();
		return err;
	}
	soft_time_acts();
	cq->ibv.wr_id = cq->now.wr_id;
	cq->ibv.status = wc_status(cq->now.status);
	return 0;
}

static int start_poll(struct ibv_cq_ex *ibv, struct ibv_poll_cq_attr *attr)
{
	return attr->comp_mask ? EINVAL : poll_one(cq_of(ibv), true);
}

static int next_poll(struct ibv_cq_ex *ibv)
{
	return poll_one(cq_of(ibv), false);
}

static void end_poll(struct ibv_cq_ex *ibv)
{
	(void)ibv;
}

/* clang-format off */
static enum ibv_wc_opcode read_opcode(struct ibv_cq_ex *ibv) { return cq_of(ibv)->now.opcode; }
static uint32_t read_vendor_err(struct ibv_cq_ex *ibv) { return cq_of(ibv)->now.status; }
static uint32_t read_byte_len(struct ibv_cq_ex *ibv) { return cq_of(ibv)->now.bytes; }
static __be32 read_imm_data(struct ibv_cq_ex *ibv) { return cq_of(ibv)->now.imm; }
static uint32_t read_qp_num(struct ibv_cq_ex *ibv) { return cq_of(ibv)->now.qpn; }
static uint32_t read_src_qp(struct ibv_cq_ex *ibv) { return cq_of(ibv)->now.src_qpn; }
static uint32_t read_slid(struct ibv_cq_ex *ibv) { return cq_of(ibv)->now.ah; }
static uint8_t read_sl(struct ibv_cq_ex *ibv) { (void)ibv; return 0; }
static uint8_t read_path_bits(struct ibv_cq_ex *ibv) { (void)ibv; return 0; }
/* clang-format on */

static unsigned read_wc_flags(struct ibv_cq_ex *ibv)
{
	return cq_of(ibv)->now.has_imm ? IBV_WC_WITH_IMM : 0;
}

/* The device reports the source's GID only if it has no address handle for it. */
static int read_sgid(struct soft_efadv_cq *efadv, union ibv_gid *sgid)
{
	struct soft_cq *cq = soft_owner(efadv, struct soft_cq, efadv);

	if (cq->now.ah != SOFT_NO_AH)
		return -ENOENT;
	*sgid = cq->now.gid;
	return 0;
}

static bool is_unsolicited(struct soft_efadv_cq *efadv)
{
	return soft_owner(efadv, struct soft_cq, efadv)->now.unsolicited;
}

struct ibv_cq_ex *soft_cq_create(struct ibv_context *context, struct ibv_cq_init_attr_ex *attr)
{
	struct soft_context *c = soft_context_of(context);
	const struct ibv_cq_ex table = {
		.context = context,
		.channel = attr->channel,
		.cq_context = attr->cq_context,
		.start_poll = start_poll,
		.next_poll = next_poll,
		.end_poll = end_poll,
		.read_opcode = read_opcode,
		.read_vendor_err = read_vendor_err,
		.read_byte_len = read_byte_len,
		.read_imm_data = read_imm_data,
		.read_qp_num = read_qp_num,
		.read_src_qp = read_src_qp,
		.read_wc_flags = read_wc_flags,
		.read_slid = read_slid,
		.read_sl = read_sl,
		.read_dlid_path_bits = read_path_bits,
	};
	struct soft_cq *cq;

	if (soft_port_refuses(c))
		return NULL;
	if (attr->cqe < 1 || attr->cqe > SOFT_CQE_MAX) {
		soft_count(c, CREATE_CQ_ERR, 1);
		soft_log("a completion queue of %u entries: the device has 1 to %d", attr->cqe, SOFT_CQE_MAX);
		errno = EINVAL;
		return NULL;
	}
	cq = calloc(1, sizeof(*cq));
	if (!cq)
		return NULL;
	cq->ibv = table;
	cq->efadv.wc_read_sgid = read_sgid;
	cq->efadv.wc_is_unsolicited = is_unsolicited;
	cq->context = c;
	for (cq->size = 16; cq->size < attr->cqe; cq->size *= 2)
		;
	cq->ibv.cqe = (int)cq->size;
	cq->ring = calloc(cq->size, sizeof(*cq->ring));
	if (!cq->ring) {
		free(cq);
		return NULL;
	}
	pthread_mutex_lock(&c->lock);
	c->cq_count++;
	pthread_mutex_unlock(&c->lock);
	return &cq->ibv;
}

SOFT_EXPORT struct ibv_cq_ex *efadv_create_cq(struct ibv_context *context, struct ibv_cq_init_attr_ex *attr,
					      struct soft_efadv_cq_attr *efa, uint32_t bytes)
{
	uint64_t able = 0;

	if (soft_setup.caps & SOFT_CAP_SGID)
		able |= SOFT_WC_SGID;
	if (soft_setup.caps & SOFT_CAP_UNSOLICITED)
		able |= SOFT_WC_UNSOLICITED;
	if (efa && (efa->comp_mask || efa->wc_flags & ~able || (bytes >= sizeof(*efa) && efa->flags))) {
		errno = EOPNOTSUPP;
		return NULL;
	}
	return soft_cq_create(context, attr);
}

SOFT_EXPORT struct ibv_cq *ibv_create_cq(struct ibv_context *context, int cqe, void *cq_context,
					 struct ibv_comp_channel *channel, int vector)
{
	struct ibv_cq_init_attr_ex attr = {.cqe = (uint32_t)cqe, .cq_context = cq_context, .channel = channel};
	struct ibv_cq_ex *cq = soft_cq_create(context, &attr);

	(void)vector;
	return cq ? ibv_cq_ex_to_cq(cq) : NULL;
}

SOFT_EXPORT struct soft_efadv_cq *efadv_cq_from_ibv_cq_ex(struct ibv_cq_ex *ibv)
{
	return &cq_of(ibv)->efadv;
}

/* The queue's memory layout differs from the hardware's: callers must poll by the calls. */
SOFT_EXPORT int efadv_query_cq(struct ibv_cq *cq, void *attr, uint32_t bytes)
{
	(void)cq, (void)attr, (void)bytes;
	return EOPNOTSUPP;
}

SOFT_EXPORT int ibv_destroy_cq(struct ibv_cq *ibv)
{
	struct soft_cq *cq = cq_of((struct ibv_cq_ex *)ibv);
	struct soft_qp *qp;
	bool used = false;

	pthread_mutex_lock(&cq->context->lock);
	for (qp = cq->context->qps; qp; qp = qp->next)
		used |= qp->ibv.qp_base.send_cq == ibv || qp->ibv.qp_base.recv_cq == ibv;
	cq->context->cq_count -= !used;
	pthread_mutex_unlock(&cq->context->lock);
	if (used)
		return EBUSY;
	free(cq->ring);
	free(cq);
	return 0;
}

int soft_cq_poll(struct ibv_cq *ibv, int count, struct ibv_wc *wc)
{
	struct soft_cq *cq = cq_of((struct ibv_cq_ex *)ibv);
	int i;

	for (i = 0; i < count && !poll_one(cq, i == 0); i++) {
		memset(&wc[i], 0, sizeof(wc[i]));
		wc[i].wr_id = cq->now.wr_id;
		wc[i].status = wc_status(cq->now.status);
		wc[i].opcode = cq->now.opcode;
		wc[i].vendor_err = cq->now.status;
		wc[i].byte_len = cq->now.bytes;
		wc[i].imm_data = cq->now.imm;
		wc[i].qp_num = cq->now.qpn;
		wc[i].src_qp = cq->now.src_qpn;
		wc[i].wc_flags = read_wc_flags(&cq->ibv);
		wc[i].slid = cq->now.ah;
	}
	return i;
}

/* ---- events: a pipe that carries the queue's address ---- */

SOFT_EXPORT struct ibv_comp_channel *ibv_create_comp_channel(struct ibv_context *context)
{
	struct ibv_comp_channel *channel = calloc(1, sizeof(*channel));
	int ends[2];

	if (!channel)
		return NULL;
	if (pipe2(ends, O_CLOEXEC)) {
		free(channel);
		return NULL;
	}
	fcntl(ends[1], F_SETFL, O_NONBLOCK);
	channel->context = context;
	channel->fd = ends[0];
	channel->refcnt = ends[1]; /* never read by callers, so it can hold the other end */
	return channel;
}

SOFT_EXPORT int ibv_destroy_comp_channel(struct ibv_comp_channel *channel)
{
	close(channel->fd);
	close(channel->refcnt);
	free(channel);
	return 0;
}

SOFT_EXPORT int ibv_get_cq_event(struct ibv_comp_channel *channel, struct ibv_cq **cq, void **cq_context)
{
	ssize_t n;

	do
		n = read(channel->fd, cq, sizeof(*cq));
	while (n < 0 && errno == EINTR);
	if (n != sizeof(*cq))
		return -1;
	*cq_context = (*cq)->cq_context;
	return 0;
}

SOFT_EXPORT void ibv_ack_cq_events(struct ibv_cq *cq, unsigned int n)
{
	(void)cq, (void)n;
}

int soft_cq_arm(struct ibv_cq *ibv, int solicited_only)
{
	struct soft_cq *cq = cq_of((struct ibv_cq_ex *)ibv);

	(void)solicited_only;
	pthread_mutex_lock(&cq->context->lock);
	cq->armed = true;
	pthread_mutex_unlock(&cq->context->lock);
	return 0;
}

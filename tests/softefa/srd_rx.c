/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Incoming traffic. A message is acknowledged, with its status, once it is completely in place; only then does its
 * completion appear. The order of packets and messages is arbitrary.
 */
#include <stdlib.h>
#include <string.h>

#include "softefa.h"

#define RNR_WAIT_US 100 /* first wait; doubles each time, up to six times */
#define GRH_BYTES   40	/* before a datagram's payload */

/* A partly arrived write. */
struct soft_partial {
	LIST_ENTRY(soft_partial) link;
	uint64_t id, got;
};

void soft_partials_free(struct soft_peer *p)
{
	struct soft_partial *one;

	while ((one = LIST_FIRST(&p->partials))) {
		LIST_REMOVE(one, link);
		free(one);
	}
}

static struct soft_partial *partial_find(struct soft_peer *p, uint64_t id)
{
	struct soft_partial *one;

	LIST_FOREACH(one, &p->partials, link)
	if (one->id == id)
		break;
	return one;
}

static void partial_forget(struct soft_peer *p, uint64_t id)
{
	struct soft_partial *one = partial_find(p, id);

	if (!one)
		return;
	LIST_REMOVE(one, link);
	free(one);
}

static void acknowledge(struct soft_context *c, struct soft_peer *p, const struct soft_packet *to,
			enum soft_status status)
{
	const struct soft_packet packet = {.type = PACKET_ACK,
					   .status = (uint8_t)status,
					   .id = to->id,
					   .src_qpn = to->dst_qpn,
					   .dst_qpn = to->src_qpn,
					   .stamp = to->stamp + soft_setup.latency_ns};

	soft_count(c, NOT_READY, status == SOFT_RNR);
	soft_reply(c, p, &packet);
}

/* The queue pair addressed by this packet, or NULL. */
static struct soft_qp *target(struct soft_context *c, const struct soft_packet *packet)
{
	struct soft_qp *qp = soft_qp_find(c, packet->dst_qpn);

	if (!qp || (qp->state != IBV_QPS_RTR && qp->state != IBV_QPS_RTS) || qp->qkey != packet->qkey)
		return NULL;
	return qp->datagram == (packet->type == PACKET_DATAGRAM) ? qp : NULL;
}

/* Copies into a list of buffers from their byte `offset` on; returns NULL on success, otherwise the reason. */
static const char *scatter(struct soft_context *c, struct soft_qp *qp, const struct ibv_sge *sge, int sges,
			   uint64_t offset, const char *from, uint64_t len)
{
	const char *why = "it is longer than the list of buffers";
	uint64_t part;
	char *to;
	int i;

	for (i = 0; i < sges && len; i++) {
		if (offset >= sge[i].length) {
			offset -= sge[i].length;
			continue;
		}
		part = sge[i].length - offset < len ? sge[i].length - offset : len;
		to = soft_mr_resolve(c, qp->ibv.qp_base.pd, sge[i].lkey, sge[i].addr + offset, part,
				     IBV_ACCESS_LOCAL_WRITE, &why);
		if (!to)
			return why;
		memcpy(to, from, part);
		from += part;
		len -= part;
		offset = 0;
	}
	return len ? why : NULL;
}

static uint64_t recv_bytes(const struct soft_recv *r)
{
	uint64_t bytes = 0;
	int i;

	for (i = 0; i < r->sges; i++)
		bytes += r->sge[i].length;
	return bytes;
}

/* Takes the oldest posted receive; NULL: there is none. */
static struct soft_recv *take_recv(struct soft_qp *qp)
{
	struct soft_recv *r = qp->recv_count ? &qp->recvs[qp->recv_head] : NULL;

	if (r) {
		qp->recv_head = (qp->recv_head + 1) % qp->recv_size;
		qp->recv_count--;
	}
	return r;
}

static struct soft_completion arrival(struct soft_context *c, struct soft_qp *qp, const struct soft_peer *p,
				      const struct soft_packet *packet)
{
	struct soft_completion done = {.qp = qp,
				       .qpn = qp->ibv.qp_base.qp_num,
				       .src_qpn = packet->src_qpn,
				       .opcode = IBV_WC_RECV,
				       .bytes = (uint32_t)packet->total,
				       .imm = packet->imm,
				       .has_imm = packet->flags & PACKET_HAS_IMM,
				       .ah = soft_ah_number(c, &p->gid),
				       .gid = p->gid,
				       .stamp = packet->stamp};

	return done;
}

/* Handles a send; returns its status for the sender. */
static enum soft_status take_send(struct soft_context *c, struct soft_peer *p, const struct soft_packet *packet)
{
	uint64_t prefix = packet->type == PACKET_DATAGRAM ? GRH_BYTES : 0;
	struct soft_qp *qp = target(c, packet);
	struct soft_completion done;
	struct soft_recv *r;
	const char *why;

	if (!qp)
		return SOFT_NO_QP;
	if (!qp->recv_count || soft_percent(DICE_RNR, soft_setup.rnr_percent))
		return SOFT_RNR;
	if (packet->len + prefix > recv_bytes(&qp->recvs[qp->recv_head])) {
		soft_log("%s: queue pair %u: a message of %u bytes is longer than the posted receive of %llu",
			 c->device->ibv.name, qp->ibv.qp_base.qp_num, packet->len,
			 (unsigned long long)recv_bytes(&qp->recvs[qp->recv_head]));
		return SOFT_RECV_SHORT;
	}
	r = take_recv(qp);
	why = scatter(c, qp, r->sge, r->sges, prefix, (const char *)(packet + 1), packet->len);
	done = arrival(c, qp, p, packet);
	done.wr_id = r->wr_id;
	done.bytes += (uint32_t)prefix;
	if (why) {
		soft_log("%s: queue pair %u: a posted receive cannot be used: %s", c->device->ibv.name,
			 qp->ibv.qp_base.qp_num, why);
		done.status = SOFT_BAD_LKEY;
	}
	soft_count(c, RECV_WRS, 1);
	soft_count(c, RECV_BYTES, packet->len);
	soft_cq_add((struct soft_cq *)qp->ibv.qp_base.recv_cq, &done);
	return why ? SOFT_BAD_STATUS : SOFT_OK;
}

/* Checks common to both kinds of RDMA request; sets *out_qp and, for bytes > 0, *out_memory. */
static enum soft_status admit(struct soft_context *c, struct soft_peer *p, const struct soft_packet *packet,
			      unsigned access, uint64_t offset, uint64_t bytes, struct soft_qp **out_qp,
			      char **out_memory)
{
	uint32_t cap = access == IBV_ACCESS_REMOTE_WRITE ? SOFT_CAP_WRITE : SOFT_CAP_READ;
	const char *why = NULL;

	*out_qp = target(c, packet);
	if (!*out_qp)
		return SOFT_NO_QP;
	if (!(soft_setup.caps & cap)) {
		soft_log("%s: RDMA arrives, of which this generation knows nothing", c->device->ibv.name);
		return SOFT_BAD_STATUS;
	}
	if (soft_ah_number(c, &p->gid) == SOFT_NO_AH) {
		soft_log("%s: RDMA from %s, to which there is no address handle here: insert its address first",
			 c->device->ibv.name, p->name);
		return SOFT_UNKNOWN_PEER;
	}
	if (!bytes)
		return SOFT_OK;
	*out_memory =
		soft_mr_resolve(c, (*out_qp)->ibv.qp_base.pd, packet->rkey, packet->addr + offset, bytes, access, &why);
	if (*out_memory)
		return SOFT_OK;
	soft_log("%s: RDMA to key 0x%x at 0x%llx, %llu bytes: %s", c->device->ibv.name, packet->rkey,
		 (unsigned long long)(packet->addr + offset), (unsigned long long)bytes, why);
	return SOFT_BAD_ADDRESS;
}

/* A write is completely in place: delivers its immediate data, if any. */
static enum soft_status write_done(struct soft_context *c, struct soft_qp *qp, struct soft_peer *p,
				   const struct soft_packet *packet)
{
	struct soft_completion done = arrival(c, qp, p, packet);
	struct soft_recv *r;

	soft_count(c, RDMA_WRITE_RECV_BYTES, packet->total);
	if (!done.has_imm) {
		/*
		 * The program can see the write in its memory from now on; too_early has usually waited for this time
		 * already.
		 */
		soft_time_reach(packet->stamp);
		return SOFT_OK;
	}
	done.opcode = IBV_WC_RECV_RDMA_WITH_IMM;
	done.unsolicited = qp->unsolicited;
	if (!qp->unsolicited) {
		if (!qp->recv_count || soft_percent(DICE_RNR, soft_setup.rnr_percent))
			return SOFT_RNR;
		r = take_recv(qp);
		done.wr_id = r->wr_id;
	}
	soft_cq_add((struct soft_cq *)qp->ibv.qp_base.recv_cq, &done);
	return SOFT_OK;
}

static void take_write(struct soft_context *c, struct soft_peer *p, const struct soft_packet *packet)
{
	struct soft_partial *one = partial_find(p, packet->id);
	enum soft_status status;
	struct soft_qp *qp;
	char *to = NULL;

	/* Bounds are checked for the whole write, before its first byte is written. */
	if (!one && packet->flags & PACKET_REPEATED)
		return;
	if (!one)
		status = admit(c, p, packet, IBV_ACCESS_REMOTE_WRITE, 0, packet->total, &qp, &to);
	else
		status = SOFT_OK;
	if (status == SOFT_OK)
		status = admit(c, p, packet, IBV_ACCESS_REMOTE_WRITE, packet->offset, packet->len, &qp, &to);
	if (status != SOFT_OK) {
		partial_forget(p, packet->id);
		acknowledge(c, p, packet, status);
		return;
	}
	if (packet->len)
		memcpy(to, packet + 1, packet->len);
	if (packet->flags & PACKET_REPEATED)
		return;
	if (!one && packet->len < packet->total) {
		one = calloc(1, sizeof(*one));
		if (!one) {
			acknowledge(c, p, packet, SOFT_BAD_STATUS);
			return;
		}
		one->id = packet->id;
		LIST_INSERT_HEAD(&p->partials, one, link);
	}
	if (one && (one->got += packet->len) < packet->total)
		return;
	partial_forget(p, packet->id);
	acknowledge(c, p, packet, write_done(c, qp, p, packet));
}

static void take_read(struct soft_context *c, struct soft_peer *p, const struct soft_packet *packet)
{
	struct soft_qp *qp;
	struct soft_op *op;
	char *from = NULL;
	enum soft_status status = admit(c, p, packet, IBV_ACCESS_REMOTE_READ, 0, packet->total, &qp, &from);

	op = status == SOFT_OK ? soft_op_new(c) : NULL;
	if (!op) {
		acknowledge(c, p, packet, status == SOFT_OK ? SOFT_RNR : status);
		return;
	}
	op->kind = OP_READ_REPLY;
	op->peer = p;
	p->flying++;
	op->remote_id = packet->id;
	op->start_ns = packet->stamp;
	op->len = packet->total;
	op->sge[0] = (struct ibv_sge){packet->addr, (uint32_t)packet->total, packet->rkey};
	op->sges = 1;
	op->src_qpn = packet->dst_qpn;
	op->dst_qpn = packet->src_qpn;
	op->packets = (uint32_t)((op->len + soft_setup.mtu - 1) / soft_setup.mtu);
	op->packets += op->packets == 0;
	op->list = &c->sending;
	TAILQ_INSERT_TAIL(&c->sending, op, link);
}

static void take_read_data(struct soft_context *c, const struct soft_packet *packet)
{
	struct soft_op *op = soft_op_find(c, packet->id);
	const char *why;

	if (!op || op->kind != OP_READ)
		return;
	why = scatter(c, op->qp, op->sge, op->sges, packet->offset, (const char *)(packet + 1), packet->len);
	op->got += packet->len;
	op->end_ns = packet->stamp;
	if (why) {
		soft_log("%s: what was read cannot be placed: %s", c->device->ibv.name, why);
		soft_op_finish(c, op, SOFT_BAD_LKEY);
	} else if (op->got >= op->len) {
		soft_op_finish(c, op, SOFT_OK);
	}
}

static void take_ack(struct soft_context *c, const struct soft_packet *packet)
{
	struct soft_op *op = soft_op_find(c, packet->id);

	if (!op || op->kind == OP_READ_REPLY || op->list == &c->resting)
		return;
	op->end_ns = packet->stamp;
	if (packet->status == SOFT_RNR && (op->qp->rnr_retry == 7 || op->tries < op->qp->rnr_retry)) {
		soft_op_again(c, op, RNR_WAIT_US << (op->tries < 6 ? op->tries : 6));
		op->tries++;
		return;
	}
	soft_op_finish(c, op, packet->status);
}

static bool is_request(const struct soft_packet *packet)
{
	return packet->type == PACKET_SEND || packet->type == PACKET_DATAGRAM || packet->type == PACKET_WRITE ||
	       packet->type == PACKET_READ;
}

static void take(struct soft_context *c, struct soft_peer *p, struct soft_packet *packet)
{
	soft_count(c, RX_PKTS, 1);
	soft_count(c, RX_BYTES, sizeof(*packet) + packet->len);
	if (is_request(packet) && soft_ring_is_void(p) && !soft_percent(DICE_GHOST, soft_setup.ghost_percent)) {
		soft_count(c, RX_DROPS, 1);
		return;
	}
	p->responded = true;
	if (packet->type != PACKET_ACK && packet->type != PACKET_CANCEL)
		packet->stamp = soft_time_arrive(c, packet);
	switch ((enum soft_packet_type)packet->type) {
	case PACKET_SEND: acknowledge(c, p, packet, take_send(c, p, packet)); break;
	case PACKET_DATAGRAM:
		if (take_send(c, p, packet) != SOFT_OK)
			soft_count(c, RX_DROPS, 1);
		break;
	case PACKET_WRITE: take_write(c, p, packet); break;
	case PACKET_READ: take_read(c, p, packet); break;
	case PACKET_READ_DATA: take_read_data(c, packet); break;
	case PACKET_ACK: take_ack(c, packet); break;
	case PACKET_CANCEL: partial_forget(p, packet->id); break;
	case PACKET_PAD: break;
	}
}

/* A write without immediate data is visible as soon as it is complete. */
static bool too_early(const struct soft_packet *packet)
{
	return packet->stamp > soft_time_now() && packet->type == PACKET_WRITE && !(packet->flags & PACKET_HAS_IMM) &&
	       packet->offset + packet->len == packet->total;
}

int64_t soft_rx_early(struct soft_context *c)
{
	const struct soft_packet *packet;
	int64_t least = INT64_MAX;
	struct soft_peer *p;

	for (p = c->peers; p; p = p->next) {
		packet = soft_ring_peek(p);
		if (packet && too_early(packet) && packet->stamp < least)
			least = packet->stamp;
	}
	return least;
}

void soft_rx_run(struct soft_context *c)
{
	struct soft_packet *packet;
	struct soft_peer *p;
	int i;

	if (soft_port_is_down(c))
		return;
	for (p = c->peers; p; p = p->next)
		for (i = 0; i < 256 && (packet = soft_ring_peek(p)) && !too_early(packet); i++) {
			take(c, p, packet);
			soft_ring_pop(p, packet);
		}
}

void soft_progress(struct soft_context *c)
{
	struct soft_peer *p;

	if (c->inherited || c->closed || c->dead)
		return;
	soft_peers_accept(c);
	soft_rx_run(c);
	for (p = c->peers; p; p = p->next)
		soft_backlog_run(c, p);
	soft_tx_run(c);
	soft_tx_watch(c);
}

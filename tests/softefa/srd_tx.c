/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Outgoing traffic. A message is an operation; its packets leave in any order, mixed with those of other operations:
 * each step chooses one of the first `window` operations that can send, and one of its first `window` packets. An
 * operation is in one of three lists: sending, resting (until its time has come) or waiting for its acknowledgement.
 * Every id is used once; answers to completed operations match nothing.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "softefa.h"

#define SLOT_BITS 20
#define WATCH_US  5000

/* Missing from some <sys/queue.h>. The body may remove op. */
#define FOREACH_SAFE(op, list, later)                                                                                  \
	for ((op) = TAILQ_FIRST(list); (op) && ((later) = TAILQ_NEXT(op, link), 1); (op) = (later))

struct soft_op *soft_op_new(struct soft_context *c)
{
	struct soft_op **more, *op;
	uint32_t i, room;

	for (i = 0; i < c->op_room; i++, c->op_free++)
		if (!c->ops[c->op_free % c->op_room])
			break;
	if (i == c->op_room) {
		room = c->op_room ? c->op_room * 2 : 256;
		more = room <= 1u << SLOT_BITS ? realloc(c->ops, room * sizeof(struct soft_op *)) : NULL;
		if (!more)
			return NULL;
		memset(more + c->op_room, 0, (room - c->op_room) * sizeof(struct soft_op *));
		c->ops = more;
		c->op_free = c->op_room;
		c->op_room = room;
	}
	op = calloc(1, sizeof(*op));
	if (!op)
		return NULL;
	i = c->op_free++ % c->op_room;
	c->ops[i] = op;
	op->id = ++c->op_serial << SLOT_BITS | i;
	return op;
}

struct soft_op *soft_op_find(struct soft_context *c, uint64_t id)
{
	uint32_t slot = id & ((1u << SLOT_BITS) - 1);

	return slot < c->op_room && c->ops[slot] && c->ops[slot]->id == id ? c->ops[slot] : NULL;
}

static void op_move(struct soft_op *op, struct soft_ops *to)
{
	if (op->list)
		TAILQ_REMOVE(op->list, op, link);
	op->list = to;
	if (to)
		TAILQ_INSERT_TAIL(to, op, link);
}

static void op_free(struct soft_context *c, struct soft_op *op)
{
	op_move(op, NULL);
	if (op->peer)
		op->peer->flying--;
	if (op->qp)
		op->qp->flying--;
	c->ops[op->id & ((1u << SLOT_BITS) - 1)] = NULL;
	free(op);
}

/* Makes the target drop any partly received message. */
static void op_cancel(struct soft_context *c, const struct soft_op *op)
{
	const struct soft_packet packet = {.type = PACKET_CANCEL, .id = op->id, .src_qpn = (uint16_t)op->src_qpn};

	if (op->kind == OP_WRITE && op->peer && op->next)
		soft_reply(c, op->peer, &packet);
}

void soft_op_finish(struct soft_context *c, struct soft_op *op, enum soft_status status)
{
	/* As with libefa, a completed read is reported as a send. */
	struct soft_completion done = {.qp = op->qp,
				       .wr_id = op->wr_id,
				       .status = status,
				       .ah = SOFT_NO_AH,
				       .stamp = op->end_ns,
				       .opcode = op->kind == OP_WRITE ? IBV_WC_RDMA_WRITE : IBV_WC_SEND};

	if (status != SOFT_OK) {
		op_cancel(c, op);
		if (op->kind == OP_READ)
			soft_count(c, RDMA_READ_WR_ERR, 1);
		if (op->kind == OP_WRITE)
			soft_count(c, RDMA_WRITE_WR_ERR, 1);
	}
	if (op->qp && !(op->quiet && status == SOFT_OK)) {
		done.qpn = op->qp->ibv.qp_base.qp_num;
		done.bytes = (uint32_t)op->len;
		soft_cq_add((struct soft_cq *)op->qp->ibv.qp_base.send_cq, &done);
	}
	op_free(c, op);
}

void soft_op_again(struct soft_context *c, struct soft_op *op, int64_t after_us)
{
	op->next = op->windowed = 0;
	op->got = 0;
	op->start_ns = op->end_ns + after_us * 1000;
	op->due_us = soft_now_us() + after_us;
	op_move(op, &c->resting);
}

void soft_ops_flush(struct soft_context *c, struct soft_qp *qp, bool complete)
{
	uint32_t i;

	for (i = 0; i < c->op_room; i++) {
		struct soft_op *op = c->ops[i];

		if (!op || op->qp != qp)
			continue;
		if (complete) {
			soft_op_finish(c, op, SOFT_FLUSHED);
		} else {
			op_cancel(c, op);
			op_free(c, op);
		}
	}
}

/* The local memory of one buffer of an operation; NULL, logged, if it is invalid. */
static char *local_memory(struct soft_context *c, const struct soft_op *op, const struct ibv_sge *sge, uint64_t at,
			  uint64_t len)
{
	const char *why = NULL;
	char *memory = soft_mr_resolve(c, op->qp ? op->qp->ibv.qp_base.pd : NULL, sge->lkey, sge->addr + at, len,
				       op->kind == OP_READ ? IBV_ACCESS_LOCAL_WRITE : 0, &why);

	if (!memory)
		soft_log("%s: local key 0x%x at 0x%llx, %llu bytes: %s", c->device->ibv.name, sge->lkey,
			 (unsigned long long)sge->addr + at, (unsigned long long)len, why);
	return memory;
}

static enum soft_status check(struct soft_context *c, const struct soft_op *op)
{
	bool rdma = op->kind != OP_SEND;
	uint32_t needs = op->kind == OP_WRITE ? SOFT_CAP_WRITE : op->kind == OP_READ ? SOFT_CAP_READ : 0;
	int i;

	if ((soft_setup.caps & needs) != needs) {
		soft_log("%s: RDMA %s: generation %u has none", c->device->ibv.name,
			 op->kind == OP_WRITE ? "write" : "read", soft_setup.generation);
		return SOFT_UNSUPPORTED;
	}
	if (op->len > (rdma ? SOFT_RDMA_MAX : soft_setup.mtu)) {
		soft_log("%s: %llu bytes in one %s: the device takes %u", c->device->ibv.name,
			 (unsigned long long)op->len, rdma ? "RDMA request" : "message",
			 rdma ? SOFT_RDMA_MAX : soft_setup.mtu);
		return SOFT_TOO_LONG;
	}
	for (i = 0; i < op->sges && !op->is_inline; i++)
		if (op->sge[i].length && !local_memory(c, op, &op->sge[i], 0, op->sge[i].length))
			return SOFT_BAD_LKEY;
	return SOFT_OK;
}

static void count_request(struct soft_context *c, const struct soft_op *op)
{
	static const enum soft_counter wrs[] = {SEND_WRS, RDMA_WRITE_WRS, RDMA_READ_WRS};
	static const enum soft_counter bytes[] = {SEND_BYTES, RDMA_WRITE_BYTES, RDMA_READ_BYTES};

	soft_count(c, wrs[op->kind], 1);
	soft_count(c, bytes[op->kind], op->len);
}

/* Applies the device's faults that are tied to a number of requests. */
static void fail_in_time(struct soft_context *c)
{
	const struct soft_nic *nic = c->device->nic;

	c->posted++;
	if (c->posted == nic->down_after)
		soft_port_down(c, nic->down_ms);
	if (c->posted == nic->kill_after)
		soft_port_die(c);
}

void soft_op_start(struct soft_context *c, struct soft_op *op)
{
	enum soft_status status = check(c, op);
	bool known;

	count_request(c, op);
	op->start_ns = soft_time_start(c, soft_time_now());
	fail_in_time(c);
	if (c->dead) {
		op_move(op, &c->waiting);
		return;
	}
	if (status != SOFT_OK) {
		soft_op_finish(c, op, status);
		return;
	}
	op->peer = soft_peer_find(c, &op->gid, op->dst_qpn, &known);
	if (!op->peer && known) {
		soft_log("%s: there is no queue pair %u at that address", c->device->ibv.name, op->dst_qpn);
		soft_op_finish(c, op, SOFT_NO_QP);
		return;
	}
	if (op->peer)
		op->peer->flying++;
	op->packets = op->kind == OP_READ ? 1 : (uint32_t)((op->len + soft_setup.mtu - 1) / soft_setup.mtu);
	op->packets += op->packets == 0;
	/* Without a peer it rests until it is given up. */
	op->due_us = op->peer ? 0 : soft_now_us() + (int64_t)soft_setup.dead_ms * 1000;
	op_move(op, op->peer ? &c->sending : &c->resting);
}

/* Copies `len` bytes at `offset` of the message from the application's memory. */
static bool gather(struct soft_context *c, const struct soft_op *op, uint64_t offset, uint64_t len, char *to)
{
	const char *from;
	uint64_t part;
	int i;

	if (op->is_inline) {
		memcpy(to, op->data + offset, len);
		return true;
	}
	for (i = 0; i < op->sges && len; i++) {
		if (offset >= op->sge[i].length) {
			offset -= op->sge[i].length;
			continue;
		}
		part = op->sge[i].length - offset < len ? op->sge[i].length - offset : len;
		from = local_memory(c, op, &op->sge[i], offset, part);
		if (!from)
			return false;
		memcpy(to, from, part);
		to += part;
		len -= part;
		offset = 0;
	}
	return true;
}

/* Takes one of the unsent packets. */
static uint32_t take_packet(struct soft_context *c, struct soft_op *op)
{
	uint32_t i, packet;

	while (op->windowed < soft_setup.window && op->next < op->packets)
		op->window[op->windowed++] = op->next++;
	i = op->windowed > 1 ? (uint32_t)soft_roll(DICE_ORDER, op->windowed) : 0;
	packet = op->window[i];
	soft_count(c, OVERTAKEN, i > 0);
	/* The others keep their order. */
	memmove(&op->window[i], &op->window[i + 1], (--op->windowed - i) * sizeof(op->window[0]));
	return packet;
}

static uint64_t packet_bytes(const struct soft_op *op, uint32_t i)
{
	uint64_t offset = (uint64_t)i * soft_setup.mtu;

	if (op->kind == OP_READ)
		return 0;
	return op->len - offset < soft_setup.mtu ? op->len - offset : soft_setup.mtu;
}

static void fill(const struct soft_op *op, uint32_t i, struct soft_packet *out)
{
	static const uint8_t types[] = {PACKET_SEND, PACKET_WRITE, PACKET_READ, PACKET_READ_DATA};

	memset(out, 0, sizeof(*out));
	out->type = types[op->kind];
	if (op->qp && op->qp->datagram)
		out->type = PACKET_DATAGRAM;
	out->flags = op->has_imm ? PACKET_HAS_IMM : 0;
	out->src_qpn = (uint16_t)op->src_qpn;
	out->dst_qpn = (uint16_t)op->dst_qpn;
	out->len = (uint32_t)packet_bytes(op, i);
	out->imm = op->imm;
	out->id = op->kind == OP_READ_REPLY ? op->remote_id : op->id;
	out->addr = op->remote_addr;
	out->offset = (uint64_t)i * soft_setup.mtu;
	out->total = op->len;
	out->rkey = op->rkey;
	out->qkey = op->qkey;
}

/* Puts packet i of the operation into the ring. False: the operation has ended with an error. */
static bool send_packet(struct soft_context *c, struct soft_op *op, uint32_t i, uint8_t flags)
{
	struct soft_packet *packet = soft_ring_room(c, op->peer, packet_bytes(op, i));

	if (!packet)
		return !(flags & PACKET_REPEATED); /* a repetition may be left out */
	fill(op, i, packet);
	packet->flags |= flags;
	if (packet->len && !gather(c, op, packet->offset, packet->len, (char *)(packet + 1))) {
		soft_op_finish(c, op, SOFT_BAD_LKEY);
		return false;
	}
	if (op->kind == OP_READ_REPLY)
		soft_count(c, RDMA_READ_RESP_BYTES, packet->len);
	packet->stamp = soft_time_leave(c, op->start_ns, packet->len);
	soft_ring_push(c, op->peer, packet);
	return true;
}

/* Sends one packet of an operation; the ring has room for it. */
static void op_step(struct soft_context *c, struct soft_op *op)
{
	uint32_t i;

	/* A lost packet comes later, and so do the other packets of its operation. */
	if (soft_percent(DICE_LOSS, soft_setup.loss_percent)) {
		soft_count(c, RETRANS_PKTS, 1);
		soft_count(c, RETRANS_BYTES, sizeof(struct soft_packet) + packet_bytes(op, 0));
		op->due_us = soft_now_us() + (int64_t)soft_roll(DICE_LOSS, 500);
		op_move(op, &c->resting);
		return;
	}
	i = take_packet(c, op);
	if (!send_packet(c, op, i, 0))
		return;
	if (op->kind == OP_WRITE && soft_percent(DICE_DUPLICATE, soft_setup.duplicate_percent)) {
		soft_count(c, RETRANS_PKTS, 1);
		soft_count(c, RETRANS_BYTES, sizeof(struct soft_packet) + packet_bytes(op, i));
		if (soft_ring_room(c, op->peer, packet_bytes(op, i)) && !send_packet(c, op, i, PACKET_REPEATED))
			return;
	}
	if (op->windowed || op->next < op->packets)
		return;
	if (op->kind == OP_READ_REPLY)
		op_free(c, op);
	else if (op->qp->datagram)
		soft_op_finish(c, op, SOFT_OK);
	else
		op_move(op, &c->waiting);
}

/* Chooses among the first operations that can send. */
static struct soft_op *choose(struct soft_context *c)
{
	struct soft_op *op, *able[SOFT_WINDOW];
	unsigned i, n = 0;

	TAILQ_FOREACH(op, &c->sending, link)
	{
		if (!op->peer->silent_us && soft_ring_room(c, op->peer, soft_setup.mtu))
			able[n++] = op;
		if (n == soft_setup.window)
			break;
	}
	i = n > 1 ? (unsigned)soft_roll(DICE_ORDER, n) : 0;
	soft_count(c, OVERTAKEN, i > 0);
	return n ? able[i] : NULL;
}

void soft_tx_run(struct soft_context *c)
{
	struct soft_op *op, *later;
	int64_t now;
	int i;

	if (!TAILQ_EMPTY(&c->resting)) {
		now = soft_now_us();
		FOREACH_SAFE(op, &c->resting, later)
		{
			if (op->due_us > now)
				continue;
			if (op->peer) {
				op_move(op, &c->sending);
			} else {
				soft_log("%s: no device answers at the address of queue pair %u", c->device->ibv.name,
					 op->dst_qpn);
				soft_op_finish(c, op, SOFT_UNREACHABLE);
			}
		}
	}
	if (soft_port_is_down(c))
		return;
	for (i = 0; i < 256 && (op = choose(c)); i++)
		op_step(c, op);
}

/*
 * Ends all operations that wait for an unresponsive peer. Its reads stay open: if it responds again in time, it still
 * gets its answers.
 */
static void give_up(struct soft_context *c, struct soft_peer *p)
{
	uint32_t i;

	soft_ring_void(p);

	if (!p->reported)
		soft_log("%s: %s no longer answers", c->device->ibv.name, p->name);
	p->reported = true;
	for (i = 0; i < c->op_room; i++) {
		struct soft_op *op = c->ops[i];

		if (!op || op->peer != p)
			continue;
		if (op->kind == OP_READ_REPLY) {
			if (p->gone)
				op_free(c, op);
		} else {
			soft_count(c, UNRESPONSIVE_REMOTE_EVENTS, 1);
			soft_op_finish(c, op, p->responded ? SOFT_UNRESPONSIVE : SOFT_UNREACHABLE);
		}
	}
}

void soft_tx_watch(struct soft_context *c)
{
	int64_t now = soft_now_us();
	bool down;
	struct soft_peer *p;

	if (now - c->watched_us < WATCH_US)
		return;
	c->watched_us = now;
	down = soft_port_is_down(c);
	for (p = c->peers; p; p = p->next) {
		if (!p->flying)
			continue;
		p->gone = soft_peer_is_gone(p);
		if (!p->gone && !down && !soft_peer_is_down(p)) {
			p->silent_us = 0;
			p->reported = false;
			continue;
		}
		if (!p->silent_us)
			p->silent_us = now;
		if (now - p->silent_us >= (int64_t)soft_setup.dead_ms * 1000)
			give_up(c, p);
	}
}

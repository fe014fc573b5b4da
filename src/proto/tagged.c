/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tagged protocol moves messages by the provider's tagged send and receive.
 *
 *	receiver                                   sender
 *	  irecv k: tagged receive (comm, k)
 *	           clear-to-send (k, bytes)  ---->  kept in cts_at[k % window]
 *	                                            isend k: tagged send (comm, k)
 *	  receive completes                  <----
 */
#include <errno.h>
#include <inttypes.h>

#include "proto/tagged.h"

static void tagged_cts_arrived(struct xfer_comm *comm, const struct wire_ctrl *msg)
{
	struct tagged_cts *slot = &comm->cts_at[msg->seq % WIRE_WINDOW];

	if (comm->kind != XFER_SEND || slot->valid || (uint32_t)(msg->seq - comm->next_seq) >= WIRE_WINDOW) {
		comm_fail(comm, -EPROTO, "clear-to-send number %" PRIu32 " is out of place", msg->seq);
		return;
	}
	*slot = (struct tagged_cts){.len = wire_tagged_bytes(msg),
				    .tag = wire_tagged_tag(msg),
				    .seq = msg->seq,
				    .valid = true};
}

static bool tagged_find_cts(struct xfer_comm *comm, struct wire_cts *out)
{
	struct tagged_cts *slot = &comm->cts_at[comm->next_seq % WIRE_WINDOW];

	out->len = slot->len;
	out->tag = slot->tag;
	return slot->valid;
}

static void *tagged_desc(const struct xfer_req *req, const struct path *p)
{
	return fab_mr_desc(req->region ? req->region->mr->rail[p->rail->nic] : NULL);
}

static int tagged_post_send(struct xfer_req *req, const void *buf, const struct wire_cts *cts)
{
	struct xfer_comm *comm = req->comm;
	const struct path *p = tagged_path(comm, req->seq);
	int ret = fab_tsend(p->rail->fab, &req->op, buf, req->posted, tagged_desc(req, p), p->fab_addr,
			    tagged_tag(comm->remote_id, req->seq, req->sub_index));

	(void)cts;
	req->rail = (uint8_t)p->rail->nic;
	if (!ret && req->sub_index == REQ_WHOLE)
		comm->cts_at[req->seq % WIRE_WINDOW].valid = false;
	return ret;
}

static int tagged_post_recv(struct xfer_req *req)
{
	struct xfer_comm *comm = req->comm;
	const struct path *p = tagged_path(comm, req->seq);

	comm->rx.rails |= (uint8_t)(1u << p->rail->nic);
	req->rail = (uint8_t)p->rail->nic;
	return fab_trecv(p->rail->fab, &req->op, req->buf, req->posted, tagged_desc(req, p),
			 tagged_tag(comm->id, req->seq, req->sub_index));
}

static void tagged_post_cts(struct xfer_req *req)
{
	struct xfer_comm *comm = req->comm;
	struct wire_ctrl cts;
	int ret;

	wire_ctrl_init(&cts, WIRE_CTS, comm->remote_id, comm->id);
	cts.seq = req->seq;
	cts.len = wire_tagged_len(req->tag, req->posted < UINT32_MAX ? (uint32_t)req->posted : UINT32_MAX);
	ret = comm_send_ctrl(comm, &cts);
	if (ret)
		comm_fail(comm, ret, "a clear-to-send cannot be sent");
}

static int tagged_recv(struct xfer_req *req)
{
	int ret = tagged_post_recv(req);

	if (ret)
		return ret;
	req->comm->next_seq++;
	tagged_post_cts(req);
	return 0;
}

static int tagged_rail_of(const struct xfer_comm *comm, uint32_t seq)
{
	return tagged_path(comm, seq)->rail->nic;
}

static int tagged_open(struct xfer_comm *comm)
{
	comm->rail_of = tagged_rail_of;
	return 0;
}

static void tagged_nothing(struct xfer_comm *comm)
{
	(void)comm;
}

static void tagged_fill_who(const struct xfer_comm *comm, struct wire_who *out)
{
	(void)comm;
	(void)out;
}

static void tagged_connected(struct xfer_comm *comm, const struct wire_who *who)
{
	(void)comm;
	(void)who;
}

static bool tagged_slot_free(const struct xfer_comm *comm, uint32_t seq)
{
	(void)comm;
	(void)seq;
	return true;
}

static void tagged_fill_sub(struct wire_sub *out, const struct xfer_req *part)
{
	(void)out; /* the tag identifies the buffer */
	(void)part;
}

static bool tagged_busy(const struct xfer_comm *comm)
{
	(void)comm;
	return false;
}

/* Always true: no send completes before its receive is posted. */
static bool tagged_all_arrived(const struct xfer_comm *comm)
{
	(void)comm;
	return true;
}

const struct proto_ops tagged_proto = {
	.open = tagged_open,
	.close = tagged_nothing,
	.fill_who = tagged_fill_who,
	.connected = tagged_connected,
	.cts = tagged_find_cts,
	.cts_arrived = tagged_cts_arrived,
	.send = tagged_post_send,
	.recv = tagged_recv,
	.slot_free = tagged_slot_free,
	.recv_part = tagged_post_recv,
	.fill_sub = tagged_fill_sub,
	.cancel = tagged_cancel,
	.discard = discards_post,
	.settle = tagged_nothing,
	.abandon = tagged_nothing,
	.busy = tagged_busy,
	.all_arrived = tagged_all_arrived,
};

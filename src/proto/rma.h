/* SPDX-License-Identifier: Apache-2.0 */
/* The RMA protocol: its receiving half (rma.c) and its sending half (rma_send.c). */
#ifndef WEFT_PROTO_RMA_H
#define WEFT_PROTO_RMA_H

#include "comm/window.h"
#include "proto/eager.h"
#include "proto/proto.h"

/* Writes the clear-to-sends that are due. */
void rma_post_cts(struct xfer_comm *comm);
/* The fab_arrival callback of a rail. */
void rma_arrival(void *rail, uint64_t imm, size_t len);

/*
 * The plain receive, inline, for xfer/msg.c: the sender is asked for no clear-to-sends and gets no credit now, and no
 * message has come before its receive. False: nothing was changed, and proto_ops.recv takes it. Needs rx.rma.
 */
static inline bool rma_recv_plain(struct xfer_comm *comm, struct xfer_req *req)
{
	struct rma_recv *r = comm->rx.rma;
	uint32_t seq = comm->next_seq;

	if (!r->cts_off || r->at[seq % WIRE_WINDOW] || eager_is_kept(r, seq) ||
	    seq + 1 - r->credit_sent >= EAGER_CREDIT_EVERY)
		return false;
	r->at[seq % WIRE_WINDOW] = req;
	comm->next_seq = seq + 1;
	return true;
}

/* --- rma_send.c --- */

/* proto_ops.send over one or more rails. */
int rma_post_send(struct xfer_req *req, const void *buf, const struct wire_cts *cts);
/* comm->rail_of */
int rma_rail_of(const struct xfer_comm *comm, uint32_t seq);
/* proto_ops.cts */
bool rma_cts(struct xfer_comm *comm, struct wire_cts *out);

#endif

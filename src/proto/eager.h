/* SPDX-License-Identifier: Apache-2.0 */
/* Eager messages of the RMA protocol; see eager.c. */
#ifndef WEFT_PROTO_EAGER_H
#define WEFT_PROTO_EAGER_H

#include "comm/window.h"

/* Can the next message be sent eagerly, now or after a credit? */
static inline bool eager_fits(const struct xfer_comm *comm, size_t len, uint32_t tag, const struct xfer_region *region)
{
	return len < comm->tx.eager_end && comm->tag == tag && comm->has_tag && !region_is_gpus(region) &&
	       !comm->tx.only_groups && !(comm->tx.grouped && seq_at_or_after(comm->next_seq, comm->tx.grouped_from));
}

/* May it be sent now without a clear-to-send? Receives that are known to be posted may lie ahead of next_seq. */
static inline bool eager_may(const struct xfer_comm *comm, size_t len, uint32_t tag, const struct xfer_region *region)
{
	return eager_fits(comm, len, tag, region) &&
	       !seq_at_or_after(comm->next_seq, comm->tx.credit_limit + WIRE_EAGER_WINDOW);
}

/* The same, without even checking for a clear-to-send. */
static inline bool eager_first(const struct xfer_comm *comm, size_t len, uint32_t tag, const struct xfer_region *region)
{
	return comm->tx.peer_cts_off && eager_may(comm, len, tag, region);
}
/* Sends a copy of the message. Returns 0 or -ENOMEM. */
int eager_send(struct xfer_req *req, const void *buf);
/* Sends it at once, from a copy that the provider makes; false: it takes none now, or not of this size. */
bool eager_inject(struct xfer_comm *comm, const void *buf, size_t len, uint32_t tag);
/* The next message cannot be sent yet: requests its clear-to-send if it needs one. */
void eager_request_cts(struct xfer_comm *comm, size_t len, uint32_t tag, const struct xfer_region *region);

/* Handlers of control messages that have arrived. */
void eager_arrived(struct xfer_comm *comm, const struct wire_ctrl *msg, const void *data);
void eager_credit(struct xfer_comm *comm, const struct wire_ctrl *msg);
void eager_cts_requested(struct xfer_comm *comm, const struct wire_ctrl *msg);

/* eager_take for a message that has arrived. */
void eager_take_kept(struct xfer_req *req);
/* Has message seq arrived before its receive? */
static inline bool eager_is_kept(const struct rma_recv *r, uint32_t seq)
{
	return r->kept && r->unexpected[seq % WIRE_EAGER_WINDOW];
}
/* Moves the unexpected message of this number into the receive; false if there is none. */
static inline bool eager_take(struct xfer_req *req)
{
	if (!eager_is_kept(req->comm->rx.rma, req->seq))
		return false;
	eager_take_kept(req);
	return true;
}
/* Moves unexpected message seq into a part of a group; false if it has not arrived or has another tag. */
bool eager_give(struct xfer_req *part, uint32_t seq);
/* Tells the sender how far receives are posted. */
void eager_send_credit(struct xfer_comm *comm);
#define EAGER_CREDIT_EVERY (WIRE_EAGER_WINDOW / 2)
/* Call these after a receive was posted, and after a message was received. */
static inline void eager_posted(struct xfer_comm *comm)
{
	const struct rma_recv *r = comm->rx.rma;

	if (r->eager_seen && (uint32_t)(comm->next_seq - r->credit_sent) >= EAGER_CREDIT_EVERY)
		eager_send_credit(comm);
}

void eager_note_size(struct xfer_comm *comm, size_t len);
static inline void eager_received(struct xfer_comm *comm, size_t len)
{
	if (!comm->rx.rma->cts_off)
		eager_note_size(comm, len);
}
void eager_close(struct xfer_comm *comm);

#endif

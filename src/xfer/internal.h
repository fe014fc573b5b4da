/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by the files of xfer. */
#ifndef WEFT_XFER_INTERNAL_H
#define WEFT_XFER_INTERNAL_H

#include "comm/window.h"
#include "ep/ctrl.h"
#include "proto/proto.h"
#include "xfer/xfer.h"

/* --- dispatch.c --- */

/* ep->dispatch: passes a control message that is not eager to its comm, listener or lingering comm. */
void dispatch(struct xfer_ep *ep, struct wire_ctrl *msg);
/* ep->dispatch_eager: the same for an eager message, whose bytes follow it. */
void dispatch_eager(struct xfer_ep *ep, const struct wire_ctrl *msg);

/* --- close.c --- */

/* comm->close.step: sends the CLOSE or close-ack that is due after the peer's CLOSE or after a failure. */
void comm_close_step(struct pending *p);
/* The peer's CLOSE has arrived. */
void comm_peer_closed(struct xfer_comm *comm, const struct wire_ctrl *msg);
/* A sender answers its peer's CLOSE after its last request has completed. */
void comm_answer_close(struct xfer_comm *comm);

/* --- linger.c --- */

/* The comm has sent its CLOSE. Must the endpoint wait for the peer's answer before it closes? */
bool linger_needed(const struct xfer_comm *comm);
/* The comm is about to be freed: keeps what must wait for the peer. */
void linger_begin(struct xfer_comm *comm);
/* The peer's close-ack has arrived or, with `closed`, its CLOSE, after which it neither writes nor waits. */
void linger_answered(struct xfer_ep *ep, uint32_t comm_id, bool closed);
/* ep->half_gone: the peer has closed its half, and its endpoint too; its answer is lost or not needed any more. */
void linger_half_gone(struct xfer_ep *ep, uint32_t comm_id);
/*
 * Wakes the peers that have not answered, and asks some of them, in turns, whether their half still exists. Stops
 * waiting for peers that are gone and, if late, for peers without a lifeline.
 */
void lingering_remind(struct xfer_ep *ep, unsigned turn, bool late);
void lingering_init(struct xfer_ep *ep);
/* Call it after the endpoint is shut. */
void lingering_close(struct xfer_ep *ep);

#endif

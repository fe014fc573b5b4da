/* SPDX-License-Identifier: Apache-2.0 */
/* Detection of lost messages; see status.c. All functions need the endpoint's lock. */
#ifndef WEFT_COMM_STATUS_H
#define WEFT_COMM_STATUS_H

#include "comm/comm.h"
#include "wire/note.h"

/*
 * Call it when a comm has waited for another passed_us. Asks the peer for a note if due; fails the comm on a proven
 * loss.
 */
void status_idle(struct xfer_comm *comm, int64_t now, int64_t passed_us);

/*
 * Asks the peer whether the half of this comm, which is being closed, has ended, and the halves of its other receive
 * comms. The answers set watch.no_half_us.
 */
void status_ask_end(struct xfer_comm *comm);

/* ep->read_mail: answers and evaluates the notes in the endpoint's mailbox. */
void status_read_mail(struct xfer_ep *ep);

/* Answers a note whose comm or endpoint does not exist (any more). */
void status_no_comm(struct lifeline *line, const struct wire_note *n);

#endif

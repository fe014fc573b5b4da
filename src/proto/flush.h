/* SPDX-License-Identifier: Apache-2.0 */
/* Flushes make received data visible to a GPU; see flush.c. */
#ifndef WEFT_PROTO_FLUSH_H
#define WEFT_PROTO_FLUSH_H

#include "comm/req.h"

/* The endpoint's resources for flushes. Call flush_close after the endpoint is shut. */
int flush_open(struct xfer_ep *ep);
void flush_close(struct xfer_ep *ep);

/* Flushes a receive that is otherwise done, if it needs it. Returns 1 when done, 0 if not yet, or the comm's error. */
int flush_self(struct xfer_req *req);
/* Starts a flush of GPU memory. *out is NULL if the flush is done already. Returns 0 or an error. */
int flush_start(struct xfer_comm *comm, void *buf, struct xfer_region *region, struct xfer_req **out);
/* xfer_test of a flush. */
int flush_test(struct xfer_req *req);
/*
 * Cancels the reads of a registration (NULL: of any) that have not been posted, and waits for the comm's others; breaks
 * the endpoint after WEFT_CLOSE_TIMEOUT.
 */
void flush_drain(struct xfer_comm *comm, const struct xfer_region *region);

#endif

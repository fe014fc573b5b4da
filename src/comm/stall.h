/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The watchdog: a message that waits for longer than WEFT_STALL_WARN is one warning, once per comm and stall, that says
 * whose fault it is. All functions need the endpoint's lock.
 */
#ifndef WEFT_COMM_STALL_H
#define WEFT_COMM_STALL_H

#include "comm/req.h"

/* For checks of a waiting comm: warns of a stall, and reports the end of one. now: in ticks. */
void stall_check(struct xfer_comm *comm, uint64_t now);

/* A message of a stalled comm has moved: reports it. */
__attribute__((cold, noinline)) void stall_moved(struct xfer_comm *comm);

/* What the comm waits for, if it has for a second, and where the record is, as the end of a sentence; or "". */
char *stall_text(const struct xfer_comm *comm, char *buf, size_t buf_bytes);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* Grouped receives; see group.c. */
#ifndef WEFT_PROTO_GROUP_H
#define WEFT_PROTO_GROUP_H

#include "comm/window.h"
#include "wire/cts.h"

/* --- sending --- */

/* The receiver's first group has arrived: from msg->seq on numbers count groups. */
void group_begin(struct xfer_comm *comm, const struct wire_ctrl *msg);
void group_answer(struct xfer_comm *comm);
void group_cts_arrived(struct xfer_comm *comm, const struct wire_group *msg);

/* Finds a free part of the current group with this tag; false if there is none yet. Needs tx.groups. */
bool group_sub(struct xfer_comm *comm, uint32_t tag, struct wire_cts *out, uint8_t *out_sub);
/* Has the clear-to-send of the current group arrived? Needs tx.groups. */
bool group_cts_is_here(struct xfer_comm *comm);
/* The message for this part of the current group was posted. */
void group_sent(struct xfer_comm *comm, uint8_t sub_index);
/* Bit mask of the parts of the current group whose messages were posted. */
uint8_t group_sent_subs(const struct xfer_comm *comm);

/* --- receiving --- */

/* Posts a group. Returns 0, -EAGAIN (nothing was changed) or an error. */
int group_recv(struct xfer_comm *comm, int n, const struct xfer_sub subs[], struct xfer_req **out);
void group_close(struct xfer_comm *comm);

/* The sender had sent `sent` messages when it learned of the first group. */
void group_ready(struct xfer_comm *comm, uint32_t sent);
/* The sender had closed its half before that, after close.peer_sent messages. Needs rx.grp. */
void group_closed(struct xfer_comm *comm);
/* Posts waiting groups and sends their clear-to-sends, as far as possible. Needs rx.grp. */
void group_progress(struct xfer_comm *comm);
/* Frees a group that is done. Returns the number of its messages and their lengths. */
int group_take(struct xfer_req *group, size_t out_lens[]);

#endif

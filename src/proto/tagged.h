/* SPDX-License-Identifier: Apache-2.0 */
/* The tagged protocol (tagged.c) and its discard receives (discard.c). */
#ifndef WEFT_PROTO_TAGGED_H
#define WEFT_PROTO_TAGGED_H

#include "comm/window.h"
#include "proto/proto.h"

/* The path of message number seq. Both sides compute the same path. */
static inline const struct path *tagged_path(const struct xfer_comm *comm, uint32_t seq)
{
	return &comm->peer->paths[seq % (uint32_t)comm->peer->path_count];
}

/* The provider tag of a message to the receiver's comm. */
static inline uint64_t tagged_tag(uint32_t comm_id, uint32_t seq, uint8_t sub_index)
{
	return sub_index == REQ_WHOLE ? wire_tag(comm_id, seq) : wire_group_tag(comm_id, seq, sub_index);
}

/* --- discard.c --- */

/* proto_ops.cancel and proto_ops.discard */
void tagged_cancel(struct xfer_comm *comm, const struct xfer_region *region);
void discards_post(struct xfer_comm *comm, const struct xfer_region *region);

/* The sender of a closed comm (close->to) has closed its half: frees the discard receives of messages it never sent. */
void discards_settle(struct xfer_ep *ep, const struct wire_ctrl *close);
/* Frees all discard receives. Call it after the endpoint is shut. */
void discards_close(struct xfer_ep *ep);

#endif

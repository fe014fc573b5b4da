/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The receive window holds the receives that wait for their messages, by number. A receive with a clear-to-send has
 * reserved room in the completion queues. One window of WIRE_WINDOW slots is for plain receives, another one for groups.
 */
#ifndef WEFT_COMM_WINDOW_H
#define WEFT_COMM_WINDOW_H

#include "comm/req.h"

/* An eager message that arrived before its receive was posted. */
struct unexpected {
	uint32_t seq;
	uint32_t tag;
	uint32_t len;
	char data[]; /* ep->eager_max */
};

/* The receiving half of the RMA protocol. */
struct rma_recv {
	uint32_t cts_posted;	/* the first number without a clear-to-send */
	uint32_t open;		/* receives with a clear-to-send and without a message */
	uint32_t credit_sent;	/* credit limit in the last credit */
	uint32_t arrived;	/* first number plus the messages outside groups that have arrived */
	bool cts_off;		/* no clear-to-sends are posted until the sender requests them */
	bool eager_seen;	/* an eager message has arrived since the last credit */
	uint32_t small;		/* consecutive messages that could have been eager */
	uint32_t in_flight;	/* bit mask of slots whose clear-to-sends are in flight and must not be changed */
	uint32_t coalesce_left; /* polls for which a receive may still wait to share a write of clear-to-sends */
	struct pending retry;	/* rma_post_cts */
	struct xfer_comm *comm;
	uint64_t ring_addr; /* address of the sender's ring */
	union wire_keys ring_keys;
	struct xfer_req *at[WIRE_WINDOW];
	unsigned kept;			/* number of unexpected messages */
	struct unexpected **unexpected; /* WIRE_EAGER_WINDOW slots; NULL until the first */
};

/* The receiving half of groups. */
struct group_recv {
	struct pending retry; /* group_progress, while `waiting` is not empty */
	struct xfer_comm *comm;
	struct list waiting; /* groups whose clear-to-send has not been sent */
	uint32_t first;	     /* number of the first group */
	bool ready;	     /* the sender has reported `sent` */
	uint32_t sent;	     /* messages that the sender had sent when it learned of groups */
	uint32_t arrived;    /* all eager messages from `first` up to this number (exclusive) have arrived */
	unsigned unplaced;   /* number of these messages that no receive has taken yet */
	struct xfer_req *at[WIRE_WINDOW][WIRE_GROUP_MAX];
};

/* window_reserve and window_release on several NICs or for several stripes; nics: the number of NICs to release. */
int window_reserve_nics(const struct xfer_comm *comm);
void window_release_nics(const struct xfer_comm *comm, int nics);

/* The plain case: one NIC, one entry. */
static inline bool window_is_one(const struct xfer_comm *comm)
{
	return comm->ep->nic_count == 1 && (comm->peer->path_count == 1 || comm->ep->control_alone);
}

/* Reserves room in the completion queues for one receive (0 or -EAGAIN), and releases it. */
static inline int window_reserve(const struct xfer_comm *comm)
{
	return window_is_one(comm) ? fab_cq_reserve(comm->ep->fab, 1) : window_reserve_nics(comm);
}

static inline void window_release(const struct xfer_comm *comm)
{
	if (window_is_one(comm))
		fab_cq_release(comm->ep->fab, 1);
	else
		window_release_nics(comm, comm->ep->nic_count);
}

/* The receive that the arrival belongs to, or NULL. */
struct xfer_req *window_find(const struct xfer_comm *comm, uint64_t imm);
/* Removes a plain receive from the window and, if it has a clear-to-send, releases its room. */
static inline void window_forget_plain(struct xfer_comm *comm, uint32_t seq)
{
	struct rma_recv *r = comm->rx.rma;

	r->at[seq % WIRE_WINDOW] = NULL;
	if (seq_at_or_after(seq, r->cts_posted))
		return;
	r->open--;
	window_release(comm);
}

/* Receives without clear-to-sends that have left the window need none. `cts_posted` must not fall behind by 2^31. */
void window_skip_old(struct xfer_comm *comm);

/* Removes a receive that waits for nothing any more, if it is in the window, and releases its room. */
void window_forget(struct xfer_req *req);
/* The same for a part of a group, without releasing its room. Returns false if the part was not posted. */
bool window_forget_part(struct xfer_req *part);

/* The number of the first group; smaller numbers are plain receives. */
uint32_t group_first(const struct xfer_comm *comm);
/* The number of messages that a closed sender has sent outside groups. Returns false if it is not known yet. */
bool group_whole_sent(const struct xfer_comm *comm, uint32_t *out);
/* The sender's CLOSE reports `sent` messages and the parts `subs` of the next group. Was this message sent? */
bool group_was_sent(uint32_t seq, uint8_t sub_index, uint32_t sent, uint8_t subs);
/* Has the peer, which has closed its half, sent this receive's message? The receive may be a part of a group or not. */
bool group_comes(const struct xfer_req *req);

/* Does the provider hold sends, clear-to-sends or control messages of the comm? Flushes' reads do not count. */
static inline bool comm_in_flight(const struct xfer_comm *comm)
{
	return (comm->kind == XFER_SEND && req_oldest(comm)) || (comm->rx.rma && comm->rx.rma->in_flight) ||
	       ctrl_in_flight(comm->ep, comm->id);
}

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A comm is one direction to one peer. This module holds its state, without policy, under the endpoint's lock.
 *
 * The protocol (proto/) moves the bytes; xfer/ opens, closes and tests. This module calls them only through `proto` and
 * `close.step`.
 */
#ifndef WEFT_COMM_COMM_H
#define WEFT_COMM_COMM_H

#include <stdatomic.h>

#include "comm/api.h"
#include "dev/mr.h"
#include "ep/cts_ring.h"
#include "ep/ctrl.h"
#include "stats/stats.h"

struct proto_ops;
struct rma_recv;    /* comm/window.h */
struct group_recv;  /* comm/window.h */
struct group_cts;   /* proto/group.c */
struct req_profile; /* comm/profile.h */

/* Tagged protocol: the latest clear-to-send of one slot of the window. */
struct tagged_cts {
	uint32_t len, tag;
	uint32_t seq;
	bool valid;
};

/* Sending. */
struct comm_tx {
	size_t eager_end;      /* messages of fewer bytes may go eagerly; 0: the protocol or the peer has none */
	uint32_t credit_limit; /* the receives of messages before this number are known to be posted */
	bool peer_cts_off;     /* the receiver posts no clear-to-sends until it gets a request */
	bool eager_sent;       /* at least one eager message has been sent */
	bool grouped;	       /* numbers from grouped_from on count groups (proto/group.c) */
	bool only_groups;      /* a message of a group has been sent, so all later ones are of groups, too */
	int eager_in_flight;   /* eager messages that the provider still holds */
	uint32_t grouped_from;
	struct group_cts *groups; /* clear-to-sends of groups; NULL until the first */
};

/* Receiving. */
struct comm_rx {
	struct rma_recv *rma;	/* state of the RMA protocol; NULL on the tagged protocol */
	bool self_flush;	/* receives are flushed before they are done */
	uint8_t rails;		/* bit mask of the rails that have carried data */
	int reads;		/* flush reads in flight */
	struct group_recv *grp; /* state of groups; NULL until the first group */
	struct list groups_out; /* groups whose clear-to-sends were sent, or that have completed */
	struct list flushes;	/* requests of xfer_flush */
};

/* The close handshake (xfer/close.c). */
struct comm_close {
	bool peer_closed;    /* the peer's CLOSE has arrived */
	bool sent;	     /* our CLOSE has been sent */
	bool quiescing;	     /* the requests are being cancelled */
	bool ack_due;	     /* the peer waits for our close-ack */
	bool peer_awaited;   /* our half is closed; the endpoint waits for the peer before it closes (xfer/linger.c) */
	bool lost;	     /* an eager message was counted as sent but was not delivered */
	uint8_t peer_subs;   /* bit mask of the messages that the peer sent of group number peer_sent */
	uint32_t lost_seq;   /* number of the lost message */
	uint32_t peer_sent;  /* receiving, with peer_closed: number of messages (or groups) that the peer has sent */
	struct pending step; /* runs at the end of a poll, after comm_kick */
};

enum comm_missing { MISSING_NOTHING, MISSING_MESSAGE, MISSING_CTS };

/* Liveness of the peer and of the NIC (comm/watch.c). */
struct comm_watch {
	struct lifeline *line;	      /* may be NULL */
	uint8_t rail;		      /* 1 + number of the rail whose failure was seen, or 0: unknown */
	int unreachable;	      /* error of a lost message to the peer: negative errno, or 0 */
	unsigned idle_polls;	      /* polls without progress of this comm */
	uint32_t completions_seen;    /* completions when silent_since_us was set */
	uint32_t completions_checked; /* completions at the last check of the NIC */
	uint32_t completions_woken;   /* completions when woken_us was set */
	int64_t checked_us;	      /* time of the last check */
	int64_t stalled_us;	      /* time without a completion while operations are in flight */
	int64_t woken_us;	      /* receiving: time of the last wakeup of the peer, or of the last arrival */
	int64_t silent_since_us;      /* time of the last arrival after the end of the lifeline */
	int64_t gone_since_us;	      /* time at which the end of the lifeline was seen, or 0 */

	/* Comparison with the peer's half: see comm/status.c. */
	bool wants;		   /* sending: an isend has found no clear-to-send since the last check */
	enum comm_missing missing; /* what the last note proves to be missing */
	uint32_t missing_seq;	   /* number of the missing message or clear-to-send */
	int64_t missing_us;	   /* watched time for which it has been missing */
	uint32_t wants_seq;	   /* number of the isend that waited at the last check with `wants` */
	int64_t wants_us;	   /* time of that check */
	uint32_t peer_polls;	   /* polls in the peer's last note */
	bool peer_heard;	   /* a note has come since peer->moves last changed */
	int64_t heard_us;	   /* time of the peer's last note */
	uint32_t moves_seen;	   /* peer->moves at the last check */
	int64_t still_since_us;	   /* time since which peer->moves has not changed */
	int64_t ask_us;		   /* time of the next request for a note */
	int64_t ended_us;	   /* time at which the peer first reported the end of its half, or 0 */
	int64_t no_half_us;	   /* time at which the peer first reported that its half can't write any more, or 0 */
	uint32_t completions_no_half; /* completions at that time */
};

#define COMM_ALIGN 64 /* bytes of a cache line */

struct xfer_comm {
	/* What each message uses is in the first two cache lines, up to rx.self_flush. */
	const struct proto_ops *proto;
	struct xfer_ep *ep;
	struct xfer_peer *peer;
	enum xfer_kind kind;
	int err; /* sticky error of a failed comm: negative errno, or 0 */
	uint32_t id;
	uint32_t remote_id;   /* 0 until connected */
	uint32_t next_seq;    /* of the next isend or irecv */
	uint32_t tag;	      /* with has_tag: tag of all eager messages and plain receives */
	bool has_tag;	      /* receives have been posted, without a group; sending: a clear-to-send has arrived */
	bool connect_sent;    /* the connect request or response has been sent */
	uint16_t home;	      /* for rail_best */
	int outstanding;      /* requests that test has not returned yet, and those in `taken`; at most WIRE_WINDOW */
	uint32_t completions; /* requests completed since the comm was opened */
	_Atomic(struct xfer_req *) taken; /* those of `reqs` that test has returned without the lock (req_take) */
	struct xfer_req *spare;		  /* those of `reqs` for the next messages */
	struct comm_tx tx;
	struct comm_rx rx;
	struct stats_comm stats;
	struct req_profile *profile_next; /* notes for the next request, or NULL; set around isend and irecv */
	uint32_t profile_ask_seq;	  /* number of the message with which a profiler is asked next */
	struct comm_close close;
	/*
	 * Set by the protocol: the number of the rail that alone holds message `seq` or is to bring it; -1: several do,
	 * or it is unknown.
	 */
	int (*rail_of)(const struct xfer_comm *comm, uint32_t seq);
	struct list reqs;      /* requests, those that are done too, in any order */
	struct cts_ring *ring; /* RMA protocol: receives a sender's clear-to-sends; source of a receiver's */
	uint32_t remote_ep;    /* id of the peer's endpoint */
	struct comm_watch watch;
	struct list profiles; /* notes with events; see nccl/profile.c */
	uint32_t refused_seq; /* 1 plus the number of the last message whose refusal was noted */
	struct list regions;
	struct xfer_connector *connector; /* gets the connect response, or NULL */
	struct tagged_cts cts_at[];	  /* tagged protocol, send comm: WIRE_WINDOW slots */
};

_Static_assert(offsetof(struct xfer_comm, rx.self_flush) < 2 * COMM_ALIGN, "each message uses two cache lines");

struct xfer_region {
	struct list link; /* in comm->regions */
	struct xfer_comm *comm;
	char *base;
	size_t len;
	bool gpu; /* GPU memory, which the CPU must not access */
	struct dev_mr *mr;
};

void region_free(struct xfer_region *region);

/* True for GPU memory. NULL: no memory at all. */
static inline bool region_is_gpus(const struct xfer_region *region)
{
	return region && region->gpu;
}

/* Runs the closing step at the end of this poll, because its conditions may have changed. */
static inline void comm_kick(struct xfer_comm *comm)
{
	if (list_empty(&comm->close.step.link))
		list_append(&comm->ep->kicked, &comm->close.step.link);
}

/* Is sequence number a at or after b? Valid while they are less than 2^31 apart. */
static inline bool seq_at_or_after(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b) >= 0;
}

/* --- fail.c --- */

#define COMM_PEER_DIED "the peer process has died or its host is unreachable"

/* Marks the comm dead and logs why, once: "<text> on the comm to <peer>; N receives outstanding". */
void comm_fail(struct xfer_comm *comm, int err, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/*
 * A message to the peer was lost. A send comm fails. A receive comm does not fail yet: its sender may have finished and
 * exited while its last messages are still on the way. It fails when nothing arrives any more.
 */
void comm_unreachable(struct xfer_comm *comm, int err, const char *text);

/* Sends a control message to the comm's peer; its loss fails the comm. Errors as of ctrl_send. */
int comm_send_ctrl(struct xfer_comm *comm, const struct wire_ctrl *msg);

/* The ctrl_sent callback of such messages. */
void comm_ctrl_sent(struct xfer_ep *ep, const struct ctrl_end *end);

/* ep->fail_comms: sets the error of every comm without logging each. */
void comm_fail_all(struct xfer_ep *ep, int err);

/* --- watch.c --- */

/*
 * Call it for each poll without progress of a waiting comm. From time to time it checks the peer's lifeline and the
 * NIC, which may fail the comm.
 */
void comm_idle(struct xfer_comm *comm);

/* The same for a wait that ends without the peer, which may be gone: only the NIC is checked. */
void comm_idle_for_nic(struct xfer_comm *comm);

/* Of the time between two checks, the part that counts as waiting: a caller that waits polls again within a second. */
static inline int64_t comm_watched_us(int64_t passed_us)
{
	return passed_us < 1000000 ? passed_us : 1000000;
}

#define IDLE_POLLS 16 /* polls without progress between two readings of the clock */

#endif

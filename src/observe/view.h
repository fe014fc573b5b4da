/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a person wants to know of a snapshot: rails, peers and verdicts. With an earlier snapshot, rates and shares
 * are those of the time between both; without, those since each connection began. A view points into its snapshot.
 */
#ifndef WEFT_OBSERVE_VIEW_H
#define WEFT_OBSERVE_VIEW_H

#include "observe/snapshot.h"

/* From harmless to grave. */
enum cause {
	CAUSE_FINE,
	CAUSE_IDLE,
	CAUSE_CLOSED,
	CAUSE_CONNECTING,
	CAUSE_BEHIND,	 /* it waits for a peer of this host that waits itself, or for a core: the peer is no culprit */
	CAUSE_BOTH_WAIT, /* sender and receiver wait for each other: what is between them is slow */
	CAUSE_HOST_BUSY, /* of a process: messages wait because it waits for a core */
	CAUSE_SENDER_LATE,
	CAUSE_RECEIVER_LATE,
	CAUSE_NETWORK_SLOW,
	CAUSE_RAIL_DOWN,
	CAUSE_UNANSWERED, /* connecting for long */
	CAUSE_STUCK,
	CAUSE_NOT_POLLING,
	CAUSE_STOPPED,
	CAUSE_FAILED,
	CAUSE_PEER_GONE,
	CAUSE_DEAD,
	CAUSES,
};

struct verdict {
	enum cause cause;
	double share;	 /* of the time, or of the fellows' speed; 0: does not apply */
	double seconds;	 /* since when; 0: does not apply */
	const char *nic; /* whose fault it is, or NULL */
	bool told;	 /* the peer itself says so */
	bool starved;	 /* receives wait, and not for this process's own core; the sender may do enough */
	char text[128];
};

static inline bool verdict_is_trouble(const struct verdict *v)
{
	return v->cause >= CAUSE_HOST_BUSY;
}

/* "receiver_late": the word for programs. */
const char *cause_text(enum cause cause);

/* One NIC of a device of a process, over all endpoints. Its counters are those of closed ones, too. */
struct rail_view {
	const char *device, *name, *address, *why;
	uint64_t number;
	enum weft_stats_rail_state state; /* CLOSED: no endpoint uses it now */
	uint64_t tx_bytes, tx_messages, rx_bytes, rx_messages, posted, completed, refused, failed;
	uint64_t in_flight, queue_depth, outstanding, nominal;
	double down_s;		 /* since when it is down */
	double seen;		 /* bytes per second while busy; 0: unknown */
	double seen_before;	 /* the same in the earlier snapshot */
	double tx_rate, rx_rate; /* bytes per second */
	double host_tx_rate;	 /* the same NIC's, in all processes that live */
	double used; /* the larger rate as a part of the NIC's speed, which is in each direction; < 0: not known */
	size_t measured, measured_before;
	struct verdict verdict;
};

/* Waits of messages in the time of the view. */
struct wait_view {
	uint64_t ns, count;
	uint64_t us[WEFT_STATS_BUCKETS];
};

/* All comms of a process in one direction to one peer process. */
struct peer_view {
	const char *host, *address, *protocol;
	uint64_t pid;
	enum weft_stats_direction direction;
	size_t comms, open;
	uint64_t paths, bytes, messages, eager_messages, eager_bytes, failed, outstanding;
	uint64_t all_bytes, all_messages; /* with the eager ones */
	double oldest_s;		  /* age of the oldest message in flight, or of the isend that waits */
	double rate, message_rate;
	struct wait_view peer, wire;
	uint64_t all_peer_ns, all_wire_ns; /* waits since the start */
	struct verdict verdict;		   /* the gravest of its comms */
	bool starved;			   /* one of its comms is */
};

struct process_view {
	const struct record *record, *before;
	uint64_t now_ns; /* the process's last sign of life if it is dead, else the snapshot's time */
	struct rail_view *rails;
	struct peer_view *peers; /* the gravest first */
	size_t rail_count;
	uint64_t peer_count;
	double tx_rate, rx_rate; /* sums of the peers */
	uint64_t outstanding;	 /* the same */
	uint64_t sends;		 /* connected send comms, */
	uint64_t sending;	 /* and those that sent messages in the time of the view */
	double core_share;	 /* part of the time that a polling thread waited for a core, */
	double core_wait_s;	 /* and how long each time */
	bool held_up;		 /* a peer's verdict has this as its reason */
	struct verdict verdict;	 /* of the process itself */
	enum cause worst;	 /* of all its verdicts */
};

struct view {
	const struct snapshot *snapshot;
	double seconds; /* between the snapshots, or 0: since the beginning */
	struct process_view *processes;
	size_t count;
	size_t peers, troubles;
};

/* `before`: the earlier snapshot, or NULL. NULL: out of memory. The caller frees it before the snapshots. */
struct view *view_make(const struct snapshot *before, const struct snapshot *now);
void view_free(struct view *v);

#endif

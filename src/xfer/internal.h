/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of xfer share. Not for other rooms. */
#ifndef WEFT_XFER_INTERNAL_H
#define WEFT_XFER_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/idmap.h"
#include "base/list.h"
#include "base/pool.h"
#include "dev/mr.h"
#include "wire/clear.h"
#include "xfer/xfer.h"

#define PARTING_LISTS 64

/* Control messages of one size in registered memory (ctrl.c). */
struct tx_class {
	struct list free;
	struct list chunks;
	size_t bytes;
	size_t per_chunk;
};

/* One NIC's endpoint of a port. */
struct rail {
	struct xfer_port *port;
	int index; /* in the device */
	struct fab_ep *ep; /* NULL once it is shut down */
	uint8_t addr[FAB_ADDR_BYTES];
	uint64_t self;	       /* flushes: the endpoint's own address, among its peers, ... */
	struct fab_mr *sink_mr; /* ... and where what it reads goes */
	struct fab_mr *ctrl_mr; /* of its control buffers */

	/* Of a device with several: see rail.c. */
	uint64_t outstanding; /* bytes posted and not completed */
	double given_us;      /* so long takes it all that it was ever given whole */
	uint64_t moved;	      /* bytes completed since the last sample ... */
	int64_t busy_us;      /* ... in so much time with enough to do, ... */
	int64_t since_us;     /* ... and that since then; 0: it has not */
	double nominal, seen; /* bytes in a microsecond: as its makers say, and on average of late; ... */
	int samples;	      /* ... of so many, at most 8 */
	double scatter;	      /* how far from it they are on average, as a part of it */
	double speed;	      /* what is reckoned with */
	bool slow;	      /* slower than others, by more than that */
	int64_t seen_us;
};

/* From a rail of ours to one of a peer. */
struct path {
	struct rail *rail;
	uint64_t fab_addr;
	uint8_t remote;	 /* the peer's rail */
	uint8_t sharing; /* paths to this peer on the same rail of ours */
};

/* A part of a message, and its path. */
struct stripe {
	struct path *path;
	size_t at, len;
};

/*
 * A device's endpoints for one thread.
 *
 *	ports (global) -> port -+- chans, listens   by the id a message names
 *	                        +- peers            endpoints we talk to, each with its channels
 *	                        +- tx_waiting       control messages the provider would not take yet
 *	                        +- tx_flying        control messages it has taken
 *	                        +- orphans          receives whose channel is closed (see orphan.c)
 *
 * Everything but `link` and `refs` (the global lock's) belongs to `lock`.
 */
struct xfer_port {
	struct list link;
	int refs;
	pthread_t thread;

	pthread_mutex_t lock;
	struct dev *dev;
	const struct conf *conf;
	const struct xfer_conn_ops *ops;
	struct rail rails[DEV_RAILS_MAX];
	int rail_count;
	int node;		   /* NUMA node of the leader, -1: unknown or the only one */
	struct fab_domain *domain; /* the leader's, as all that is not said to be a rail's */
	struct fab_ep *ep;	   /* NULL once all are shut down */
	unsigned idle;		   /* looks in a row that found nothing */
	atomic_int err;		   /* why the port is broken: negative errno, or 0 */
	size_t addr_bytes;
	struct lifeline_addr lifeline;

	struct idmap chans;
	struct idmap listens;
	struct list peers;
	struct list orphans;
	struct list orphans_waiting; /* those the provider would not take yet */

	struct list grouping;	/* channels with groups that their senders can't be told of yet */
	struct list announcing; /* RMA wire: channels with clear-to-sends the provider would not take yet */
	struct list slabs, rings_free; /* see ring.c */

	struct tx_class tx_small, tx_large;
	struct pool stash_pool; /* eager messages that came before their receives */
	size_t rx_bytes;
	size_t eager_end; /* what is smaller may go eagerly */
	struct list partings[PARTING_LISTS]; /* see parting.c */
	int peers_awaited;    /* ... those of them that wait for their peer */
	struct pool req_pool, piece_pool;
	struct list pieces_waiting; /* stripes whose rail would not take them yet */
	struct list tx_waiting;
	struct list tx_flying; /* control messages the provider holds */
	struct ctrl_rx *rx;
	struct list rx_unposted;
	void *ctrl_memory; /* of rx buffers */
	size_t ctrl_bytes;
	char *sinks; /* flushes: a few bytes a rail, or NULL */
};

/* A remote endpoint. Lives while a channel or a control message in flight needs it. */
struct xfer_peer {
	struct list link; /* in port->peers */
	struct xfer_port *port;
	int refs;
	struct path paths[DEV_RAILS_MAX]; /* the first leads from our leader to its leader */
	int path_count; /* 1 until the peer has named its rails: then the greater of both sides' rails */
	int rails;	/* the peer's */
	struct wire_who who;
	bool dead;  /* its process is: nothing is posted to it any more */
	bool named; /* who.host and who.pid are known: from a message, not only from a handle */
	char text[160];
};

/* The latest clear-to-send in each place of the window. */
struct clear {
	uint32_t len, tag;
	uint32_t seq;
	bool valid;
};

/* WIRE_WINDOW clear-to-sends in registered memory (ring.c). */
struct ring {
	struct list link; /* in port->rings_free */
	struct wire_clear *entries;
	struct dev_mr *mr; /* the slab's */
	uint64_t addr;	   /* for peers */
};

/* An eager message that came before its receive. */
struct stash {
	uint32_t seq;
	uint32_t tag;
	uint32_t len;
	char data[WIRE_EAGER_MAX];
};

/* The receiving half on the RMA wire. */
struct rma_recv {
	uint32_t flying;  /* places whose clear-to-sends the provider still holds, a bit each: not to be changed */
	struct list link; /* in port->announcing */
	struct xfer_chan *chan;
	uint32_t announced; /* the first number not announced yet */
	uint32_t open;	    /* receives announced and not met by a message */
	uint32_t patience;  /* so many more looks may a receive wait for others to be announced with it */
	uint64_t ring_addr; /* at the sender */
	union wire_keys ring_keys;
	struct xfer_req *at[WIRE_WINDOW];
	struct stash *stash[WIRE_EAGER_WINDOW];
	bool quiet;	   /* nothing is announced until the sender wants it */
	bool eager_seen;   /* since the last credit */
	uint32_t small;	   /* messages in a row that could have been eager */
	uint32_t credited; /* receives the sender has been told of by a credit */
	uint32_t here;	   /* messages that have arrived, of those in no group: counts on from the first number */
};

struct xfer_wire;
struct group_recv;
struct group_clear;

struct xfer_chan {
	const struct xfer_wire *wire;
	struct ring *ring;    /* RMA wire: a sender's clear-to-sends arrive here, a receiver's leave from here */
	struct rma_recv *rma; /* RMA wire, receiving */
	uint32_t told;	      /* sending: receives known to be posted, as far as eager messages care */
	bool peer_quiet;      /* sending: the receiver announces nothing until we want it */
	int eager_flying;     /* sending: eager messages the provider still holds */
	bool eager_sent;      /* sending: any, ever */
	bool lost;	      /* an eager message that counted as sent, for good: ours or, receiving, the peer's */
	uint32_t lost_seq;
	bool peer_awaited;    /* closed, and the peer has not said what this end waits for (parting.c) */
	bool has_tag;	       /* a receive has been posted or, sending, announced ... */
	uint32_t tag;	       /* ... with this tag: eager messages and plain receives have no other */
	bool grouped;	       /* sending: numbers from grouped_from on count groups (group.c) */
	uint32_t grouped_from;
	struct group_clear *groups; /* sending: what is cleared; NULL until the first */
	struct group_recv *grp;	    /* receiving: NULL until the first group */
	struct list groups_out;	    /* receiving: groups the sender knows of, or ended ones */
	struct xfer_port *port;
	struct xfer_peer *peer;
	struct lifeline *line; /* NULL: without */
	void *waiter;
	enum xfer_kind kind;
	uint32_t id;
	uint32_t remote_id; /* 0 until connected */
	int err;	    /* sticky: why the channel is dead, negative errno */
	int doubt;	    /* why nothing reaches the peer any more: negative errno, or 0 */
	bool connect_sent;
	bool close_sent;
	bool quiescing; /* its requests are being cancelled */
	bool peer_closed;      /* the peer's half is closed */
	bool fin_due;	       /* ... and it has not been told that all has arrived */
	uint32_t peer_sent;    /* of a receive channel with peer_closed: messages (or groups) it sent in all */
	uint8_t peer_places;   /* ... and the places of the group after those, a bit each */
	uint32_t next_seq;     /* of the next isend or irecv */
	int outstanding;       /* requests not yet taken by test: at most WIRE_WINDOW */
	struct list reqs;      /* requests the provider holds */
	struct list done;      /* requests completed and not yet taken by test */
	struct list regions;
	struct list flushes;   /* requests of xfer_flush */
	int reads;	       /* of flushes, with the provider */
	uint8_t rails;	       /* receiving: those that have carried data, a bit each */
	bool self_flush;       /* receives are flushed before they are done */
	bool no_eager;	       /* sending: the peer takes no eager messages */
	unsigned idle_polls;   /* fruitless looks since the last look at the clock */
	uint32_t completions;  /* ever */
	uint32_t completions_seen;
	int64_t looked_us; /* at the lifeline */
	uint32_t completions_looked; /* by then */
	int64_t stalled_us; /* for so long a NIC has ended nothing of what it has */
	int64_t rung_us;   /* receiving: the peer's bell, or what it would be rung for has come */
	uint32_t completions_rung; /* by then */
	int64_t quiet_since_us;
	int64_t gone_since_us; /* the lifeline ended: when we saw it, or 0 */
	struct clear clears[]; /* tagged wire: WIRE_WINDOW of them on a send channel */
};

struct xfer_region {
	struct list link; /* in chan->regions */
	struct xfer_chan *chan;
	char *base;
	size_t len;
	struct dev_mr *mr;
};

/* Memory of a GPU, which no CPU may touch. NULL: no memory at all. */
static inline bool region_is_gpus(const struct xfer_region *region)
{
	return region && region->mr->mem.kind != ACCEL_HOST;
}

#define REQ_WHOLE 0xff /* a message that is no part of a group */

struct xfer_req {
	union {
		struct fab_op op;			 /* first: libfabric's context */
		struct xfer_req *part[WIRE_GROUP_MAX]; /* of a group */
	};
	struct list link; /* in chan->reqs or chan->done; a group: in its channel's lists of them */
	struct xfer_chan *chan;
	struct xfer_region *region;
	void *buf;
	size_t posted; /* bytes of the buffer */
	size_t len;    /* of the message; valid once done */
	struct xfer_req *group;		    /* receiving: of a part, or NULL */
	struct xfer_region *flush_region;   /* what is read back ... */
	char *flush_at;
	uint32_t seq, tag;
	uint8_t place; /* in the group, or REQ_WHOLE */

	/* Zero at first. Next to each other: together that is two stores. */
	bool done;
	bool copied;	 /* the provider does not know the user's buffer */
	bool flush;	 /* of xfer_flush, and no message */
	bool flushing, flushed; /* a receive that is flushed before it is done */
	uint8_t flush_todo;	/* on these rails, a bit each, reads are still to be posted ... */
	uint8_t flush_left;	/* ... and so many are with the provider */
	uint8_t pieces;	 /* sending: stripes not completed */
	uint8_t arrived; /* receiving: stripes that have come, a bit each */
	uint8_t parts, posted_parts, left; /* of a group: all, with the provider, not done; else 0 */
	int err;
};

/* --- port.c --- */

/* Marks the port broken, fails every channel on it and logs why. The endpoint is closed later. */
void port_break(struct xfer_port *port, int err, const char *why);

/* Closes every endpoint: afterwards libfabric touches no memory. */
void port_shut(struct xfer_port *port);

/* One more count of a port the caller already holds. */
void port_hold(struct xfer_port *port);

/* --- peer.c --- */

/* The peer at who's address, counted; inserted into the address vector when new. */
int peer_get(struct xfer_port *port, const struct wire_who *who, struct xfer_peer **out);
void peer_put(struct xfer_peer *peer);
/* Takes over host and pid from a message. */
void peer_name(struct xfer_peer *peer, const struct wire_who *who);
/* Makes paths to all the rails that the message names. 0 or a negative errno (logged). */
int peer_widen(struct xfer_peer *peer, const struct wire_connect *msg);

/* --- ctrl.c --- */

void ctrl_init(struct xfer_port *port);
int ctrl_open(struct xfer_port *port);
/* After the endpoint is closed. Accepts what ctrl_open left half-built. */
void ctrl_close(struct xfer_port *port);

/*
 * Sends msg (its type gives the size) to the peer, now or when the provider takes it. chan (may be NULL)
 * fails when it gets lost. 0 or -ENOMEM.
 */
int ctrl_send(struct xfer_port *port, struct xfer_peer *peer, struct xfer_chan *chan,
	      const struct wire_ctrl *msg);

/*
 * The same for an eager message, with a copy of its data. Its request is over when the provider has sent it: its
 * owner may not look again, and nobody else would see to a message that waits here.
 */
int ctrl_send_eager(struct xfer_req *req, const struct wire_ctrl *msg, const void *data);

/* Retries what waits. */
void ctrl_progress(struct xfer_port *port);
/* Has the provider a control message of the channel's? */
bool ctrl_flying(const struct xfer_chan *chan);

/* --- chan.c --- */

/* Marks the channel dead and logs why, once: "<text> on the channel to <peer>; N receives outstanding". */
void chan_fail(struct xfer_chan *chan, int err, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/*
 * A message to the peer was lost. Alone that is no failure of a receive channel: its sender may be done and
 * gone while its last messages are still on their way. The channel fails when nothing comes any more.
 */
void chan_doubt(struct xfer_chan *chan, int err, const char *text);

/* A close arrived for this channel. */
void chan_peer_closed(struct xfer_chan *chan, const struct wire_ctrl *msg);
/* A sender answers its peer's close when its last request has ended. */
void chan_answer_close(struct xfer_chan *chan);

/* Another message of a receive channel is here, or its last number is known: tells a sender that has closed. */
void chan_fin(struct xfer_chan *chan);

/* Tells the peer that this half is over, once. */
void chan_send_close(struct xfer_chan *chan);

/*
 * Called for each fruitless look at a waiting channel: every so many of them checks the peer's lifeline,
 * which may fail the channel.
 */
void chan_idle(struct xfer_chan *chan);

#define IDLE_LOOK 16 /* fruitless looks between two looks at the clock */

/* --- flush.c --- */

/* What flushes need of a port whose endpoints are open; flush_close after they are closed. */
int flush_open(struct xfer_port *port);
void flush_close(struct xfer_port *port);

/* A receive that is done but for its flush, if it needs one. 1: it is done, 0: not yet; or the channel's error. */
int flush_self(struct xfer_req *req);
/* xfer_test of a flush. */
int flush_test(struct xfer_req *req);
/* Waits for the channel's reads; if need be, the port is broken. */
void flush_drain(struct xfer_chan *chan);

/* --- region.c --- */

void region_free(struct xfer_region *region);

/* --- msg.c --- */

/*
 * How the messages of a channel travel. Functions of one wire never see a channel of another.
 *
 *	cleared   is the next send's clear-to-send there? *out (at least len) is what it says
 *	send      posts it; 0, -EAGAIN (no trace) or an error. req's number, size and region are set
 *	recv      the same for a receive
 *	announce  tells the sender of the receive; later, if need be
 */
struct xfer_wire {
	bool (*cleared)(struct xfer_chan *chan, struct wire_clear *out);
	int (*send)(struct xfer_req *req, const void *buf, const struct wire_clear *clear);
	int (*recv)(struct xfer_req *req);
	void (*announce)(struct xfer_req *req);
};

/* A request among the channel's; NULL when memory has run out. */
struct xfer_req *req_new(struct xfer_chan *chan, void *buf, size_t len, struct xfer_region *region);
void req_drop(struct xfer_chan *chan, struct xfer_req *req);

/* The request is over; len counts for a receive. */
void req_finish(struct xfer_req *req, int err, size_t len);
/* A part of it has failed, which the channel does not survive. It is over when all parts are. */
void req_broken(struct xfer_req *req, const struct fab_result *r);

/* --- rail.c --- */

/* else_mbps: its speed, if nobody knows it. */
void rail_init(struct rail *r, const struct fab_nic *nic, int else_mbps);
/* Keeps count of the bytes on a rail. */
void rail_posted(struct rail *r, size_t bytes);
void rail_completed(struct rail *r, size_t bytes);

/* The path for a message that is not divided, which is then given to it. */
struct path *rail_best(struct xfer_peer *peer, size_t len);
/* Divides a message among the paths; how many stripes. */
int rail_stripes(struct xfer_peer *peer, size_t len, struct stripe out[DEV_RAILS_MAX]);

/* --- piece.c --- */

#define PIECE_BYTES 160 /* of port->piece_pool's objects */

/* Sends a message over one or more of several rails. 0, -EAGAIN (no trace) or an error. */
int pieces_send(struct xfer_req *req, const void *buf, const struct wire_clear *clear);
void pieces_progress(struct xfer_port *port);

/* --- ring.c --- */

/* A ring no peer knows of yet. 0 or a negative errno. */
int ring_get(struct xfer_port *port, struct ring **out);
void ring_put(struct xfer_port *port, struct ring *ring); /* accepts NULL */
void rings_close(struct xfer_port *port);

/* --- parting.c --- */

/* The channel has told its peer that it ends: is there an answer without which its port must not end? */
bool parting_owed(const struct xfer_chan *chan);
/* The channel is about to be freed: takes over what has to wait for the peer. */
void parting_begin(struct xfer_chan *chan);
/* The peer has what was sent to it (its fin) or, closed, has closed its half and neither writes nor waits any more. */
void parting_answered(struct xfer_port *port, uint32_t chan_id, bool closed);
/*
 * Rings for the peers that have yet to answer. Those that are gone are waited for no more and, when it is late, those
 * of which nobody can tell.
 */
void partings_remind(struct xfer_port *port, bool late);
void partings_init(struct xfer_port *port);
/* After the endpoints are closed. */
void partings_close(struct xfer_port *port);

/* --- rma.c --- */

extern const struct xfer_wire rma_wire;

/* The channel's parts of this wire. 0 or a negative errno; rma_close accepts a half-open one. */
int rma_open(struct xfer_chan *chan);
void rma_close(struct xfer_chan *chan);
/* Writes what has not been announced yet. */
void rma_announce(struct xfer_chan *chan);
void rma_progress(struct xfer_port *port);
/* fab_arrival of a rail. */
void rma_arrival(void *rail, uint64_t imm, size_t len);
/* Keeps room in the completion queues for one receive (0 or -EAGAIN), and gives it back. */
int rma_expect(const struct xfer_chan *chan);
void rma_unexpect(const struct xfer_chan *chan);
/* The receive waits for nothing any more: forgets it, with its room, where it is known. */
void rma_forget(struct xfer_req *req);
/* The keys of memory, for the peer. */
void rma_keys(const struct xfer_port *port, const struct dev_mr *mr, union wire_keys *out);
/* Where the message of a group's part shall go. */
void rma_fill_sub(struct wire_sub *out, const struct xfer_req *part);
/* The immediate of stripe i of n. */
uint64_t rma_imm(const struct xfer_req *req, int i, int n);
/* The descriptor of what is sent. No bytes have one, too, of any memory: libfabric 2.1's efa-direct wants that. */
void *rma_desc(const struct xfer_req *req, const struct rail *rail);

/*
 * Asks the sender of a dead channel to stop; its answer, a close, tells which messages still come
 * (rma_settle): the others are cancelled. rma_abandon cancels all: nobody is left who could write.
 */
void rma_recall(struct xfer_chan *chan);
void rma_settle(struct xfer_chan *chan);
void rma_abandon(struct xfer_chan *chan);

/* --- eager.c --- */

/* May the next message go at once, receive or not? First: even without a look for its clear-to-send. */
bool eager_may(const struct xfer_chan *chan, size_t len, uint32_t tag, const struct xfer_region *region);
bool eager_first(const struct xfer_chan *chan, size_t len, uint32_t tag, const struct xfer_region *region);
/* Sends a copy of it. 0 or -ENOMEM. */
int eager_send(struct xfer_req *req, const void *buf);
/* The next message can't go: asks for its clear-to-send if it needs one. */
void eager_want(struct xfer_chan *chan, size_t len, uint32_t tag, const struct xfer_region *region);

void eager_arrived(struct xfer_chan *chan, const struct wire_ctrl *msg, const void *data);
void eager_credit(struct xfer_chan *chan, const struct wire_ctrl *msg);
void eager_wanted(struct xfer_chan *chan, const struct wire_ctrl *msg);

/* Takes the message that came before its receive; false when there is none. */
bool eager_take(struct xfer_req *req);
/* Is message seq kept? And: gives it to a part of a group, if the tag is right. */
bool eager_here(const struct xfer_chan *chan, uint32_t seq);
bool eager_give(struct xfer_req *part, uint32_t seq);
/* Keeps count of a receive posted, and of a message received. */
void eager_posted(struct xfer_chan *chan);
void eager_received(struct xfer_chan *chan, size_t len);
void eager_close(struct xfer_chan *chan);

/* --- group.c: sending --- */

/* The receiver's first group: from msg->seq on numbers count groups. */
void group_begin(struct xfer_chan *chan, const struct wire_ctrl *msg);
void group_answer(struct xfer_chan *chan);
void group_cleared(struct xfer_chan *chan, const struct wire_group *msg);

/* A place in the current group for a message with this tag; false: none yet. Only with chan->groups. */
bool group_place(struct xfer_chan *chan, uint32_t tag, struct wire_clear *out, uint8_t *out_place);
/* The message for it is under way. */
void group_sent(struct xfer_chan *chan, uint8_t place);
/* Places of the current group whose messages are under way, a bit each. */
uint8_t group_sent_places(const struct xfer_chan *chan);

/* --- group.c: receiving --- */

/* Posts a group. 0, -EAGAIN (no trace) or an error. */
int group_recv(struct xfer_chan *chan, int n, const struct xfer_sub subs[], struct xfer_req **out);
void group_close(struct xfer_chan *chan);

/* The number of the first group: plain receives have those before. */
uint32_t group_first(const struct xfer_chan *chan);
/* The sender had sent so many messages when it learned of the first group. */
void group_ready(struct xfer_chan *chan, uint32_t sent);
/* It had closed its half before: peer_sent is what it had sent. Only with chan->grp. */
void group_closed(struct xfer_chan *chan);
/* Tells the sender of what it can be told of now. Only with chan->grp. */
void group_progress(struct xfer_chan *chan);
void groups_progress(struct xfer_port *port);

/* The part that the arrival is for, or NULL. */
struct xfer_req *group_find(const struct xfer_chan *chan, uint64_t imm);
/* The part is not waited for any more; false: it was not posted. */
bool group_forget(struct xfer_req *part);
/* How many messages a closed sender has sent in no group. False: that is not known yet. */
bool group_whole_sent(const struct xfer_chan *chan, uint32_t *out);
/* By a sender's close after `sent` and the places of the next group: has this message been sent? */
bool group_was_sent(uint32_t seq, uint8_t place, uint32_t sent, uint8_t places);
/* Has the peer, which has closed its half, sent this receive's message? Also for one that is no part. */
bool group_comes(const struct xfer_req *req);
/* A part has ended. */
void group_part_done(struct xfer_req *part);
/* The lengths of a group that is done, and how many; it is gone. */
int group_take(struct xfer_req *group, size_t out_lens[]);

/* --- tagged.c --- */

extern const struct xfer_wire tagged_wire;

/* The path that message number seq takes, and its provider tag. */
const struct path *tagged_path(const struct xfer_chan *chan, uint32_t seq);
uint64_t tagged_tag(uint32_t chan_id, uint32_t seq, uint8_t place);

/* A clear-to-send arrived for this channel. */
void chan_cleared(struct xfer_chan *chan, const struct wire_ctrl *msg);

/* --- orphan.c --- */

/*
 * Gives up the channel's requests that use `region` (NULL: all). Afterwards no request of them touches the
 * user's memory, if need be because the port is broken.
 */
void chan_quiesce(struct xfer_chan *chan, const struct xfer_region *region);

/* The sender of a closed channel (close->to) has closed its half: forgets what will not come. */
void orphans_settle(struct xfer_port *port, const struct wire_ctrl *close);
/* Posts what waits. */
void orphans_progress(struct xfer_port *port);
void orphans_close(struct xfer_port *port);

/* Is sequence number a at or after b? Right as long as they are less than 2^31 apart. */
static inline bool seq_at_or_after(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b) >= 0;
}

#endif

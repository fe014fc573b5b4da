/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A device's libfabric endpoints for one thread. NCCL makes the connections of a communicator on one thread of its own,
 * so an endpoint per (device, thread) keeps communicators independent of each other.
 *
 *	endpoints (global) -> ep -+- comms, listens    found by the id in a message
 *	                          +- peers             remote endpoints, each with its paths (peer.h)
 *	                          +- tx_waiting        control messages that the provider has not accepted yet (ctrl.h)
 *	                          +- tx_in_flight      control messages that the provider holds
 *	                          +- discards          discard receives of closed comms (proto/discard.c)
 *	                          +- lingering         closed comms whose peer has not answered yet (xfer/linger.c)
 *
 * This module does not know comms. It calls the modules above through pointers that xfer/open.c sets.
 */
#ifndef WEFT_EP_EP_H
#define WEFT_EP_EP_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/idmap.h"
#include "base/list.h"
#include "base/pool.h"
#include "ep/api.h"
#include "ep/rail.h"
#include "stats/stats.h"
#include "wire/note.h"

#define LINGER_LISTS 64

/* Work that could not be done at once. The next poll calls retry, which may queue it again. */
struct pending {
	struct list link; /* in a list of an endpoint, or unlinked */
	void (*retry)(struct pending *p);
};

/* Control messages of one size in registered memory (ctrl.c). */
struct tx_class {
	struct list free;
	struct list chunks;
	size_t bytes;
	size_t per_chunk;
};

#define EP_MAIL 32

/* A note from a peer (wire/note.h), and a reference to the lifeline that delivered it. */
struct ep_mail {
	struct lifeline *line;
	struct wire_note note;
};

/*
 * Filled by the wakeup thread, which must not wait for `lock`; emptied by the next poll. Notes beyond EP_MAIL are
 * dropped.
 */
struct ep_mailbox {
	pthread_mutex_t lock;
	atomic_bool any;
	int count;
	struct ep_mail mail[EP_MAIL];
};

/* Why a NIC counts as down. */
struct rail_health {
	bool no_link;
	bool failed;	    /* a message failed on it, */
	uint64_t successes; /* after so many of its operations had succeeded */
};

/* `lock` protects everything except `link`, `refs`, `visits` and `woken_round`, which eps_lock protects. */
struct xfer_ep {
	pthread_mutex_t lock; /* first, because each call takes it */
	struct list link;
	int refs;
	int visits;	      /* of the wakeup thread, which is never the one that ends the endpoint */
	uint64_t woken_round; /* last round of the wakeup thread that has polled this endpoint */
	pthread_t thread;

	struct dev *dev;
	struct dev_access *access; /* this endpoint's, or shared with other threads' */
	const struct conf *conf;
	struct rail rails[WIRE_RAILS_MAX]; /* the first nic_count are the first stream of each NIC */
	int rail_count;
	int nic_count;
	size_t stripe_min;	   /* bytes of the smallest stripe */
	bool control_alone;	   /* large messages leave the first of several rails to control and small messages */
	int node;		   /* NUMA node of the primary rail; -1: unknown, or the machine has one node */
	struct fab_domain *domain; /* of the primary rail */
	struct fab_ep *fab;	   /* of the primary rail; NULL once all are shut down */
	uint32_t id;		   /* random; identifies the endpoint in notes */
	unsigned idle;		   /* consecutive polls without a completion */
	uint32_t polls;		   /* polls by threads of the application since the endpoint was opened */
	atomic_int err;		   /* why the endpoint is broken: negative errno, or 0 */
	size_t addr_bytes;
	struct lifeline_addr lifeline;

	struct stats_ep stats;
	struct list pending; /* work for the next poll */
	struct list kicked;  /* closing steps that run at the end of this poll */
	bool polling;
	void (*dispatch)(struct xfer_ep *ep,
			 struct wire_ctrl *msg); /* handles a control message that has arrived, unless it is eager */
	void (*dispatch_eager)(struct xfer_ep *ep, const struct wire_ctrl *msg); /* the same for an eager one */
	void (*fail_comms)(struct xfer_ep *ep, int err); /* fails all comms of a broken endpoint */
	void (*release)(struct xfer_ep *ep);		 /* closes the endpoint after its last reference */
	void (*read_mail)(struct xfer_ep *ep);		 /* handles the notes in `mail` */
	/* The peer reports that its half of a closed comm does not exist any more. */
	void (*half_gone)(struct xfer_ep *ep, uint32_t comm_id);
	struct ep_mailbox mail;

	struct idmap comms;
	struct idmap listens;
	struct list peers;	/* peers with references */
	struct list peers_idle; /* peers without references, the longest idle first */
	int idle_count;

	/* Control messages (ctrl.c). */
	struct tx_class tx_small, tx_large;
	struct list tx_waiting;
	struct list tx_in_flight;
	struct ctrl_rx *rx;
	struct list rx_unposted;
	struct pending ctrl_retry;
	void *ctrl_memory; /* all receive buffers */
	size_t ctrl_bytes;
	size_t rx_bytes;
	size_t inject_bytes; /* of the largest message that ctrl_inject takes */

	/* Memory and lists of the modules above. */
	struct list slabs, rings_free; /* cts_ring.c */
	struct pool req_pool;
	struct pool op_pool;	     /* objects of OP_BYTES: stripes, writes of clear-to-sends, reads of flushes */
	struct pool unexpected_pool; /* eager messages that came before their receives */
	size_t eager_max;	     /* bytes of the largest eager message on this provider */
	size_t eager_end;	     /* messages of fewer bytes may go eagerly */
	struct list discards;
	struct list lingering[LINGER_LISTS]; /* closed comms, by id */
	int peers_awaited;		     /* lingering comms that the endpoint's end waits for */
	char *sinks;			     /* target of flush reads, a few bytes per rail; or NULL */

	struct rail_health health[DEV_RAILS_MAX]; /* of each NIC (health.c) */
	uint64_t health_looked;			  /* ticks */
};

#define OP_BYTES 160

/* Protects the list of endpoints and their reference counts. */
extern pthread_mutex_t eps_lock;
extern pthread_cond_t eps_left; /* a visit has ended */

/* Marks the endpoint broken, fails every comm on it and logs why. Its libfabric endpoints are closed later. */
void ep_break(struct xfer_ep *ep, int err, const char *why);

/* Closes every libfabric endpoint. Afterwards libfabric accesses no memory. */
void ep_shut(struct xfer_ep *ep);

/* Polls every rail once. Returns the number of completions, or a negative errno. */
int ep_poll_rails(struct xfer_ep *ep);

/* For slow paths: errors that belong to no operation break the endpoint. */
void ep_check(struct xfer_ep *ep);

/* Runs the closing steps that wait for the end of a poll. */
void ep_run_kicked(struct xfer_ep *ep);

/* Leaves a note for the next poll, and takes over the reference to the lifeline. */
void ep_mail_leave(struct xfer_ep *ep, const struct ep_mail *mail);
/* Takes a note out of the mailbox; false if the mailbox is empty. */
bool ep_mail_take(struct xfer_ep *ep, struct ep_mail *out);

/* Adds a reference to an endpoint that the caller already holds. */
void ep_hold(struct xfer_ep *ep);

static inline void pending_add(struct xfer_ep *ep, struct pending *p)
{
	if (list_empty(&p->link))
		list_append(&ep->pending, &p->link);
}

#endif

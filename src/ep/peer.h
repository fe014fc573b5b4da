/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Remote endpoints. A peer has one entry per path in the address vectors, shared by its comms. Needs the endpoint's
 * lock.
 */
#ifndef WEFT_EP_PEER_H
#define WEFT_EP_PEER_H

#include "ep/ep.h"

/*
 * A peer stays in the address vector after its last comm is closed. It may still send to us over an endpoint that
 * stays open, and providers treat messages from a removed address as a new peer's, or crash. It is removed when
 * another process takes over its address, or when more than PEERS_IDLE_MAX peers are idle and it has been idle
 * longest.
 */
#define PEERS_IDLE_MAX 1024

struct xfer_peer {
	struct list link; /* in ep->peers, or in ep->peers_idle */
	struct xfer_ep *ep;
	int refs;			   /* comms and control messages that use it; 0: idle */
	struct path paths[WIRE_RAILS_MAX]; /* the first leads from our primary rail to its primary rail */
	int path_count; /* 1 until the peer has named its rails; then the larger of both sides' numbers of rails */
	int rails;	/* number of the peer's rails */
	int nics;	/* number of the peer's NICs */
	uint16_t next_home[2]; /* path of the next send comm, and of the next receive comm (rail_best) */
	struct wire_who who;
	uint32_t moves;	 /* requests with this peer that have completed */
	bool dead;	 /* the peer's process is dead, so nothing more is posted to it */
	int64_t gone_us; /* time at which the end of the lifeline was first seen, or 0 */
	bool asked;	 /* a failure has already waited for the end of the lifeline */
	bool named;	 /* who.host and who.pid come from a message, not from a handle */
	char text[160];	 /* "host pid 123 at address" */
};

/* Finds the peer at who's address, or inserts it into the address vector. Adds a reference. */
int peer_get(struct xfer_ep *ep, const struct wire_who *who, struct xfer_peer **out);
void peer_put(struct xfer_peer *peer); /* accepts NULL */
/* Frees all peers. Call it after the endpoint is shut. */
void peers_close(struct xfer_ep *ep);
/* Sets host and pid from a message. */
void peer_name(struct xfer_peer *peer, const struct wire_who *who);
/* Makes paths to all rails named in the message. 0 or a negative errno (logged). */
int peer_widen(struct xfer_peer *peer, const struct wire_connect *msg);

#endif

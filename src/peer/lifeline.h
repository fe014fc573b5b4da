/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lifelines: one idle TCP connection between two processes that share channels, by which each learns
 * that the other has died.
 *
 * Why TCP beside libfabric: most providers tell a waiting receiver nothing when its peer dies, and a
 * message that stays unanswered proves nothing, since a busy process answers no message either. The
 * kernel answers for a living process however busy it is, closes the connection at once when the process
 * ends, and keep-alives notice a host that falls silent.
 *
 *	connector                                listener
 *	  lifeline_dial(port of the handle) ---->  (kernel accepts)
 *	  sends its id                      ---->  lifeline_find(id) takes it up when the connect request
 *	                                           that names the same id arrives over the fabric
 *
 * A lifeline is counted: every channel between the two processes holds it. The connector's last
 * lifeline_put says goodbye, so that an orderly end reads differently from a death; the listener keeps its
 * end until then, because a further connect may be on its way. A forked child closes its copies.
 *
 * Threads: any; one lock for all of them, never held across a blocking call. Nothing here blocks.
 */
#ifndef WEFT_PEER_LIFELINE_H
#define WEFT_PEER_LIFELINE_H

#include <stdbool.h>
#include <stdint.h>

#include "peer/ident.h"

/* Where a process listens for lifelines: what the handle carries. */
struct lifeline_addr {
	int family; /* 4, 6, or 0: none */
	uint16_t port;
	uint8_t ip[16]; /* network order */
};

enum lifeline_state {
	LIFELINE_CONNECTING,
	LIFELINE_ALIVE,
	LIFELINE_CLOSED,  /* the peer said goodbye: it has closed its last channel to us */
	LIFELINE_DEAD,	  /* the process ended or its host is silent */
	LIFELINE_REFUSED, /* nobody listens there (any more) */
};

struct lifeline;

/*
 * Opens (once per address) this process's listening socket at `ip` of `family`. 0 with the port filled
 * in, or a negative errno; the caller decides whether to go on without.
 */
int lifeline_listen(int family, const uint8_t ip[16], struct lifeline_addr *out);

/*
 * A counted lifeline to the process `uuid` that listens at `addr`: the one there is already, or a new one
 * that is connecting. silence_us: how long its host may not answer. 0 or a negative errno.
 */
int lifeline_dial(const uint8_t uuid[PEER_UUID_BYTES], const struct lifeline_addr *addr,
		  int64_t silence_us, struct lifeline **out);

/* The number by which the connector names this lifeline in its connect request; never 0. */
uint64_t lifeline_id(const struct lifeline *l);

/* A counted lifeline that a peer has dialled, by its id; NULL when it has not arrived (yet). */
struct lifeline *lifeline_find(uint64_t id, int64_t silence_us);

/* How it stands now: one system call at most; for slow paths. */
enum lifeline_state lifeline_check(struct lifeline *l);

/* Asks the peer process to look at its network now (bell.h). Best effort; accepts NULL. */
void lifeline_ring(struct lifeline *l);

/* For the bell: reads what has come on the line `key`, which may have ended. True: the peer has rung. */
bool lifeline_heard(const void *key);

/* Gives up one count. Accepts NULL. */
void lifeline_put(struct lifeline *l);

#endif

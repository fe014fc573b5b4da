/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lifelines that peers dial: the listening sockets of this process, and the connections on them until they are proven. All
 * calls hold the lock of lifeline.c. Internal to peer.
 */
#ifndef WEFT_PEER_LISTENER_H
#define WEFT_PEER_LISTENER_H

#include "peer/line.h"

/*
 * Before all others. take: is given a line with a whole hello, and returns true if it has taken the line
 * (listener_release), or false: it stays unproven.
 */
void listener_prepare(bool (*take)(struct lifeline *l));

/* The body of lifeline_listen. */
int listener_open(int family, const uint8_t ip[16], struct lifeline_addr *out);

/* Accepts a limited number of connections, and polls some unproven lines. */
void listener_take_in(int64_t silence_us);

/* The unproven line whose hello has this id, or NULL. */
struct lifeline *listener_unproven(uint64_t id);

/* Removes an unproven line from here: it is the caller's. */
void listener_release(struct lifeline *l);

/* For a forked child: closes the listening sockets, and has the unproven lines forgotten. */
void listener_in_child(void (*forget)(struct list *lines));

#endif

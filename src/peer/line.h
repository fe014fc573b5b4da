/* SPDX-License-Identifier: Apache-2.0 */
/*
 * State machine of one lifeline. The lists are in lifeline.c and listener.c, the lock is in lifeline.c. Internal to peer.
 *
 *	hello (dialler)	    the line's id and the secret of the handle
 *	welcome (acceptor)  one byte: the hello has a secret of ours, or a connect request named the line's id
 *	wake, goodbye	    one byte, in either direction
 *	note		    one byte and a struct wire_note, in either direction
 */
#ifndef WEFT_PEER_LINE_H
#define WEFT_PEER_LINE_H

#include <stdbool.h>

#include "base/list.h"
#include "peer/lifeline.h"
#include "peer/sock.h"

#define LINE_NOTES 8 /* notes read in one line_step */

struct hello {
	uint32_t magic;
	uint32_t pid;
	uint64_t id;
	uint64_t secret;
};

struct lifeline {
	struct list link; /* in one list */
	uint64_t id;
	uint8_t uuid[PEER_UUID_BYTES]; /* of the dialled process; zero on the accepting side */
	struct lifeline_addr addr;     /* dialled address; family 0 on the accepting side */
	int64_t silence_us;	       /* time without an answer of the host until it counts as silent */
	int fd;			       /* socket; -1: none */
	unsigned dials;		       /* sockets that it has had: a new one may get the number of the last */
	int count;		       /* users */
	bool dialled;		       /* this side is the dialler */
	bool proven;		       /* it reaches the right process: welcomed or, accepting, the hello is valid */
	bool again;		       /* it was cut and is being dialled again, or waits for the dialler */
	bool woken;		       /* the peer has requested a wakeup */
	bool more;		       /* the last step left bytes unread */
	int cuts;		       /* number of cuts since the last welcome */
	enum lifeline_state state;
	int err;	    /* errno of the end; 0: orderly close of the connection */
	int64_t since_us;   /* start of this attempt, or time of the cut */
	int64_t heard_us;   /* at the end of the connection: time of the last sign of the peer's host, or 0 */
	size_t hello_bytes; /* bytes of the hello sent or received */
	struct hello hello;
	uint8_t in[sizeof(struct wire_note)];	   /* the note being received */
	size_t in_bytes;			   /* bytes of it received so far */
	bool in_note;				   /* a note is being received */
	uint8_t out[1 + sizeof(struct wire_note)]; /* the message being sent */
	size_t out_at, out_bytes;		   /* bytes sent, and size of the message */
	struct wire_note notes[LINE_NOTES];	   /* received notes, collected by lifeline.c */
	int note_count;
	char here[SOCK_TEXT_BYTES], there[SOCK_TEXT_BYTES]; /* own and peer's address as text */
};

/* Both return NULL if out of memory. Otherwise the line owns the socket. */
struct lifeline *line_dialled(const struct lifeline_addr *addr, uint64_t id, uint64_t secret, int64_t silence_us);
struct lifeline *line_accepted(int fd, int64_t silence_us);

/* Starts a connection to l->addr. 0, also if it has failed already (see l->state), or a negative errno: no socket. */
int line_dial(struct lifeline *l);

/* Accepting side: marks the line as proven, moves it to the connection of `fresh` (or `l`), and sends the welcome. */
void line_welcome(struct lifeline *l, struct lifeline *fresh);

/* Accepting side: has the whole hello arrived? */
bool line_has_hello(const struct lifeline *l);

/* Polls the line once. Reads a bounded number of bytes. */
void line_step(struct lifeline *l);

/* Sends a byte and, for LINE_NOTE, a note (else NULL). Best effort. False: not sent. */
bool line_say(struct lifeline *l, char byte, const struct wire_note *note);
#define LINE_GOODBYE 'B'
#define LINE_WAKE    'R'
#define LINE_WELCOME 'H'
#define LINE_NOTE    'N'

/* Writes the clause of lifeline_evidence. */
void line_evidence(const struct lifeline *l, char *buf, size_t bytes);

/* Closes the socket, if any. */
void line_close(struct lifeline *l);

/* Closes the line, removes it from its list and frees it. */
void line_free(struct lifeline *l);

/* Calls look, which may free its line, for the first lines of a list, a limited number, and moves them to its end. */
void line_look_at_some(struct list *lines, void (*look)(struct lifeline *l));

#endif

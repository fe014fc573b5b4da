/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Liveness connections ("lifelines"): one idle TCP connection between two processes that share comms, which
 * detects the death of either.
 *
 * TCP is needed in addition to libfabric: most providers report nothing to a waiting receiver when its peer dies,
 * and an unanswered message is no proof of death, since a busy process does not answer either. The kernel answers
 * for a living process however busy it is, and closes the connection at once when the process ends. Keep-alives
 * detect a silent host.
 *
 *	connector                                listener
 *	  lifeline_dial(port of the handle) ---->  (kernel accepts)
 *	  sends its id, the handle's secret ---->  lifeline_find(id) finds it when the connect request
 *	                                           with the same id arrives over the fabric
 *	  the line is proven                <----  welcome
 *
 * A lifeline is counted: every comm between the two processes holds a count. The connector's last lifeline_put
 * sends a goodbye, which distinguishes an orderly end from a death. The listener keeps its end until then, because
 * a further connect may follow. A forked child closes its copies.
 *
 * A reset is no proof of death: firewalls send resets, too. The connector then dials again. A welcome continues the
 * line; a refused connection proves the death.
 *
 * Strangers may reach the listening socket. Each pass does a bounded amount of work for them, the number of unproven
 * connections is limited, and invalid bytes end a connection.
 *
 * Threads: any. One lock covers all lifelines and is never held across a blocking call. No function blocks.
 */
#ifndef WEFT_PEER_LIFELINE_H
#define WEFT_PEER_LIFELINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "peer/ident.h"
#include "wire/note.h"

/* Address at which a process listens for lifelines; part of the handle. */
struct lifeline_addr {
	int family; /* 4, 6, or 0: none */
	uint16_t port;
	uint8_t ip[16]; /* network order */
};

enum lifeline_state {
	LIFELINE_CONNECTING, /* also after a cut, until the line is opened again */
	LIFELINE_ALIVE,
	LIFELINE_CLOSED,  /* the peer sent a goodbye: it has closed its last comm to us */
	LIFELINE_DEAD,	  /* the process ended or its host is silent */
	LIFELINE_REFUSED, /* the line never reached the peer, so the peer's state is unknown */
};

struct lifeline;

/*
 * Registers the fork handlers of lifelines. A caller that uses lifelines with its own lock held, and takes that lock
 * at a fork, calls this before it registers its own handlers: the handlers registered last lock first.
 */
void lifeline_prepare(void);

/*
 * Opens (once per address) this process's listening socket at `ip` of `family`. Returns 0 with `out` filled, or a
 * negative errno; the caller decides whether to continue without a lifeline.
 */
int lifeline_listen(int family, const uint8_t ip[16], struct lifeline_addr *out);

/* Accepts hellos with this secret of a listen of this process, until lifeline_forget. 0 or -ENOMEM. */
int lifeline_expect(uint64_t secret);
void lifeline_forget(uint64_t secret);

/*
 * Returns a counted lifeline to the process `uuid` that listens at `addr` and expects `secret`: the existing one, or a
 * new one in state LIFELINE_CONNECTING. silence_us: time without an answer of the host until the line counts as dead.
 * The caller releases the count with lifeline_put. 0 or a negative errno.
 */
int lifeline_dial(const uint8_t uuid[PEER_UUID_BYTES], const struct lifeline_addr *addr, uint64_t secret,
		  int64_t silence_us, struct lifeline **out);

/* Id that the connector sends in its connect request; never 0. */
uint64_t lifeline_id(const struct lifeline *l);

/* Returns a counted lifeline that a peer has dialled, by its id; NULL: not arrived (yet). */
struct lifeline *lifeline_find(uint64_t id, int64_t silence_us);

/* Polls the line and returns its state. Makes system calls, so it is for slow paths. */
enum lifeline_state lifeline_check(struct lifeline *l);

/*
 * Sends a note and wakes the peer process to read it. Best effort; accepts NULL. Leaves the count unchanged.
 */
void lifeline_tell(struct lifeline *l, const struct wire_note *note);

/* Returns the next note of a peer with its line, counted for the caller; false: none. Each note causes a wakeup. */
bool lifeline_note(struct lifeline **out_line, struct wire_note *out);

/*
 * Describes the evidence of this lifeline about the peer, for messages: a clause with both addresses, the state, the
 * errno and the time since the last sign of its host. Accepts NULL: no lifeline. Returns buf.
 */
char *lifeline_evidence(struct lifeline *l, char *buf, size_t bytes);
#define LIFELINE_EVIDENCE_BYTES 400

/* Wakes the peer process to poll its network now (wakeup.h). Best effort; accepts NULL. */
void lifeline_wake(struct lifeline *l);

/* Releases one count. Accepts NULL. */
void lifeline_put(struct lifeline *l);

#endif

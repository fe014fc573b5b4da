/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Detection of lost messages. A provider may lose an accepted message without an error (tcp: a connection that was
 * reset, a path that drops large packets), and a lost message looks like one that was never sent. So while a comm
 * waits and nothing at all arrives from its peer, it asks the peer over the lifeline for the state of the peer's
 * half. The answer proves a loss if
 *
 *	receiving   the peer has sent the message that we wait for, or waits for its clear-to-send, which we have posted
 *	sending     the peer has posted the receive of the message in flight, or of the clear-to-send that we wait for
 *
 * and this lasts for WEFT_PEER_TIMEOUT although both sides poll. If the peer has not sent, or not posted, or does not
 * poll while messages come to it, the comm waits without limit. If the peer's half has failed or closed, the comm fails
 * soon. A receiver that closes asks, too: a peer whose half can't write any more need not confirm it (xfer/close.c).
 */
#include "comm/status.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/clock.h"
#include "base/text.h"
#include "comm/req.h"
#include "comm/window.h"

#define FIRST_ASK_US	     1000000
#define ASK_EVERY_MAX	     8000000 /* longest time between two requests for a note; the time doubles up to this */
#define FRESH_US	     1500000 /* and half of WEFT_PEER_TIMEOUT: twice the longest time between two asks, and more */
#define WANTS_US	     2000000 /* an isend that was not repeated within this time does not wait any more */
#define GONE_US		     2000000 /* time for messages to arrive after the end of the peer's half */
#define ASKS_AT_ONCE	     16	     /* questions that a close sends at a time; a mailbox holds twice as many */
#define SLOWEST_BYTES_PER_US 4	     /* of a network that carries one large message, and nothing else meanwhile */
#define POLLS_ENOUGH	     64	     /* polls between two notes that prove that the peer's application polls */

/* Is the application waiting for the clear-to-send of the next message? */
static bool wants(const struct xfer_comm *comm)
{
	return comm->watch.wants_us && comm->watch.wants_seq == comm->next_seq &&
	       clock_us() - comm->watch.wants_us < WANTS_US;
}

static void status_fill(const struct xfer_comm *comm, enum wire_note_type type, struct wire_note *out)
{
	*out = wire_note_make(type, comm->remote_ep, comm->remote_id, comm->ep->id, comm->id);
	out->next_seq = comm->next_seq;
	out->polls = comm->ep->polls;
	out->err = -comm->err;
	if (wants(comm))
		out->flags |= WIRE_NOTE_WANTS;
	if (comm_in_flight(comm))
		out->flags |= WIRE_NOTE_BUSY;
	if (!comm->ep->fab)
		out->flags |= WIRE_NOTE_NO_COMM;
}

/* The number of the oldest message or receive that is not done; false if all are done. */
static bool oldest(const struct xfer_comm *comm, uint32_t *out)
{
	const struct xfer_req *req = req_oldest(comm);

	if (req)
		*out = req->seq;
	return req;
}

/*
 * Has it stood still for too long? A message moves only when it is whole, and those of other comms of the peer may queue
 * behind it, so the largest that waits counts.
 */
static bool too_long(const struct xfer_comm *comm, int64_t us)
{
	const struct idmap *all = &comm->ep->comms;
	int64_t limit = comm->ep->conf->peer_timeout_us;
	size_t largest = 0;
	uint32_t i;

	for (i = 0; us >= limit && i < all->used; i++) {
		const struct xfer_comm *it = all->slots[i].ptr;
		const struct xfer_req *req = it && it->peer == comm->peer ? req_oldest(it) : NULL;

		if (req && req->posted > largest)
			largest = req->posted;
	}
	return us >= limit + (int64_t)(largest / SLOWEST_BYTES_PER_US);
}

/* What is missing by the peer's note, and its number. */
static enum comm_missing missing(const struct xfer_comm *comm, const struct wire_note *n, uint32_t *out_seq)
{
	bool polls = comm->watch.peer_heard && n->polls - comm->watch.peer_polls >= POLLS_ENOUGH;

	if (!polls && n->flags & WIRE_NOTE_BUSY && !(n->flags & WIRE_NOTE_WANTS))
		return MISSING_NOTHING;
	*out_seq = comm->next_seq;
	if (comm->kind == XFER_SEND && wants(comm))
		return seq_at_or_after(n->next_seq, comm->next_seq + 1) ? MISSING_CTS : MISSING_NOTHING;
	if (!oldest(comm, out_seq))
		return MISSING_NOTHING;
	if (seq_at_or_after(n->next_seq, *out_seq + 1)) /* a receiver's provider may read only when it is polled */
		return comm->kind == XFER_RECV || polls ? MISSING_MESSAGE : MISSING_NOTHING;
	return comm->kind == XFER_RECV && n->flags & WIRE_NOTE_WANTS && n->next_seq == *out_seq ? MISSING_CTS
												: MISSING_NOTHING;
}

/* Its CLOSE has arrived, but a message that it counts has not: nobody will send it again. */
static void never_arrives(struct xfer_comm *comm)
{
	char span[TEXT_DURATION_BYTES];
	uint32_t seq;

	if (comm->kind == XFER_RECV && oldest(comm, &seq) && too_long(comm, clock_us() - comm->watch.ended_us))
		comm_fail(comm, -ETIMEDOUT,
			  "receive number %" PRIu32 " has not arrived for %s although the peer had sent %" PRIu32
			  " messages when it closed its half: it failed there, or the network has lost it; limit: "
			  "WEFT_PEER_TIMEOUT",
			  seq, text_duration(clock_us() - comm->watch.ended_us, span, sizeof(span)),
			  comm->close.peer_sent);
}

/* The peer's half has ended: either its CLOSE has not arrived, or its last messages are still awaited. */
static void peer_ended(struct xfer_comm *comm, const struct wire_note *n)
{
	int64_t now = clock_us();

	if (!comm->watch.ended_us || comm->peer->moves != comm->watch.moves_seen) {
		comm->watch.ended_us = now;
		return;
	}
	if (comm->close.peer_closed) {
		never_arrives(comm);
		return;
	}
	if (now - comm->watch.ended_us < GONE_US)
		return;
	comm->stats.at->peer_err = n->err > 0 ? (uint64_t)n->err : 0;
	if (n->err)
		comm_fail(comm, -ECONNRESET, "the peer reports that its half has failed: %s", strerror(n->err));
	else
		comm_fail(
			comm, -ECONNRESET,
			"the peer reports over the lifeline that it has closed its half, but its close did not arrive");
}

/* The peer's half can't write any more. That is final, because ids of comms are not used again. */
static void no_half(struct xfer_comm *comm)
{
	if (comm->watch.no_half_us)
		return;
	comm->watch.no_half_us = clock_us();
	comm->watch.completions_no_half = comm->completions;
}

static void evaluate(struct xfer_comm *comm, const struct wire_note *n)
{
	uint32_t seq = 0;
	enum comm_missing what;

	if (n->flags & WIRE_NOTE_NO_COMM || n->err) {
		peer_ended(comm, n);
		return;
	}
	what = missing(comm, n, &seq);
	comm->watch.peer_polls = n->polls;
	comm->watch.peer_heard = true;
	comm->watch.heard_us = clock_us();
	if (what != comm->watch.missing || seq != comm->watch.missing_seq)
		comm->watch.missing_us = 0;
	comm->watch.missing = what;
	comm->watch.missing_seq = seq;
}

void status_no_comm(struct lifeline *line, const struct wire_note *n)
{
	struct wire_note out = wire_note_make(WIRE_NOTE_ANSWER, n->from_ep, n->from, n->to_ep, n->to);

	out.flags = WIRE_NOTE_NO_COMM;
	if (n->type == WIRE_NOTE_ASK)
		lifeline_tell(line, &out);
}

static void read_one(struct xfer_ep *ep, struct lifeline *line, const struct wire_note *n)
{
	struct xfer_comm *comm = idmap_get(&ep->comms, n->to);
	struct wire_note out;

	if (!comm) {
		if (n->type == WIRE_NOTE_ANSWER && n->flags & WIRE_NOTE_NO_COMM)
			ep->half_gone(ep, n->to);
		status_no_comm(line, n);
		return;
	}
	if (comm->remote_id != n->from || comm->remote_ep != n->from_ep)
		return;
	if (n->type == WIRE_NOTE_ASK) {
		status_fill(comm, WIRE_NOTE_ANSWER, &out);
		lifeline_tell(line, &out);
	}
	if (n->flags & WIRE_NOTE_NO_COMM)
		no_half(comm);
	if (!comm->err)
		evaluate(comm, n);
}

void status_read_mail(struct xfer_ep *ep)
{
	struct ep_mail m;

	while (ep_mail_take(ep, &m)) {
		read_one(ep, m.line, &m.note);
		lifeline_put(m.line);
	}
}

static void give_up(struct xfer_comm *comm)
{
	const char *noun = comm->kind == XFER_SEND ? "send" : "receive";
	char span[TEXT_DURATION_BYTES];

	if (comm->watch.missing == MISSING_MESSAGE)
		comm->watch.rail = (uint8_t)(comm->rail_of(comm, comm->watch.missing_seq) + 1);
	text_duration(comm->watch.missing_us, span, sizeof(span));
	if (comm->watch.missing == MISSING_MESSAGE)
		comm_fail(
			comm, -ETIMEDOUT,
			"%s number %" PRIu32
			" has not moved for %s although the peer is alive and reports its half: the network has lost it (a connection that was "
			"reset, a link, or an MTU mismatch); limit: WEFT_PEER_TIMEOUT",
			noun, comm->watch.missing_seq, span);
	else
		comm_fail(
			comm, -ETIMEDOUT,
			"the clear-to-send of %s number %" PRIu32
			" has been missing for %s although the peer is alive and reports its half: the network has lost it; limit: "
			"WEFT_PEER_TIMEOUT",
			noun, comm->watch.missing_seq, span);
}

static void status_ask(struct xfer_comm *comm, int64_t now)
{
	struct wire_note n;
	int64_t every_us = now - comm->watch.still_since_us, most_us = comm->ep->conf->peer_timeout_us / 4;

	if (most_us > ASK_EVERY_MAX)
		most_us = ASK_EVERY_MAX;
	if (every_us > most_us)
		every_us = most_us;
	comm->watch.ask_us = now + (every_us > FIRST_ASK_US ? every_us : FIRST_ASK_US);
	status_fill(comm, WIRE_NOTE_ASK, &n);
	lifeline_tell(comm->watch.line, &n);
}

/* Does a close of comm depend on the state of this half, too? Many comms of a peer often end together. */
static bool ends_with(const struct xfer_comm *it, const struct xfer_comm *comm)
{
	return it && it->kind == XFER_RECV && it->peer == comm->peer && it->remote_id && it->watch.line &&
	       !it->watch.no_half_us && req_oldest(it);
}

void status_ask_end(struct xfer_comm *comm)
{
	const struct idmap *all = &comm->ep->comms;
	struct wire_note n;
	uint32_t i;
	int asked = 0;

	for (i = 0; i < all->used && asked < ASKS_AT_ONCE; i++) {
		struct xfer_comm *it = all->slots[i].ptr;

		if (it == comm || !ends_with(it, comm))
			continue;
		status_fill(it, WIRE_NOTE_ASK, &n);
		lifeline_tell(it->watch.line, &n);
		asked++;
	}
	if (ends_with(comm, comm)) {
		status_fill(comm, WIRE_NOTE_ASK, &n);
		lifeline_tell(comm->watch.line, &n);
	}
}

/* Is the last note recent? A peer that has fallen silent proves nothing more: its lifeline tells what became of it. */
static bool is_fresh(const struct xfer_comm *comm, int64_t now)
{
	return now - comm->watch.heard_us < FRESH_US + comm->ep->conf->peer_timeout_us / 2;
}

void status_idle(struct xfer_comm *comm, int64_t now, int64_t passed_us)
{
	struct comm_watch *w = &comm->watch;

	if (w->wants) {
		w->wants = false;
		w->wants_us = now;
		w->wants_seq = comm->next_seq;
	}
	if (!w->line || !comm->remote_id || comm->err)
		return;
	if (comm->peer->moves != w->moves_seen || !w->still_since_us) {
		w->moves_seen = comm->peer->moves;
		w->still_since_us = now;
		w->ask_us = now + FIRST_ASK_US;
		w->missing = MISSING_NOTHING;
		w->peer_heard = false;
		w->missing_us = w->ended_us = 0;
		return;
	}
	if (w->ended_us)
		w->ended_us += passed_us - comm_watched_us(passed_us);
	if (w->missing != MISSING_NOTHING && is_fresh(comm, now))
		w->missing_us += comm_watched_us(passed_us);
	if (too_long(comm, w->missing_us))
		give_up(comm);
	else if (now >= w->ask_us)
		status_ask(comm, now);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "observe/blame.h"
#include "observe/judge.h"

/* The process of this host that is the peer, or NULL. */
static struct process_view *process_of(const struct view *v, const struct peer_view *peer)
{
	size_t i;

	for (i = 0; peer->pid && i < v->count; i++) {
		const struct weft_stats_head *h = &v->processes[i].record->head;

		if (h->pid == peer->pid && !strcmp(h->host, peer->host))
			return &v->processes[i];
	}
	return NULL;
}

/* Whom else than `asker` the process waits for: its gravest peer, or NULL: it is the end of the chain. */
static const struct peer_view *waits_for(const struct process_view *p, const struct process_view *asker)
{
	const struct weft_stats_head *h = &asker->record->head;
	size_t i;

	if (verdict_is_trouble(&p->verdict))
		return NULL;
	for (i = 0; i < p->peer_count; i++) {
		const struct peer_view *peer = &p->peers[i];

		if (peer->verdict.cause != CAUSE_BEHIND && !verdict_is_trouble(&peer->verdict))
			continue;
		if (peer->pid != h->pid || strcmp(peer->host, h->host) || peer->verdict.cause == CAUSE_NETWORK_SLOW)
			return peer;
	}
	return NULL;
}

/* Does the chain from `asker` over `p` end? A circle of processes that wait for each other has no end. */
static bool chain_ends(const struct view *v, const struct process_view *asker, const struct process_view *p)
{
	const struct process_view *first = asker;
	const struct peer_view *next;
	size_t steps;

	for (steps = 0; steps <= v->count; steps++) {
		next = waits_for(p, asker);
		if (!next)
			return true;
		asker = p;
		p = process_of(v, next);
		if (!p || p == asker || next->verdict.cause == CAUSE_NETWORK_SLOW)
			return true;
		if (p == first)
			return false;
	}
	return false;
}

static bool can_be_behind(enum cause cause)
{
	return cause == CAUSE_SENDER_LATE || cause == CAUSE_RECEIVER_LATE || cause == CAUSE_STUCK ||
	       cause == CAUSE_UNANSWERED;
}

/* The other half of the connections to `asker`, or NULL. */
static struct peer_view *other_half(const struct process_view *p, const struct process_view *asker,
				    enum weft_stats_direction direction)
{
	const struct weft_stats_head *h = &asker->record->head;
	size_t i;

	for (i = 0; i < p->peer_count; i++)
		if (p->peers[i].pid == h->pid && p->peers[i].direction == direction &&
		    !strcmp(p->peers[i].host, h->host))
			return &p->peers[i];
	return NULL;
}

static void say_both_wait(struct verdict *v)
{
	v->cause = CAUSE_BOTH_WAIT;
	snprintf(v->text, sizeof(v->text), "both sides wait: busy cores, or a slow network");
}

/* A late receiver would find the data there; if it waits as well, its clear-to-send is what is late. */
static void acquit_both(const struct view *v, const struct process_view *p, struct peer_view *peer)
{
	const struct process_view *other = process_of(v, peer);
	struct peer_view *theirs;

	if (peer->direction != WEFT_STATS_SEND || peer->verdict.cause != CAUSE_RECEIVER_LATE || !other)
		return;
	theirs = other_half(other, p, WEFT_STATS_RECV);
	if (!theirs || !theirs->starved ||
	    (theirs->verdict.cause != CAUSE_SENDER_LATE && theirs->verdict.cause != CAUSE_FINE))
		return;
	say_both_wait(&theirs->verdict);
	say_both_wait(&peer->verdict);
}

/* What looks like a late peer or a slow network may be the peer's wait for a core. */
static void acquit_busy(const struct view *v, const struct process_view *p, struct peer_view *peer)
{
	struct process_view *other = process_of(v, peer);
	struct verdict *said = &peer->verdict;
	bool late = said->cause == CAUSE_SENDER_LATE || said->cause == CAUSE_RECEIVER_LATE,
	     slow = said->cause == CAUSE_NETWORK_SLOW && !said->nic;
	double rate = peer->message_rate > 1 ? peer->message_rate : 1;

	if (!other || other == p || (!late && !slow))
		return;
	if (late ? said->share - core_explains(p, rate) - core_explains(other, rate) >= LATE_SHARE
		 : other->core_share < CORE_SHARE)
		return;
	other->held_up = true;
	said->cause = CAUSE_BEHIND;
	said->share = other->core_share;
	snprintf(said->text, sizeof(said->text), "held up: the peer waits for a core %.0f %% of the time",
		 100 * other->core_share);
}

/* The peer's NIC is down, and the peer says so: its connections to us are slow, do not move, or have failed. */
static void acquit_railless(const struct view *v, const struct process_view *p, struct peer_view *peer)
{
	const struct process_view *other = process_of(v, peer);
	enum cause cause = peer->verdict.cause;
	bool slow = cause == CAUSE_NETWORK_SLOW && !peer->verdict.nic;
	const struct peer_view *theirs;

	if (!other || (!can_be_behind(cause) && !slow && cause != CAUSE_FAILED && cause != CAUSE_PEER_GONE))
		return;
	theirs = other_half(other, p, peer->direction == WEFT_STATS_SEND ? WEFT_STATS_RECV : WEFT_STATS_SEND);
	if (!theirs || theirs->verdict.cause != CAUSE_RAIL_DOWN)
		return;
	peer->verdict.cause = CAUSE_BEHIND;
	snprintf(peer->verdict.text, sizeof(peer->verdict.text), "waits for a peer whose NIC %.63s is down",
		 theirs->verdict.nic ? theirs->verdict.nic : "");
}

static void deny_death(const struct view *v, struct peer_view *peer)
{
	const struct process_view *other = process_of(v, peer);

	if (peer->verdict.cause != CAUSE_PEER_GONE || peer->verdict.told || !other ||
	    other->record->life == RECORD_DEAD || other->record->life == RECORD_FINISHED)
		return;
	peer->verdict.cause = CAUSE_FAILED;
	snprintf(peer->verdict.text, sizeof(peer->verdict.text), "connection failed, although the peer lives");
}

static void follow(const struct view *v, const struct process_view *p, struct peer_view *peer)
{
	const struct process_view *other = can_be_behind(peer->verdict.cause) ? process_of(v, peer) : NULL;
	const struct peer_view *next;

	if (!other || other == p)
		return;
	next = waits_for(other, p);
	if (!next || !chain_ends(v, p, other))
		return;
	peer->verdict.cause = CAUSE_BEHIND;
	if (next->verdict.cause == CAUSE_NETWORK_SLOW)
		snprintf(peer->verdict.text, sizeof(peer->verdict.text), "waits for a peer whose network is slow");
	else
		snprintf(peer->verdict.text, sizeof(peer->verdict.text),
			 "waits for a peer that waits for %.40s:%" PRIu64, next->host, next->pid);
}

void blame_follow(struct view *v)
{
	size_t i, j;

	for (i = 0; i < v->count; i++)
		for (j = 0; j < v->processes[i].peer_count; j++) {
			acquit_busy(v, &v->processes[i], &v->processes[i].peers[j]);
			acquit_railless(v, &v->processes[i], &v->processes[i].peers[j]);
			acquit_both(v, &v->processes[i], &v->processes[i].peers[j]);
			deny_death(v, &v->processes[i].peers[j]);
		}
	for (i = 0; i < v->count; i++)
		judge_busy(&v->processes[i]);
	for (i = 0; i < v->count; i++)
		for (j = 0; j < v->processes[i].peer_count; j++)
			follow(v, &v->processes[i], &v->processes[i].peers[j]);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Grouped receives: up to WIRE_GROUP_MAX buffers in one receive, met by the sender's messages in any order,
 * each by its tag.
 *
 *	receiver                                       sender
 *	  first group, number k   -- groups k ----->   no message from k on goes eagerly any more
 *	                          <-- ready m -----    messages sent so far
 *	  those from k on have come: they go to the
 *	  oldest places of their tags
 *	  irecv of n, number g    -- clear group g -->  kept in groups[g % window]
 *	                                               isend: the place of its tag in the current group
 *	  (g, place) has come     <----
 *	  all have: done                               all have been sent: group g + 1 is current
 *
 * The first receive of several, or with another tag than those before, begins groups. From there on every
 * receive of the channel is a group, if only of one, and numbers count groups. A group goes to the sender when
 * its parts are posted and everything that was eager is accounted for. The messages of a group go whole, each
 * over one rail: the place stands where the stripe's number would. A group is a request of its own, with a
 * request for each part.
 *
 * On the tagged wire nothing is eager, so no question is asked.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "xfer/internal.h"

/* The receiver's side. */
struct group_recv {
	struct list link; /* in port->grouping while `waiting` is not empty */
	struct xfer_chan *chan;
	struct list waiting; /* groups that the sender has not been told of */
	uint32_t first;	     /* number of the first group */
	bool ready;	     /* the sender has said ... */
	uint32_t sent;	     /* ... how many messages it had sent */
	uint32_t here;	     /* eager messages from first to here have come ... */
	unsigned unplaced;   /* ... and so many have not found their place */
	struct xfer_req *at[WIRE_WINDOW][WIRE_GROUP_MAX];
};

/* The sender's side: what has been cleared. */
struct group_clear {
	bool valid;
	uint8_t n, used; /* places, and those whose messages are sent, a bit each */
	uint32_t seq;
	struct wire_sub subs[WIRE_GROUP_MAX];
};

/* --- sending --- */

void group_begin(struct xfer_chan *chan, const struct wire_ctrl *msg)
{
	if (chan->kind != XFER_SEND || chan->grouped)
		return;
	chan->grouped = true;
	chan->grouped_from = msg->seq;
	if (chan->remote_id) /* else the message has overtaken the connect response */
		group_answer(chan);
}

void group_answer(struct xfer_chan *chan)
{
	struct wire_ctrl ready;

	wire_ctrl_init(&ready, WIRE_GROUPS_READY, chan->remote_id, chan->id);
	ready.seq = chan->next_seq;
	if (ctrl_send(chan->port, chan->peer, chan, &ready))
		chan_fail(chan, -ENOMEM, "no memory to answer the first grouped receive");
	if (seq_at_or_after(chan->next_seq, chan->grouped_from))
		chan->next_seq = chan->grouped_from;
}

void group_cleared(struct xfer_chan *chan, const struct wire_group *msg)
{
	struct group_clear *g;

	if (chan->kind == XFER_SEND && !chan->groups)
		chan->groups = calloc(WIRE_WINDOW, sizeof(*chan->groups));
	g = chan->groups ? &chan->groups[msg->ctrl.seq % WIRE_WINDOW] : NULL;
	if (!g || g->valid || (uint32_t)(msg->ctrl.seq - chan->next_seq) >= WIRE_WINDOW) {
		chan_fail(chan, g || chan->kind == XFER_RECV ? -EPROTO : -ENOMEM,
			  "the clear-to-send of group number %" PRIu32 " is out of place", msg->ctrl.seq);
		return;
	}
	g->valid = true;
	g->seq = msg->ctrl.seq;
	g->n = wire_group_count(msg);
	g->used = wire_group_taken(msg);
	memcpy(g->subs, msg->subs, g->n * sizeof(g->subs[0]));
}

static bool all_used(const struct group_clear *g)
{
	return g->used == (1u << g->n) - 1;
}

/* The group whose messages are sent now, or NULL when it is not known yet. */
static struct group_clear *current(struct xfer_chan *chan)
{
	for (;;) {
		struct group_clear *g = &chan->groups[chan->next_seq % WIRE_WINDOW];

		if (!g->valid || g->seq != chan->next_seq)
			return NULL;
		if (!all_used(g))
			return g;
		g->valid = false;
		chan->next_seq++;
	}
}

bool group_place(struct xfer_chan *chan, uint32_t tag, struct wire_clear *out, uint8_t *out_place)
{
	struct group_clear *g = current(chan);
	unsigned i;

	for (i = 0; g && i < g->n; i++) {
		const struct wire_sub *sub = &g->subs[i];

		if (g->used >> i & 1 || sub->tag != tag)
			continue;
		out->addr = sub->addr;
		out->len = sub->len;
		out->keys = sub->keys;
		*out_place = (uint8_t)i;
		return true;
	}
	return false;
}

void group_sent(struct xfer_chan *chan, uint8_t place)
{
	struct group_clear *g = &chan->groups[chan->next_seq % WIRE_WINDOW];

	g->used |= (uint8_t)(1u << place);
	current(chan);
}

uint8_t group_sent_places(const struct xfer_chan *chan)
{
	const struct group_clear *g = chan->groups ? &chan->groups[chan->next_seq % WIRE_WINDOW] : NULL;

	return g && g->valid && g->seq == chan->next_seq ? g->used : 0;
}

/* --- receiving --- */

static int open_groups(struct xfer_chan *chan)
{
	struct group_recv *g = calloc(1, sizeof(*g));
	struct wire_ctrl msg;

	if (!g)
		return -ENOMEM;
	list_init(&g->link);
	list_init(&g->waiting);
	g->chan = chan;
	g->first = g->here = chan->next_seq;
	if (chan->rma && !chan->peer_closed) {
		wire_ctrl_init(&msg, WIRE_GROUPS, chan->remote_id, chan->id);
		msg.seq = g->first;
		if (ctrl_send(chan->port, chan->peer, chan, &msg)) {
			free(g);
			return -ENOMEM;
		}
	}
	chan->grp = g;
	if (chan->peer_closed)
		group_closed(chan);
	else if (!chan->rma)
		group_ready(chan, g->first);
	return 0;
}

void group_close(struct xfer_chan *chan)
{
	if (chan->grp) {
		list_remove(&chan->grp->link);
		while (!list_empty(&chan->grp->waiting))
			req_drop(chan, owner_of(chan->grp->waiting.next, struct xfer_req, link));
	}
	free(chan->grp);
	free(chan->groups);
}

uint32_t group_first(const struct xfer_chan *chan)
{
	return chan->grp ? chan->grp->first : chan->next_seq;
}

void group_ready(struct xfer_chan *chan, uint32_t sent)
{
	struct group_recv *g = chan->grp;

	if (!g || g->ready)
		return;
	g->ready = true;
	g->sent = sent;
	group_progress(chan);
	chan_fin(chan);
}

bool group_whole_sent(const struct xfer_chan *chan, uint32_t *out)
{
	*out = chan->grp ? chan->grp->sent : chan->peer_sent;
	return !chan->grp || chan->grp->ready;
}

void group_closed(struct xfer_chan *chan)
{
	uint32_t sent = chan->peer_sent;

	if (seq_at_or_after(sent, chan->grp->first))
		chan->peer_sent = chan->grp->first; /* it sent no group */
	group_ready(chan, sent);
}

/* Does number seq have a place among what is on its way? */
static bool place_free(const struct xfer_chan *chan, uint32_t seq)
{
	unsigned i, at = seq % WIRE_WINDOW;

	if (chan->rma && chan->rma->at[at])
		return false;
	for (i = 0; i < WIRE_GROUP_MAX; i++)
		if (chan->grp->at[at][i])
			return false;
	return true;
}

struct xfer_req *group_find(const struct xfer_chan *chan, uint64_t imm)
{
	struct xfer_req *req = chan->grp ? chan->grp->at[wire_imm_place(imm)][wire_imm_stripe(imm)] : NULL;

	return req && wire_imm_is(imm, req->seq) ? req : NULL;
}

bool group_forget(struct xfer_req *part)
{
	struct xfer_req **at = &part->chan->grp->at[part->seq % WIRE_WINDOW][part->place];

	if (*at != part)
		return false;
	*at = NULL;
	return true;
}

static int post_part(struct xfer_req *part)
{
	struct xfer_chan *chan = part->chan;
	int ret = chan->rma ? rma_expect(chan) : chan->wire->recv(part);

	if (!ret)
		chan->grp->at[part->seq % WIRE_WINDOW][part->place] = part;
	return ret;
}

/* Have all eager messages that belong into groups come? */
static bool all_eager_here(const struct xfer_chan *chan)
{
	struct group_recv *g = chan->grp;

	if (!g->ready)
		return false;
	for (; seq_at_or_after(g->sent, g->here + 1); g->here++, g->unplaced++)
		if (!eager_here(chan, g->here))
			return false;
	return true;
}

/* The oldest eager message that part may take goes there. False: there is none. */
static bool take_eager(struct xfer_req *part)
{
	struct group_recv *g = part->chan->grp;
	uint32_t seq;

	for (seq = g->first; g->unplaced && seq_at_or_after(g->sent, seq + 1); seq++)
		if (eager_give(part, seq)) {
			g->unplaced--;
			return true;
		}
	return false;
}

/* Everything eager is here: places it, and tells the sender of the rest. */
static void tell_sender(struct xfer_req *group)
{
	struct xfer_chan *chan = group->chan;
	struct wire_group msg;
	unsigned i, taken = 0, n = group->parts;

	memset(&msg, 0, sizeof(msg));
	wire_ctrl_init(&msg.ctrl, WIRE_CLEAR_GROUP, chan->remote_id, chan->id);
	msg.ctrl.seq = group->seq;
	for (i = 0; i < n; i++) {
		struct xfer_req *part = group->part[i];

		msg.subs[i].tag = part->tag;
		msg.subs[i].len = part->posted;
		if (chan->rma)
			rma_fill_sub(&msg.subs[i], part);
		if (take_eager(part))
			taken |= 1u << i;
	}
	msg.ctrl.len = wire_group_len(n, taken);
	if (!chan->peer_closed && ctrl_send(chan->port, chan->peer, chan, &msg.ctrl))
		chan_fail(chan, -ENOMEM, "no memory for a clear-to-send");
}

static int post_parts(struct xfer_req *group)
{
	int ret = 0;

	while (group->posted_parts < group->parts && !ret) {
		ret = post_part(group->part[group->posted_parts]);
		if (!ret)
			group->posted_parts++;
	}
	return ret;
}

/* Groups go to the sender in their order, as soon as nothing stands against it. */
void group_progress(struct xfer_chan *chan)
{
	struct group_recv *g = chan->grp;
	struct list *it, *tmp;

	list_each (&g->waiting, it, tmp) {
		struct xfer_req *group = owner_of(it, struct xfer_req, link);
		int ret = chan->err ? chan->err : post_parts(group);

		if (ret && ret != -EAGAIN)
			chan_fail(chan, ret, "receive number %" PRIu32 " was refused", group->seq);
		if (ret || !all_eager_here(chan))
			break;
		list_remove(&group->link);
		list_append(&chan->groups_out, &group->link);
		tell_sender(group);
	}
	if (list_empty(&g->waiting) || chan->err)
		list_remove(&g->link);
	else if (list_empty(&g->link))
		list_append(&chan->port->grouping, &g->link);
}

void groups_progress(struct xfer_port *port)
{
	struct list *it, *tmp;

	list_each (&port->grouping, it, tmp)
		group_progress(owner_of(it, struct group_recv, link)->chan);
}

static void drop(struct xfer_chan *chan, struct xfer_req *group)
{
	unsigned i;

	for (i = 0; i < group->parts; i++)
		req_drop(chan, group->part[i]);
	req_drop(chan, group);
}

static struct xfer_req *group_new(struct xfer_chan *chan, int n, const struct xfer_sub subs[])
{
	struct xfer_req *group = req_new(chan, NULL, 0, NULL);

	if (!group)
		return NULL;
	list_remove(&group->link);
	group->posted_parts = 0;
	for (group->parts = 0; group->parts < n; group->parts++) {
		const struct xfer_sub *sub = &subs[group->parts];
		struct xfer_req *part = req_new(chan, sub->buf, sub->len, sub->region);

		if (!part) {
			drop(chan, group);
			return NULL;
		}
		part->group = group;
		part->tag = sub->tag;
		part->place = group->parts;
		group->part[group->parts] = part;
	}
	group->left = group->parts;
	return group;
}

int group_recv(struct xfer_chan *chan, int n, const struct xfer_sub subs[], struct xfer_req **out)
{
	int ret = chan->grp ? 0 : open_groups(chan);
	struct xfer_req *group;

	if (ret)
		return ret;
	if (!place_free(chan, chan->next_seq))
		return -EAGAIN;
	group = group_new(chan, n, subs);
	if (!group)
		return -ENOMEM;
	if (list_empty(&chan->grp->waiting))
		ret = post_parts(group);
	if (ret && !group->posted_parts) {
		drop(chan, group);
		return ret;
	}
	if (ret && ret != -EAGAIN) /* else it is under way: the rest is posted as room comes */
		chan_fail(chan, ret, "receive number %" PRIu32 " was refused", group->seq);
	list_append(&chan->grp->waiting, &group->link);
	*out = group;
	return 0;
}

bool group_was_sent(uint32_t seq, uint8_t place, uint32_t sent, uint8_t places)
{
	return !seq_at_or_after(seq, sent) || (seq == sent && place != REQ_WHOLE && places >> place & 1);
}

bool group_comes(const struct xfer_req *req)
{
	const struct xfer_chan *chan = req->chan;

	if (chan->lost && req->seq == chan->lost_seq && !req->group)
		return false;
	return group_was_sent(req->seq, req->place, chan->peer_sent, chan->peer_places);
}

void group_part_done(struct xfer_req *part)
{
	struct xfer_req *group = part->group;

	group_forget(part);
	if (part->err && !group->err)
		group->err = part->err;
	if (!--group->left)
		group->done = true;
}

int group_take(struct xfer_req *group, size_t out_lens[])
{
	int i, n = group->parts;

	for (i = 0; i < n; i++)
		out_lens[i] = group->part[i]->len;
	drop(group->chan, group);
	return n;
}

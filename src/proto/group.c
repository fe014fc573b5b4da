/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Grouped receives: up to WIRE_GROUP_MAX buffers in one receive. The sender's messages may come in any order; each goes
 * to the buffer with its tag.
 *
 *	receiver                                       sender
 *	  first group, number k   -- groups k ----->   no message from k on is sent eagerly any more
 *	                          <-- ready m -----    m: number of messages sent so far
 *	  eager messages from k on are moved into
 *	  the oldest parts with their tags
 *	  irecv of n, number g    -- cts group g -->   kept in groups[g % window]
 *	                                               isend: the part with its tag in the current group
 *	  (g, part) arrives       <----
 *	  all parts: done                              all parts sent: group g + 1 is current
 *
 * Groups begin with the first receive that has several buffers, or another tag than the receives before. From then on
 * every receive of the comm is a group, even with one buffer, and numbers count groups. The receiver sends the
 * clear-to-send of a group when the parts are posted and all eager messages are accounted for. Each message of a group
 * takes one rail, unstriped: the index of the part replaces the number of the stripe. A group is a request of its own,
 * with a request for each part.
 *
 * The tagged protocol has no eager messages, so it skips the exchange of groups and ready.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "comm/account.h"
#include "proto/eager.h"
#include "proto/group.h"
#include "proto/proto.h"

/* The sending half: the clear-to-send of one group. */
struct group_cts {
	bool valid;
	uint8_t n, used; /* number of parts, and bit mask of those whose messages have been sent */
	uint32_t seq;
	struct wire_sub subs[WIRE_GROUP_MAX];
};

/* --- sending --- */

void group_begin(struct xfer_comm *comm, const struct wire_ctrl *msg)
{
	if (comm->kind != XFER_SEND || comm->tx.grouped)
		return;
	comm->tx.grouped = true;
	comm->tx.grouped_from = msg->seq;
	if (comm->remote_id) /* otherwise the message has overtaken the connect response */
		group_answer(comm);
}

void group_answer(struct xfer_comm *comm)
{
	struct wire_ctrl ready;
	int ret;

	wire_ctrl_init(&ready, WIRE_GROUPS_READY, comm->remote_id, comm->id);
	ready.seq = comm->next_seq;
	ret = comm_send_ctrl(comm, &ready);
	if (ret)
		comm_fail(comm, ret, "the first grouped receive cannot be answered");
	if (seq_at_or_after(comm->next_seq, comm->tx.grouped_from))
		comm->next_seq = comm->tx.grouped_from;
}

void group_cts_arrived(struct xfer_comm *comm, const struct wire_group *msg)
{
	struct group_cts *g;

	if (comm->kind == XFER_SEND && !comm->tx.groups)
		comm->tx.groups = calloc(WIRE_WINDOW, sizeof(*comm->tx.groups));
	g = comm->tx.groups ? &comm->tx.groups[msg->ctrl.seq % WIRE_WINDOW] : NULL;
	if (!g || g->valid || (uint32_t)(msg->ctrl.seq - comm->next_seq) >= WIRE_WINDOW) {
		comm_fail(comm, g || comm->kind == XFER_RECV ? -EPROTO : -ENOMEM,
			  "the clear-to-send of group number %" PRIu32 " is out of place", msg->ctrl.seq);
		return;
	}
	g->valid = true;
	g->seq = msg->ctrl.seq;
	g->n = wire_group_count(msg);
	g->used = wire_group_taken(msg);
	memcpy(g->subs, msg->subs, g->n * sizeof(g->subs[0]));
}

static bool all_used(const struct group_cts *g)
{
	return g->used == (1u << g->n) - 1;
}

/* The group whose messages are sent now, or NULL if its clear-to-send has not arrived. */
static struct group_cts *current(struct xfer_comm *comm)
{
	for (;;) {
		struct group_cts *g = &comm->tx.groups[comm->next_seq % WIRE_WINDOW];

		if (!g->valid || g->seq != comm->next_seq)
			return NULL;
		if (!all_used(g))
			return g;
		g->valid = false;
		comm->next_seq++;
	}
}

bool group_cts_is_here(struct xfer_comm *comm)
{
	return current(comm);
}

bool group_sub(struct xfer_comm *comm, uint32_t tag, struct wire_cts *out, uint8_t *out_sub)
{
	struct group_cts *g = current(comm);
	unsigned i;

	for (i = 0; g && i < g->n; i++) {
		const struct wire_sub *sub = &g->subs[i];

		if (g->used >> i & 1 || sub->tag != tag)
			continue;
		out->addr = sub->addr;
		out->len = sub->len;
		out->keys = sub->keys;
		*out_sub = (uint8_t)i;
		return true;
	}
	return false;
}

void group_sent(struct xfer_comm *comm, uint8_t sub_index)
{
	struct group_cts *g = &comm->tx.groups[comm->next_seq % WIRE_WINDOW];

	g->used |= (uint8_t)(1u << sub_index);
	comm->tx.only_groups = true;
	current(comm);
}

uint8_t group_sent_subs(const struct xfer_comm *comm)
{
	const struct group_cts *g = comm->tx.groups ? &comm->tx.groups[comm->next_seq % WIRE_WINDOW] : NULL;

	return g && g->valid && g->seq == comm->next_seq ? g->used : 0;
}

/* --- receiving --- */

static void group_again(struct pending *p)
{
	group_progress(container_of(p, struct group_recv, retry)->comm);
}

static int open_groups(struct xfer_comm *comm)
{
	struct group_recv *g = calloc(1, sizeof(*g));
	struct wire_ctrl msg;
	int ret;

	if (!g)
		return -ENOMEM;
	list_init(&g->retry.link);
	g->retry.retry = group_again;
	list_init(&g->waiting);
	g->comm = comm;
	g->first = g->arrived = comm->next_seq;
	if (comm->proto->eager && !comm->close.peer_closed) {
		wire_ctrl_init(&msg, WIRE_GROUPS, comm->remote_id, comm->id);
		msg.seq = g->first;
		ret = comm_send_ctrl(comm, &msg);
		if (ret) {
			free(g);
			return ret;
		}
	}
	comm->rx.grp = g;
	comm->has_tag = false; /* no receive is plain any more */
	if (comm->close.peer_closed)
		group_closed(comm);
	else if (!comm->proto->eager)
		group_ready(comm, g->first);
	return 0;
}

void group_close(struct xfer_comm *comm)
{
	if (comm->rx.grp) {
		list_remove(&comm->rx.grp->retry.link);
		while (!list_empty(&comm->rx.grp->waiting))
			req_drop(comm, container_of(comm->rx.grp->waiting.next, struct xfer_req, link));
	}
	free(comm->rx.grp);
	free(comm->tx.groups);
}

void group_ready(struct xfer_comm *comm, uint32_t sent)
{
	struct group_recv *g = comm->rx.grp;

	if (!g || g->ready)
		return;
	g->ready = true;
	g->sent = sent;
	group_progress(comm);
	if (comm->close.ack_due)
		comm_kick(comm);
}

void group_closed(struct xfer_comm *comm)
{
	uint32_t sent = comm->close.peer_sent;

	if (seq_at_or_after(sent, comm->rx.grp->first))
		comm->close.peer_sent = comm->rx.grp->first; /* the peer sent no group */
	group_ready(comm, sent);
}

/* Is a slot of the window free for number seq? */
static bool group_slot_free(const struct xfer_comm *comm, uint32_t seq)
{
	unsigned i, at = seq % WIRE_WINDOW;

	if (!comm->proto->slot_free(comm, seq))
		return false;
	for (i = 0; i < WIRE_GROUP_MAX; i++)
		if (comm->rx.grp->at[at][i])
			return false;
	return true;
}

static int post_part(struct xfer_req *part)
{
	struct xfer_comm *comm = part->comm;
	int ret = comm->proto->recv_part(part);

	if (!ret)
		comm->rx.grp->at[part->seq % WIRE_WINDOW][part->sub_index] = part;
	return ret;
}

/* Have all eager messages arrived that belong to groups? */
static bool all_eager_arrived(const struct xfer_comm *comm)
{
	struct group_recv *g = comm->rx.grp;

	if (!g->ready)
		return false;
	for (; seq_at_or_after(g->sent, g->arrived + 1); g->arrived++, g->unplaced++)
		if (!eager_is_kept(comm->rx.rma, g->arrived))
			return false;
	return true;
}

/* Moves the oldest matching eager message into the part; false if there is none. */
static bool take_eager(struct xfer_req *part)
{
	struct group_recv *g = part->comm->rx.grp;
	uint32_t seq;

	for (seq = g->first; g->unplaced && seq_at_or_after(g->sent, seq + 1); seq++)
		if (eager_give(part, seq)) {
			g->unplaced--;
			return true;
		}
	return false;
}

/* All eager messages have arrived: moves them into the group, and sends the clear-to-send for the rest. */
static void send_group_cts(struct xfer_req *group)
{
	struct xfer_comm *comm = group->comm;
	struct wire_group msg;
	unsigned i, taken = 0, n = group->parts;
	int ret;

	memset(&msg, 0, sizeof(msg));
	wire_ctrl_init(&msg.ctrl, WIRE_GROUP_CTS, comm->remote_id, comm->id);
	msg.ctrl.seq = group->seq;
	for (i = 0; i < n; i++) {
		struct xfer_req *part = group->part[i];

		msg.subs[i].tag = part->tag;
		msg.subs[i].len = part->posted;
		comm->proto->fill_sub(&msg.subs[i], part);
		if (take_eager(part))
			taken |= 1u << i;
	}
	msg.ctrl.len = wire_group_len(n, taken);
	ret = comm->close.peer_closed ? 0 : comm_send_ctrl(comm, &msg.ctrl);
	if (ret)
		comm_fail(comm, ret, "a clear-to-send cannot be sent");
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

/* Sends the clear-to-sends of groups in order, as soon as possible. */
void group_progress(struct xfer_comm *comm)
{
	struct group_recv *g = comm->rx.grp;
	struct list *it, *tmp;

	list_each (&g->waiting, it, tmp) {
		struct xfer_req *group = container_of(it, struct xfer_req, link);
		int ret = comm->err ? comm->err : post_parts(group);

		if (ret && ret != -EAGAIN)
			comm_fail(comm, ret, "receive number %" PRIu32 " was refused", group->seq);
		if (ret || !all_eager_arrived(comm))
			break;
		list_remove(&group->link);
		list_append(&comm->rx.groups_out, &group->link);
		send_group_cts(group);
	}
	if (list_empty(&g->waiting) || comm->err)
		list_remove(&g->retry.link);
	else
		pending_add(comm->ep, &g->retry);
}

static void group_drop(struct xfer_comm *comm, struct xfer_req *group)
{
	unsigned i;

	for (i = 0; i < group->parts; i++)
		req_drop(comm, group->part[i]);
	req_drop(comm, group);
}

static struct xfer_req *group_new(struct xfer_comm *comm, int n, const struct xfer_sub subs[])
{
	struct xfer_req *group = req_new(comm, NULL, 0, NULL);

	if (!group)
		return NULL;
	list_remove(&group->link);
	group->posted_parts = 0;
	for (group->parts = 0; group->parts < n; group->parts++) {
		const struct xfer_sub *sub = &subs[group->parts];
		struct xfer_req *part = req_new(comm, sub->buf, sub->len, sub->region);

		if (!part) {
			group_drop(comm, group);
			return NULL;
		}
		part->group = group;
		account_receive(part);
		part->tag = sub->tag;
		part->sub_index = group->parts;
		group->part[group->parts] = part;
	}
	group->left = group->parts;
	return group;
}

int group_recv(struct xfer_comm *comm, int n, const struct xfer_sub subs[], struct xfer_req **out)
{
	int ret = comm->rx.grp ? 0 : open_groups(comm);
	struct xfer_req *group;

	if (ret)
		return ret;
	if (!group_slot_free(comm, comm->next_seq))
		return -EAGAIN;
	group = group_new(comm, n, subs);
	if (!group)
		return -ENOMEM;
	if (list_empty(&comm->rx.grp->waiting))
		ret = post_parts(group);
	if (ret && !group->posted_parts) {
		group_drop(comm, group);
		return ret;
	}
	if (ret && ret != -EAGAIN) /* on -EAGAIN the remaining parts are posted later */
		comm_fail(comm, ret, "receive number %" PRIu32 " was refused", group->seq);
	list_append(&comm->rx.grp->waiting, &group->link);
	*out = group;
	return 0;
}

int group_take(struct xfer_req *group, size_t out_lens[])
{
	int i, n = group->parts;

	for (i = 0; i < n; i++)
		out_lens[i] = group->part[i]->len;
	group_drop(group->comm, group);
	return n;
}

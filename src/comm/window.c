/* SPDX-License-Identifier: Apache-2.0 */
/* The receive window: finds and forgets receives by number, and reserves their room in the completion queues. */
#include "comm/window.h"

uint32_t group_first(const struct xfer_comm *comm)
{
	return comm->rx.grp ? comm->rx.grp->first : comm->next_seq;
}

bool group_whole_sent(const struct xfer_comm *comm, uint32_t *out)
{
	const struct group_recv *g = comm->rx.grp;

	*out = comm->close.peer_sent;
	if (!g)
		return true;
	/* Numbers before the first group are messages, even those sent after the sender learned of the group. */
	if (seq_at_or_after(*out, g->first))
		*out = g->first;
	if (seq_at_or_after(g->sent, *out))
		*out = g->sent;
	return g->ready;
}

void window_skip_old(struct xfer_comm *comm)
{
	struct rma_recv *r = comm->rx.rma;

	if (group_first(comm) - r->cts_posted > WIRE_WINDOW)
		r->cts_posted = group_first(comm) - WIRE_WINDOW;
}

static struct xfer_req *group_find(const struct xfer_comm *comm, uint64_t imm)
{
	struct xfer_req *req = comm->rx.grp ? comm->rx.grp->at[wire_imm_index(imm)][wire_imm_stripe(imm)] : NULL;

	return req && wire_imm_is(imm, req->seq) ? req : NULL;
}

bool window_forget_part(struct xfer_req *part)
{
	struct xfer_req **at = &part->comm->rx.grp->at[part->seq % WIRE_WINDOW][part->sub_index];

	if (*at != part)
		return false;
	*at = NULL;
	return true;
}

bool group_was_sent(uint32_t seq, uint8_t sub_index, uint32_t sent, uint8_t subs)
{
	return !seq_at_or_after(seq, sent) || (seq == sent && sub_index != REQ_WHOLE && subs >> sub_index & 1);
}

bool group_comes(const struct xfer_req *req)
{
	const struct xfer_comm *comm = req->comm;

	if (comm->close.lost && req->seq == comm->close.lost_seq && !req->group)
		return false;
	return group_was_sent(req->seq, req->sub_index, comm->close.peer_sent, comm->close.peer_subs);
}

/*
 * Each path may carry a stripe. Path i uses NIC i, modulo the number of NICs. Returns the most stripes on this NIC. The
 * queues of tcp grow as needed, so one entry for each message bounds the receives enough.
 */
static size_t window_room(const struct xfer_comm *comm, int nic)
{
	int nics = comm->ep->nic_count, paths = comm->peer->path_count;
	int n = paths == 1 || comm->ep->control_alone ? 1 : nics == 1 ? paths : (paths - nic + nics - 1) / nics;

	return (size_t)(n < WIRE_STRIPES_MAX ? n : WIRE_STRIPES_MAX);
}

void window_release_nics(const struct xfer_comm *comm, int nics)
{
	while (nics--)
		fab_cq_release(comm->ep->rails[nics].fab, window_room(comm, nics));
}

void window_forget(struct xfer_req *req)
{
	struct xfer_comm *comm = req->comm;

	if (!req->group)
		window_forget_plain(comm, req->seq);
	else if (window_forget_part(req))
		window_release(comm);
}

int window_reserve_nics(const struct xfer_comm *comm)
{
	int i, ret = 0;

	for (i = 0; i < comm->ep->nic_count; i++) {
		ret = fab_cq_reserve(comm->ep->rails[i].fab, window_room(comm, i));
		if (ret)
			break;
	}
	if (ret)
		window_release_nics(comm, i);
	return ret;
}

struct xfer_req *window_find(const struct xfer_comm *comm, uint64_t imm)
{
	struct xfer_req *req = comm->rx.rma->at[wire_imm_index(imm)];

	return req && wire_imm_is(imm, req->seq) ? req : group_find(comm, imm);
}

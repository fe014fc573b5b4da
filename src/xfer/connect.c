/* SPDX-License-Identifier: Apache-2.0 */
/* Opening and connecting comms. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "proto/group.h"
#include "xfer/internal.h"

/* What the record says of the peer. */
static void name_comm(const struct xfer_comm *comm, struct stats_names *out)
{
	const char *at = strstr(comm->peer->text, " at ");

	*out = (struct stats_names){.protocol = comm->proto == &rma_proto ? "rma" : "tagged",
				    .host = comm->peer->who.host,
				    .address = at ? at + 4 : "",
				    .pid = comm->peer->who.pid};
}

/* The same once the peer is known, and that the comm is connected. */
static void note_connected(struct xfer_comm *comm)
{
	struct weft_stats_comm *at = comm->stats.at;
	struct stats_names names;

	name_comm(comm, &names);
	stats_comm_name(&comm->stats, &names);
	at->peer_id = comm->remote_id;
	at->peer_endpoint = comm->remote_ep;
	at->paths = (uint64_t)comm->peer->path_count;
	stats_comm_state(&comm->stats, WEFT_STATS_CONNECTED, 0);
}

int xfer_comm_open(struct xfer_ep *ep, enum xfer_kind kind, const struct wire_who *who, struct lifeline *line,
		   struct xfer_connector *connector, struct xfer_comm **out)
{
	bool rma = ep->dev->nic->rma;
	size_t cts_at = kind == XFER_SEND && !rma ? WIRE_WINDOW : 0;
	size_t bytes = sizeof(struct xfer_comm) + cts_at * sizeof(struct tagged_cts);
	struct xfer_comm *comm = aligned_alloc(COMM_ALIGN, (bytes + COMM_ALIGN - 1) / COMM_ALIGN * COMM_ALIGN);
	struct stats_names names;
	int ret;

	*out = NULL;
	if (!comm) {
		lifeline_put(line);
		return -ENOMEM;
	}
	memset(comm, 0, bytes);
	comm->ep = ep;
	list_init(&comm->close.step.link);
	comm->close.step.retry = comm_close_step;
	comm->watch.line = line;
	comm->connector = connector;
	comm->kind = kind;
	comm->proto = rma ? &rma_proto : &tagged_proto;
	comm->next_seq = comm->profile_ask_seq = (uint32_t)ep->conf->test_seq;
	comm->watch.woken_us = clock_us();
	list_init(&comm->reqs);
	list_init(&comm->rx.groups_out);
	list_init(&comm->regions);
	list_init(&comm->rx.flushes);
	list_init(&comm->profiles);
	ret = peer_get(ep, who, &comm->peer);
	if (!ret)
		comm->home = comm->peer->next_home[kind]++;
	if (!ret && line && lifeline_check(line) == LIFELINE_ALIVE) {
		comm->peer->dead = false; /* only the earlier lifeline was cut */
		comm->peer->gone_us = 0;
	}
	if (!ret)
		ret = idmap_add(&ep->comms, comm, &comm->id);
	if (!ret)
		ret = comm->proto->open(comm);
	if (ret) {
		comm->proto->close(comm);
		idmap_remove(&ep->comms, comm->id);
		peer_put(comm->peer);
		lifeline_put(line);
		free(comm);
		return ret;
	}
	ep_hold(ep);
	name_comm(comm, &names);
	stats_comm_open(&comm->stats, &ep->stats, kind == XFER_SEND ? WEFT_STATS_SEND : WEFT_STATS_RECV, comm->id,
			&names);
	*out = comm;
	return 0;
}

static void connect_sent(struct xfer_ep *ep, const struct ctrl_end *end)
{
	struct xfer_comm *comm = idmap_get(&ep->comms, end->comm_id);

	if (comm && !end->err)
		comm->connect_sent = true;
	comm_ctrl_sent(ep, end);
}

int xfer_comm_send_connect(struct xfer_comm *comm, enum wire_type type, uint32_t to, uint64_t proof, uint64_t ask)
{
	struct wire_connect msg;
	size_t i, bytes = comm->ep->addr_bytes;

	wire_ctrl_init(&msg.ctrl, type, to, comm->id);
	xfer_ep_who(comm->ep, &msg.who);
	msg.proof = proof;
	msg.ask = ask;
	if (comm->ep->dev->gdr.cuda)
		msg.who.flags |= WIRE_WHO_NO_EAGER;
	msg.who.rails = (uint8_t)comm->ep->rail_count;
	msg.who.nics = (uint8_t)comm->ep->nic_count;
	for (i = 1; i < msg.who.rails; i++)
		memcpy(msg.rail_addr + (i - 1) * bytes, comm->ep->rails[i].addr, bytes);
	comm->proto->fill_who(comm, &msg.who);
	msg.who.lifeline_id = comm->watch.line ? lifeline_id(comm->watch.line) : 0;
	return ctrl_send(comm->ep, comm->peer, &msg.ctrl, comm->id, connect_sent);
}

int xfer_comm_connect_sent(struct xfer_comm *comm)
{
	return comm->err ? comm->err : comm->connect_sent;
}

int xfer_comm_connected(struct xfer_comm *comm, const struct wire_connect *msg)
{
	int ret = peer_widen(comm->peer, msg);

	if (ret)
		return ret;
	comm->remote_id = msg->ctrl.from;
	comm->remote_ep = msg->who.ep_id;
	if (comm->proto->eager && !(msg->who.flags & WIRE_WHO_NO_EAGER))
		comm->tx.eager_end = comm->ep->eager_end;
	comm->connector = NULL;
	comm->proto->connected(comm, &msg->who);
	peer_name(comm->peer, &msg->who);
	note_connected(comm);
	if (comm->tx.grouped)
		group_answer(comm);
	comm_answer_close(comm); /* a peer that closed before it was connected waits for this */
	return 0;
}

void xfer_comm_give_up(struct xfer_comm *comm)
{
	comm->connector = NULL;
}

const char *xfer_comm_peer_text(const struct xfer_comm *comm)
{
	return comm->peer->text;
}

enum xfer_kind xfer_comm_kind(const struct xfer_comm *comm)
{
	return comm->kind;
}

void xfer_ep_refuse(struct xfer_ep *ep, const struct wire_connect *request, int err)
{
	struct wire_connect msg;
	struct xfer_peer *peer;

	if (peer_get(ep, &request->who, &peer))
		return;
	wire_ctrl_init(&msg.ctrl, WIRE_CONNECT_RESPONSE, request->ctrl.from, 0);
	xfer_ep_who(ep, &msg.who);
	msg.who.status = (uint8_t)err;
	msg.proof = request->ask;
	msg.ask = 0;
	ctrl_send(ep, peer, &msg.ctrl, 0, NULL);
	peer_put(peer);
}

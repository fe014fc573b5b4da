/* SPDX-License-Identifier: Apache-2.0 */
/* Dispatch of control messages. */
#include <errno.h>

#include "proto/eager.h"
#include "proto/group.h"
#include "proto/tagged.h"
#include "xfer/internal.h"

/* The connect was cancelled: closes the comm that the acceptor has made for it. */
static void disown(struct xfer_ep *ep, const struct wire_connect *response)
{
	struct xfer_peer *peer;
	struct wire_ctrl msg;

	if (response->who.status || peer_get(ep, &response->who, &peer))
		return;
	wire_ctrl_init(&msg, WIRE_CLOSE, response->ctrl.from, response->ctrl.to);
	msg.seq = (uint32_t)ep->conf->test_seq;
	ctrl_send(ep, peer, &msg, 0, NULL);
	peer_put(peer);
}

/* The comm that the message is for. NULL also if the message is for an earlier owner of the id, with another peer. */
static struct xfer_comm *addressee(const struct xfer_ep *ep, const struct wire_ctrl *msg)
{
	struct xfer_comm *comm = idmap_get(&ep->comms, msg->to);

	return comm && comm->remote_id != msg->from && comm->remote_id ? NULL : comm;
}

void dispatch(struct xfer_ep *ep, struct wire_ctrl *msg)
{
	struct xfer_comm *comm = addressee(ep, msg);

	switch (msg->type) {
	case WIRE_CONNECT_REQUEST: {
		struct xfer_listener *listener = idmap_get(&ep->listens, msg->to);

		if (listener)
			listener->request(listener, (struct wire_connect *)msg);
		else
			xfer_ep_refuse(ep, (struct wire_connect *)msg, ECONNREFUSED);
		break;
	}
	case WIRE_CONNECT_RESPONSE:
		if (comm && comm->connector)
			comm->connector->response(comm->connector, (struct wire_connect *)msg);
		else if (!comm || !comm->remote_id)
			disown(ep, (struct wire_connect *)msg);
		break;
	case WIRE_CTS:
		if (comm)
			comm->proto->cts_arrived(comm, msg);
		break;
	case WIRE_CREDIT:
		if (comm)
			eager_credit(comm, msg);
		break;
	case WIRE_CTS_REQUEST:
		if (comm)
			eager_cts_requested(comm, msg);
		break;
	case WIRE_CLOSE_ACK:
		if (comm)
			comm->close.peer_awaited = false;
		else
			linger_answered(ep, msg->to, false);
		break;
	case WIRE_GROUPS:
		if (comm)
			group_begin(comm, msg);
		break;
	case WIRE_GROUPS_READY:
		if (comm)
			group_ready(comm, msg->seq);
		break;
	case WIRE_GROUP_CTS:
		if (comm)
			group_cts_arrived(comm, (struct wire_group *)msg);
		break;
	case WIRE_CLOSE:
		if (comm) {
			comm_peer_closed(comm, msg);
		} else {
			discards_settle(ep, msg);
			linger_answered(ep, msg->to, true);
		}
		break;
	default: break;
	}
}

void dispatch_eager(struct xfer_ep *ep, const struct wire_ctrl *msg)
{
	struct xfer_comm *comm = addressee(ep, msg);

	if (comm)
		eager_arrived(comm, msg, msg + 1);
}

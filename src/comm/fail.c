/* SPDX-License-Identifier: Apache-2.0 */
/* Failing a comm. */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"
#include "comm/account.h"
#include "ep/health.h"

#define DEATH_WAIT_US 30000 /* longest wait for the end of the lifeline after an error */

static int count_in_flight(const struct xfer_comm *comm, uint32_t *out_first)
{
	const struct xfer_req *oldest = req_oldest(comm);
	struct list *it, *tmp;
	int n = 0;

	*out_first = oldest ? oldest->seq : comm->next_seq;
	list_each (&comm->reqs, it, tmp)
		n += !container_of(it, struct xfer_req, link)->done;
	return n;
}

/*
 * When a peer dies, an operation often fails before the lifeline ends. Once per peer, waits a moment for the end of the
 * lifeline, so that the message names the death whichever is noticed first.
 */
static bool peer_died(const struct xfer_comm *comm, int err)
{
	struct xfer_peer *peer = comm->peer;
	int64_t until = clock_us() + DEATH_WAIT_US;

	if (peer->dead)
		return true;
	if (!comm->watch.line || (err != -ECONNRESET && err != -EPIPE && err != -ENOTCONN && err != -EIO))
		return false;
	while (!peer->asked && lifeline_check(comm->watch.line) == LIFELINE_ALIVE && clock_us() < until)
		usleep(1000);
	peer->asked = true;
	peer->dead = lifeline_check(comm->watch.line) == LIFELINE_DEAD;
	return peer->dead;
}

/* "NIC x": the one whose failure was seen; "NICs x y" if that is unknown. Returns buf. */
static char *name_nics(const struct xfer_comm *comm, char *buf, size_t bytes)
{
	const struct dev *dev = comm->ep->dev;
	int i, only = comm->watch.rail - 1;

	snprintf(buf, bytes, "%s", only >= 0 || dev->rail_count == 1 ? "NIC" : "NICs");
	for (i = 0; i < dev->rail_count; i++)
		if (only < 0 || i == only)
			text_append(buf, bytes, " %s", dev->rails[i]->name);
	return buf;
}

/* Notes in the record that a rail failed. Errors of a connection say nothing of the NIC. */
static void blame_rail(const struct xfer_comm *comm, int err, const char *what)
{
	bool of_connection = err == -ECONNRESET || err == -EPIPE || err == -ECANCELED || err == -ECONNREFUSED;

	if (comm->watch.rail && !comm->peer->dead && !of_connection)
		ep_rail_failed(comm->ep, comm->watch.rail - 1, err, what);
}

void comm_fail(struct xfer_comm *comm, int err, const char *fmt, ...)
{
	const char *noun = comm->kind == XFER_SEND ? "send" : "receive", *death;
	char what[800], waits[1200], nics[200];
	uint32_t first;
	va_list ap;
	int n;

	if (comm->err)
		return;
	comm->err = err;
	va_start(ap, fmt);
	vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	n = count_in_flight(comm, &first);
	death = peer_died(comm, err) && strncmp(what, COMM_PEER_DIED, strlen(COMM_PEER_DIED)) ? COMM_PEER_DIED ": "
											      : "";
	blame_rail(comm, err, what);
	stats_comm_state(&comm->stats, WEFT_STATS_FAILED, err); /* now that a reader can see why */
	log_warn("%s comm to peer %s on %s (%s): %s%s; %d %s%s outstanding, number %" PRIu32 " is next%s", noun,
		 comm->peer->text, name_nics(comm, nics, sizeof(nics)), comm->ep->dev->nic->provider, death, what, n,
		 noun, n == 1 ? "" : "s", first, stall_text(comm, waits, sizeof(waits)));
	comm_kick(comm);
	if (!comm->ep->polling)
		ep_run_kicked(comm->ep); /* the application may never poll this comm again, and the peer waits */
}

void comm_unreachable(struct xfer_comm *comm, int err, const char *text)
{
	if (comm->kind == XFER_SEND || !comm->connect_sent)
		comm_fail(comm, err, "a control message could not be delivered (%s)", text);
	else if (!comm->watch.unreachable)
		comm->watch.unreachable = err;
}

void comm_ctrl_sent(struct xfer_ep *ep, const struct ctrl_end *end)
{
	struct xfer_comm *comm = end->err ? idmap_get(&ep->comms, end->comm_id) : NULL;

	if (comm)
		comm_unreachable(comm, end->err == -ECANCELED ? -ECONNRESET : end->err, end->text);
}

int comm_send_ctrl(struct xfer_comm *comm, const struct wire_ctrl *msg)
{
	return ctrl_send(comm->ep, comm->peer, msg, comm->id, comm_ctrl_sent);
}

void comm_fail_all(struct xfer_ep *ep, int err)
{
	uint32_t i;

	for (i = 0; i < ep->comms.used; i++) {
		struct xfer_comm *comm = ep->comms.slots[i].ptr;

		if (!comm || comm->err)
			continue;
		comm->err = err;
		stats_comm_state(&comm->stats, WEFT_STATS_FAILED, err);
	}
}

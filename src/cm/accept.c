/* SPDX-License-Identifier: Apache-2.0 */
/* Accept: from a connect request to a receive comm. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"
#include "cm/internal.h"
#include "cm/fsm.h"

#define LIFELINE_WAIT_US 5000000 /* limit of the wait for a lifeline, which usually arrives with the request */

struct cm_accepting {
	struct xfer_ep *ep;
	const struct conf *conf;
	struct wire_connect request;
	struct lifeline *line;	  /* counted here; NULL once the comm owns it */
	struct lifeline *watched; /* owned by the comm */
	struct xfer_comm *comm;
	int state;
	unsigned idle_polls;
	int64_t since_us;
};

enum { FIND_LIFELINE, OPEN, RESPOND, WAIT_SENT, ACCEPTED, TURNED_AWAY };

/* The request names a lifeline, whose bytes take another path and may arrive later. */
static int find_lifeline(void *machine)
{
	struct cm_accepting *a = machine;

	if (!a->request.who.lifeline_id)
		return OPEN;
	a->line = lifeline_find(a->request.who.lifeline_id, a->conf->peer_timeout_us);
	if (a->line)
		return OPEN;
	if (clock_us() - a->since_us < LIFELINE_WAIT_US)
		return FSM_STAY;
	log_warn("accept: the liveness connection of %s pid %u has not arrived within %d s: its death may go "
		 "unnoticed. Look for a firewall, or set WEFT_LIFELINE_ADDR here to an address that its host can reach",
		 a->request.who.host, a->request.who.pid, LIFELINE_WAIT_US / 1000000);
	return OPEN;
}

/* Refuses an unsuitable request. The listen continues, because other requests may follow. */
static int turn_away(struct cm_accepting *a, int err)
{
	log_warn("accept: the connect request of %s pid %u is refused: %s; still waiting for a peer",
		 a->request.who.host, a->request.who.pid, strerror(err));
	xfer_ep_refuse(a->ep, &a->request, err);
	return TURNED_AWAY;
}

static int accept_open_comm(void *machine)
{
	struct cm_accepting *a = machine;
	struct lifeline *line = a->line;
	struct wire_who self;
	int ret;

	xfer_ep_who(a->ep, &self);
	if (a->request.who.fingerprint != self.fingerprint) {
		log_warn("accept: %s pid %u uses another libfabric provider or protocol than this rank: set "
			 "WEFT_PROVIDER and WEFT_PROTOCOL to the same values on every node",
			 a->request.who.host, a->request.who.pid);
		return turn_away(a, EPROTONOSUPPORT);
	}
	a->line = NULL; /* the comm owns it from here on */
	a->watched = line;
	ret = xfer_comm_open(a->ep, XFER_RECV, &a->request.who, line, NULL, &a->comm);
	if (!ret)
		ret = xfer_comm_connected(a->comm, &a->request);
	if (ret == -EADDRNOTAVAIL)
		return turn_away(a, -ret);
	if (ret) {
		xfer_ep_refuse(a->ep, &a->request, -ret);
		return ret;
	}
	return RESPOND;
}

static int respond(void *machine)
{
	struct cm_accepting *a = machine;
	int ret = xfer_comm_send_connect(a->comm, WIRE_CONNECT_RESPONSE, a->request.ctrl.from, a->request.ask, 0);

	return ret ? ret : WAIT_SENT;
}

static int response_is_late(struct cm_accepting *a)
{
	char evidence[LIFELINE_EVIDENCE_BYTES], span[TEXT_DURATION_BYTES];

	log_warn("accept: the answer to %s has not left within %s (WEFT_CONNECT_TIMEOUT): %s; still "
		 "waiting for a peer",
		 xfer_comm_peer_text(a->comm), text_duration(cm_patience_us(a->conf), span, sizeof(span)),
		 lifeline_evidence(a->watched, evidence, sizeof(evidence)));
	return TURNED_AWAY;
}

/* Accept must not finish earlier: the connector needs the response, and this rank may stop polling after accept. */
static int wait_sent(void *machine)
{
	struct cm_accepting *a = machine;
	int ret = xfer_comm_connect_sent(a->comm);

	if (!ret)
		ret = xfer_comm_check_peer(a->comm);
	if (ret < 0)
		return ret;
	if (ret)
		return ACCEPTED;
	if (a->idle_polls++ % CM_IDLE_POLLS || clock_us() - a->since_us < cm_patience_us(a->conf))
		return FSM_STAY;
	return response_is_late(a);
}

static const struct fsm_state table[] = {
	[FIND_LIFELINE] = {"find lifeline", find_lifeline, 1u << OPEN},
	[OPEN] = {"open comm", accept_open_comm, 1u << RESPOND | 1u << TURNED_AWAY},
	[RESPOND] = {"respond", respond, 1u << WAIT_SENT},
	[WAIT_SENT] = {"wait until sent", wait_sent, 1u << ACCEPTED | 1u << TURNED_AWAY},
	[ACCEPTED] = {"accepted", NULL, 0},
	[TURNED_AWAY] = {"turned away", NULL, 0},
};

static int start_next(struct cm_listen *l, const struct conf *conf)
{
	struct cm_request *r;
	struct cm_accepting *a;

	if (list_empty(&l->requests))
		return 0;
	a = calloc(1, sizeof(*a));
	if (!a)
		return -ENOMEM;
	r = container_of(l->requests.next, struct cm_request, link);
	list_remove(&r->link);
	l->request_count--;
	a->ep = l->ep;
	a->conf = conf;
	a->request = r->msg;
	a->since_us = clock_us();
	l->accepting = a;
	l->waiting_since_us = 0;
	free(r);
	return 0;
}

/* Fails an accept without any request after our own deadline, because NCCL sets none. */
static int accept_check_deadline(struct cm_listen *l, const struct conf *conf)
{
	char span[TEXT_DURATION_BYTES];
	int64_t now;

	if (l->idle_polls++ % CM_IDLE_POLLS)
		return 0;
	now = clock_us();
	if (!l->waiting_since_us)
		l->waiting_since_us = now;
	if (!conf->connect_timeout_us || now - l->waiting_since_us < conf->connect_timeout_us)
		return 0;
	log_warn("accept: no connect request has arrived within %s (WEFT_CONNECT_TIMEOUT): the other rank "
		 "is late or has failed, or its requests do not get through (a firewall, another subnet)",
		 text_duration(conf->connect_timeout_us, span, sizeof(span)));
	return -ETIMEDOUT;
}

/* Frees a finished or failed accept. Returns its comm, now owned by the caller, or NULL. */
static struct xfer_comm *accept_finish(struct cm_listen *l)
{
	struct cm_accepting *a = l->accepting;
	struct xfer_comm *comm = a->comm;

	lifeline_put(a->line);
	free(a);
	l->accepting = NULL;
	return comm;
}

/* The caller holds the lock. *out: the accepted comm or, on failure or if *out_ended, a comm to close (or NULL). */
static int accept_step(struct cm_listen *l, const struct conf *conf, struct xfer_comm **out, bool *out_ended)
{
	int ret = xfer_ep_poll(l->ep);

	if (!ret && !l->accepting)
		ret = start_next(l, conf);
	if (!l->accepting)
		return ret ? ret : accept_check_deadline(l, conf);
	if (!ret)
		ret = fsm_run(table, &l->accepting->state, l->accepting, "accept");
	*out_ended = l->accepting->state == TURNED_AWAY;
	if (ret || *out_ended || l->accepting->state == ACCEPTED)
		*out = accept_finish(l);
	return ret;
}

int cm_accept(struct cm_listen *l, const struct conf *conf, struct xfer_comm **out)
{
	struct xfer_comm *comm = NULL;
	bool ended = false;
	int ret;

	*out = NULL;
	connecting_sweep(conf);
	xfer_ep_lock(l->ep);
	ret = accept_step(l, conf, &comm, &ended);
	xfer_ep_unlock(l->ep);
	if (ret || ended)
		xfer_comm_close(comm);
	else
		*out = comm;
	return ret;
}

void accepting_abandon(struct cm_listen *l)
{
	struct xfer_comm *comm;

	if (!l->accepting)
		return;
	xfer_ep_refuse(l->ep, &l->accepting->request, ECONNREFUSED);
	comm = accept_finish(l);
	xfer_ep_unlock(l->ep);
	xfer_comm_close(comm);
	xfer_ep_lock(l->ep);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Accepting: from a connect request to a receive channel. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "conn/internal.h"
#include "conn/steps.h"

#define LIFELINE_WAIT_US 5000000 /* a lifeline dialled before the request arrives about as soon */

struct conn_accepting {
	struct xfer_port *port;
	const struct conf *conf;
	struct wire_connect request;
	struct lifeline *line;
	struct xfer_chan *chan;
	int state;
	int64_t since_us;
};

enum { FIND_LIFELINE, OPEN, RESPOND, WAIT_SENT, ACCEPTED };

/* The request names a lifeline; its bytes may take another way and come a little later. */
static int find_lifeline(void *machine)
{
	struct conn_accepting *a = machine;

	if (!a->request.who.lifeline_id)
		return OPEN;
	a->line = lifeline_find(a->request.who.lifeline_id, a->conf->peer_timeout_us);
	if (a->line)
		return OPEN;
	if (clock_us() - a->since_us < LIFELINE_WAIT_US)
		return STEP_STAY;
	log_info("the lifeline of %s pid %u did not arrive: its death may go unnoticed; look for a firewall "
		 "or set WEFT_LIFELINE_ADDR",
		 a->request.who.host, a->request.who.pid);
	return OPEN;
}

static int open_chan(void *machine)
{
	struct conn_accepting *a = machine;
	struct lifeline *line = a->line;
	struct wire_who self;
	int ret;

	xfer_port_who(a->port, &self);
	if (a->request.who.provider != self.provider) {
		log_warn("%s pid %u uses another libfabric provider or protocol than this rank: set "
			 "WEFT_PROVIDER and WEFT_PROTOCOL to the same values on every node",
			 a->request.who.host, a->request.who.pid);
		xfer_port_refuse(a->port, &a->request, EPROTONOSUPPORT);
		return -EPROTONOSUPPORT;
	}
	a->line = NULL; /* the channel's from here on */
	ret = xfer_chan_open(a->port, XFER_RECV, &a->request.who, line, NULL, &a->chan);
	if (!ret)
		ret = xfer_chan_connected(a->chan, &a->request);
	if (ret) {
		xfer_port_refuse(a->port, &a->request, -ret);
		return ret;
	}
	return RESPOND;
}

static int respond(void *machine)
{
	struct conn_accepting *a = machine;
	int ret = xfer_chan_send_connect(a->chan, WIRE_CONNECT_RESPONSE, a->request.ctrl.from, 0);

	return ret ? ret : WAIT_SENT;
}

/* The connector waits for the response, and this rank may not call us again before it has gone on. */
static int wait_sent(void *machine)
{
	struct conn_accepting *a = machine;
	int ret = xfer_chan_connect_sent(a->chan);

	if (!ret)
		ret = xfer_chan_check_peer(a->chan);
	if (ret < 0)
		return ret;
	return ret ? ACCEPTED : STEP_STAY;
}

static const struct steps_state table[] = {
	[FIND_LIFELINE] = {"find lifeline", find_lifeline, 1u << OPEN},
	[OPEN] = {"open channel", open_chan, 1u << RESPOND},
	[RESPOND] = {"respond", respond, 1u << WAIT_SENT},
	[WAIT_SENT] = {"wait until sent", wait_sent, 1u << ACCEPTED},
	[ACCEPTED] = {"accepted", NULL, 0},
};

static int start_next(struct conn_listen *l, const struct conf *conf)
{
	struct conn_request *r;
	struct conn_accepting *a;

	if (list_empty(&l->requests))
		return 0;
	a = calloc(1, sizeof(*a));
	if (!a)
		return -ENOMEM;
	r = owner_of(l->requests.next, struct conn_request, link);
	list_remove(&r->link);
	a->port = l->port;
	a->conf = conf;
	a->request = r->msg;
	a->since_us = clock_us();
	l->accepting = a;
	l->waiting_since_us = 0;
	free(r);
	return 0;
}

/* Nobody has come yet: a deadline of our own, because NCCL sets none. */
static int check_deadline(struct conn_listen *l, const struct conf *conf)
{
	int64_t now;

	if (l->idle_polls++ % CONN_IDLE_LOOK)
		return 0;
	now = clock_us();
	if (!l->waiting_since_us)
		l->waiting_since_us = now;
	if (!conf->connect_timeout_us || now - l->waiting_since_us < conf->connect_timeout_us)
		return 0;
	log_warn("accept: no peer has connected within %" PRId64 " s: the other rank has died or is late "
		 "(WEFT_CONNECT_TIMEOUT)",
		 conf->connect_timeout_us / 1000000);
	return -ETIMEDOUT;
}

/* Takes the channel out of a finished or failed accept. */
static struct xfer_chan *finish(struct conn_listen *l)
{
	struct conn_accepting *a = l->accepting;
	struct xfer_chan *chan = a->chan;

	lifeline_put(a->line);
	free(a);
	l->accepting = NULL;
	return chan;
}

int conn_accept(struct conn_listen *l, const struct conf *conf, struct xfer_chan **out)
{
	struct xfer_chan *chan = NULL;
	int ret;

	*out = NULL;
	xfer_port_lock(l->port);
	ret = xfer_port_poll(l->port);
	if (!ret && !l->accepting)
		ret = start_next(l, conf);
	if (!ret && !l->accepting) {
		ret = check_deadline(l, conf);
	} else if (l->accepting) {
		if (!ret)
			ret = steps_run(table, &l->accepting->state, l->accepting, "accept");
		if (ret || l->accepting->state == ACCEPTED)
			chan = finish(l);
	}
	xfer_port_unlock(l->port);
	if (ret)
		xfer_chan_close(chan);
	else
		*out = chan;
	return ret;
}

void accepting_abandon(struct conn_listen *l)
{
	struct xfer_chan *chan;

	if (!l->accepting)
		return;
	xfer_port_refuse(l->port, &l->accepting->request, ECONNREFUSED);
	chan = finish(l);
	xfer_port_unlock(l->port);
	xfer_chan_close(chan);
	xfer_port_lock(l->port);
}

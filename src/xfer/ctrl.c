/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Control messages of a port: buffers kept posted for what arrives, a queue for what the provider will not
 * take yet. They share the endpoint with the data but are never held up by it: every arrival is handled and
 * its buffer posted again inside the same progress pass.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "xfer/internal.h"

struct ctrl_rx {
	struct fab_op op; /* first */
	struct list link; /* in rx_unposted while not posted */
	struct xfer_port *port;
	char *buf; /* WIRE_CTRL_MAX bytes */
};

struct ctrl_tx {
	struct fab_op op; /* first */
	struct list link; /* in tx_waiting or tx_flying */
	struct xfer_port *port;
	struct xfer_peer *peer; /* counted */
	struct fab_mr *mr;	/* NULL where the provider needs none */
	uint32_t chan_id;	/* whom a failure concerns: it may be closed by then */
	union {
		struct wire_ctrl ctrl;
		struct wire_connect connect;
	} msg;
};

static void rx_done(struct fab_op *op, const struct fab_result *r);
static void tx_done(struct fab_op *op, const struct fab_result *r);

static void rx_post(struct ctrl_rx *rx)
{
	struct xfer_port *port = rx->port;
	int ret = fab_recv(port->ep, &rx->op, rx->buf, WIRE_CTRL_MAX, fab_mr_desc(port->ctrl_mr));

	if (ret == -EAGAIN)
		list_append(&port->rx_unposted, &rx->link);
	else if (ret)
		port_break(port, ret, "cannot post a receive for control messages");
}

int ctrl_open(struct xfer_port *port)
{
	size_t i, n = (size_t)port->conf->ctrl_buffers;
	int ret;

	pool_init(&port->tx_pool, sizeof(struct ctrl_tx), 32);
	port->rx = calloc(n, sizeof(*port->rx));
	if (!port->rx || posix_memalign(&port->ctrl_memory, 4096, n * WIRE_CTRL_MAX)) {
		port->ctrl_memory = NULL;
		return -ENOMEM;
	}
	memset(port->ctrl_memory, 0, n * WIRE_CTRL_MAX);
	ret = fab_mr_reg(port->domain, port->ctrl_memory, n * WIRE_CTRL_MAX, &port->ctrl_mr);
	for (i = 0; i < n && !ret; i++) {
		struct ctrl_rx *rx = &port->rx[i];

		rx->op.done = rx_done;
		rx->port = port;
		rx->buf = (char *)port->ctrl_memory + i * WIRE_CTRL_MAX;
		list_init(&rx->link);
		rx_post(rx);
		ret = port->err;
	}
	return ret;
}

static void tx_free(struct ctrl_tx *tx)
{
	struct xfer_port *port = tx->port;

	list_remove(&tx->link);
	fab_mr_close(tx->mr);
	peer_put(tx->peer);
	pool_put(&port->tx_pool, tx);
}

void ctrl_close(struct xfer_port *port)
{
	while (!list_empty(&port->tx_waiting))
		tx_free(owner_of(port->tx_waiting.next, struct ctrl_tx, link));
	while (!list_empty(&port->tx_flying))
		tx_free(owner_of(port->tx_flying.next, struct ctrl_tx, link));
	pool_fini(&port->tx_pool);
	fab_mr_close(port->ctrl_mr);
	free(port->ctrl_memory);
	free(port->rx);
	port->ctrl_mr = NULL;
	port->ctrl_memory = NULL;
	port->rx = NULL;
}

static void lost(struct ctrl_tx *tx, int err, const char *text)
{
	struct xfer_chan *chan = idmap_get(&tx->port->chans, tx->chan_id);

	if (chan)
		chan_fail(chan, err == -ECANCELED ? -ECONNRESET : err,
			  "a control message could not be delivered (%s)", text);
}

static void tx_done(struct fab_op *op, const struct fab_result *r)
{
	struct ctrl_tx *tx = (struct ctrl_tx *)op;
	struct xfer_chan *chan;

	if (r->err) {
		lost(tx, r->err, r->text);
	} else if (tx->msg.ctrl.type == WIRE_CONNECT_REQUEST ||
		   tx->msg.ctrl.type == WIRE_CONNECT_RESPONSE) {
		chan = idmap_get(&tx->port->chans, tx->chan_id);
		if (chan)
			chan->connect_sent = true;
	}
	tx_free(tx);
}

/* -EAGAIN: still waiting. Otherwise tx is in flight or gone. */
static int tx_post(struct ctrl_tx *tx)
{
	struct xfer_port *port = tx->port;
	int ret;

	if (tx->peer->dead) {
		/* Some providers would try to connect for ever. Its channels end when their grace is over. */
		tx_free(tx);
		return -ECONNRESET;
	}
	ret = port->ep ? fab_send(port->ep, &tx->op, &tx->msg, wire_ctrl_bytes(tx->msg.ctrl.type),
				  fab_mr_desc(tx->mr), tx->peer->fab_addr)
		       : port->err;

	if (ret == -EAGAIN)
		return ret;
	if (ret) {
		lost(tx, ret, strerror(-ret));
		tx_free(tx);
		return ret;
	}
	list_remove(&tx->link);
	list_append(&port->tx_flying, &tx->link);
	return 0;
}

int ctrl_send(struct xfer_port *port, struct xfer_peer *peer, struct xfer_chan *chan,
	      const struct wire_ctrl *msg)
{
	struct ctrl_tx *tx = pool_get(&port->tx_pool);

	if (!tx)
		return -ENOMEM;
	memset(tx, 0, offsetof(struct ctrl_tx, msg));
	tx->op.done = tx_done;
	tx->port = port;
	tx->peer = peer;
	tx->chan_id = chan ? chan->id : 0;
	list_init(&tx->link);
	memcpy(&tx->msg, msg, wire_ctrl_bytes(msg->type));
	if (fab_mr_reg(port->domain, &tx->msg, sizeof(tx->msg), &tx->mr)) {
		pool_put(&port->tx_pool, tx);
		return -ENOMEM;
	}
	peer->refs++;
	/* Behind others that wait: their order does not matter, their turn does. */
	if (!list_empty(&port->tx_waiting) || tx_post(tx) == -EAGAIN)
		list_append(&port->tx_waiting, &tx->link);
	return 0;
}

/*
 * Each waiting message is tried once a pass: one to a peer that is dead or still connecting must not hold up
 * the others.
 */
void ctrl_progress(struct xfer_port *port)
{
	struct list *it, *tmp;

	list_each (&port->rx_unposted, it, tmp) {
		struct ctrl_rx *rx = owner_of(it, struct ctrl_rx, link);

		list_remove(&rx->link);
		rx_post(rx);
		if (!list_empty(&rx->link))
			break; /* still full */
	}
	list_each (&port->tx_waiting, it, tmp)
		tx_post(owner_of(it, struct ctrl_tx, link));
}

/* The connect was given up: what its listener has made for it must not wait for messages. */
static void disown(struct xfer_port *port, const struct wire_connect *response)
{
	struct xfer_peer *peer;
	struct wire_ctrl msg;

	if (response->who.status || peer_get(port, &response->who, &peer))
		return;
	wire_ctrl_init(&msg, WIRE_CLOSE, response->ctrl.from, response->ctrl.to);
	ctrl_send(port, peer, NULL, &msg);
	peer_put(peer);
}

static void dispatch(struct xfer_port *port, struct wire_ctrl *msg)
{
	struct xfer_chan *chan = idmap_get(&port->chans, msg->to);

	switch (msg->type) {
	case WIRE_CONNECT_REQUEST: {
		void *listen = idmap_get(&port->listens, msg->to);

		if (listen)
			port->ops->request(listen, (struct wire_connect *)msg);
		else
			xfer_port_refuse(port, (struct wire_connect *)msg, ECONNREFUSED);
		break;
	}
	case WIRE_CONNECT_RESPONSE:
		if (chan)
			port->ops->response(chan->waiter, (struct wire_connect *)msg);
		else
			disown(port, (struct wire_connect *)msg);
		break;
	case WIRE_CLEAR_TO_SEND:
		if (chan)
			chan_cleared(chan, msg);
		break;
	case WIRE_CLOSE:
		if (chan)
			chan_peer_closed(chan, msg);
		else
			orphans_settle(port, msg->to, msg->seq);
		break;
	default: break;
	}
}

static void rx_done(struct fab_op *op, const struct fab_result *r)
{
	struct ctrl_rx *rx = (struct ctrl_rx *)op;
	struct xfer_port *port = rx->port;
	struct wire_ctrl *msg = (struct wire_ctrl *)rx->buf;
	const char *wrong;

	if (!r->err) {
		wrong = wire_ctrl_check(msg, r->len);
		if (wrong)
			log_warn("NIC %s received %s (%zu bytes); it is ignored", port->dev->nic->name,
				 wrong, r->len);
		else
			dispatch(port, msg);
	} else {
		/* Some providers end a receive when any peer's connection breaks: nobody's in particular. */
		log_debug("a control receive on NIC %s ended: %s", port->dev->nic->name, r->text);
	}
	if (port->ep)
		rx_post(rx);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Control messages of a port: buffers kept posted for what arrives, a queue for what the provider will not
 * take yet. They share the endpoints with the data but are never held up by it: every arrival is handled and
 * its buffer posted again inside the same progress pass.
 *
 * All go from leader to leader but the eager messages, which take any path.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "topo/near.h"
#include "xfer/internal.h"

#define INJECT_MAX 512 /* bytes of an eager message that may be on the stack */

struct ctrl_rx {
	struct fab_op op; /* first */
	struct list link; /* in rx_unposted while not posted */
	struct rail *rail;
	char *buf; /* port->rx_bytes */
};

struct ctrl_tx {
	struct fab_op op; /* first */
	struct list link; /* in tx_waiting or tx_flying, or its class's free list */
	struct xfer_port *port;
	struct tx_class *class;
	struct xfer_peer *peer; /* counted */
	const struct path *path; /* of the peer's */
	uint32_t chan_id;	/* whom its end concerns: it may be closed by then */
	struct xfer_req *req;	/* of the channel, which ends with it, or NULL */
	size_t bytes;
	struct wire_ctrl *msg; /* class->bytes of registered memory */
	const struct dev_mr *mr; /* the chunk's */
};

struct tx_chunk {
	struct list link; /* in class->chunks */
	struct dev_mr *mr;
	void *memory;
	struct ctrl_tx tx[];
};

static void rx_done(struct fab_op *op, const struct fab_result *r);
static void tx_done(struct fab_op *op, const struct fab_result *r);

static void rx_post(struct ctrl_rx *rx)
{
	struct xfer_port *port = rx->rail->port;
	int ret = fab_recv(rx->rail->ep, &rx->op, rx->buf, port->rx_bytes, fab_mr_desc(rx->rail->ctrl_mr));

	if (ret == -EAGAIN)
		list_append(&port->rx_unposted, &rx->link);
	else if (ret)
		port_break(port, ret, "cannot post a receive for control messages");
}

static void class_init(struct tx_class *class, size_t bytes, size_t per_chunk)
{
	list_init(&class->free);
	list_init(&class->chunks);
	class->bytes = bytes;
	class->per_chunk = per_chunk;
}

static void chunk_free(struct xfer_port *port, const struct tx_class *class, struct tx_chunk *chunk)
{
	if (chunk->mr)
		dev_mr_put(port->dev, chunk->mr);
	topo_near_free(chunk->memory, class->per_chunk * class->bytes);
	free(chunk);
}

static int class_grow(struct xfer_port *port, struct tx_class *class)
{
	struct tx_chunk *chunk = calloc(1, sizeof(*chunk) + class->per_chunk * sizeof(chunk->tx[0]));
	size_t i, bytes = class->per_chunk * class->bytes;

	if (!chunk)
		return -ENOMEM;
	chunk->memory = topo_near_alloc(port->node, bytes);
	if (!chunk->memory || dev_mr_get(port->dev, chunk->memory, bytes, &chunk->mr)) {
		chunk_free(port, class, chunk);
		return -ENOMEM;
	}
	list_append(&class->chunks, &chunk->link);
	for (i = 0; i < class->per_chunk; i++) {
		struct ctrl_tx *tx = &chunk->tx[i];

		tx->op.done = tx_done;
		tx->port = port;
		tx->class = class;
		tx->mr = chunk->mr;
		tx->msg = (void *)((char *)chunk->memory + i * class->bytes);
		list_append(&class->free, &tx->link);
	}
	return 0;
}

static void class_fini(struct xfer_port *port, struct tx_class *class)
{
	while (!list_empty(&class->chunks)) {
		struct tx_chunk *chunk = owner_of(class->chunks.next, struct tx_chunk, link);

		list_remove(&chunk->link);
		chunk_free(port, class, chunk);
	}
}

static int rail_receives(struct rail *rail, struct ctrl_rx *rx, size_t n, char *memory)
{
	struct xfer_port *port = rail->port;
	int ret;

	if (!n)
		return 0;
	ret = fab_mr_reg(port->dev->domains[rail->index], memory, n * port->rx_bytes, &rail->ctrl_mr);
	for (; n && !ret; n--, rx++, memory += port->rx_bytes) {
		rx->op.done = rx_done;
		rx->rail = rail;
		rx->buf = memory;
		list_init(&rx->link);
		rx_post(rx);
		ret = port->err;
	}
	return ret;
}

/* The leader's; the other rails, which only eager messages come by, share as many again. */
static size_t receives_of(const struct xfer_port *port, int rail)
{
	size_t n = (size_t)port->conf->ctrl_buffers;

	if (!rail)
		return n;
	if (!port->dev->nic->rma)
		return 0;
	n /= (size_t)port->rail_count;
	return n ? n : 1;
}

int ctrl_open(struct xfer_port *port)
{
	size_t n = 0;
	int i, ret = 0;

	for (i = 0; i < port->rail_count; i++)
		n += receives_of(port, i);
	port->rx_bytes = port->dev->nic->rma ? sizeof(struct wire_ctrl) + WIRE_EAGER_MAX : WIRE_CTRL_MAX;
	port->ctrl_bytes = n * port->rx_bytes;
	port->rx = calloc(n, sizeof(*port->rx));
	port->ctrl_memory = port->rx ? topo_near_alloc(port->node, port->ctrl_bytes) : NULL;
	if (!port->ctrl_memory)
		return -ENOMEM;
	memset(port->ctrl_memory, 0, port->ctrl_bytes);
	for (i = 0, n = 0; i < port->rail_count && !ret; i++) {
		ret = rail_receives(&port->rails[i], &port->rx[n], receives_of(port, i),
				    (char *)port->ctrl_memory + n * port->rx_bytes);
		n += receives_of(port, i);
	}
	return ret;
}

void ctrl_init(struct xfer_port *port)
{
	list_init(&port->tx_waiting);
	list_init(&port->tx_flying);
	list_init(&port->rx_unposted);
	class_init(&port->tx_small, WIRE_CTRL_MAX, 32);
	class_init(&port->tx_large, sizeof(struct wire_ctrl) + WIRE_EAGER_MAX, 16);
}

static void tx_free(struct ctrl_tx *tx)
{
	list_remove(&tx->link);
	peer_put(tx->peer);
	list_append(&tx->class->free, &tx->link);
}

void ctrl_close(struct xfer_port *port)
{
	int i;

	while (!list_empty(&port->tx_waiting))
		tx_free(owner_of(port->tx_waiting.next, struct ctrl_tx, link));
	while (!list_empty(&port->tx_flying))
		tx_free(owner_of(port->tx_flying.next, struct ctrl_tx, link));
	class_fini(port, &port->tx_small);
	class_fini(port, &port->tx_large);
	for (i = 0; i < port->rail_count; i++) {
		fab_mr_close(port->rails[i].ctrl_mr);
		port->rails[i].ctrl_mr = NULL;
	}
	topo_near_free(port->ctrl_memory, port->ctrl_bytes);
	free(port->rx);
	port->ctrl_memory = NULL;
	port->rx = NULL;
}

static void lost(struct ctrl_tx *tx, int err, const char *text)
{
	struct xfer_chan *chan = idmap_get(&tx->port->chans, tx->chan_id);

	if (chan)
		chan_doubt(chan, err == -ECANCELED ? -ECONNRESET : err, text);
}

/* The message is on its way, or (err) never will be. */
static void tx_gone(struct ctrl_tx *tx, int err, const char *text)
{
	struct xfer_chan *chan = idmap_get(&tx->port->chans, tx->chan_id);

	if (err && chan && tx->msg->type == WIRE_EAGER && !chan->lost) {
		chan->lost = true;
		chan->lost_seq = tx->msg->seq;
	}
	if (err)
		lost(tx, err, text);
	else if (chan && (tx->msg->type == WIRE_CONNECT_REQUEST || tx->msg->type == WIRE_CONNECT_RESPONSE))
		chan->connect_sent = true;
	if (chan && tx->msg->type == WIRE_EAGER) {
		chan->eager_flying--;
		req_finish(tx->req, err, err ? 0 : tx->req->posted);
	}
	tx_free(tx);
}

static void tx_done(struct fab_op *op, const struct fab_result *r)
{
	tx_gone((struct ctrl_tx *)op, r->err, r->text);
}

/* -EAGAIN: still waiting. Otherwise tx is in flight or gone. */
static int tx_post(struct ctrl_tx *tx)
{
	struct xfer_port *port = tx->port;
	int ret;

	if (tx->peer->dead) {
		/* Some providers would try to connect for ever. Its channels end when their grace is over. */
		tx_gone(tx, 0, NULL);
		return -ECONNRESET;
	}
	ret = port->ep ? fab_send(tx->path->rail->ep, &tx->op, tx->msg, tx->bytes,
				  fab_mr_desc(tx->mr->rail[tx->path->rail->index]), tx->path->fab_addr)
		       : port->err;
	if (ret == -EAGAIN)
		return ret;
	if (ret) {
		tx_gone(tx, ret, strerror(-ret));
		return ret;
	}
	list_remove(&tx->link);
	list_append(&port->tx_flying, &tx->link);
	return 0;
}

static struct ctrl_tx *tx_new(struct xfer_port *port, struct tx_class *class, struct xfer_peer *peer,
			      const struct xfer_chan *chan)
{
	struct ctrl_tx *tx;

	if (list_empty(&class->free) && class_grow(port, class))
		return NULL;
	tx = owner_of(class->free.next, struct ctrl_tx, link);
	list_remove(&tx->link);
	tx->peer = peer;
	tx->path = &peer->paths[0];
	tx->chan_id = chan ? chan->id : 0;
	peer->refs++;
	return tx;
}

/* Behind others that wait: their order does not matter, their turn does. */
static void tx_start(struct xfer_port *port, struct ctrl_tx *tx)
{
	if (!list_empty(&port->tx_waiting) || tx_post(tx) == -EAGAIN)
		list_append(&port->tx_waiting, &tx->link);
}

int ctrl_send(struct xfer_port *port, struct xfer_peer *peer, struct xfer_chan *chan,
	      const struct wire_ctrl *msg)
{
	struct ctrl_tx *tx = tx_new(port, &port->tx_small, peer, chan);

	if (!tx)
		return -ENOMEM;
	tx->bytes = wire_ctrl_size(msg);
	memcpy(tx->msg, msg, tx->bytes);
	tx_start(port, tx);
	return 0;
}

/* At once, by a copy that the provider makes. False: not now, or not at this size. */
static bool inject_eager(const struct path *path, const struct wire_ctrl *msg, const void *data, size_t len)
{
	struct fab_ep *ep = path->rail->ep;
	struct {
		struct wire_ctrl msg;
		char data[INJECT_MAX];
	} m;

	if (len > INJECT_MAX || sizeof(*msg) + len > fab_inject_bytes(ep) || !list_empty(&path->rail->port->tx_waiting))
		return false;
	m.msg = *msg;
	if (len)
		memcpy(m.data, data, len);
	return !fab_inject(ep, &m, sizeof(*msg) + len, path->fab_addr);
}

int ctrl_send_eager(struct xfer_req *req, const struct wire_ctrl *msg, const void *data)
{
	struct xfer_chan *chan = req->chan;
	struct xfer_port *port = chan->port;
	size_t len = wire_tagged_bytes(msg);
	const struct path *path = rail_best(chan->peer, len);
	struct ctrl_tx *tx;

	if (inject_eager(path, msg, data, len)) {
		req_finish(req, 0, req->posted);
		return 0;
	}
	tx = tx_new(port, &port->tx_large, chan->peer, chan);
	if (!tx)
		return -ENOMEM;
	tx->req = req;
	tx->path = path;
	tx->bytes = sizeof(*msg) + len;
	memcpy(tx->msg, msg, sizeof(*msg));
	if (len)
		memcpy(tx->msg + 1, data, len);
	chan->eager_flying++;
	tx_start(port, tx);
	return 0;
}

bool ctrl_flying(const struct xfer_chan *chan)
{
	struct list *it, *tmp;

	list_each (&chan->port->tx_flying, it, tmp)
		if (owner_of(it, struct ctrl_tx, link)->chan_id == chan->id)
			return true;
	return false;
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
	msg.seq = (uint32_t)port->conf->test_seq;
	ctrl_send(port, peer, NULL, &msg);
	peer_put(peer);
}

/* The channel meant. NULL also for a message of another channel than its peer: one for this address's last owner. */
static struct xfer_chan *addressee(const struct xfer_port *port, const struct wire_ctrl *msg)
{
	struct xfer_chan *chan = idmap_get(&port->chans, msg->to);

	return chan && chan->remote_id && chan->remote_id != msg->from ? NULL : chan;
}

static void dispatch(struct xfer_port *port, struct wire_ctrl *msg)
{
	struct xfer_chan *chan = addressee(port, msg);

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
	case WIRE_EAGER:
		if (chan)
			eager_arrived(chan, msg, msg + 1);
		break;
	case WIRE_CREDIT:
		if (chan)
			eager_credit(chan, msg);
		break;
	case WIRE_WANT:
		if (chan)
			eager_wanted(chan, msg);
		break;
	case WIRE_FIN:
		if (chan)
			chan->peer_awaited = false;
		else
			parting_answered(port, msg->to, false);
		break;
	case WIRE_GROUPS:
		if (chan)
			group_begin(chan, msg);
		break;
	case WIRE_GROUPS_READY:
		if (chan)
			group_ready(chan, msg->seq);
		break;
	case WIRE_CLEAR_GROUP:
		if (chan)
			group_cleared(chan, (struct wire_group *)msg);
		break;
	case WIRE_CLOSE:
		if (chan) {
			chan_peer_closed(chan, msg);
		} else {
			orphans_settle(port, msg);
			parting_answered(port, msg->to, true);
		}
		break;
	default: break;
	}
}

static void rx_done(struct fab_op *op, const struct fab_result *r)
{
	struct ctrl_rx *rx = (struct ctrl_rx *)op;
	struct xfer_port *port = rx->rail->port;
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

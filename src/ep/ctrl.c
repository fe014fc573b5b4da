/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Control messages of an endpoint: receive buffers that are always posted, and a queue of messages that the provider
 * cannot accept yet. They share the libfabric endpoints with the data, and data never delays them: a poll handles each
 * arrival and posts its buffer again at once.
 *
 * Control messages use the primary rails of both sides; eager messages use any path.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "dev/mr.h"
#include "topo/near.h"
#include "ep/ctrl.h"

/*
 * A provider's connection between two living processes may break while a message is posted. The provider opens a new
 * connection for the next message, so a failed message, which was not delivered, is sent again.
 */
#define TRIES_MAX     6
#define FIRST_WAIT_US 2000 /* doubled each time */

struct ctrl_rx {
	struct fab_op op; /* first */
	struct list link; /* in rx_unposted while not posted */
	struct xfer_ep *ep;
	struct fab_ep *fab;
	struct weft_stats_rail *at; /* the NIC's part of the record */
	void *desc;
	char *buf; /* ep->rx_bytes */
};

struct ctrl_tx {
	struct fab_op op; /* first */
	struct list link; /* in tx_waiting or tx_in_flight, or its class's free list */
	struct xfer_ep *ep;
	struct tx_class *class;
	struct xfer_peer *peer;	 /* counted */
	const struct path *path; /* of the peer's */
	uint32_t comm_id;	 /* the comm to notify of the completion; it may be closed by then */
	ctrl_sent sent;
	void *arg;
	int tries;	  /* failed attempts */
	int64_t again_us; /* earliest time of the next attempt after a failure */
	size_t bytes;
	struct wire_ctrl *msg;	 /* class->bytes of registered memory */
	const struct dev_mr *mr; /* registration of the chunk */
};

struct tx_chunk {
	struct list link; /* in class->chunks */
	struct dev_mr *mr;
	void *memory;
	struct ctrl_tx tx[];
};

static void rx_done(struct fab_op *op, const struct fab_result *r);
static void tx_done(struct fab_op *op, const struct fab_result *r);
static int tx_post(struct ctrl_tx *tx);

__attribute__((cold, noinline)) static void rx_refused(struct ctrl_rx *rx, int err)
{
	struct xfer_ep *ep = rx->ep;

	if (err == -EAGAIN) {
		list_append(&ep->rx_unposted, &rx->link);
		pending_add(ep, &ep->ctrl_retry);
	} else {
		ep_break(ep, err, "cannot post a receive for control messages");
	}
}

static inline void rx_post(struct xfer_ep *ep, struct ctrl_rx *rx)
{
	int ret = fab_recv(rx->fab, &rx->op, rx->buf, ep->rx_bytes, rx->desc);

	if (ret)
		rx_refused(rx, ret);
}

static void class_init(struct tx_class *class, size_t bytes, size_t per_chunk)
{
	list_init(&class->free);
	list_init(&class->chunks);
	class->bytes = bytes;
	class->per_chunk = per_chunk;
}

static void chunk_free(const struct tx_class *class, struct tx_chunk *chunk)
{
	if (chunk->mr)
		dev_mr_put(chunk->mr);
	topo_near_free(chunk->memory, class->per_chunk * class->bytes);
	free(chunk);
}

static int class_grow(struct xfer_ep *ep, struct tx_class *class)
{
	struct tx_chunk *chunk = calloc(1, sizeof(*chunk) + class->per_chunk * sizeof(chunk->tx[0]));
	size_t i, bytes = class->per_chunk * class->bytes;
	int ret;

	if (!chunk)
		return -ENOMEM;
	chunk->memory = topo_near_alloc(ep->node, bytes);
	ret = chunk->memory ? dev_mr_get(ep->access, chunk->memory, bytes, &chunk->mr) : -ENOMEM;
	if (ret) {
		chunk_free(class, chunk);
		return ret;
	}
	list_append(&class->chunks, &chunk->link);
	for (i = 0; i < class->per_chunk; i++) {
		struct ctrl_tx *tx = &chunk->tx[i];

		tx->op.done = tx_done;
		tx->ep = ep;
		tx->class = class;
		tx->mr = chunk->mr;
		tx->msg = (void *)((char *)chunk->memory + i * class->bytes);
		list_append(&class->free, &tx->link);
	}
	return 0;
}

static void class_fini(struct tx_class *class)
{
	while (!list_empty(&class->chunks)) {
		struct tx_chunk *chunk = container_of(class->chunks.next, struct tx_chunk, link);

		list_remove(&chunk->link);
		chunk_free(class, chunk);
	}
}

static int rail_receives(struct rail *rail, struct ctrl_rx *rx, size_t n, char *memory)
{
	struct xfer_ep *ep = rail->ep;
	int ret;

	if (!n)
		return 0;
	ret = fab_mr_reg(ep->access->domains[rail->nic], memory, n * ep->rx_bytes, &rail->ctrl_mr);
	for (; n && !ret; n--, rx++, memory += ep->rx_bytes) {
		rx->op.done = rx_done;
		rx->ep = ep;
		rx->fab = rail->fab;
		rx->at = ep->stats.rails[rail->nic];
		rx->desc = fab_mr_desc(rail->ctrl_mr);
		rx->buf = memory;
		memset(memory, 0, sizeof(struct wire_ctrl)); /* all that is read before a message is checked */
		list_init(&rx->link);
		rx_post(ep, rx);
		ret = ep->err;
	}
	return ret;
}

/* Where the kernel copies every message, it copies each into the next buffer: few of them stay in a core's cache. */
static size_t buffers_of(const struct xfer_ep *ep)
{
	if (ep->conf->ctrl_buffers)
		return (size_t)ep->conf->ctrl_buffers;
	return ep->dev->nic->copies ? 32 : 128;
}

/*
 * The primary rail has buffers_of() receives; the other rails, which carry only eager messages, share as many
 * again. But the streams of a NIC share its completion queue, whose second half is for data.
 */
static size_t receives_of(const struct xfer_ep *ep, int rail)
{
	size_t n = buffers_of(ep), spare = (size_t)ep->conf->cq_depth / 2 - n;

	if (!rail)
		return n;
	if (!ep->dev->nic->rma)
		return 0;
	if (n > spare)
		n = spare;
	n /= (size_t)ep->rail_count;
	return n ? n : 1;
}

int ctrl_open(struct xfer_ep *ep)
{
	size_t n = 0;
	int i, ret = 0;

	for (i = 0; i < ep->rail_count; i++)
		n += receives_of(ep, i);
	ep->rx_bytes = ep->dev->nic->rma ? sizeof(struct wire_ctrl) + ep->eager_max : WIRE_CTRL_MAX;
	ep->inject_bytes = fab_inject_bytes(ep->fab);
	if (ep->inject_bytes > sizeof(struct wire_ctrl) + CTRL_INJECT_MAX)
		ep->inject_bytes = sizeof(struct wire_ctrl) + CTRL_INJECT_MAX;
	ep->ctrl_bytes = n * ep->rx_bytes;
	ep->rx = calloc(n, sizeof(*ep->rx));
	ep->ctrl_memory = ep->rx ? topo_near_alloc(ep->node, ep->ctrl_bytes) : NULL;
	if (!ep->ctrl_memory)
		return -ENOMEM;
	for (i = 0, n = 0; i < ep->rail_count && !ret; i++) {
		ret = rail_receives(&ep->rails[i], &ep->rx[n], receives_of(ep, i),
				    (char *)ep->ctrl_memory + n * ep->rx_bytes);
		n += receives_of(ep, i);
	}
	return ret;
}

/*
 * Each waiting message is tried once per poll, so that a peer that is dead or still connecting does not delay the
 * messages to other peers.
 */
void ctrl_progress(struct xfer_ep *ep)
{
	struct list *it, *tmp;

	list_each (&ep->rx_unposted, it, tmp) {
		struct ctrl_rx *rx = container_of(it, struct ctrl_rx, link);

		list_remove(&rx->link);
		rx_post(ep, rx);
		if (!list_empty(&rx->link))
			break; /* the receive queue is still full */
	}
	list_each (&ep->tx_waiting, it, tmp)
		tx_post(container_of(it, struct ctrl_tx, link));
	if (!list_empty(&ep->rx_unposted) || !list_empty(&ep->tx_waiting))
		pending_add(ep, &ep->ctrl_retry);
}

static void ctrl_retry(struct pending *p)
{
	ctrl_progress(container_of(p, struct xfer_ep, ctrl_retry));
}

void ctrl_init(struct xfer_ep *ep)
{
	list_init(&ep->ctrl_retry.link);
	ep->ctrl_retry.retry = ctrl_retry;
	list_init(&ep->tx_waiting);
	list_init(&ep->tx_in_flight);
	list_init(&ep->rx_unposted);
	class_init(&ep->tx_small, WIRE_CTRL_MAX, 32);
	class_init(&ep->tx_large, sizeof(struct wire_ctrl) + ep->eager_max, 16);
}

static void tx_free(struct ctrl_tx *tx)
{
	list_remove(&tx->link);
	peer_put(tx->peer);
	list_append(&tx->class->free, &tx->link);
}

void ctrl_close(struct xfer_ep *ep)
{
	int i;

	while (!list_empty(&ep->tx_waiting))
		tx_free(container_of(ep->tx_waiting.next, struct ctrl_tx, link));
	while (!list_empty(&ep->tx_in_flight))
		tx_free(container_of(ep->tx_in_flight.next, struct ctrl_tx, link));
	class_fini(&ep->tx_small);
	class_fini(&ep->tx_large);
	for (i = 0; i < ep->rail_count; i++) {
		fab_mr_close(ep->rails[i].ctrl_mr);
		ep->rails[i].ctrl_mr = NULL;
	}
	topo_near_free(ep->ctrl_memory, ep->ctrl_bytes);
	free(ep->rx);
	ep->ctrl_memory = NULL;
	ep->rx = NULL;
}

/* The message has been sent, or (err) has failed permanently. */
static void tx_gone(struct ctrl_tx *tx, int err, const char *text)
{
	struct ctrl_end end = {.comm_id = tx->comm_id, .arg = tx->arg, .msg = tx->msg, .err = err, .text = text};

	if (tx->sent)
		tx->sent(tx->ep, &end);
	tx_free(tx);
}

static bool is_transient(int err)
{
	return err == -EPIPE || err == -ECONNRESET || err == -ENOTCONN || err == -ECONNABORTED || err == -ECONNREFUSED;
}

/* After a failure: queues the message for another attempt, if one can succeed. */
static bool try_later(struct ctrl_tx *tx, int err)
{
	struct xfer_ep *ep = tx->ep;

	if (!is_transient(err) || tx->peer->dead || !ep->fab || tx->tries >= TRIES_MAX)
		return false;
	tx->again_us = clock_us() + (FIRST_WAIT_US << tx->tries++);
	list_remove(&tx->link);
	list_append(&ep->tx_waiting, &tx->link);
	pending_add(ep, &ep->ctrl_retry);
	return true;
}

static void tx_done(struct fab_op *op, const struct fab_result *r)
{
	struct ctrl_tx *tx = (struct ctrl_tx *)op;

	if (!r->err || !try_later(tx, r->err))
		tx_gone(tx, r->err, r->text);
}

/* Returns -EAGAIN if tx still waits. Otherwise tx is in flight or freed. */
static int tx_post(struct ctrl_tx *tx)
{
	struct xfer_ep *ep = tx->ep;
	int ret;

	if (tx->tries && clock_us() < tx->again_us && !tx->peer->dead)
		return -EAGAIN;
	if (tx->peer->dead) {
		/*
		 * Some providers would retry the connection for ever. The peer's comms fail after their grace period.
		 */
		tx_gone(tx, 0, NULL);
		return -ECONNRESET;
	}
	ret = ep->fab ? fab_send(tx->path->rail->fab, &tx->op, tx->msg, tx->bytes,
				 fab_mr_desc(tx->mr->rail[tx->path->rail->nic]), tx->path->fab_addr)
		      : ep->err;
	if (ret == -EAGAIN || (ret && try_later(tx, ret)))
		return -EAGAIN;
	if (ret) {
		tx_gone(tx, ret, strerror(-ret));
		return ret;
	}
	list_remove(&tx->link);
	list_append(&ep->tx_in_flight, &tx->link);
	return 0;
}

static int tx_new(struct xfer_ep *ep, struct tx_class *class, struct xfer_peer *peer, uint32_t comm_id, ctrl_sent sent,
		  struct ctrl_tx **out)
{
	int ret = list_empty(&class->free) ? class_grow(ep, class) : 0;
	struct ctrl_tx *tx;

	if (ret)
		return ret;
	tx = container_of(class->free.prev, struct ctrl_tx, link); /* the last one used: still in the cache */
	list_remove(&tx->link);
	tx->peer = peer;
	tx->path = &peer->paths[0];
	tx->comm_id = comm_id;
	tx->sent = sent;
	tx->arg = NULL;
	tx->tries = 0;
	peer->refs++;
	*out = tx;
	return 0;
}

/* A new message queues behind waiting ones. Their order is irrelevant, but each must get its turn. */
static void tx_start(struct xfer_ep *ep, struct ctrl_tx *tx)
{
	if (!list_empty(&ep->tx_waiting) || tx_post(tx) == -EAGAIN) {
		list_remove(&tx->link); /* a failure may have put it there */
		list_append(&ep->tx_waiting, &tx->link);
		pending_add(ep, &ep->ctrl_retry);
	}
}

int ctrl_send(struct xfer_ep *ep, struct xfer_peer *peer, const struct wire_ctrl *msg, uint32_t comm_id, ctrl_sent sent)
{
	struct ctrl_tx *tx;
	int ret = tx_new(ep, &ep->tx_small, peer, comm_id, sent, &tx);

	if (ret)
		return ret;
	tx->bytes = wire_ctrl_size(msg);
	memcpy(tx->msg, msg, tx->bytes);
	tx_start(ep, tx);
	return 0;
}

int ctrl_send_data(struct xfer_peer *peer, const struct path *path, const struct wire_ctrl *msg, const void *data,
		   uint32_t comm_id, ctrl_sent sent, void *arg)
{
	size_t len = wire_tagged_bytes(msg);
	struct xfer_ep *ep = peer->ep;
	struct ctrl_tx *tx;
	int ret = tx_new(ep, &ep->tx_large, peer, comm_id, sent, &tx);

	if (ret)
		return ret;
	tx->arg = arg;
	tx->path = path;
	tx->bytes = sizeof(*msg) + len;
	memcpy(tx->msg, msg, sizeof(*msg));
	if (len)
		memcpy(tx->msg + 1, data, len);
	tx_start(ep, tx);
	return 0;
}

bool ctrl_in_flight(const struct xfer_ep *ep, uint32_t comm_id)
{
	struct list *it, *tmp;

	list_each (&ep->tx_in_flight, it, tmp)
		if (container_of(it, struct ctrl_tx, link)->comm_id == comm_id)
			return true;
	return false;
}

/* A receive that has failed, or got anything but an eager message. */
__attribute__((noinline)) static void rx_rare(struct xfer_ep *ep, struct wire_ctrl *msg, const struct fab_result *r)
{
	const char *wrong;

	if (r->err) {
		/* Some providers fail a receive when the connection of any peer breaks, so no peer is to blame. */
		log_debug("a control receive on NIC %s failed: %s", ep->dev->nic->name, r->text);
		return;
	}
	wrong = wire_ctrl_check(msg, r->len);
	if (wrong)
		log_warn("NIC %s received %s (%zu bytes), which is ignored", ep->dev->nic->name, wrong, r->len);
	else
		ep->dispatch(ep, msg);
}

static void rx_done(struct fab_op *op, const struct fab_result *r)
{
	struct ctrl_rx *rx = (struct ctrl_rx *)op;
	struct xfer_ep *ep = rx->ep;
	struct wire_ctrl *msg = (struct wire_ctrl *)rx->buf;

	if (!r->err && wire_ctrl_is_eager(msg, r->len)) {
		rx->at->rx_messages++;
		rx->at->rx_bytes += wire_tagged_bytes(msg);
		ep->dispatch_eager(ep, msg);
	} else {
		rx_rare(ep, msg, r);
	}
	if (ep->fab)
		rx_post(ep, rx);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ports: opening, finding the calling thread's, progress, the end. NCCL makes a communicator's connections
 * on one thread of its own, so a port per (device, thread) keeps communicators out of each other's way.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "peer/address.h"
#include "peer/bell.h"
#include "peer/ident.h"
#include "topo/near.h"
#include "topo/nic.h"
#include "xfer/internal.h"

#define FAREWELL_US 200000  /* how long the last close waits for its own farewells to leave */
#define RUNG_ROUNDS   20
#define RUNG_PAUSE_US 1000
#define ANSWER_US   10000000 /* ... and for peers to answer, where that is needed (parting.c) */
#define REMIND_US   20000   /* ... for which they are asked this often */

static pthread_mutex_t ports_lock = PTHREAD_MUTEX_INITIALIZER;
static struct list ports = {&ports, &ports};

/* Where peers open lifelines to this port; without one (logged once) only the provider can tell deaths. */
static void open_lifeline(struct xfer_port *port)
{
	const char *wish = port->conf->lifeline_addr;
	uint8_t ip[16];
	int family, ret;

	if (!port->conf->lifeline)
		return;
	family = address_from_text(wish, ip);
	if (!family && strcmp(wish, "auto")) {
		log_warn("WEFT_LIFELINE_ADDR=%s is not an IP address: going on without lifelines", wish);
		return;
	}
	if (!family)
		family = fab_nic_ip(port->dev->nic, ip);
	if (!family)
		family = address_of_host(fab_nic_local_only(port->dev->nic), ip);
	ret = family ? lifeline_listen(family, ip, &port->lifeline) : -EADDRNOTAVAIL;
	if (ret)
		log_info("no lifeline (%s): the death of a peer may go unnoticed; see WEFT_LIFELINE_ADDR",
			 strerror(-ret));
}

/*
 * A peer waits for an answer (bell.h): drives every port for a while. What a peer has sent may come a little
 * later than its ring.
 */
static void rung(void)
{
	struct xfer_port *held[64];
	struct list *it, *tmp;
	int i, round, n = 0;

	pthread_mutex_lock(&ports_lock);
	list_each (&ports, it, tmp) {
		if (n == (int)(sizeof(held) / sizeof(held[0])))
			break;
		held[n] = owner_of(it, struct xfer_port, link);
		held[n++]->refs++;
	}
	pthread_mutex_unlock(&ports_lock);
	for (round = 0; round < RUNG_ROUNDS; round++) {
		for (i = 0; i < n; i++) {
			if (pthread_mutex_trylock(&held[i]->lock))
				continue; /* somebody else drives it */
			xfer_port_poll(held[i]);
			xfer_port_unlock(held[i]);
		}
		usleep(RUNG_PAUSE_US);
	}
	for (i = 0; i < n; i++)
		xfer_port_put(held[i]);
}

static int rail_open(struct xfer_port *port, int i)
{
	struct rail *r = &port->rails[i];
	size_t bytes;
	int ret;

	r->port = port;
	r->index = i;
	rail_init(r, port->dev->rails[i], port->dev->speed_mbps / port->dev->rail_count);
	ret = fab_ep_open(port->dev->domains[i], (size_t)port->conf->cq_depth, rma_arrival, r, &r->ep);
	if (!ret)
		ret = fab_ep_addr(r->ep, r->addr, &bytes);
	if (!i)
		port->addr_bytes = bytes;
	return ret;
}

/* What the provider can't pass on by its queues is better written in its place than sent and copied. */
static size_t eager_end(const struct xfer_port *port)
{
	size_t queued = port->dev->nic->queued, max = WIRE_EAGER_MAX;

	if (port->conf->eager == CONF_EAGER_OFF)
		return 0;
	if (queued && queued - sizeof(struct wire_ctrl) < max)
		max = queued - sizeof(struct wire_ctrl);
	return max + 1;
}

static int port_open_parts(struct xfer_port *port)
{
	int i, ret = dev_get(port->dev);

	if (ret)
		return ret;
	port->domain = port->dev->domains[0];
	port->eager_end = eager_end(port);
	if (topo_near_nodes() > 1)
		port->node = topo_nic_numa(port->conf->topology, port->dev->nic->pci, port->dev->pci_path);
	if ((port->dev->nic->rma || port->dev->nic->silent_dead) && bell_open(rung))
		log_info("no thread for the bell: a peer that closes while this process is busy has to wait");
	for (i = 0; i < port->dev->rail_count && !ret; i++) {
		port->rail_count++;
		ret = rail_open(port, i);
	}
	port->ep = port->rails[0].ep;
	if (!ret)
		ret = ctrl_open(port);
	if (!ret)
		ret = flush_open(port);
	if (!ret)
		open_lifeline(port);
	return ret;
}

void port_shut(struct xfer_port *port)
{
	int i;

	for (i = 0; i < port->rail_count; i++) {
		fab_ep_close(port->rails[i].ep);
		port->rails[i].ep = NULL;
	}
	port->ep = NULL;
}

static void port_free(struct xfer_port *port)
{
	port_shut(port);
	ctrl_close(port);
	flush_close(port);
	orphans_close(port);
	partings_close(port);
	rings_close(port);
	while (!list_empty(&port->peers)) {
		struct xfer_peer *peer = owner_of(port->peers.next, struct xfer_peer, link);

		list_remove(&peer->link);
		free(peer);
	}
	if (port->domain)
		dev_put(port->dev);
	pool_fini(&port->stash_pool);
	pool_fini(&port->piece_pool);
	pool_fini(&port->req_pool);
	idmap_fini(&port->chans);
	idmap_fini(&port->listens);
	pthread_mutex_destroy(&port->lock);
	free(port);
}

static struct xfer_port *port_new(struct dev *dev, const struct conf *conf,
				  const struct xfer_conn_ops *ops)
{
	struct xfer_port *port = calloc(1, sizeof(*port));
	uint32_t seed;

	if (!port)
		return NULL;
	port->dev = dev;
	port->conf = conf;
	port->ops = ops;
	port->thread = pthread_self();
	port->node = -1;
	pthread_mutex_init(&port->lock, NULL);
	memcpy(&seed, peer_self()->uuid, sizeof(seed));
	idmap_init(&port->chans, seed);
	idmap_init(&port->listens, seed);
	list_init(&port->link);
	list_init(&port->peers);
	list_init(&port->orphans);
	list_init(&port->orphans_waiting);
	list_init(&port->announcing);
	list_init(&port->grouping);
	list_init(&port->pieces_waiting);
	list_init(&port->slabs);
	list_init(&port->rings_free);
	partings_init(port);
	ctrl_init(port);
	pool_init(&port->stash_pool, sizeof(struct stash), 8);
	pool_init(&port->req_pool, sizeof(struct xfer_req), 32);
	pool_init(&port->piece_pool, PIECE_BYTES, 32);
	return port;
}

static struct xfer_port *find(const struct dev *dev)
{
	struct list *it, *tmp;

	list_each (&ports, it, tmp) {
		struct xfer_port *p = owner_of(it, struct xfer_port, link);

		if (p->dev == dev && pthread_equal(p->thread, pthread_self()) && !p->err)
			return p;
	}
	return NULL;
}

int xfer_port_get(struct dev *dev, const struct conf *conf, const struct xfer_conn_ops *ops,
		  struct xfer_port **out)
{
	struct xfer_port *port;
	int ret = 0;

	*out = NULL;
	pthread_mutex_lock(&ports_lock);
	port = find(dev);
	if (!port) {
		port = port_new(dev, conf, ops);
		ret = port ? port_open_parts(port) : -ENOMEM;
		if (!ret) {
			list_append(&ports, &port->link);
		} else if (port) {
			port_free(port);
		}
	}
	if (!ret) {
		port->refs++;
		*out = port;
	}
	pthread_mutex_unlock(&ports_lock);
	return ret;
}

/* One look at every rail. How many completions there were, or a negative errno. */
static int look(struct xfer_port *port)
{
	int i, n, sum = 0;

	for (i = 0; i < port->rail_count; i++) {
		n = fab_ep_poll(port->rails[i].ep);
		if (n < 0)
			return n;
		sum += n;
	}
	return sum;
}

/*
 * Lets the last close messages leave, and reads what has arrived: closing a TCP connection with unread bytes
 * would destroy bytes of ours that are still on their way. Peers that live get time for the answers that are needed.
 */
static void farewell(struct xfer_port *port)
{
	int64_t now = clock_us(), remind_at = now + REMIND_US;
	int64_t deadline = now + (port->peers_awaited ? ANSWER_US : FAREWELL_US);
	int64_t patient_until = now + port->conf->close_timeout_us;
	int idle = 0;

	for (; port->ep && idle < 3 && now < deadline; now = clock_us()) {
		int n = look(port);

		ctrl_progress(port);
		if (port->peers_awaited && now > remind_at) {
			partings_remind(port, now > patient_until);
			remind_at = now + REMIND_US;
		}
		idle = n || port->peers_awaited || !list_empty(&port->tx_flying) ||
				       !list_empty(&port->tx_waiting)
			       ? 0
			       : idle + 1;
	}
}

void port_hold(struct xfer_port *port)
{
	pthread_mutex_lock(&ports_lock);
	port->refs++;
	pthread_mutex_unlock(&ports_lock);
}

void xfer_port_put(struct xfer_port *port)
{
	if (!port)
		return;
	pthread_mutex_lock(&ports_lock);
	if (--port->refs) {
		pthread_mutex_unlock(&ports_lock);
		return;
	}
	list_remove(&port->link);
	pthread_mutex_unlock(&ports_lock);
	pthread_mutex_lock(&port->lock);
	farewell(port);
	pthread_mutex_unlock(&port->lock);
	port_free(port);
}

void xfer_port_lock(struct xfer_port *port)
{
	pthread_mutex_lock(&port->lock);
}

void xfer_port_unlock(struct xfer_port *port)
{
	pthread_mutex_unlock(&port->lock);
}

void port_break(struct xfer_port *port, int err, const char *why)
{
	uint32_t i;

	if (port->err)
		return;
	port->err = err;
	log_warn("the endpoint on NIC %s (%s) is shut down: %s; every connection on it fails",
		 port->dev->nic->name, port->dev->nic->provider, why);
	for (i = 0; i < port->chans.used; i++) {
		struct xfer_chan *chan = port->chans.slots[i].ptr;

		if (chan && !chan->err)
			chan->err = err;
	}
}

/* What has its turn rarely: mostly there is nothing, and that costs no call. */
static void progress_rest(struct xfer_port *port)
{
	if (!list_empty(&port->orphans_waiting))
		orphans_progress(port);
	if (!list_empty(&port->announcing))
		rma_progress(port);
	if (!list_empty(&port->pieces_waiting))
		pieces_progress(port);
	if (!list_empty(&port->grouping))
		groups_progress(port);
}

int xfer_port_poll(struct xfer_port *port)
{
	int ret;

	if (port->err)
		return port->err;
	ret = look(port);
	port->idle = ret ? 0 : port->idle + 1;
	if (ret < 0)
		port_break(port, ret, "its completion queue failed");
	else if (!list_empty(&port->rx_unposted) || !list_empty(&port->tx_waiting))
		ctrl_progress(port);
	if (!port->err)
		progress_rest(port);
	return port->err;
}

uint16_t xfer_wire_tag(const struct dev *dev)
{
	return (uint16_t)(wire_provider_tag(dev->nic->provider) ^ (dev->nic->rma ? 0x5241 : 0));
}

void xfer_port_who(const struct xfer_port *port, struct wire_who *out)
{
	const struct peer_ident *self = peer_self();

	memset(out, 0, sizeof(*out));
	memcpy(out->uuid, self->uuid, sizeof(out->uuid));
	out->pid = self->pid;
	out->provider = xfer_wire_tag(port->dev);
	out->addr_bytes = (uint8_t)port->addr_bytes;
	memcpy(out->addr, port->rails[0].addr, port->addr_bytes);
	out->rails = 1;
	snprintf(out->host, sizeof(out->host), "%s", self->host);
}

const struct lifeline_addr *xfer_port_lifeline(const struct xfer_port *port)
{
	return &port->lifeline;
}

int xfer_port_listen(struct xfer_port *port, void *listen, uint32_t *out_id)
{
	return port->err ? port->err : idmap_add(&port->listens, listen, out_id);
}

void xfer_port_unlisten(struct xfer_port *port, uint32_t id)
{
	idmap_remove(&port->listens, id);
}

void xfer_port_refuse(struct xfer_port *port, const struct wire_connect *request, int err)
{
	struct wire_connect msg;
	struct xfer_peer *peer;

	if (peer_get(port, &request->who, &peer))
		return;
	wire_ctrl_init(&msg.ctrl, WIRE_CONNECT_RESPONSE, request->ctrl.from, 0);
	xfer_port_who(port, &msg.who);
	msg.who.status = (uint8_t)err;
	ctrl_send(port, peer, NULL, &msg.ctrl);
	peer_put(peer);
}

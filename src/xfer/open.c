/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Endpoints: opening, finding the calling thread's, polls by the wakeup thread, closing. ep/ep.h explains why there is
 * one per (device, thread).
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/random.h"
#include "peer/address.h"
#include "peer/wakeup.h"
#include "peer/ident.h"
#include "topo/near.h"
#include "topo/nic.h"
#include "comm/status.h"
#include "proto/flush.h"
#include "proto/rma.h"
#include "proto/tagged.h"
#include "xfer/internal.h"

#define LAST_CLOSE_US 200000   /* longest wait of the last close for its own CLOSE messages to be sent */
#define ANSWER_US     10000000 /* longest wait of the last close for answers of peers (linger.c) */
#define REMIND_US     20000    /* time between wakeups of peers that have not answered */
#define WAKE_ROUNDS   20       /* polls of each endpoint after a wakeup */
#define WAKE_PAUSE_US 1000     /* time between these polls */

#define EAGER_MAX_ELSEWHERE 8192 /* bytes of the largest eager message where the NIC itself moves the bytes */

static struct list eps = {&eps, &eps};
static struct list eps_ending = {&eps_ending, &eps_ending}; /* without references; they still get notes */
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void forget(struct list *list)
{
	struct list *it, *tmp;

	list_each (list, it, tmp) {
		container_of(it, struct xfer_ep, link)->visits = 0; /* the child has no wakeup thread */
		list_remove(it);
	}
}

/* Forgets the parent's endpoints without closing them, because their sockets and queues belong to the parent. */
static void eps_in_child(void)
{
	forget(&eps);
	forget(&eps_ending);
	pthread_mutex_init(&eps_lock, NULL);
	pthread_cond_init(&eps_left, NULL);
}

static void eps_before_fork(void)
{
	pthread_mutex_lock(&eps_lock);
}

static void eps_in_parent(void)
{
	pthread_mutex_unlock(&eps_lock);
}

static void eps_register_fork(void)
{
	/* Endpoints are opened and woken with eps_lock held. */
	lifeline_prepare();
	stats_prepare();
	pthread_atfork(eps_before_fork, eps_in_parent, eps_in_child);
}

/* Listens for lifelines of peers. Without lifelines (logged once) only the provider can report the death of a peer. */
static void open_lifeline(struct xfer_ep *ep)
{
	const char *requested = ep->conf->lifeline_addr;
	uint8_t ip[16];
	int family, ret;

	if (!ep->conf->lifeline)
		return;
	family = address_from_text(requested, ip);
	if (!family && strcmp(requested, "auto")) {
		log_warn("WEFT_LIFELINE_ADDR=%s is not an IP address: continuing without lifelines", requested);
		return;
	}
	if (!family)
		family = fab_nic_ip(ep->dev->nic, ip);
	if (!family)
		family = address_of_host(fab_nic_local_only(ep->dev->nic), ip);
	ret = family ? lifeline_listen(family, ip, &ep->lifeline) : -EADDRNOTAVAIL;
	if (ret)
		log_info("no lifeline (%s): the death of a peer may go unnoticed; see WEFT_LIFELINE_ADDR",
			 strerror(-ret));
}

/* Ends a visit of the wakeup thread. */
static void leave(struct xfer_ep *ep)
{
	pthread_mutex_lock(&eps_lock);
	if (!--ep->visits)
		pthread_cond_broadcast(&eps_left);
	pthread_mutex_unlock(&eps_lock);
}

/* Polls each endpoint once, except those locked by another thread. The list may change while eps_lock is not held. */
static void poll_each_once(uint64_t round)
{
	struct xfer_ep *ep;

	do {
		struct list *it, *tmp;

		ep = NULL;
		pthread_mutex_lock(&eps_lock);
		list_each (&eps, it, tmp) {
			struct xfer_ep *e = container_of(it, struct xfer_ep, link);

			if (e->woken_round != round) {
				ep = e;
				break;
			}
		}
		if (ep) {
			ep->woken_round = round;
			ep->visits++;
			list_remove(&ep->link); /* moved behind the endpoints that remain to be polled */
			list_append(&eps, &ep->link);
		}
		pthread_mutex_unlock(&eps_lock);
		if (ep && !pthread_mutex_trylock(&ep->lock)) {
			xfer_ep_poll(ep);
			ep->polls--; /* ep->polls counts only polls of the application */
			xfer_ep_unlock(ep);
		}
		if (ep)
			leave(ep);
	} while (ep);
}

static struct xfer_ep *ep_of(const struct list *list, uint32_t id)
{
	struct list *it, *tmp;

	list_each (list, it, tmp)
		if (container_of(it, struct xfer_ep, link)->id == id)
			return container_of(it, struct xfer_ep, link);
	return NULL;
}

static struct xfer_ep *ep_by_id(uint32_t id)
{
	struct xfer_ep *ep = ep_of(&eps, id);

	return ep ? ep : ep_of(&eps_ending, id);
}

/* Delivers the notes of peers to their endpoints, which read them in their next poll. */
static void deliver_notes(void)
{
	struct ep_mail m;
	struct xfer_ep *ep;

	while (lifeline_note(&m.line, &m.note)) {
		pthread_mutex_lock(&eps_lock);
		ep = ep_by_id(m.note.to_ep);
		if (ep)
			ep_mail_leave(ep, &m);
		pthread_mutex_unlock(&eps_lock);
		if (ep)
			continue;
		status_no_comm(m.line, &m.note);
		lifeline_put(m.line);
	}
}

/* A peer waits for an answer (wakeup.h). Polls for a while, because its message may arrive later than its wakeup. */
static void poll_all_endpoints(void)
{
	static uint64_t round; /* used by the wakeup thread only */
	int i;

	deliver_notes();
	for (i = 0; i < WAKE_ROUNDS; i++) {
		poll_each_once(++round);
		usleep(WAKE_PAUSE_US);
	}
}

static int rail_open(struct xfer_ep *ep, int i)
{
	struct rail *r = &ep->rails[i];
	const struct fab_nic *nic;
	size_t bytes;
	int ret;

	r->ep = ep;
	r->nic = i % ep->nic_count;
	nic = ep->dev->rails[r->nic];
	rail_init(r, nic, ep->dev->speed_mbps / ep->nic_count);
	if (i < ep->nic_count)
		ret = fab_ep_open(ep->access->domains[i], (size_t)ep->conf->cq_depth, rma_arrival, r, &r->fab);
	else
		ret = fab_ep_open_beside(ep->rails[r->nic].fab, &r->fab);
	if (!ret)
		fab_ep_count(r->fab, (struct fab_counts *)&ep->stats.rails[r->nic]->tx_bytes);
	if (!ret)
		ret = fab_ep_addr(r->fab, r->addr, &bytes);
	r->measured = ep->nic_count > 1 || !nic->copies;
	if (!ret && ep->nic_count > 1 && nic->copies && nic->rma)
		fab_ep_await_delivery(r->fab);
	if (!i)
		ep->addr_bytes = bytes;
	return ret;
}

/*
 * A message too long for the provider's own queues is faster as a write to its target than sent and copied. Where the
 * kernel copies every message, one more copy is cheaper than a clear-to-send, which costs both sides a system call.
 */
static size_t eager_max(const struct fab_nic *nic)
{
	if (nic->queued)
		return nic->queued - sizeof(struct wire_ctrl);
	return nic->copies ? WIRE_EAGER_MAX : EAGER_MAX_ELSEWHERE;
}

/* TCP keeps the order of a connection's bytes: a clear-to-send behind large messages would wait for all of them. */
static int rails_of(struct xfer_ep *ep)
{
	int n = ep->nic_count * ep->dev->streams;

	ep->control_alone = n > 1 && ep->dev->nic->copies && ep->dev->nic->rma;
	return n + ep->control_alone;
}

static int ep_open_parts(struct xfer_ep *ep)
{
	int i, ret = dev_get(ep->dev, &ep->access);

	if (ret)
		return ret;
	ep->domain = ep->access->domains[0];
	if (topo_near_nodes() > 1)
		ep->node = topo_nic_numa(ep->conf->topology, ep->dev->nic->pci, ep->dev->pci_path);
	if (ep->conf->lifeline && wakeup_open(poll_all_endpoints))
		log_info("cannot start the wakeup thread: a peer that closes waits until this process polls");
	stats_ep_open(&ep->stats, ep->conf, ep->dev, ep->id);
	ep->nic_count = ep->dev->rail_count;
	ep->stripe_min = ep->nic_count > 1 && ep->dev->nic->copies ? STRIPE_MIN_FINE : STRIPE_MIN;
	for (i = 0; i < rails_of(ep) && !ret; i++) {
		ep->rail_count++;
		ret = rail_open(ep, i);
	}
	ep->fab = ep->rails[0].fab;
	if (!ret)
		ret = ctrl_open(ep);
	if (!ret)
		ret = flush_open(ep);
	if (!ret)
		open_lifeline(ep);
	return ret;
}

static void ep_free(struct xfer_ep *ep)
{
	struct ep_mail m;

	ep_shut(ep);
	stats_ep_close(&ep->stats);
	ctrl_close(ep);
	flush_close(ep);
	discards_close(ep);
	lingering_close(ep);
	cts_rings_close(ep);
	peers_close(ep);
	if (ep->access)
		dev_put(ep->access);
	pool_fini(&ep->unexpected_pool);
	pool_fini(&ep->op_pool);
	pool_fini(&ep->req_pool);
	idmap_fini(&ep->comms);
	idmap_fini(&ep->listens);
	while (ep_mail_take(ep, &m))
		lifeline_put(m.line);
	pthread_mutex_destroy(&ep->mail.lock);
	pthread_mutex_destroy(&ep->lock);
	free(ep);
}

/*
 * Sends the last CLOSE messages, and reads what has arrived: closing a TCP connection with unread bytes would destroy
 * our bytes that are still on the way. Waits for the needed answers of peers that are alive.
 */
static void drain(struct xfer_ep *ep)
{
	int64_t now = clock_us(), remind_at = now + REMIND_US;
	int64_t deadline = now + (ep->peers_awaited ? ANSWER_US : LAST_CLOSE_US);
	int64_t patient_until = now + ep->conf->close_timeout_us;
	unsigned turn = 0;
	int idle = 0;

	for (; ep->fab && !ep->err && idle < 3 && now < deadline; now = clock_us()) {
		int n = ep_poll_rails(ep);

		ctrl_progress(ep);
		if (ep->peers_awaited && now > remind_at) {
			lingering_remind(ep, turn++, now > patient_until);
			remind_at = now + REMIND_US;
			deliver_notes(); /* this may be the thread that otherwise does it */
		}
		ep->read_mail(ep);
		/* What is in flight to an endpoint that is gone never completes. */
		if (!ep->peers_awaited && deadline - now > LAST_CLOSE_US)
			deadline = now + LAST_CLOSE_US;
		idle = n || ep->peers_awaited || !list_empty(&ep->tx_in_flight) || !list_empty(&ep->tx_waiting)
			       ? 0
			       : idle + 1;
	}
	if (ep->fab && ep->peers_awaited)
		log_info("an endpoint closes although the peers of %d comms have not answered within %d s",
			 ep->peers_awaited, ANSWER_US / 1000000);
}

static void ep_set_ending(struct xfer_ep *ep, bool ending)
{
	pthread_mutex_lock(&eps_lock);
	if (ending)
		list_append(&eps_ending, &ep->link);
	else
		list_remove(&ep->link);
	pthread_mutex_unlock(&eps_lock);
}

static void ep_release(struct xfer_ep *ep)
{
	ep_set_ending(ep, true);
	pthread_mutex_lock(&ep->lock);
	drain(ep);
	pthread_mutex_unlock(&ep->lock);
	ep_set_ending(ep, false);
	ep_free(ep);
}

static struct xfer_ep *ep_new(struct dev *dev, const struct conf *conf)
{
	struct xfer_ep *ep = calloc(1, sizeof(*ep));
	uint32_t seed[3];

	if (!ep)
		return NULL;
	ep->dev = dev;
	ep->conf = conf;
	ep->thread = pthread_self();
	ep->node = -1;
	ep->eager_max = eager_max(dev->nic);
	ep->eager_end = conf->eager == CONF_EAGER_OFF ? 0 : ep->eager_max + 1;
	pthread_mutex_init(&ep->lock, NULL);
	random_fill(seed, sizeof(seed)); /* random ids: a late message to a reused address finds nothing */
	idmap_init(&ep->comms, seed[0]);
	idmap_init(&ep->listens, seed[1]);
	ep->id = seed[2];
	pthread_mutex_init(&ep->mail.lock, NULL);
	ep->read_mail = status_read_mail;
	ep->half_gone = linger_half_gone;
	list_init(&ep->link);
	list_init(&ep->peers);
	list_init(&ep->peers_idle);
	list_init(&ep->discards);
	list_init(&ep->pending);
	list_init(&ep->kicked);
	ep->dispatch = dispatch;
	ep->dispatch_eager = dispatch_eager;
	ep->fail_comms = comm_fail_all;
	ep->release = ep_release;
	list_init(&ep->slabs);
	list_init(&ep->rings_free);
	lingering_init(ep);
	ctrl_init(ep);
	pool_init(&ep->unexpected_pool, sizeof(struct unexpected) + ep->eager_max, 8);
	pool_init(&ep->req_pool, sizeof(struct xfer_req), 32);
	pool_init(&ep->op_pool, OP_BYTES, 32);
	return ep;
}

static struct xfer_ep *eps_find(const struct dev *dev)
{
	struct list *it, *tmp;

	list_each (&eps, it, tmp) {
		struct xfer_ep *p = container_of(it, struct xfer_ep, link);

		if (p->dev == dev && pthread_equal(p->thread, pthread_self()) && !p->err)
			return p;
	}
	return NULL;
}

int xfer_ep_get(struct dev *dev, const struct conf *conf, struct xfer_ep **out)
{
	struct xfer_ep *ep;
	int ret = 0;

	*out = NULL;
	pthread_once(&once, eps_register_fork);
	pthread_mutex_lock(&eps_lock);
	ep = eps_find(dev);
	if (!ep) {
		ep = ep_new(dev, conf);
		ret = ep ? ep_open_parts(ep) : -ENOMEM;
		if (!ret) {
			list_append(&eps, &ep->link);
		} else if (ep) {
			ep_free(ep);
		}
	}
	if (!ret) {
		ep->refs++;
		*out = ep;
	}
	pthread_mutex_unlock(&eps_lock);
	return ret;
}

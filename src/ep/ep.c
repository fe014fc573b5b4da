/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Endpoints: lock, references, polls, pending work, mail and failure. xfer/open.c opens and closes them.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "peer/address.h"
#include "peer/wakeup.h"
#include "peer/ident.h"
#include "topo/near.h"
#include "topo/nic.h"
#include "ep/peer.h"

pthread_mutex_t eps_lock = PTHREAD_MUTEX_INITIALIZER;
pthread_cond_t eps_left = PTHREAD_COND_INITIALIZER;

/* Calls each entry once. An entry that puts itself back runs in the next poll. */
__attribute__((noinline, cold)) static void retry_all(struct list *waiting)
{
	struct list now;

	list_init(&now);
	while (!list_empty(waiting)) {
		struct list *first = waiting->next;

		list_remove(first);
		list_append(&now, first);
	}
	while (!list_empty(&now)) {
		struct pending *p = container_of(now.next, struct pending, link);

		list_remove(&p->link);
		p->retry(p);
	}
}

void ep_shut(struct xfer_ep *ep)
{
	int i;

	for (i = ep->rail_count - 1; i >= 0; i--) {
		fab_ep_close(ep->rails[i].fab);
		ep->rails[i].fab = NULL;
	}
	ep->fab = NULL;
}

void ep_run_kicked(struct xfer_ep *ep)
{
	if (!list_empty(&ep->kicked))
		retry_all(&ep->kicked);
}

int ep_poll_rails(struct xfer_ep *ep)
{
	int i, n, sum = 0;

	for (i = 0; i < ep->nic_count; i++) { /* the streams of a NIC share its completion queue */
		n = fab_ep_poll(ep->rails[i].fab);
		if (n < 0)
			return n;
		sum += n;
	}
	return sum;
}

void ep_hold(struct xfer_ep *ep)
{
	pthread_mutex_lock(&eps_lock);
	ep->refs++;
	pthread_mutex_unlock(&eps_lock);
}

void xfer_ep_put(struct xfer_ep *ep)
{
	if (!ep)
		return;
	pthread_mutex_lock(&eps_lock);
	if (--ep->refs) {
		pthread_mutex_unlock(&eps_lock);
		return;
	}
	list_remove(&ep->link);
	while (ep->visits)
		pthread_cond_wait(&eps_left, &eps_lock);
	pthread_mutex_unlock(&eps_lock);
	ep->release(ep);
}

void xfer_ep_lock(struct xfer_ep *ep)
{
	pthread_mutex_lock(&ep->lock);
}

void xfer_ep_unlock(struct xfer_ep *ep)
{
	pthread_mutex_unlock(&ep->lock);
}

void ep_break(struct xfer_ep *ep, int err, const char *why)
{
	int i;

	if (ep->err)
		return;
	ep->err = err;
	log_warn("the endpoint on NIC %s (%s) is shut down: %s; every comm on it fails", ep->dev->nic->name,
		 ep->dev->nic->provider, why);
	stats_note(&ep->stats, WEFT_STATS_EV_BROKEN, NULL, 0, (uint64_t)-err);
	ep->stats.at->err = (uint64_t)-err;
	for (i = 0; i < ep->nic_count; i++)
		stats_rail_down(&ep->stats, i, err, why);
	ep->fail_comms(ep, err);
}

void ep_check(struct xfer_ep *ep)
{
	int i, ret = 0;

	for (i = 0; i < ep->rail_count && ep->fab && !ret; i++)
		ret = fab_ep_check(ep->rails[i].fab);
	if (ret)
		ep_break(ep, ret, "its provider has reported an error of the endpoint");
}

static inline void read_mail(struct xfer_ep *ep)
{
	if (atomic_load_explicit(&ep->mail.any, memory_order_acquire))
		ep->read_mail(ep);
}

int xfer_ep_poll(struct xfer_ep *ep)
{
	int ret;

	if (ep->err) { /* nothing moves any more, but peers that ask get their answer */
		read_mail(ep);
		return ep->err;
	}
	ep->polling = true;
	ep->polls++;
	ret = ep_poll_rails(ep);
	ep->idle = ret ? 0 : ep->idle + 1;
	if (ret < 0)
		ep_break(ep, ret, "its completion queue failed");
	else if (!list_empty(&ep->pending))
		retry_all(&ep->pending);
	read_mail(ep);
	ep_run_kicked(ep);
	ep->polling = false;
	return ep->err;
}

void ep_mail_leave(struct xfer_ep *ep, const struct ep_mail *mail)
{
	bool full;

	pthread_mutex_lock(&ep->mail.lock);
	full = ep->mail.count == EP_MAIL;
	if (!full)
		ep->mail.mail[ep->mail.count++] = *mail;
	pthread_mutex_unlock(&ep->mail.lock);
	if (full)
		lifeline_put(mail->line); /* dropped: the peer will ask again */
	else
		atomic_store_explicit(&ep->mail.any, true, memory_order_release);
}

bool ep_mail_take(struct xfer_ep *ep, struct ep_mail *out)
{
	bool any;

	pthread_mutex_lock(&ep->mail.lock);
	any = ep->mail.count;
	if (any)
		*out = ep->mail.mail[--ep->mail.count];
	else
		atomic_store_explicit(&ep->mail.any, false, memory_order_relaxed);
	pthread_mutex_unlock(&ep->mail.lock);
	return any;
}

uint16_t xfer_fingerprint(const struct dev *dev)
{
	return (uint16_t)(wire_fingerprint(dev->nic->provider) ^ (dev->nic->rma ? 0x5241 : 0));
}

void xfer_ep_who(const struct xfer_ep *ep, struct wire_who *out)
{
	const struct peer_ident *self = peer_self();

	memset(out, 0, sizeof(*out));
	memcpy(out->uuid, self->uuid, sizeof(out->uuid));
	out->pid = self->pid;
	out->ep_id = ep->id;
	out->fingerprint = xfer_fingerprint(ep->dev);
	out->addr_bytes = (uint8_t)ep->addr_bytes;
	memcpy(out->addr, ep->rails[0].addr, ep->addr_bytes);
	out->rails = out->nics = 1;
	snprintf(out->host, sizeof(out->host), "%s", self->host);
}

const struct lifeline_addr *xfer_ep_lifeline(const struct xfer_ep *ep)
{
	return &ep->lifeline;
}

int xfer_ep_listen(struct xfer_ep *ep, struct xfer_listener *l, uint32_t *out_id)
{
	return ep->err ? ep->err : idmap_add(&ep->listens, l, out_id);
}

void xfer_ep_unlisten(struct xfer_ep *ep, uint32_t id)
{
	idmap_remove(&ep->listens, id);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Endpoints: completions, and errors of the event queue. */
#include <errno.h>
#include <string.h>

#include <rdma/fabric.h>
#include <rdma/fi_eq.h>
#include <rdma/fi_errno.h>

#include "base/log.h"
#include "fabric/ep_priv.h"
#include "fabric/lib.h"
#include "fabric/newer.h"

#define POLL_BATCH     16
#define EVENTS_A_CHECK 16 /* limit of events read by one fab_ep_check */

void fab_op_over(struct fab_op *op, const struct fab_result *r)
{
	(void)op, (void)r;
}

static void fab_finish_op(struct fab_ep *ep, void *context, const struct fab_result *r)
{
	struct fab_op *op = context;

	if (!op) {
		/* shm reports a dead peer this way; the liveness connection reports which peer it was. */
		log_debug("a completion without context on NIC %s: %s", ep->domain->nic->name, r->text ? r->text : "");
		return;
	}
	ep->in_flight--;
	op->done(op, r);
}

static int poll_error(struct fab_ep *ep)
{
	struct cq_err_entry err = {0};
	const struct fi_cq_err_entry *entry = &err.entry;
	struct fab_result r = {0};
	struct fab_op *op;
	char text[256];
	ssize_t ret;

	ret = fi_cq_readerr(ep->cq, &err.entry, 0);
	if (ret == -FI_EAGAIN || !ret)
		return 0;
	if (ret < 0)
		return fab_errno(ret);
	/* shm 1.17 reports negative codes */
	r.err = entry->err > 0 ? fab_errno(-entry->err) : fab_errno(entry->err);
	if (!r.err)
		r.err = -EIO;
	r.len = entry->len;
	r.text = fi_cq_strerror(ep->cq, entry->prov_errno, entry->err_data, text, sizeof(text));
	if (!r.text || !*r.text)
		r.text = fi_strerror(-r.err);
	op = entry->op_context;
	if (op && op->done == fab_op_over)
		return 1;
	ep->counts->completed++;
	ep->counts->failed++;
	fab_finish_op(ep, op, &r);
	return 1;
}

/*
 * By fi_cq(3), FI_REMOTE_CQ_DATA alone would suffice. But sockets also sets it in the writer's own completion, and efa
 * 1.17 sets FI_WRITE in the target's completion of an emulated write.
 */
static bool is_arrival(uint64_t flags)
{
	return flags & FI_REMOTE_CQ_DATA && (flags & FI_REMOTE_WRITE || !(flags & FI_WRITE));
}

/* Fails the endpoint named by the event, or all endpoints if it names none of them. */
static void take_failure(struct fab_domain *d, const struct fi_eq_err_entry *e)
{
	int err = fab_errno(-e->err);
	struct list *it, *tmp;
	bool named = false;

	log_warn("NIC %s (%s): its event queue reports an error: %s (provider's code %d)", d->nic->name,
		 d->nic->provider, fi_strerror(e->err), e->prov_errno);
	list_each (&d->endpoints, it, tmp)
		named |= e->fid == &container_of(it, struct fab_ep, link)->ep->fid;
	list_each (&d->endpoints, it, tmp) {
		struct fab_ep *ep = container_of(it, struct fab_ep, link);

		if (!ep->failed && (!named || e->fid == &ep->ep->fid))
			ep->failed = err ? err : -EIO;
	}
}

int fab_ep_check(struct fab_ep *ep)
{
	struct fab_domain *d = ep->domain;
	uint8_t event[256];
	uint32_t kind;
	ssize_t n = 0;
	int i, failed;

	if (!d->eq)
		return 0;
	pthread_mutex_lock(&d->endpoints_lock);
	for (i = 0; i < EVENTS_A_CHECK && n >= 0; i++) {
		struct fi_eq_err_entry e = {0};

		n = fi_eq_read(d->eq, &kind, event, sizeof(event), 0);
		if (n == -FI_EAVAIL && fi_eq_readerr(d->eq, &e, 0) > 0)
			take_failure(d, &e);
	}
	failed = ep->failed;
	pthread_mutex_unlock(&d->endpoints_lock);
	return failed;
}

int fab_ep_poll(struct fab_ep *ep)
{
	struct fi_cq_data_entry entries[POLL_BATCH];
	const struct fi_cq_data_entry *e;
	struct fab_result r = {0};
	ssize_t n;

	fab_mr_lock_shared(ep->domain);
	n = fi_cq_read(ep->cq, entries, POLL_BATCH);
	fab_mr_unlock(ep->domain);
	if (n == -FI_EAGAIN)
		return 0;
	if (n == -FI_EAVAIL)
		return poll_error(ep);
	if (n < 0)
		return fab_failed(ep->domain->nic, "fi_cq_read", n);
	ep->counts->completed += (uint64_t)n;
	for (e = entries; e < entries + n; e++) {
		if (is_arrival(e->flags)) {
			ep->arrival(ep->arrival_arg, e->data, e->len);
			continue;
		}
		r.len = e->len;
		fab_finish_op(ep, e->op_context, &r);
	}
	return (int)n;
}

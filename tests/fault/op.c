/* SPDX-License-Identifier: Apache-2.0 */
/* Operations in flight: the application's side of operations that the inner provider still holds. */
#include <stdlib.h>

#include "fault.h"

#define SLAB_OPS 64

struct fault_slab {
	struct fault_slab *next;
	struct fault_op ops[SLAB_OPS];
};

static bool grow(struct fault_domain *d)
{
	struct fault_slab *slab = calloc(1, sizeof(*slab));
	int i;

	if (!slab)
		return false;
	slab->next = d->slabs;
	d->slabs = slab;
	for (i = 0; i < SLAB_OPS; i++) {
		slab->ops[i].next = d->free_ops;
		d->free_ops = &slab->ops[i];
	}
	return true;
}

struct fault_op *fault_op_get(struct fault_ep *ep, enum fault_call call, size_t len, void *context)
{
	struct fault_domain *d = ep->domain;
	struct fault_op *op = NULL;

	pthread_mutex_lock(&d->lock);
	if (d->free_ops || grow(d)) {
		op = d->free_ops;
		d->free_ops = op->next;
		op->context = context;
		op->ep = ep;
		op->call = call;
		op->multi = op->stuck = false;
		op->len = len;
		op->next = ep->flying;
		op->at = &ep->flying;
		if (op->next)
			op->next->at = &op->next;
		ep->flying = op;
	}
	pthread_mutex_unlock(&d->lock);
	return op;
}

void fault_op_put(struct fault_op *op)
{
	struct fault_domain *d = op->ep->domain;

	pthread_mutex_lock(&d->lock);
	*op->at = op->next;
	if (op->next)
		op->next->at = op->at;
	op->next = d->free_ops;
	d->free_ops = op;
	pthread_mutex_unlock(&d->lock);
}

struct fault_op *fault_op_find(struct fault_ep *ep, const void *context)
{
	struct fault_op *op;

	pthread_mutex_lock(&ep->domain->lock);
	for (op = ep->flying; op && op->context != context; op = op->next)
		;
	pthread_mutex_unlock(&ep->domain->lock);
	return op;
}

void fault_ops_free(struct fault_domain *d)
{
	struct fault_slab *slab;

	while ((slab = d->slabs)) {
		d->slabs = slab->next;
		free(slab);
	}
}

uint64_t fault_flags(enum fault_call call)
{
	switch (call) {
	case CALL_SEND: return FI_MSG | FI_SEND;
	case CALL_RECV: return FI_MSG | FI_RECV;
	case CALL_TSEND: return FI_TAGGED | FI_SEND;
	case CALL_TRECV: return FI_TAGGED | FI_RECV;
	case CALL_WRITE: return FI_RMA | FI_WRITE;
	case CALL_READ: return FI_RMA | FI_READ;
	default: return 0;
	}
}

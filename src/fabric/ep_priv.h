/* SPDX-License-Identifier: Apache-2.0 */
/* An endpoint, as the three files see it that open it (ep.c), post to it (post.c) and poll it (poll.c). */
#ifndef WEFT_FABRIC_EP_PRIV_H
#define WEFT_FABRIC_EP_PRIV_H

#include "fabric/internal.h"

struct fid_av;
struct fid_cq;
struct fid_ep;

/*
 * What a posted operation is for, which limits the part of the completion queue, in eighths, that may be in use then.
 * Receives depend on sends, so sends may fill more of the queue; the last eighth is reserved for control messages.
 */
enum share { SHARE_RECEIVE, SHARE_SEND, SHARE_CONTROL, SHARES };

struct fab_ep {
	struct fab_domain *domain;
	struct list link; /* in fab_domain.endpoints */
	struct fid_ep *ep;
	bool has_cq;
	struct fid_cq *cq;
	struct fid_av *av;
	struct fab_ep *first; /* owner of the completion queue; its counts and limits below are those of the queue */
	bool delivery;	      /* writes complete when they have arrived */
	size_t in_flight;     /* operations posted or reserved but not completed, at most cq_depth */
	size_t expected;      /* the part of in_flight reserved for writes of peers */
	size_t limit[SHARES]; /* of in_flight, to post an operation of each kind */
	size_t cq_depth;
	size_t inject_bytes;
	fab_arrival arrival;
	void *arrival_arg;
	struct fab_ep_attrs attrs;
	int failed; /* error reported by the event queue: negative errno, or 0 */
	struct fab_counts *counts, uncounted;
};

#endif

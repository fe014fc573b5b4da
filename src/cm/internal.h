/* SPDX-License-Identifier: Apache-2.0 */
/* Declarations shared by listen, connect and accept. Internal to cm. */
#ifndef WEFT_CM_INTERNAL_H
#define WEFT_CM_INTERNAL_H

#include "base/list.h"
#include "cm/cm.h"

#define CM_ASKS 32 /* requests of one listen whose copies are recognised */

/* A connect request queued for accept. */
struct cm_request {
	struct list link; /* in cm_listen.requests */
	struct wire_connect msg;
};

struct cm_accepting; /* see accept.c */

struct cm_listen {
	struct xfer_listener listener;
	struct xfer_ep *ep;
	uint32_t id;
	uint64_t secret; /* secret in the handle */
	struct list requests;
	int request_count;
	uint64_t asks[CM_ASKS]; /* random numbers of the last requests */
	unsigned asked;
	struct cm_accepting *accepting; /* the accept in progress, or NULL */
	int64_t waiting_since_us;	/* time of the first accept without a request, or 0 */
	unsigned idle_polls;
};

/* connect.c: closes connects not polled for cm_patience_us. The caller holds no endpoint lock. */
void connecting_sweep(const struct conf *conf);

/* connecting.c: limit of one connect, and of the accept of one request, in us. */
int64_t cm_patience_us(const struct conf *conf);

/* accept.c: aborts the accept in progress. The caller holds the endpoint's lock, which is released meanwhile. */
void accepting_abandon(struct cm_listen *listen);

/* Number of polls between two looks at the clock. */
#define CM_IDLE_POLLS 64

#define CM_REQUESTS_MAX 4096 /* queued requests of one listen */

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* One connect in progress. connect.c lists them. Internal to cm. */
#ifndef WEFT_CM_CONNECTING_H
#define WEFT_CM_CONNECTING_H

#include <stdbool.h>
#include <stdint.h>

#include "peer/lifeline.h"
#include "xfer/xfer.h"

struct connecting {
	struct xfer_connector connector;
	struct xfer_ep *ep;
	const struct dev *dev;
	const struct conf *conf;
	struct wire_handle handle;
	const struct wire_handle *buffer; /* the caller's buffer, which identifies the connect */
	const void *owner;		  /* of cm_connect_own, or NULL; guarded by connect.c */
	struct lifeline *line;		  /* counted here; NULL once the comm owns it */
	struct lifeline *watched;	  /* owned by the comm */
	struct xfer_comm *comm;
	bool no_line; /* the lifeline could not be opened */
	char why_no_line[LIFELINE_EVIDENCE_BYTES];
	bool answered; /* `answer` is valid */
	struct wire_connect answer;
	uint64_t ask; /* random number that the response must return */
	int state;
	unsigned idle_polls;
	int64_t since_us, requested_us, late_us, checked_us;
	bool busy;	   /* a call uses it; guarded by connect.c */
	int64_t polled_us; /* end of the last call; guarded by connect.c */
};

/* Begins a connect that is busy; it keeps `handle` as the caller's buffer. 0 or a negative errno. */
int connecting_make(struct dev *dev, const struct conf *conf, const struct wire_handle *handle,
		    struct connecting **out);

/* Goes on as far as it can. The caller holds the endpoint's lock. 0 or the error that ends it, which is logged. */
int connecting_step(struct connecting *c);

/*
 * For one that is given up: if its peer has accepted it, its comm is connected, so that its close tells the
 * peer; if the answer is still to come, it is disowned. The caller holds the endpoint's lock.
 */
void connecting_settle(struct connecting *c);

/* Is it connected? Then c->comm is the comm. */
bool connecting_done(const struct connecting *c);

/* Releases the endpoint. The caller has taken c->line and c->comm, or released them, and does not hold the lock. */
void connecting_free(struct connecting *c);

/* For a forked child: forgets which addresses have failed. */
void connecting_in_child(void);

#endif

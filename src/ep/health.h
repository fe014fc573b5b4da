/* SPDX-License-Identifier: Apache-2.0 */
/* Which NICs of an endpoint are down, for its record. All functions need the endpoint's lock. */
#ifndef WEFT_EP_HEALTH_H
#define WEFT_EP_HEALTH_H

#include "ep/ep.h"

/* For checks of a waiting comm: notes links that went down or came back. Looks once a second at most. */
void ep_health_check(struct xfer_ep *ep);

/*
 * A message failed on a rail although its peer lives: the rail counts as down until it moves something again. Other
 * comms may still use it, and their messages show whether the rail or the path to this peer is at fault.
 */
void ep_rail_failed(struct xfer_ep *ep, int rail, int err, const char *why);

#endif

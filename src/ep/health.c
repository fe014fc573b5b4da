/* SPDX-License-Identifier: Apache-2.0 */
#include "ep/health.h"

#include <errno.h>

#include "base/link.h"
#include "base/log.h"

#define LOOK_EVERY_US 1000000

/* Operations of the rail that completed without an error. */
static uint64_t rail_successes(const struct xfer_ep *ep, int rail)
{
	const struct weft_stats_rail *at = ep->stats.rails[rail];

	return at->completed - at->failed;
}

static void look_at_link(struct xfer_ep *ep, int rail)
{
	const struct fab_nic *nic = ep->dev->rails[rail];
	struct rail_health *h = &ep->health[rail];
	enum link_state state = link_state(nic->name);

	if (state == LINK_DOWN && !h->no_link) {
		h->no_link = true;
		log_warn("NIC %s (%s) has no link: look at its cable, its switch port, and `ip link`", nic->name,
			 nic->provider);
		stats_rail_down(&ep->stats, rail, -ENETDOWN, "its link is down");
	} else if (state == LINK_UP && h->no_link) {
		h->no_link = false;
		log_info("NIC %s (%s) has its link again", nic->name, nic->provider);
	}
}

void ep_health_check(struct xfer_ep *ep)
{
	uint64_t now = ep->stats.at->now;
	int i;

	if (ep->err || stats_us(&ep->stats, now - ep->health_looked) < LOOK_EVERY_US)
		return;
	ep->health_looked = now;
	for (i = 0; i < ep->nic_count; i++) {
		struct rail_health *h = &ep->health[i];
		bool was_down = h->no_link || h->failed;

		look_at_link(ep, i);
		if (h->failed && rail_successes(ep, i) > h->successes)
			h->failed = false;
		if (was_down && !h->no_link && !h->failed)
			stats_rail_up(&ep->stats, i);
	}
}

void ep_rail_failed(struct xfer_ep *ep, int rail, int err, const char *why)
{
	struct rail_health *h = &ep->health[rail];

	if (h->failed || ep->err)
		return;
	h->failed = true;
	h->successes = rail_successes(ep, rail);
	look_at_link(ep, rail);
	stats_rail_down(&ep->stats, rail, err, why);
}

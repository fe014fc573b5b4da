/* SPDX-License-Identifier: Apache-2.0 */
/* Checks that the peer and the NIC of a waiting comm are alive. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/clock.h"
#include "base/text.h"
#include "comm/account.h"
#include "comm/status.h"
#include "comm/window.h"

#define CHECK_EVERY_US 100000  /* interval of lifeline checks while a request waits */
#define WAKE_EVERY_US  1000000 /* interval of wakeups of a sender from which nothing arrives */
/*
 * A peer's messages may still arrive after the end of its lifeline, so the comm fails only after this silence. A dead
 * process sends nothing more, but the kernel of its host may still hold bytes. A process that has closed its lifeline
 * may have sent much just before.
 */
#define GRACE_DEAD_US	300000
#define GRACE_CLOSED_US 2000000

int xfer_comm_check_peer(struct xfer_comm *comm)
{
	char evidence[LIFELINE_EVIDENCE_BYTES];
	enum lifeline_state state;
	int64_t now = clock_us();

	if (comm->err || (!comm->watch.line && !comm->watch.unreachable))
		return comm->err;
	state = comm->watch.line ? lifeline_check(comm->watch.line) : LIFELINE_ALIVE;
	if (!comm->watch.unreachable && state != LIFELINE_CLOSED && state != LIFELINE_DEAD)
		return 0;
	if (state == LIFELINE_DEAD)
		comm->peer->dead = true;
	if (!comm->peer->gone_us)
		comm->peer->gone_us = now;
	if (!comm->watch.gone_since_us)
		comm->watch.gone_since_us = comm->watch.silent_since_us = now;
	if (comm->completions != comm->watch.completions_seen) {
		comm->watch.completions_seen = comm->completions;
		comm->watch.silent_since_us = now;
	}
	if (now - comm->watch.silent_since_us < (state == LIFELINE_DEAD ? GRACE_DEAD_US : GRACE_CLOSED_US))
		return 0;
	if (state == LIFELINE_CLOSED)
		comm_fail(comm, -ECONNRESET, "the peer has closed its connections to this process");
	else if (state != LIFELINE_DEAD)
		comm_fail(comm, comm->watch.unreachable, "messages to the peer are lost (%s)",
			  strerror(-comm->watch.unreachable));
	else
		comm_fail(comm, -ECONNRESET, COMM_PEER_DIED " (%s)",
			  lifeline_evidence(comm->watch.line, evidence, sizeof(evidence)));
	return comm->err;
}

/* Does the NIC hold an operation that completes without the peer's application? */
static bool awaits_nic(const struct xfer_comm *comm)
{
	return comm->rx.reads || comm_in_flight(comm);
}

/* A dead NIC reports nothing, and the peer's NIC reports nothing either unless it sends to the dead one. */
static void watch_nic(struct xfer_comm *comm, int64_t passed_us)
{
	int64_t limit = comm->ep->conf->nic_timeout_us;
	const struct xfer_req *oldest = req_oldest(comm);
	char span[TEXT_DURATION_BYTES];

	if (!limit || !comm->ep->dev->nic->silent_dead || comm->err)
		return;
	if (comm->completions != comm->watch.completions_checked || !awaits_nic(comm)) {
		comm->watch.completions_checked = comm->completions;
		comm->watch.stalled_us = 0;
		return;
	}
	/* The application may have paused between two polls. */
	comm->watch.stalled_us += comm_watched_us(passed_us);
	if (comm->watch.stalled_us <= limit)
		return;
	if (oldest && !comm->watch.rail)
		comm->watch.rail = (uint8_t)(comm->rail_of(comm, oldest->seq) + 1);
	comm_fail(
		comm, -ETIMEDOUT,
		"no completion from the NIC for %s (WEFT_NIC_TIMEOUT): the NIC or its driver may have died, see the kernel's log",
		text_duration(limit, span, sizeof(span)));
}

/* A sender that waits for nothing may not poll, although its provider may still hold messages for us. */
static void watch_wake_sender(struct xfer_comm *comm, int64_t now)
{
	if (comm->completions != comm->watch.completions_woken) {
		comm->watch.completions_woken = comm->completions;
		comm->watch.woken_us = now;
	} else if (now - comm->watch.woken_us > WAKE_EVERY_US) {
		comm->watch.woken_us = now;
		lifeline_wake(comm->watch.line);
	}
}

/* Is a check due? Then *out_passed is the time since the last. */
static bool check_is_due(struct xfer_comm *comm, int64_t *out_now, int64_t *out_passed)
{
	if (++comm->watch.idle_polls % IDLE_POLLS)
		return false;
	*out_now = clock_us();
	*out_passed = *out_now - comm->watch.checked_us;
	if (*out_passed < CHECK_EVERY_US)
		return false;
	comm->watch.checked_us = *out_now;
	return true;
}

void comm_idle_for_nic(struct xfer_comm *comm)
{
	int64_t now, passed;

	if (!check_is_due(comm, &now, &passed))
		return;
	ep_check(comm->ep);
	watch_nic(comm, passed);
}

void comm_idle(struct xfer_comm *comm)
{
	int64_t now, passed;

	if (!check_is_due(comm, &now, &passed))
		return;
	account_check(comm);
	ep_check(comm->ep);
	watch_nic(comm, passed);
	status_idle(comm, now, passed);
	if (!xfer_comm_check_peer(comm) && comm->kind == XFER_RECV)
		watch_wake_sender(comm, now);
}

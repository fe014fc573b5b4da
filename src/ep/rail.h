/* SPDX-License-Identifier: Apache-2.0 */
/* The rails of an endpoint, which are NICs or streams of NICs, and the rail scheduler. All functions need the endpoint's lock. */
#ifndef WEFT_EP_RAIL_H
#define WEFT_EP_RAIL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dev/dev.h"
#include "wire/ctrl.h"

struct xfer_ep;
struct xfer_peer;

struct rail {
	struct xfer_ep *ep;
	int nic;	    /* number of its NIC in the device */
	struct fab_ep *fab; /* NULL after the endpoint is shut */
	uint8_t addr[FAB_ADDR_BYTES];
	uint64_t self;		/* flushes: the rail's own address in its address vector */
	struct fab_mr *sink_mr; /* flushes: registration of the reads' target */
	struct fab_mr *ctrl_mr; /* registration of the control buffers */

	/* The scheduler's, on devices with several rails (rail.c). */
	uint64_t outstanding; /* bytes in flight */
	double given_us;      /* total time, us, that all bytes ever assigned take at the current speed */
	uint64_t moved;	      /* bytes completed since the last sample */
	int64_t busy_us;      /* busy time since the last sample */
	int64_t since_us;     /* start of the current busy time; 0: the rail is not busy */
	bool measured;	      /* completions show its speed */
	double nominal;	      /* bytes per microsecond that the NIC reports, > 0 */
	double seen;	      /* measured bytes per microsecond: seen_bytes / seen_time of the last samples */
	double seen_bytes, seen_time;
	int samples;	 /* number of samples in `seen`, at most 8 */
	double scatter;	 /* average distance of a sample from `seen`, relative to `seen` */
	double speed;	 /* bytes per microsecond that the scheduler uses, > 0 */
	bool slow;	 /* slower than the others by more than their scatter */
	int64_t seen_us; /* time of the last sample */
};

/* A path from one of our rails to a rail of a peer. */
struct path {
	struct rail *rail;
	uint64_t fab_addr;
	uint8_t remote;	 /* number of the peer's NIC in its device */
	uint8_t sharing; /* number of paths to this peer on the same local rail */
};

#define STRIPE_MIN	(128 * 1024)
#define STRIPE_MIN_FINE (16 * 1024) /* on NICs of tcp, whose speeds may differ by more */

/* A part of a message that takes one path. */
struct stripe {
	struct path *path;
	size_t at, len;
};

/* else_mbps: the speed of a NIC that does not report one. */
void rail_init(struct rail *r, const struct fab_nic *nic, int else_mbps);
/* Account for bytes posted on a rail, and for their completion. */
void rail_posted(struct rail *r, size_t bytes);
void rail_completed(struct rail *r, size_t bytes);

/*
 * Chooses the path of an unstriped message and charges the message to it. Of the streams of one NIC, a comm prefers its own:
 * `home` is its number among the comms to this peer in its direction.
 */
struct path *rail_best(struct xfer_peer *peer, uint32_t home, size_t len);
/* Divides a message among the paths and returns the number of stripes. */
int rail_stripes(struct xfer_peer *peer, uint32_t home, size_t len, struct stripe out[WIRE_STRIPES_MAX]);

#endif

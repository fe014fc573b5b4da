/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a request notes for NCCL's profiler, while one is loaded. The notes belong to nccl/profile.c; a request that is
 * not profiled has none.
 */
#ifndef WEFT_COMM_PROFILE_H
#define WEFT_COMM_PROFILE_H

#include "base/list.h"
#include "dev/dev.h"

#define PROFILE_EVENTS 8 /* rails of a device, or messages of a group */

_Static_assert(PROFILE_EVENTS >= DEV_RAILS_MAX, "an event for each rail");

struct profile_part {
	uint8_t rail;
	bool landed; /* a stripe: set under the endpoint's lock when it completes */
	bool done;   /* the owner's copy of it */
	bool begun;  /* receiving: the first of several stripes has arrived */
	bool told;   /* and the profiler knows */
	uint32_t peer_us, wire_us;
	uint32_t number;
	size_t bytes;
	void *event; /* the profiler's */
};

struct req_profile {
	struct list link; /* in comm->profiles */
	int stripes;	  /* sending on several rails: number of parts, noted by the protocol; else 0 */
	int parts;
	bool eager;
	struct profile_part part[PROFILE_EVENTS];
};

#endif

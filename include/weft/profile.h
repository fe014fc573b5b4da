/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What Weft tells NCCL's profiler: an event of type ncclProfileNetPlugin for each message and rail, a child of the proxy
 * step whose handle NCCL has passed with the message. It starts when isend or irecv gives a request, and stops when test
 * reports it done or failed, or when the comm is closed. A profiler finds WEFT_PROFILE_ID as the event's id, and this
 * struct as its data, at the start (what is known then), at updates and at the stop. The data is valid during the call.
 *
 * A send has an event for each rail that carries a stripe. A receive, whose rails are unknown until it arrives, has one
 * event for each message of a group, and an update when the first of several stripes has arrived.
 */
#ifndef WEFT_PROFILE_H
#define WEFT_PROFILE_H

#include <stdint.h>

/* Plugin's type and version of the data, as NCCL divides the id. */
#define WEFT_PROFILE_TYPE    0x5746 /* "WF" */
#define WEFT_PROFILE_VERSION 1
#define WEFT_PROFILE_ID	     ((int64_t)WEFT_PROFILE_TYPE << 16 | WEFT_PROFILE_VERSION)

#define WEFT_PROFILE_RAIL_UNKNOWN 0xff

struct weft_profile {
	uint8_t receive; /* 0: send, 1: receive */
	uint8_t eager;	 /* a send that needed no clear-to-send */
	uint8_t rail;	 /* number of the rail in the device, or WEFT_PROFILE_RAIL_UNKNOWN: none yet, or several */
	uint8_t final;	 /* 1 at the stop: both waits are complete */
	int32_t err;	 /* at the stop: 0, or the errno of a message that failed */
	uint32_t number; /* of the message on its connection */
	uint32_t peer_pid;
	uint64_t bytes;	     /* of the stripe or message; a receive that is not done: of its buffer */
	uint64_t waited_ns;  /* for the peer: until the receiver had posted; receiving: until the first stripe came */
	uint64_t on_wire_ns; /* from there to the completion. Resolution: 1 us */
	char peer_host[64];
};

#endif

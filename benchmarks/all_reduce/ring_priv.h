/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by ring.c and ring_connect.c. */
#ifndef WEFT_ALL_REDUCE_RING_PRIV_H
#define WEFT_ALL_REDUCE_RING_PRIV_H

#include "guarded.h"
#include "ring.h"
#include "ring_plan.h"

#include <stdint.h>

/*
 * One ring, or one distance of an exchange: a send comm to rank `next` and a receive comm from rank `prev`. Messages are
 * numbered from 0 across all operations; message m uses slot m mod 8. At any time, on each side:
 *
 *	receive   consumed <= arrived <= posted <= consumed + 8
 *	send      done <= sent <= staged <= done + 8
 */
struct channel {
	int index, device;
	int next, prev;
	int lane; /* number of this channel among those with the same peers */
	void *listen_comm, *send_comm, *recv_comm;
	void *send_mhandle, *recv_mhandle;
	_Alignas(16) uint8_t handle[WEFT_NCCL_HANDLE_BYTES]; /* of the successor; connect keeps
							      * its state here */
	struct guarded send_buf, recv_buf;

	struct ring_plan plans[2]; /* of the operation; the two halves of an exchange */
	struct ring_cursor cursors[2];
	int nplans;
	uint64_t to_post; /* number of the message after this operation's last receive */
	uint64_t posted, arrived, consumed;
	uint64_t staged, sent, done;
	void *recv_requests[RING_SLOTS], *send_requests[RING_SLOTS];
	int recv_bytes[RING_SLOTS], send_bytes[RING_SLOTS];
};

struct ring {
	struct engine engine; /* must be first, see ring_of */
	const struct weft_nccl_net_v8 *net;
	const struct team *team;
	enum collective what;
	const struct traffic *traffic;
	int rank, nranks; /* in the group; messages name ranks of the job */
	int nchannels, lanes;
	struct channel *channels;
	size_t slot_bytes;
	int64_t timeout_us; /* 0: none */
	char error[1536];
};

extern const struct engine_calls ring_calls;

static inline struct ring *ring_of(struct engine *e)
{
	return (struct ring *)(void *)e;
}

/* Deregisters all memory and closes all comms. */
void ring_close(struct engine *e);

/* Microseconds of a monotonic clock. */
int64_t ring_now_us(void);

/* Record a failure; only the first one is kept. Return the enum engine_failure for the caller. */
int ring_fail_plugin(struct ring *r, const char *call, const struct channel *c, int peer, weft_nccl_result result);
__attribute__((format(printf, 3, 4))) int ring_fail(struct ring *r, enum engine_failure failure, const char *fmt, ...);

/* Call it after a pass without progress: yields the core and checks that the other ranks are alive. */
int ring_idle(struct ring *r, int64_t deadline_us, const char *doing);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* What ring.c and ring_connect.c share. */
#ifndef WEFT_ALL_REDUCE_RING_PRIV_H
#define WEFT_ALL_REDUCE_RING_PRIV_H

#include "guarded.h"
#include "ring.h"
#include "ring_plan.h"

#include <stdint.h>

/*
 * One ring, or one distance of an all-to-all: a send comm to rank `next`, a receive comm from rank `prev`. Messages
 * are numbered from 0 for ever; message m sits in slot m mod 8. At any time, on each side:
 *
 *	receive   consumed <= arrived <= posted <= consumed + 8
 *	send      done <= sent <= staged <= done + 8
 */
struct channel {
	int index, device;
	int next, prev;
	int lane; /* which of the channels with these peers */
	void *listen_comm, *send_comm, *recv_comm;
	void *send_mhandle, *recv_mhandle;
	_Alignas(16) uint8_t handle[WEFT_NCCL_HANDLE_BYTES]; /* the successor's; connect keeps
							      * state in it */
	struct guarded send_buf, recv_buf;

	struct ring_plan plan;
	struct ring_cursor cursor;
	uint64_t to_post; /* receives of this operation, as a message number */
	uint64_t posted, arrived, consumed;
	uint64_t staged, sent, done;
	void *recv_requests[RING_SLOTS], *send_requests[RING_SLOTS];
	int recv_bytes[RING_SLOTS], send_bytes[RING_SLOTS];
};

struct ring {
	struct engine engine; /* first: what the callers have */
	const struct weft_nccl_net_v8 *net;
	struct oob *oob;
	enum collective what;
	int rank, nranks;
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

/* Deregisters and closes everything. */
void ring_close(struct engine *e);

/* Microseconds of a monotonic clock. */
int64_t ring_now_us(void);

/* Note what failed; the first cause is kept. Return the failure, for the caller to pass on. */
int ring_fail_plugin(struct ring *r, const char *call, const struct channel *c, int peer,
		     weft_nccl_result result);
__attribute__((format(printf, 3, 4))) int ring_fail(struct ring *r, enum engine_failure failure,
						    const char *fmt, ...);

/* Between two passes without progress: lets others run, and looks whether they still live. */
int ring_idle(struct ring *r, int64_t deadline_us, const char *doing);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One direction of a run in one of the two processes: the number, place and content of the next message, and the messages
 * that are done. An engine moves the bytes (side.h).
 *
 *    done          posted              limit              total
 *  ---|--- in flight ---|--- may be posted ---|--- must wait ---|
 *
 * A flow consists of `warm` messages, then `timed` messages, each of `bytes`. With `acks`, one message of FLOW_ACK_BYTES
 * follows each of these two phases. Message k uses slot k % slots.
 */
#ifndef WEFT_NET_PERF_FLOW_H
#define WEFT_NET_PERF_FLOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "payload.h"

#define FLOW_DEPTH     32		/* most messages in flight; NCCL requires this of a plugin */
#define FLOW_SLOTS     (2 * FLOW_DEPTH) /* the ring of slots may be larger than the depth */
#define FLOW_ACK_BYTES 8

struct flow {
	unsigned char *base; /* address of slot 0 */
	size_t stride;	     /* distance of two slots */
	size_t bytes;
	uint64_t first_seq; /* number of message 0 among all messages of the process; the same at both ends */
	uint64_t warm, timed;
	uint64_t posted, done, limit, total;
	uint64_t filled; /* number of messages whose content has been written */
	uint64_t wrong;
	unsigned slots, depth;
	enum payload_check check;
	bool acks, receives;
	bool complete[FLOW_SLOTS]; /* by slot, between done and posted: completed out of order */
};

/* The number of messages up to the end of phase 0 (warm) or 1 (timed), without and with the phase's ack. */
static inline uint64_t flow_data_end(const struct flow *f, int phase)
{
	return phase ? f->warm + f->acks + f->timed : f->warm;
}

static inline uint64_t flow_end(const struct flow *f, int phase)
{
	return flow_data_end(f, phase) + f->acks;
}

static inline bool flow_is_ack(const struct flow *f, uint64_t k)
{
	return f->acks && (k == flow_data_end(f, 0) || k == flow_data_end(f, 1));
}

static inline size_t flow_bytes(const struct flow *f, uint64_t k)
{
	return flow_is_ack(f, k) ? FLOW_ACK_BYTES : f->bytes;
}

static inline unsigned char *flow_slot(const struct flow *f, uint64_t k)
{
	return f->base + k % f->slots * f->stride;
}

static inline bool flow_may_post(const struct flow *f)
{
	return f->posted < f->limit && f->posted - f->done < f->depth;
}

/* The address of the next message. A sending flow writes the content first. */
static inline void *flow_next(struct flow *f)
{
	void *slot = flow_slot(f, f->posted);

	if (!f->receives && f->filled == f->posted) {
		payload_fill(slot, flow_bytes(f, f->posted), f->first_seq + f->posted, f->check);
		f->filled++;
	}
	return slot;
}

/*
 * Marks message k as complete; `bytes` have been received or sent. Verifies a received message, and reports the first error
 * on stderr. Messages may complete in any order.
 */
void flow_complete(struct flow *f, uint64_t k, size_t bytes);

#endif

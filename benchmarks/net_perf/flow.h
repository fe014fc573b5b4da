/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One direction of a run, as one of its two processes sees it: which message is next, where it
 * lies, what it must contain, which are done. Not for moving bytes: an engine does that (side.h).
 *
 *    done          posted              limit              total
 *  ---|--- in flight ---|--- may be posted ---|--- must wait ---|
 *
 * A flow is `warm` messages, then `timed` messages, each of `bytes`; with `acks` one message of
 * FLOW_ACK_BYTES follows each of the two groups. Message k lies in slot k % slots.
 */
#ifndef WEFT_NET_PERF_FLOW_H
#define WEFT_NET_PERF_FLOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "payload.h"

#define FLOW_DEPTH     32 /* most that may be outstanding: what NCCL asks of a plugin */
#define FLOW_SLOTS     (2 * FLOW_DEPTH) /* a ring may be larger than what is outstanding */
#define FLOW_ACK_BYTES 8

struct flow {
	unsigned char *base; /* slot 0 */
	size_t stride;       /* from slot to slot */
	size_t bytes;
	uint64_t first_seq; /* number of message 0 since the process began; both ends agree */
	uint64_t warm, timed;
	uint64_t posted, done, limit, total;
	uint64_t filled; /* messages whose content was written */
	uint64_t wrong;
	unsigned slots, depth;
	enum payload_check check;
	bool acks, receives;
	bool complete[FLOW_SLOTS]; /* of slots between done and posted: finished out of order */
};

/* The number of messages that end phase 0 (warm) or 1 (timed), without and with its ack. */
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

/* The address of the message that is next; of a sending flow with its content written. */
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
 * Message k is finished; `bytes` is what arrived, or what was sent. Checks what was received and
 * says the first error on stderr. Any order of k.
 */
void flow_complete(struct flow *f, uint64_t k, size_t bytes);

#endif

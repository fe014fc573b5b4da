/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A flow: one side of a numbered sequence of messages over one connection, several in flight.
 *
 * Both sides derive size, content and slack of message i from the flow's key alone, so that each message is checked
 * completely: its bytes, its size, the bytes around it, its place in the order. A sender overwrites its buffer as soon
 * as test reports done. Flows advance step by step, so that one thread can drive many; the other process may do so in
 * its own order.
 */
#ifndef WEFT_CONFORMANCE_FLOW_H
#define WEFT_CONFORMANCE_FLOW_H

#include "drive.h"

struct flow_slot {
	void *req; /* NULL: free, or not accepted yet */
	int size;  /* size of the message */
	int room;  /* size of the posted receive */
	unsigned char *data;
	bool ready; /* prepared, waiting for the plugin to accept it */
};

struct flow {
	/* Set by the case before flow_open; equal on both sides except comm and sends. */
	void *comm;
	bool sends;
	uint64_t key;
	int count;	  /* number of messages */
	int depth;	  /* largest number of messages in flight */
	const int *sizes; /* message i has sizes[i % nsizes] bytes; NULL: random up to max_size */
	int nsizes;
	int max_size;  /* largest message; needed with or without sizes */
	int max_slack; /* largest excess of a posted receive over its message, in bytes */
	bool unaligned;

	/* Used by the functions below. */
	struct side *s;
	struct flow_slot *slots; /* message i lives in slots[i % depth] */
	struct drive_buf buf;	 /* memory of all slots */
	void *mhandle;
	int posted;
	int finished; /* the first unfinished message */
	uint64_t rng; /* choice of the request to test */
};

void flow_open(struct side *s, struct flow *f);
void flow_close(struct flow *f);

/* Posts and tests as far as possible. True if there was progress. */
bool flow_step(struct flow *f);

/* Like flow_step, but returns the plugin's first error instead of failing the case. */
weft_nccl_result flow_step_r(struct flow *f, bool *out_moved);

static inline bool flow_finished(const struct flow *f)
{
	return f->finished == f->count;
}

/* Opens n flows, drives them to their end, closes them. All on one thread. */
void flows_run(struct side *s, struct flow *flows, int n);

/* Drives open flows to their end. */
void flows_drive(struct flow *flows, int n);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Engine net: rings over the v8 table of a net plugin, used as NCCL's proxy uses it. Data is staged
 * through registered host buffers of 8 slots for each channel and direction; one thread polls.
 * What an operation means and whether its result is right is the caller's business.
 */
#ifndef WEFT_ALL_REDUCE_RING_H
#define WEFT_ALL_REDUCE_RING_H

#include "oob.h"
#include "plugin.h"
#include "types.h"

struct ring;

struct ring_config {
	const struct bench_plugin *plugin; /* outlives the ring */
	struct oob *oob;                   /* outlives the ring */
	int channels;
	size_t slot_bytes; /* largest message: a multiple of 16 */
	int device;        /* -1: all of the plugin's, channel by channel */
	int timeout_s;     /* for one operation; 0: none */
};

/* Why an operation ended badly. */
enum ring_failure {
	RING_FAIL_PLUGIN = 1, /* a call of the plugin failed, or broke the contract */
	RING_FAIL_PEER,       /* another rank is gone: oob_error says which */
	RING_FAIL_TIMEOUT,
	RING_FAIL_SYSTEM, /* out of memory */
};

/*
 * Connects all ranks; every rank calls it. *out_ring is set in every case, for ring_error and
 * ring_close; NULL only when out of memory. 0 or an enum ring_failure.
 */
int ring_open(const struct ring_config *config, struct ring **out_ring);

/* Deregisters and closes everything, operations under way included. Accepts NULL. */
void ring_close(struct ring *r);

/*
 * One all-reduce of `count` elements; every rank calls it with the same arguments. in = out is
 * allowed, other overlaps are not. Returns when this rank's part is done: 0, or an enum
 * ring_failure, after which only ring_error and ring_close may be called.
 */
int ring_all_reduce(struct ring *r, enum elem_type type, enum redop op, const void *in, void *out,
		    size_t count);

/* Bytes just outside the registered buffers that changed since the last call. */
int64_t ring_check_guards(struct ring *r);

/* Device that channel 0 uses. */
int ring_device(const struct ring *r);

/* What failed, in one line. */
const char *ring_error(const struct ring *r);

#endif

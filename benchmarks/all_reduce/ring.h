/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Engine net: collectives over the v8 table of a net plugin, used as NCCL's proxy uses it: on rings, but an
 * all-to-all on connections of all ranks with all. Data is staged through registered host buffers of 8 slots for
 * each channel and direction; one thread polls.
 * What an operation means and whether its result is right is the caller's business.
 */
#ifndef WEFT_ALL_REDUCE_RING_H
#define WEFT_ALL_REDUCE_RING_H

#include "collective.h"
#include "oob.h"
#include "plugin.h"
#include "types.h"

struct ring;

struct ring_config {
	const struct bench_plugin *plugin; /* outlives the ring */
	struct oob *oob;                   /* outlives the ring */
	enum collective what;
	int channels; /* for each distance of an all-to-all */
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
 * One operation; every rank calls it with the same arguments. `in` and `out` are as long as collective_send_count
 * and collective_recv_count say, and overlap not at all or as NCCL defines "in place": in = out, or the own
 * share of an all-gather's output, or of a reduce-scatter's input. `root` matters to a broadcast only; without a
 * reduction the operation is OP_NONE. Returns when this rank's part is done: 0, or an enum ring_failure, after which
 * only ring_error and ring_close may be called.
 */
int ring_run(struct ring *r, enum elem_type type, enum redop op, int root, const void *in, void *out,
	     size_t count);

/* Bytes just outside the registered buffers that changed since the last call. */
int64_t ring_check_guards(struct ring *r);

/* Device that channel 0 uses. */
int ring_device(const struct ring *r);

/* What failed, in one line. */
const char *ring_error(const struct ring *r);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Engine net: collectives over the v8 table of a net plugin, used as NCCL's proxy uses it: on rings, but an
 * all-to-all on connections of all ranks with all. Data is staged through registered host buffers of 8 slots for
 * each channel and direction; one thread polls.
 * What an operation means and whether its result is right is the caller's business.
 */
#ifndef WEFT_ALL_REDUCE_RING_H
#define WEFT_ALL_REDUCE_RING_H

#include "engine.h"
#include "oob.h"
#include "plugin.h"

struct ring_config {
	const struct bench_plugin *plugin; /* outlives the ring */
	struct oob *oob;                   /* outlives the ring */
	enum collective what;
	int channels; /* for each distance of an all-to-all */
	size_t slot_bytes; /* largest message: a multiple of 16 */
	int device;        /* -1: all of the plugin's, channel by channel */
	int timeout_s;     /* for one operation; 0: none */
};

/*
 * Connects all ranks; every rank calls it. *out_engine is set in every case, for its error and close; NULL only when
 * out of memory. 0 or an enum engine_failure. Closing deregisters and closes everything.
 */
int ring_open(const struct ring_config *config, struct engine **out_engine);

#endif

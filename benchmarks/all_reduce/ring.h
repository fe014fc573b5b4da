/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Engine net: collectives over the v8 table of a net plugin, called as NCCL's proxy calls it. Exchanges (exchange.h) connect
 * each rank with every one that it exchanges data with; all other collectives use rings. Data is staged through registered host buffers of 8 slots
 * for each channel and direction; one thread polls. The caller defines the data and verifies the results.
 */
#ifndef WEFT_ALL_REDUCE_RING_H
#define WEFT_ALL_REDUCE_RING_H

#include "engine.h"
#include "team.h"
#include "plugin.h"

struct ring_config {
	const struct bench_plugin *plugin; /* outlives the ring */
	const struct team *team;	   /* outlives the ring */
	enum collective what;
	const struct traffic *traffic; /* outlives the ring; only for ALL_TO_ALL_V */
	int channels;		       /* an exchange has this number for each distance */
	size_t slot_bytes;	       /* size of the largest message, a multiple of 16 */
	int device;		       /* -1: all devices of the plugin, in turn by channel */
	int timeout_s;		       /* limit for one operation, seconds; 0: none */
};

/*
 * Connects the ranks of the team; every rank of the job calls it. *out_engine is set even after a failure, for `error` and
 * `close`; it is NULL only when out of memory. 0 or an enum engine_failure. Closing deregisters all memory and closes all
 * comms.
 */
int ring_open(const struct ring_config *config, struct engine **out_engine);

#endif

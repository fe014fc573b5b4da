/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Engine nccl: NCCL itself, with a GPU for each rank. libnccl.so.2 and the CUDA driver are loaded at run time, so one
 * binary has this engine wherever both are installed.
 */
#ifndef WEFT_ALL_REDUCE_NCCL_H
#define WEFT_ALL_REDUCE_NCCL_H

#include "engine.h"
#include "team.h"

struct nccl_config {
	const struct team *team; /* outlives the engine */
	enum collective what;
	const struct traffic *traffic; /* outlives the engine; only for ALL_TO_ALL_V */
	int device;		       /* the GPU shared by all ranks of this host; -1: one GPU per rank */
	int timeout_s;		       /* limit for each wait, seconds; 0: none */
};

/* Loads both libraries. 0, or -1 after one message on stderr that names the missing library or function. */
int nccl_load(void);

/*
 * Creates the communicator of the team, after nccl_load; every rank of the job calls it. *out_engine is set even after a
 * failure; it is NULL only when out of memory. 0 or an enum engine_failure.
 */
int nccl_open(const struct nccl_config *config, struct engine **out_engine);

/* The version of NCCL (22809), and the newest CUDA version that the driver supports (13000). */
int nccl_version(void);
int nccl_cuda_version(void);

#endif

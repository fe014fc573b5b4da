/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Engine nccl: NCCL itself, a GPU for each rank. libnccl.so.2 and the CUDA driver are loaded at run time, so one binary
 * has this engine wherever they are.
 */
#ifndef WEFT_ALL_REDUCE_NCCL_H
#define WEFT_ALL_REDUCE_NCCL_H

#include "engine.h"
#include "oob.h"

struct nccl_config {
	struct oob *oob; /* outlives the engine */
	enum collective what;
	int device;    /* the GPU of all ranks of this host; -1: one each */
	int timeout_s; /* for what is waited for at once; 0: none */
};

/* Loads both libraries. 0, or -1 after one message on stderr that names what is missing. */
int nccl_load(void);

/*
 * After nccl_load: the communicator of all ranks; every rank calls it. *out_engine is set in every case; NULL only when
 * out of memory. 0 or an enum engine_failure.
 */
int nccl_open(const struct nccl_config *config, struct engine **out_engine);

/* NCCL's, and the newest CUDA that the driver knows: 22809, 13000. */
int nccl_version(void);
int nccl_cuda_version(void);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What does the collectives that are measured: rings over a net plugin (ring.h), or NCCL on a GPU (nccl.h). Data are the
 * caller's business, and so is whether a result is right.
 *
 * Threads: one.
 */
#ifndef WEFT_ALL_REDUCE_ENGINE_H
#define WEFT_ALL_REDUCE_ENGINE_H

#include "collective.h"
#include "result.h"
#include "types.h"

#include <stddef.h>

/* Why something ended badly. */
enum engine_failure {
	FAIL_ENGINE = 1, /* a call of the plugin or of NCCL failed, or broke the contract */
	FAIL_PEER,       /* another process is gone: oob_error says which */
	FAIL_TIMEOUT,
	FAIL_SYSTEM, /* out of memory */
	FAIL_GPU,    /* a call of CUDA failed */
};

/* `count` as the collective's argument. `root` matters to a broadcast only; without a reduction the operation is
 * OP_NONE. */
struct engine_op {
	enum elem_type type;
	enum redop op;
	int root;
	size_t count;
};

struct engine {
	const struct engine_calls *calls;
};

/* Those that return an int return 0 or an enum engine_failure, after which only `error` and `close` may be called. */
struct engine_calls {
	/*
	 * An operation; every rank calls it with the same `op`. `in` and `out` are as long as collective_send_count and
	 * collective_recv_count say, and overlap not at all or as NCCL defines "in place": in = out, or the own share of an
	 * all-gather's output, or of a reduce-scatter's input.
	 */
	int (*run)(struct engine *e, const struct engine_op *op, const void *in, void *out);
	/* Around several operations that may be started as one; or NULL: each is done when run returns. */
	int (*begin)(struct engine *e);
	int (*end)(struct engine *e);
	/* Returns when all that was started is done. NULL as before. */
	int (*wait)(struct engine *e);

	/* The GPU's memory, which close gives back, and copies from and to the host's; NULL: the host's does. */
	int (*alloc)(struct engine *e, size_t bytes, void **out);
	int (*put)(struct engine *e, void *to, const void *from, size_t bytes);
	int (*get)(struct engine *e, void *to, const void *from, size_t bytes);
	double (*room)(const struct engine *e); /* bytes that are free */

	/* Bytes just outside the engine's own buffers that changed since the last call. NULL: it has none to watch. */
	int64_t (*check_guards)(struct engine *e);
	/* Fills in device, PCI address and name. */
	void (*describe)(const struct engine *e, struct rank_info *out);
	/* What failed, in one line. */
	const char *(*error)(const struct engine *e);
	/* Ends it, operations under way included. */
	void (*close)(struct engine *e);
};

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An engine performs the measured collectives: rings over a net plugin (ring.h), or NCCL on a GPU (nccl.h). The caller
 * provides the data and verifies the results.
 *
 * Threads: one.
 */
#ifndef WEFT_ALL_REDUCE_ENGINE_H
#define WEFT_ALL_REDUCE_ENGINE_H

#include "collective.h"
#include "result.h"
#include "types.h"

#include <stddef.h>

/* The cause of a failure. */
enum engine_failure {
	FAIL_ENGINE = 1, /* a call of the plugin or of NCCL failed or violated the interface */
	FAIL_PEER,	 /* another process has ended; oob_error names it */
	FAIL_TIMEOUT,
	FAIL_SYSTEM, /* out of memory */
	FAIL_GPU,    /* a call of CUDA failed */
};

/* `count` is the argument of the collective. Only rooted collectives use `root`. Collectives that do not reduce have OP_NONE. */
struct engine_op {
	enum elem_type type;
	enum redop op;
	int root;
	size_t count;
};

struct engine {
	const struct engine_calls *calls;
};

/* Functions of type int return 0 or an enum engine_failure. After a failure, call only `error` and `close`. */
struct engine_calls {
	/*
	 * Runs one operation; every rank calls it with the same `op`. collective_send_count and collective_recv_count give
	 * the lengths of `in` and `out`. The buffers do not overlap, or they overlap as NCCL defines "in place": in = out,
	 * `in` is the rank's share of the longer output, as in an all-gather, or `out` is its share of the longer input, as in
	 * a reduce-scatter. Where only the root has a result, `out` of the other ranks stays as it is.
	 */
	int (*run)(struct engine *e, const struct engine_op *op, const void *in, void *out);
	/* Enclose several operations that may be started as one. NULL: each operation is complete when run returns. */
	int (*begin)(struct engine *e);
	int (*end)(struct engine *e);
	/* Waits until all started operations are complete. NULL: as above. */
	int (*wait)(struct engine *e);

	/*
	 * Allocate GPU memory, which close frees, and copy to and from it. NULL: the engine works on host memory.
	 */
	int (*alloc)(struct engine *e, size_t bytes, void **out);
	int (*put)(struct engine *e, void *to, const void *from, size_t bytes);
	int (*get)(struct engine *e, void *to, const void *from, size_t bytes);
	double (*room)(const struct engine *e); /* free bytes of GPU memory */

	/*
	 * Number of guard bytes around the engine's own buffers that have changed since the last call. NULL: the engine
	 * has no guarded buffers.
	 */
	int64_t (*check_guards)(struct engine *e);
	/* Fills in all devices in use. */
	void (*describe)(const struct engine *e, struct rank_info *out);
	/* The description of the failure, one line. */
	const char *(*error)(const struct engine *e);
	/* Closes the engine, even with operations in flight. */
	void (*close)(struct engine *e);
};

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The data of one rank: the buffers that operations work on, on the host or the GPU, their contents, and the comparison of
 * results with what they must be. Nothing here waits for another rank.
 */
#ifndef WEFT_ALL_REDUCE_DATA_H
#define WEFT_ALL_REDUCE_DATA_H

#include "engine.h"
#include "result.h"
#include "settings.h"
#include "team.h"

#include <stdint.h>

struct data;

/* One row in one placement. */
struct test {
	const struct row *row;
	bool in_place;
	int root;	       /* 0 if the collective has no root */
	size_t count;	       /* the argument of the collective */
	size_t sends, expects; /* number of elements in the send buffer and in the result */
	size_t bytes;
	int64_t places; /* number of places for this size in the buffers; iterations use them in turn */
};

/* Allocates buffers for s->max_bytes. *out_data is set unless memory is missing. 0 or an enum engine_failure. */
int data_open(const struct settings *s, struct engine *engine, const struct team *team, struct data **out_data);

/* Accepts NULL. */
void data_close(struct data *d);

/* With one place for each iteration. */
struct test data_test(const struct data *d, const struct row *row, bool in_place);

/* The engine's addresses for operation number `op`. */
const void *data_input(const struct data *d, const struct test *t, int64_t op);
void *data_result(const struct data *d, const struct test *t, int64_t op);

/* Fills in the input of operation `op`. 0 or an enum engine_failure. */
int data_fill(struct data *d, const struct test *t, uint64_t seed, int64_t op);

/* The same, and spoils the place of the result, so that elements which are never written are found. */
int data_prepare(struct data *d, const struct test *t, uint64_t seed, int64_t op);

/* Counts the wrong elements and guard bytes of this rank after operation `op`, which data_prepare has prepared last. */
int data_check(struct data *d, const struct test *t, uint64_t seed, int64_t op, int64_t *out_wrong);

#endif

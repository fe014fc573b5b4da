/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One process of a pair: its memory, its two flows, and the engine that moves them. The patterns
 * (pattern.h) know engines only through this; there is one engine for plugins and one for
 * libfabric.
 *
 * Memory of a side, the same layout in both processes:
 *
 *    tx slots | rx slots | scratch (one page)
 */
#ifndef WEFT_NET_PERF_SIDE_H
#define WEFT_NET_PERF_SIDE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "flow.h"

enum pattern { PATTERN_LATENCY, PATTERN_BANDWIDTH, PATTERN_RATE, PATTERN_BIDIR, PATTERNS };

struct side;

/* Every function returns 0, or -1 after one message on stderr. */
struct engine {
	/* Before a run: the flows are set up, nothing is posted. May be NULL. */
	void (*begin)(struct side *s);
	/* One pass: posts what may be posted, completes what is complete. Never blocks. */
	int (*step)(struct side *s);
};

struct side {
	const struct engine *engine;
	void *state; /* the engine's own */
	int rank;    /* 0 starts a pattern and takes the time, 1 answers */
	int peer_fd; /* a socket to the other process, for setting up */
	bool yield;  /* give the core away after a pass in which nothing happened */
	enum pattern pattern;
	struct flow tx, rx;
	uint64_t tx_seq, rx_seq; /* messages of all runs so far */
	unsigned char *mem;
	size_t tx_bytes, rx_bytes, mem_bytes; /* the two areas, and all */
};

static inline unsigned char *side_rx_area(const struct side *s)
{
	return s->mem + s->tx_bytes;
}

static inline unsigned char *side_scratch(const struct side *s)
{
	return s->mem + s->tx_bytes + s->rx_bytes;
}

/* Maps the memory and touches every page of it. */
int side_map(struct side *s, size_t tx_bytes, size_t rx_bytes);

void side_unmap(struct side *s);

/* Exchanges a message of a known length with the other process through peer_fd. */
int side_swap(const struct side *s, const void *mine, void *out_theirs, size_t bytes);

#endif

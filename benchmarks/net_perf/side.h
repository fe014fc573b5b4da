/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One connection of a process to the other one of its pair: its memory, its two flows, and the engine that moves them. The
 * patterns (pattern.h) use engines only through this interface. One engine is for plugins, the others are for libfabric. A
 * process that uses several comms at once has a side for each comm (crew.h).
 *
 * The memory of a side has the same layout in both processes:
 *
 *    tx slots | rx slots | scratch (one page)
 */
#ifndef WEFT_NET_PERF_SIDE_H
#define WEFT_NET_PERF_SIDE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "flow.h"

enum pattern { PATTERN_LATENCY, PATTERN_BANDWIDTH, PATTERN_RATE, PATTERN_BIDIR, PATTERN_BIRATE, PATTERNS };

struct side;

/* Every function returns 0, or -1 after one message on stderr. */
struct engine {
	/* Begins a run: the flows are set up, no operation is posted. May be NULL. */
	void (*begin)(struct side *s);
	/* Makes one pass: posts all messages that may be posted, and handles completions. Never blocks. */
	int (*step)(struct side *s);
};

struct side {
	const struct engine *engine;
	void *state; /* private to the engine */
	int rank;    /* rank 0 starts a pattern and takes the time, rank 1 answers */
	int peer_fd; /* socket to the other process, for set-up */
	bool yield;  /* give the core away after a pass without progress */
	enum pattern pattern;
	struct flow tx, rx;
	uint64_t tx_seq, rx_seq; /* number of messages in all runs so far */
	uint64_t rounds;	 /* latency: rounds of this run so far, and when the last one ended */
	double round_end;
	unsigned char *mem;
	size_t tx_bytes, rx_bytes, mem_bytes; /* sizes of the two areas and of the whole memory */
};

static inline unsigned char *side_rx_area(const struct side *s)
{
	return s->mem + s->tx_bytes;
}

static inline unsigned char *side_scratch(const struct side *s)
{
	return s->mem + s->tx_bytes + s->rx_bytes;
}

/* Maps the memory and touches every page. */
int side_map(struct side *s, size_t tx_bytes, size_t rx_bytes);

void side_unmap(struct side *s);

/* Exchanges a message of `bytes` with the other process through peer_fd. */
int side_swap(const struct side *s, const void *mine, void *out_theirs, size_t bytes);

#endif

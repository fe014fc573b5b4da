/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Out of band: how the ranks of a benchmark find each other, exchange handles and learn that one of
 * them is gone. A star of TCP connections around rank 0. Not for measured data.
 *
 *	rank 1 --+
 *	rank 2 --+-- rank 0     every notice of a death passes through rank 0, which tells the rest
 *	rank 3 --+
 *
 * One thread. Every rank calls the same collectives in the same order. All hosts have the same byte
 * order.
 */
#ifndef WEFT_BENCH_OOB_H
#define WEFT_BENCH_OOB_H

#include <stddef.h>

struct oob;

struct oob_peer {
	int pid;
	char host[64]; /* cut at the first dot */
};

struct oob_config {
	int rank, nranks;
	const char *host; /* where rank 0 listens; a name or an address */
	int port;
	int listen_fd; /* rank 0: a listening socket to use instead of host and port, or -1.
			* Ownership passes to oob_open in every case. */
	int timeout_s; /* how long to wait for the others to appear */
};

/*
 * Meets the other ranks; blocks until all are there. 0 and *out_oob, to be closed by the caller; or
 * -1 after one message on stderr that names who or what is missing.
 */
int oob_open(const struct oob_config *config, struct oob **out_oob);

/* Takes leave and frees. To be called by all ranks at the end, behind a barrier. Accepts NULL. */
void oob_close(struct oob *o);

int oob_rank(const struct oob *o);
int oob_nranks(const struct oob *o);
const struct oob_peer *oob_peer(const struct oob *o, int rank);

/*
 * Collectives. They block, without a time limit, until all ranks have come, and end at once when
 * one dies or fails: then they return -EPIPE, as does every later call, and oob_error tells why.
 * allgather: every rank gives `bytes` bytes; `all` (nranks * bytes) gets them in rank order.
 */
int oob_barrier(struct oob *o);
int oob_allgather(struct oob *o, const void *mine, size_t bytes, void *all);

/*
 * Is everybody alive? For polling loops: looks at the sockets at most every 5 ms, otherwise costs
 * one reading of the clock. 0, or -EPIPE as above.
 */
int oob_check(struct oob *o);

/*
 * The same, but waits up to timeout_ms for bad news. For a rank whose transfer just failed: the
 * cause is usually the death of another one, whose name is on its way.
 */
int oob_await_cause(struct oob *o, int timeout_ms);

/*
 * Why the calls above return -EPIPE, in one line: "rank 3 (host, pid 1234) died", or "rank 3 (host,
 * pid 1234) failed: ...". "" while all is well.
 */
const char *oob_error(const struct oob *o);

/* The exit status that the rank in oob_error chose; 0 if it died, or all is well. */
int oob_error_status(const struct oob *o);

/*
 * Tells all others that this rank gives up, with the reason and the exit status it ends with; they
 * learn both. Does nothing when something else is already known to have failed. The caller then
 * closes and exits.
 */
void oob_fail(struct oob *o, int status, const char *reason);

#endif

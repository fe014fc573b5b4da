/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Out of band: the ranks of a benchmark find each other, exchange handles and detect the end of another rank over a star of
 * TCP connections around rank 0. Measured data takes other ways.
 *
 *	rank 1 --+
 *	rank 2 --+-- rank 0     forwards each notice of a death to all other ranks
 *	rank 3 --+
 *
 * One thread. Every rank calls the same collectives in the same order. All hosts have the same byte order.
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
	const char *host;      /* the host of rank 0: candidate names or addresses, separated by commas */
	const char *host_from; /* the environment variable that `host` is from; NULL: `host` is certain */
	int port;
	int listen_fd; /* rank 0: a listening socket to use instead of host and port, or -1.
			* Ownership passes to oob_open in every case. */
	int timeout_s; /* limit of the wait for the other ranks, and for a name to resolve */
};

/*
 * Meets the other ranks; blocks until all are connected. Returns 0 and *out_oob, which the caller closes, or -1 after one
 * message on stderr that names the missing rank or the cause.
 */
int oob_open(const struct oob_config *config, struct oob **out_oob);

/* Announces that this rank leaves; closes and frees. All ranks call it last, after a barrier. Accepts NULL. */
void oob_close(struct oob *o);

int oob_rank(const struct oob *o);
int oob_nranks(const struct oob *o);
const struct oob_peer *oob_peer(const struct oob *o, int rank);

/*
 * Collectives. They block without a time limit until all ranks have called them. When a rank dies or fails, they and
 * all later calls return -EPIPE, and oob_error gives the reason.
 * allgather: every rank contributes `bytes` bytes, less than 64 MiB; `all` (nranks * bytes, any length) gets them in rank order.
 */
int oob_barrier(struct oob *o);
int oob_allgather(struct oob *o, const void *mine, size_t bytes, void *all);

/*
 * Checks that all ranks are alive. For polling loops: it polls the sockets at most every 5 ms, and otherwise only reads
 * the clock. 0, or -EPIPE as above.
 */
int oob_check(struct oob *o);

/*
 * The same, but waits up to timeout_ms for a failure. For a rank whose transfer has failed: the usual cause is the death of
 * another rank, whose notice is still in flight.
 */
int oob_await_cause(struct oob *o, int timeout_ms);

/*
 * The reason for -EPIPE, in one line: "rank 3 (host, pid 1234) died", "rank 3 (host, pid 1234) failed: ...", or "no answer
 * from rank 3 ... for 30 s". "" while no rank has failed.
 */
const char *oob_error(const struct oob *o);

/* The exit status given to oob_fail by the rank in oob_error; 0 if that rank died, or no rank has failed. */
int oob_error_status(const struct oob *o);

/*
 * Reports the failure of this rank to all others, with the reason and the exit status of this rank. Has no effect if
 * another failure is already known. The caller then closes and exits.
 */
void oob_fail(struct oob *o, int status, const char *reason);

#endif

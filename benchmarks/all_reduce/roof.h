/* SPDX-License-Identifier: Apache-2.0 */
/*
 * --roof: the most that the network allows, from raw libfabric between neighbouring ranks, and what the collective reaches of
 * it. The model of a row:
 *
 *	time = steps * latency + bytes / rate        bytes: what the busiest rank sends or receives, as busbw counts them
 *
 * Latency and rate are those of the slowest link; the rate is that of messages as large as the row's.
 */
#ifndef WEFT_ALL_REDUCE_ROOF_H
#define WEFT_ALL_REDUCE_ROOF_H

#include "place.h"
#include "result.h"
#include "settings.h"
#include "team.h"

#include <jansson.h>
#include <stdio.h>

enum { ROOF_SIZES = 16, ROOF_NICS_BYTES = 512 };

/* Two neighbours, each sending to the other. */
struct roof_link {
	int low, high; /* ranks in the job */
	bool good;
	double latency_us;	     /* half a round trip of a few bytes */
	double gb_per_s[ROOF_SIZES]; /* in one direction, by message size */
};

struct roof_rank {
	char raw[160];		    /* "libfabric 2.1, tcp"; "": not known */
	char nics[ROOF_NICS_BYTES]; /* separated by commas; "": not known */
};

struct roof {
	bool measured; /* at least one link, and none has failed */
	int nsizes;
	size_t bytes[ROOF_SIZES]; /* ascending */
	int nlinks, nranks;
	int connections; /* of each link, at once */
	struct roof_link *links;
	struct roof_rank *ranks;		 /* of the job */
	double latency_us, gb_per_s[ROOF_SIZES]; /* of the slowest link */
};

/* roof_model.c: pure functions. */

/* The neighbour on a ring of n ranks that `rank` is measured with in this round (0 to 2), when all links are; -1: none. */
int roof_partner(int n, int round, int rank);

/* The sizes to measure for messages of `least` to `most` bytes. Returns their number. */
int roof_ladder(size_t least, size_t most, size_t out[ROOF_SIZES]);

/* Computes what follows from the links. */
void roof_settle(struct roof *r);

/* The size of the messages of a row of `bytes` with this argument `count`. 0: it has none. */
size_t roof_message(const struct settings *s, int nranks, size_t elem_bytes, int64_t count, int64_t bytes);

/* The bandwidth (busbw) that a row could reach; 0: not known. */
double roof_busbw(const struct roof *r, const struct settings *s, int nranks, const struct row *row);

/* Adds a row to the verdict. */
void roof_judge(struct roof_verdict *v, const struct row *row);

/* The slowest link at the largest size, and its bandwidth divided by the median of all links. */
const struct roof_link *roof_slowest(const struct roof *r, double *out_share);

/* roof_measure.c */

/*
 * Collective: measures all links. The engine is idle meanwhile. 0, -EPIPE: a rank is lost, or -ENOMEM. A link that fails leaves
 * `measured` false, after messages on stderr. The caller closes.
 */
int roof_measure(const struct settings *s, const struct place *place, const struct team *team, struct roof *out);
void roof_close(struct roof *r);

/* roof_show.c */
void roof_print_head(FILE *f, const struct roof *r, const struct team *team);
void roof_print_verdict(FILE *f, const struct roof *r, const struct team *team, const struct roof_verdict *v);
json_t *roof_json(const struct roof *r, const struct roof_verdict *v);

#endif

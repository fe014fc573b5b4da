/* SPDX-License-Identifier: Apache-2.0 */
/* The results of all pairs of ranks, and what is odd about them. Pure functions. */
#ifndef WEFT_MATRIX_MATRIX_H
#define WEFT_MATRIX_MATRIX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { MATRIX_NICS = 8 };

/* A rank and itself, or a rail that one of two ranks does not have; measured; not connected, or the connection failed. */
enum cell_state { CELL_SELF, CELL_GOOD, CELL_FAILED };

/* What the NICs allow (expect.h). gb_per_s 0: not known. */
struct expected_speed {
	double gb_per_s;
	int limit; /* the rank whose NICs allow no more */
	int pairs; /* that use one of them at the same time */
};

/* From the rank of the row to that of the column. */
struct cell {
	double gb_per_s;		     /* 10^9 bytes */
	double latency_us;		     /* half a round trip */
	double raw_gb_per_s, raw_latency_us; /* of raw libfabric; 0: not measured */
	struct expected_speed expected;
	double share;	/* of a rail: its part of the bytes that the whole device sent */
	uint64_t wrong; /* number of messages that arrived with wrong bytes */
	int state;
};

struct who {
	char host[64];
	char plugin[80], device[64]; /* "": none of its pairs is connected */
	char raw[160];		     /* "libfabric 2.1, tcp on eth0"; "": not measured */
	int pid;
	int nnics; /* of the device, in the order of its rails; 0: unknown */
	char nics[MATRIX_NICS][64];
	int mbps[MATRIX_NICS]; /* 0: not known */
	bool inside;	       /* nic_path.h */
	char source[96];       /* of mbps */
};

struct matrix {
	int n;
	struct who *who;
	struct cell *cells; /* n rows of n */
	int nrails;
	struct matrix *rails; /* each NIC of the devices alone; these share `who` and have no rails */
};

void matrix_free(struct matrix *m);

const struct cell *matrix_at(const struct matrix *m, int from, int to);

/*
 * Something slow. from or to < 0: all others, and then `ratio` is the median of such pairs, divided by the median of the
 * pairs without that rank or host. Of a single pair, it is its bandwidth divided by the median of all pairs.
 */
struct outlier {
	int from, to;
	bool host; /* all ranks of the host of `from` or `to` */
	bool both; /* in both directions */
	double ratio;
};

/*
 * Finds those below the ratio `least`; pairs of a rank or host that is an outlier are not named again. Where ranks are on
 * several hosts, only pairs of different hosts count. Returns the number of outliers in *out, which the caller frees; -1: no
 * memory. Needs three ranks, since two have nothing to be compared with.
 */
int matrix_outliers(const struct matrix *m, double least, struct outlier **out);

/* "hosta -> *", "hosta <-> hostb", "hosta rank 3 -> hostb rank 9" if their hosts have several ranks. Returns text. */
char *matrix_name(const struct matrix *m, const struct outlier *o, char *text, size_t bytes);

/* Totals of the whole matrix and its rails: number of wrong messages, and of pairs that failed. */
uint64_t matrix_wrong(const struct matrix *m);
int matrix_failed(const struct matrix *m);

/* The median of all pairs that count, or 0; _rest: of those that no outlier names. */
double matrix_median(const struct matrix *m);
double matrix_median_rest(const struct matrix *m, const struct outlier *outliers, int n);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the NICs allow (nic_path.h). Nothing is known of loopback, and of other plugins than Weft.
 */
#ifndef WEFT_ALL_REDUCE_EXPECTED_H
#define WEFT_ALL_REDUCE_EXPECTED_H

#include "nic_path.h"
#include "result.h"
#include "settings.h"
#include "team.h"

#include <jansson.h>
#include <stdio.h>

struct expected {
	int nics;	  /* of the host that has least; 0: nothing is known */
	int sharing;	  /* the number of ranks there that share them */
	bool inside;	  /* nic_path.h */
	double host_gbs;  /* in each direction */
	double busbw_gbs; /* the busbw at which the collective fills them */
	char each[32];	  /* "100 Gbit/s"; "": they differ */
	char source[96];
};

/* A rank of the job, as it tells the others. */
struct expected_rank {
	char host[64];
	int group, rank; /* team.h */
	struct nic_path path;
};

/* expected_model.c: pure. The job's n ranks form groups of group_ranks each. */
void expected_settle(struct expected *out, const struct settings *s, int group_ranks, const struct expected_rank *ranks,
		     int n);

/* Collective over all ranks, once the engine is open. Rank 0 gets the result. 0, -EPIPE or -ENOMEM. */
int expected_find(const struct settings *s, const struct team *team, struct expected *out);

/* Both print nothing if nothing is known. The end judges the largest row. */
void expected_print_head(FILE *f, const struct expected *e);
void expected_print_end(FILE *f, const struct expected *e, const struct totals *t);

/* NULL: nothing is known. */
json_t *expected_json(const struct expected *e, const struct totals *t);

#endif

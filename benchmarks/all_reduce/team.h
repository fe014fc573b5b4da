/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The team that performs the collectives together: all ranks, or a group of one colour (split.h). All groups work at the
 * same time. The ranks of a team have numbers of their own, in the order of the job's.
 */
#ifndef WEFT_ALL_REDUCE_TEAM_H
#define WEFT_ALL_REDUCE_TEAM_H

#include "oob.h"
#include "split.h"

#include <stdbool.h>

struct team {
	struct oob *oob; /* of all ranks of the job */
	int color;
	int rank, nranks;
	int *members;	       /* the team's ranks, by their numbers in the job */
	int groups;	       /* the number of groups */
	int smallest, largest; /* the numbers of ranks of the smallest and the largest group */
	bool powers_of_two;    /* each group has a power of two ranks */
};

/*
 * Collective over all ranks. `oob` outlives the team. *out_team is NULL after a failure: 0; -EPIPE: another rank has
 * failed; -EINVAL: another rank has another rule, after one message on stderr; -ENOMEM.
 */
int team_open(struct oob *oob, const struct split *split, struct team **out_team);

/* Accepts NULL. */
void team_close(struct team *g);

/* oob_allgather within the team. Every rank of the job calls it at the same time; other groups may have other lengths. */
int team_allgather(const struct team *g, const void *mine, size_t bytes, void *all);

/* The number in the job, and the process, of a rank of the team. */
int team_job_rank(const struct team *g, int rank);
const struct oob_peer *team_peer(const struct team *g, int rank);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The order in which all pairs of ranks are measured: rounds of disjoint pairs, each rank in at most one pair of a round, and
 * each pair in one round. Pure functions.
 */
#ifndef WEFT_MATRIX_PLAN_H
#define WEFT_MATRIX_PLAN_H

#include <stdbool.h>

/* Number of rounds. alone: one pair in each. */
int plan_rounds(int nranks, bool alone);

/* The other rank of the pair that `rank` is in; -1: it rests in this round. */
int plan_partner(int nranks, bool alone, int round, int rank);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* Choice of one of this libfabric's providers, with the reason against each of the others. Internal to fabric. */
#ifndef WEFT_FABRIC_CANDIDATE_H
#define WEFT_FABRIC_CANDIDATE_H

#include "fabric/fab.h"

/* Returns the provider's row in the report, added if new. NULL: the report is full. */
struct fab_candidate *candidate_of(struct fab_report *r, const char *provider);

/* Returns the best match for WEFT_PROVIDER=`requested`, or NULL. */
struct fab_candidate *candidate_choose(struct fab_report *r, const char *requested);

/* Fill `why` of the candidates not chosen, and of expected providers that libfabric does not list. */
void candidate_explain_others(struct fab_report *r, const struct fab_candidate *best, const char *requested);
void candidate_explain_absent(struct fab_report *r);

/* Fills the report's `why` when no provider matches. getinfo_err: libfabric's error, or 0. */
void candidate_explain_nothing(struct fab_report *r, const char *requested, int getinfo_err);

#endif

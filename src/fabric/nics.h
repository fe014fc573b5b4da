/* SPDX-License-Identifier: Apache-2.0 */
/* Builds the report's NICs from libfabric's entries and selects those to use. Internal to fabric. */
#ifndef WEFT_FABRIC_NICS_H
#define WEFT_FABRIC_NICS_H

#include "base/netif.h"
#include "fabric/fab.h"

/* Inputs and output of building the list of NICs. */
struct nics_source {
	struct fab_report *report;
	const struct conf *conf;
	struct netif_list ifs;
};

/* Name of an entry's provider in the table of provider.h. */
const char *nics_provider_of(const struct fi_info *info);

/* Can Weft use this kind of endpoint? fi_getinfo may list more than was requested. */
bool nics_usable(const struct fi_info *info);

/*
 * Adds a copy of `info` to the list, or replaces a worse address of the same NIC. rma: use remote writes if the entry
 * supports them. 0 or -ENOMEM.
 */
int nics_add(struct nics_source *from, const struct fi_info *info, bool rma);

/* Numbers the NICs and moves those taken to the front. If none is taken, fills the report's `why`. */
void nics_filter(struct fab_report *r, const struct conf *conf);

void nics_free(struct fab_report *r);

#endif

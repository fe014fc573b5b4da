/* SPDX-License-Identifier: Apache-2.0 */
/* Construction of the table of devices from parameters, libfabric's NICs, the machine's tree and the CUDA driver. */
#ifndef WEFT_DEV_TABLE_H
#define WEFT_DEV_TABLE_H

#include "dev/dev.h"

/*
 * Reads the parameters, queries libfabric and fills the table. Returns 0, also if there is no device (`why` gives
 * the reason), or -ENOMEM. Leaves logging of `why` to the caller. dev_table_fini frees the table in any case.
 */
int dev_table_load(struct dev_table *out);

/*
 * Predicts the table for the machine in hwloc's file `xml`, with the NICs found there. The devices can't be opened.
 * Returns 0, also if there is no device, or -ENOMEM.
 */
int dev_table_imagine(const char *xml, struct dev_table *out);
void dev_table_fini(struct dev_table *t);

#endif

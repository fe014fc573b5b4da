/* SPDX-License-Identifier: Apache-2.0 */
/* The NICs that this process's connections use, from its record (include/weft/stats.h), once the engine is open. */
#ifndef WEFT_ALL_REDUCE_OWN_PATH_H
#define WEFT_ALL_REDUCE_OWN_PATH_H

struct own_path {
	char provider[64];
	char nics
		[512]; /* one for each rail of each device, separated by commas; a NIC with streams stands several times */
	int nnics;
};

/* Without a record (the plugin is not Weft, or WEFT_STATS=0) nics is "" and nnics is 1. */
void own_path_read(struct own_path *out);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* The NICs that this process's connections use, from its record (include/weft/stats.h), once the engine is open. */
#ifndef WEFT_ALL_REDUCE_OWN_PATH_H
#define WEFT_ALL_REDUCE_OWN_PATH_H

enum { OWN_NICS_MAX = 32 };

struct own_nic {
	char name[64];
	int mbps; /* in each direction; 0: not known */
};

struct own_path {
	char provider[64];
	char paths[512]; /* the NIC of each connection to a peer, separated by commas */
	int npaths;
	struct own_nic nics[OWN_NICS_MAX]; /* without duplicates */
	int nnics;
};

/* Without a record (the plugin is not Weft, or WEFT_STATS=0) paths is "", npaths is 1 and nnics is 0. */
void own_path_read(struct own_path *out);

#endif

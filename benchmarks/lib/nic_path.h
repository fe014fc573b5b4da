/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The NICs that a process's connections use, from its record (include/weft/stats.h) while they are open, and their speeds: those
 * that they report or, of a machine in Weft's table of platforms, those of the table. Needs libobserve and libweft.
 */
#ifndef WEFT_BENCH_NIC_PATH_H
#define WEFT_BENCH_NIC_PATH_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum { NIC_PATH_MAX = 32 };

struct nic {
	char name[64];
	int mbps;      /* in each direction; 0: not known */
	uint64_t sent; /* bytes */
};

struct nic_path {
	char provider[64];
	char paths[512]; /* the NIC of each connection to a peer, separated by commas */
	int npaths;
	struct nic nics[NIC_PATH_MAX]; /* without duplicates, in the order of their rails */
	int nnics;
	bool inside;	 /* messages within the host use the NICs, too, and not the kernel's loopback */
	char source[96]; /* of the speeds */
};

/* Without a record (the plugin is not Weft, or WEFT_STATS=0) paths is "", npaths is 1 and nnics is 0. */
void nic_path_read(pid_t pid, struct nic_path *out);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A model of an all-reduce over several machines of a kind, by a ring and by a double binary tree:
 *
 *	time = hops between machines * latency + hops inside * MODEL_INSIDE_US + bytes / rate
 *
 * Pure functions; what they leave out is in the text of `weft-info --what-if`.
 */
#ifndef WEFT_INFO_MODEL_H
#define WEFT_INFO_MODEL_H

#include <stdint.h>

#include "info/machines.h"

#define MODEL_INSIDE_US 1.0 /* latency of a message between two GPUs of a machine: an assumption */

struct model_machine {
	int nodes, gpus, nics; /* gpus, nics: of each machine */
	int nic_gbits;	       /* of each NIC, in each direction */
	int link_gbs;	       /* GB/s of each GPU in each direction to the others; 0: one GPU */
	double latency_us;     /* of a message between two machines */
};

/* One way to do it. Rates are bus bandwidths, in 10^9 bytes per second. */
struct model_way {
	double network_hops, inside_hops; /* messages that follow one another */
	double network_gbs, link_gbs;	  /* what either allows */
	double rate_gbs;		  /* the lower one */
};

struct model_result {
	double time_us, algbw_gbs, busbw_gbs;
};

/* Such machines; gpus 0: all of them. With fewer GPUs, the NICs near the others are not used. */
struct model_machine model_machine(const struct machine *p, int nodes, int gpus, double latency_us);

/* GB/s of the NICs of one machine in each direction. */
double model_line_rate(const struct model_machine *m);

struct model_way model_ring(const struct model_machine *m);
struct model_way model_tree(const struct model_machine *m);

struct model_result model_all_reduce(const struct model_machine *m, const struct model_way *way, int64_t bytes);

#endif

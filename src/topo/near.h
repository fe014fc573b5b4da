/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory on the NUMA node of a NIC, for buffers that it accesses all the time: rings and control buffers.
 * Best effort: if the node is unknown or full, or binding is forbidden, the memory is allocated on any node.
 * On a machine with one node this is posix_memalign. Any thread.
 */
#ifndef WEFT_TOPO_NEAR_H
#define WEFT_TOPO_NEAR_H

#include <stddef.h>

/* Number of NUMA nodes that this process may use, at least 1. */
int topo_near_nodes(void);

/*
 * Allocates `bytes` of page-aligned memory on this NUMA node (the kernel's number; -1: any). NULL: out of memory. The
 * caller frees it with topo_near_free, which needs the same size and accepts NULL.
 */
void *topo_near_alloc(int node, size_t bytes);
void topo_near_free(void *mem, size_t bytes);

/* Writes the nodes that hold the pages of touched memory: "0", "0-1", or "": unknown. Returns buf. */
char *topo_near_where(const void *mem, size_t bytes, char *buf, size_t buf_bytes);

#endif

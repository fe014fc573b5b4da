/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory near a NIC: what it reads and writes all the time (rings, control buffers) is best on its own NUMA node.
 * A wish, not a demand: where the node is unknown or full, or binding is forbidden, the memory is there all the same.
 * On a machine with one node this is posix_memalign. Any thread.
 */
#ifndef WEFT_TOPO_NEAR_H
#define WEFT_TOPO_NEAR_H

#include <stddef.h>

/* NUMA nodes that this process may use, at least 1. */
int topo_near_nodes(void);

/*
 * `bytes` of memory that begin with a page, on this NUMA node (the kernel's number; -1: any). NULL when there is none
 * left. topo_near_free, which accepts NULL, gives it back with the same size.
 */
void *topo_near_alloc(int node, size_t bytes);
void topo_near_free(void *mem, size_t bytes);

/* Where the pages of touched memory are: "0", "0-1", or "" when the kernel does not tell. Returns buf. */
char *topo_near_where(const void *mem, size_t bytes, char *buf, size_t buf_bytes);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Presents a plugin's table of any version as a table of version 8, which benchmarks and tests use. This is the inverse of
 * NCCL's adapters. Arguments that version 8 lacks get their usual values: no configuration, no profiler, one context for
 * each init.
 */
#ifndef WEFT_BENCH_PLUGIN_ABI_H
#define WEFT_BENCH_PLUGIN_ABI_H

#include <stdbool.h>

#include "weft/nccl_net_v8.h"

#define PLUGIN_ABI_MIN 8
#define PLUGIN_ABI_MAX 12

/*
 * The v8 table for version `abi` of an open plugin; NULL if the plugin lacks that version. A process uses one plugin at one
 * version at a time; call plugin_abi_end before the next one.
 */
const struct weft_nccl_net_v8 *plugin_abi_table(void *dl, int abi);

/* The newest version that both the open plugin and this module support, which is NCCL's choice; 0: none. */
int plugin_abi_newest(void *dl);

/* The plugin's table of the version, a struct weft_nccl_net_v<abi>; NULL if the plugin lacks it. */
const void *plugin_abi_native(void *dl, int abi);

/* The context of the latest init, or NULL. */
void *plugin_abi_context(void);

/* Finalizes all contexts. */
void plugin_abi_end(void);

/* forceFlush of a device's properties, which version 8 lacks. */
bool plugin_abi_force_flush(int dev);

#endif

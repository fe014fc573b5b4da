/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One version of a plugin's tables as a table of version 8, in which benchmarks and tests are written: the way
 * back from what NCCL's own adapters do. What a version has beyond 8 takes its usual value: no configuration,
 * no profiler, one context for each init.
 */
#ifndef WEFT_BENCH_PLUGIN_ABI_H
#define WEFT_BENCH_PLUGIN_ABI_H

#include <stdbool.h>

#include "weft/nccl_net_v8.h"

#define PLUGIN_ABI_MIN 8
#define PLUGIN_ABI_MAX 12

/*
 * The table of version `abi` of an open plugin; NULL when it has none. One plugin at a time in a process, at
 * one version; plugin_abi_end must come before the next one.
 */
const struct weft_nccl_net_v8 *plugin_abi_table(void *dl, int abi);

/* The newest version that the open plugin and this file know, as NCCL chooses; 0 when there is none. */
int plugin_abi_newest(void *dl);

/* The version's own table, struct weft_nccl_net_v<abi>; NULL when the plugin has none. */
const void *plugin_abi_native(void *dl, int abi);

/* The context of the latest init, or NULL. */
void *plugin_abi_context(void);

/* Finalizes all contexts. */
void plugin_abi_end(void);

/* forceFlush of a device's properties; version 8 has none. */
bool plugin_abi_force_flush(int dev);

#endif

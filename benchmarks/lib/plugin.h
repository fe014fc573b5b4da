/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Loads any NCCL net plugin's v8 table, for benchmarks and tests: no NCCL, no GPU.
 * Not for Weft's own internals: this sees a plugin exactly as NCCL does.
 */
#ifndef WEFT_BENCH_PLUGIN_H
#define WEFT_BENCH_PLUGIN_H

#include "weft/nccl_net_v8.h"

struct bench_plugin {
	void *dl;                           /* dlopen handle */
	const struct weft_nccl_net_v8 *net; /* the plugin's v8 table */
	int ndev;                           /* devices reported, at least 1 */
};

/*
 * Opens `path` (RTLD_NOW | RTLD_LOCAL, as NCCL does), calls init and devices.
 * The plugin's WARN lines go to stderr; INFO lines too when NCCL_DEBUG is INFO or TRACE.
 * Returns 0, or -1 after one message on stderr that names the file and the cause (not found, no v8
 * symbol, init failed, no device).
 */
int bench_plugin_open(struct bench_plugin *p, const char *path);

/* Unloads. Accepts an object whose open failed. */
void bench_plugin_close(struct bench_plugin *p);

/* Text of a result code, never NULL. */
const char *bench_result_text(weft_nccl_result r);

/* The last WARN the plugin logged in this process, or "" (never NULL). */
const char *bench_last_warn(void);

#endif

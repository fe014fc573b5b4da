/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Loads any NCCL net plugin, at any version of its interface that it has, for benchmarks and tests: no NCCL,
 * no GPU. Whatever the version, it is called through a v8 table (plugin_abi.h).
 * Not for Weft's own internals: this sees a plugin exactly as NCCL does.
 */
#ifndef WEFT_BENCH_PLUGIN_H
#define WEFT_BENCH_PLUGIN_H

#include "plugin_abi.h"

struct bench_plugin {
	void *dl;                           /* dlopen handle */
	int abi;                            /* version of the interface */
	const void *native;                 /* that version's own table */
	const struct weft_nccl_net_v8 *net; /* the same as a v8 table */
	int ndev;                           /* devices reported, at least 1 */
};

/*
 * Opens `path` (RTLD_NOW | RTLD_LOCAL, as NCCL does), calls init and devices of version `abi`, 8 to 12; 0 means
 * the newest that it has, as NCCL chooses.
 * The plugin's WARN lines go to stderr; INFO lines too when NCCL_DEBUG is INFO or TRACE.
 * Returns 0, or -1 after one message on stderr that names the file and the cause (not found, not of that
 * version, init failed, no device).
 */
int bench_plugin_open(struct bench_plugin *p, const char *path, int abi);

/* The same without init and devices. */
int bench_plugin_load(struct bench_plugin *p, const char *path, int abi);

/* Finalizes where the version has that, and unloads. Accepts an object whose open failed. */
void bench_plugin_close(struct bench_plugin *p);

/* Text of a result code, never NULL. */
const char *bench_result_text(weft_nccl_result r);

/* The last WARN the plugin logged in this process, or "" (never NULL). */
const char *bench_last_warn(void);

#endif

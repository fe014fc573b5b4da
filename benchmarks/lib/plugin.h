/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Loads any NCCL net plugin, at any version of the interface that it exports, for benchmarks and tests without NCCL and
 * GPUs. All versions are called through a v8 table (plugin_abi.h). The view of the plugin is that of NCCL; Weft's internals
 * are invisible.
 */
#ifndef WEFT_BENCH_PLUGIN_H
#define WEFT_BENCH_PLUGIN_H

#include "plugin_abi.h"

struct bench_plugin {
	void *dl;			    /* dlopen handle */
	int abi;			    /* version of the interface in use */
	const void *native;		    /* the plugin's table of that version */
	const struct weft_nccl_net_v8 *net; /* v8 table that calls `native` */
	int ndev;			    /* number of devices reported, at least 1 */
};

/*
 * Opens `path` (RTLD_NOW | RTLD_LOCAL, like NCCL) and calls init and devices of version `abi`, 8 to 12; 0 selects the
 * newest version, like NCCL.
 * The plugin's WARN lines go to stderr; its INFO lines, too, if NCCL_DEBUG is INFO or TRACE.
 * Returns 0, or -1 after one message on stderr that names the file and the cause (file not found, version missing, init
 * failed, no device).
 */
int bench_plugin_open(struct bench_plugin *p, const char *path, int abi);

/* The same without the calls of init and devices. */
int bench_plugin_load(struct bench_plugin *p, const char *path, int abi);

/* Calls finalize if the version has it, and unloads the plugin. Accepts a struct whose open failed. */
void bench_plugin_close(struct bench_plugin *p);

/* The text of a result code, never NULL. */
const char *bench_result_text(weft_nccl_result r);

/* The last WARN line that the plugin logged in this process, or ""; never NULL. */
const char *bench_last_warn(void);

#endif

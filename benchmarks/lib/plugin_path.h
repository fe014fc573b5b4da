/* SPDX-License-Identifier: Apache-2.0 */
/* The default plugin of the benchmarks. */
#ifndef WEFT_BENCH_PLUGIN_PATH_H
#define WEFT_BENCH_PLUGIN_PATH_H

/*
 * The path of Weft's plugin: in the build tree of the running program, else where it is installed, else its bare file
 * name, for the loader's search. Never NULL; the text stays valid.
 */
const char *bench_default_plugin(void);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* Which plugin a benchmark takes when it is not told. */
#ifndef WEFT_BENCH_PLUGIN_PATH_H
#define WEFT_BENCH_PLUGIN_PATH_H

/*
 * Weft's plugin: the one from the same build tree as the running program, else the installed one,
 * else its bare name, which the loader then looks for. Never NULL; the text lives as long as the
 * process.
 */
const char *bench_default_plugin(void);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* See plugin_path.h. BENCH_PLUGIN_DIR is the directory to which `make install` copies the plugin. */
#include "plugin_path.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define PLUGIN "libnccl-net-weft.so"

/* The directory of the running program; "." if it is unknown. */
static void program_dir(char *buf, size_t buf_bytes)
{
	ssize_t n = readlink("/proc/self/exe", buf, buf_bytes - 1);
	char *slash;

	buf[n > 0 ? n : 0] = '\0';
	slash = strrchr(buf, '/');
	if (slash)
		*slash = '\0';
	else
		snprintf(buf, buf_bytes, ".");
}

const char *bench_default_plugin(void)
{
	/*
	 * Programs are in benchmarks/, in benchmarks/.libs/ behind a libtool wrapper, or in bin/ of an installation, which may
	 * have been moved.
	 */
	static const char *const places[] = {"../src/.libs/", "../../src/.libs/", "../lib/"};
	static char path[PATH_MAX + 64];
	char dir[PATH_MAX];
	size_t i;

	program_dir(dir, sizeof(dir));
	for (i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s" PLUGIN, dir, places[i]);
		if (!access(path, R_OK))
			return path;
	}
	snprintf(path, sizeof(path), "%s/" PLUGIN, BENCH_PLUGIN_DIR);
	return access(path, R_OK) ? PLUGIN : path;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * given PLUGIN: what NCCL would read from NCCL_TOPO_FILE after the plugin's init, as NCCL does it: by fopen, several
 * times in one process. Prints it, or nothing where there is none.
 */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

#include "weft/nccl_net_v8.h"

static void ignore(int level, unsigned long flags, const char *file, int line, const char *fmt, ...)
{
	(void)level;
	(void)flags;
	(void)file;
	(void)line;
	(void)fmt;
}

int main(int argc, char **argv)
{
	void *dl = argc == 2 ? dlopen(argv[1], RTLD_NOW) : NULL;
	const struct weft_nccl_net_v8 *net = dl ? dlsym(dl, "ncclNetPlugin_v8") : NULL;
	const char *path;
	int c, round;
	FILE *f;

	if (!net || net->init((weft_nccl_logger)ignore)) {
		fprintf(stderr, "no plugin, or its init failed\n");
		return 1;
	}
	path = getenv("NCCL_TOPO_FILE");
	for (round = 0; path && round < 2; round++) {
		f = fopen(path, "r");
		if (!f) {
			fprintf(stderr, "%s can't be read\n", path);
			return 1;
		}
		while ((c = fgetc(f)) != EOF)
			if (round)
				putchar(c);
		fclose(f);
	}
	return 0;
}

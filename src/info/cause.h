/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Probable cause of an unmet requirement, by the machine's files, this process's limits and the parameters. Read-only.
 * The checks follow the order of dependencies: device, driver, device file, library, setting.
 */
#ifndef WEFT_INFO_CAUSE_H
#define WEFT_INFO_CAUSE_H

#include "dev/dev.h"

struct cause {
	const char *root;	   /* prefix of /sys, /dev, /proc and /opt: "" for this machine */
	const struct dev_table *t; /* table of this machine's devices */
	const char *provider;	   /* the required provider, else the chosen one */
	char text[1024];	   /* result: one or more clauses without a full stop */
};

/* Each replaces c->text. `wanted` is the required number, if any. */
void cause_no_device(struct cause *c); /* for having no device that reaches another host */
void cause_provider(struct cause *c, int64_t wanted);
void cause_devices(struct cause *c, int64_t wanted);
void cause_nics(struct cause *c, int64_t wanted);
void cause_rails(struct cause *c, int64_t wanted);
void cause_speed(struct cause *c, int64_t wanted);
void cause_library(struct cause *c, int64_t wanted);
void cause_gdr(struct cause *c, int64_t wanted);
void cause_memlock(struct cause *c, int64_t wanted);
void cause_hugepages(struct cause *c, int64_t wanted);

/* Reads a number from /proc/meminfo below root, such as "HugePages_Free:". -1: not found. */
int64_t cause_meminfo(const char *root, const char *name);

#endif

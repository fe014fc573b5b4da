/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Why a requirement is not met: what the machine's files, this process's limits and the parameters show. Reads only.
 * Guesses in the order in which things depend on each other: device, driver, device file, library, setting.
 */
#ifndef WEFT_INFO_CAUSE_H
#define WEFT_INFO_CAUSE_H

#include "dev/dev.h"

struct cause {
	const char *root;	   /* what stands before /sys, /dev, /proc and /opt: "" for this machine */
	const struct dev_table *t; /* what Weft would do */
	const char *provider;	   /* whose devices are meant: the required one's, else the chosen one's */
	char text[1024];	   /* the answer, one or more clauses without a full stop */
};

/* Each replaces c->text. `wanted` is the number that is required, where there is one. */
void cause_provider(struct cause *c, int64_t wanted);
void cause_devices(struct cause *c, int64_t wanted);
void cause_nics(struct cause *c, int64_t wanted);
void cause_rails(struct cause *c, int64_t wanted);
void cause_speed(struct cause *c, int64_t wanted);
void cause_library(struct cause *c, int64_t wanted);
void cause_gdr(struct cause *c, int64_t wanted);
void cause_memlock(struct cause *c, int64_t wanted);
void cause_hugepages(struct cause *c, int64_t wanted);

/* A number of /proc/meminfo below root, such as "HugePages_Free:", or -1. */
int64_t cause_meminfo(const char *root, const char *name);

#endif

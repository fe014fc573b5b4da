/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is known about a type of machine: its generation of EFA, the latency that NCCL should reckon with, and settings
 * of NCCL that help there. One table (platform.c), from what AWS publishes and its own plugin sets. No network call:
 * EC2 tells a virtual machine its type by DMI.
 */
#ifndef WEFT_TOPO_PLATFORM_H
#define WEFT_TOPO_PLATFORM_H

#include <stdbool.h>
#include <stddef.h>

#define PLATFORM_TEXT_BYTES 256
#define PLATFORM_SETTINGS   8 /* of NCCL, for one platform, at most */

enum platform_writes { PLATFORM_WRITES_UNKNOWN, PLATFORM_WRITES_EMULATED, PLATFORM_WRITES_NATIVE };

/* A variable of NCCL's that is set when the user has not. */
struct platform_setting {
	unsigned set; /* those of one set go together: one of the user's keeps all of them */
	const char *name, *value;
	const char *why; /* one clause */
};

struct platform {
	const char *name; /* "p5.48xlarge"; "g5.*" stands for all sizes; "unknown" */
	int efa;	  /* generation, 1 to 4; 0: not known */
	enum platform_writes writes;
	bool hidden;	  /* its PCI tree does not show which NICs and GPUs are near each other */
	bool spare;	  /* it has NICs that are not for GPUs: without a GPU near them they are left out */
	int latency_us;	  /* of a message between two machines, for NCCL's tuning; 0: not known */
	unsigned settings; /* platform_settings reads it */
};

/* Which machine this is taken for. */
struct platform_choice {
	const struct platform *platform; /* never NULL */
	char name[64];			 /* the type in full, such as "g5.12xlarge", or the platform's name */
	bool forced;			 /* by WEFT_PLATFORM */
	char how[PLATFORM_TEXT_BYTES];	 /* where that is from */
	char wrong[PLATFORM_TEXT_BYTES * 3]; /* a warning about WEFT_PLATFORM, or "" */
};

/*
 * By WEFT_PLATFORM's value `wish`: "auto" asks DMI below `root` ("" on this machine), "none" is "unknown", a name of the
 * table is taken at its word; any other counts as "auto" and leaves a warning. Cannot fail.
 */
void platform_choose(const char *wish, const char *root, struct platform_choice *out);

/* The settings of a platform, in a fixed order; how many. */
int platform_settings(const struct platform *p, struct platform_setting out[PLATFORM_SETTINGS]);

/* Row i of the table, or NULL behind its end. */
const struct platform *platform_row(size_t i);

#endif

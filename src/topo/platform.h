/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Facts about instance types: EFA generation, latency reported to NCCL, recommended NCCL settings, NICs and GPUs. They are in one
 * table (platform.c), based on AWS's publications and the settings of AWS's own plugin. The instance type is read from
 * DMI, without a network call.
 */
#ifndef WEFT_TOPO_PLATFORM_H
#define WEFT_TOPO_PLATFORM_H

#include <stdbool.h>
#include <stddef.h>

#define PLATFORM_TEXT_BYTES 256
#define PLATFORM_SETTINGS   8 /* NCCL settings of one platform, at most */

enum platform_writes { PLATFORM_WRITES_UNKNOWN, PLATFORM_WRITES_EMULATED, PLATFORM_WRITES_NATIVE };

/* An NCCL variable to set if the user has not set it. */
struct platform_setting {
	unsigned set; /* bit of its set: if the user sets one variable of a set, Weft sets none of it */
	const char *name, *value;
	const char *why; /* reason: one clause */
};

struct platform {
	const char *name; /* "p5.48xlarge"; "g5.*" matches all sizes; "unknown" */
	int efa;	  /* EFA generation, 1 to 4; 0: unknown */
	enum platform_writes writes;
	bool hidden;	   /* its PCI tree does not show the proximity of NICs and GPUs */
	bool spare;	   /* it has extra NICs: those not assigned to a GPU are left out */
	int latency_us;	   /* latency of a message between two machines, for NCCL's tuning; 0: unknown */
	unsigned settings; /* bits of its sets; see platform_settings */
	/* 0: not known, or not the same for all types of the row. */
	int gpus, nics; /* nics: EFA devices */
	int nic_gbits;	/* of each, in each direction */
	int nvlink_gbs; /* GB/s of each GPU in each direction; 0 with one GPU, too */
};

/* The platform assumed for this machine. */
struct platform_choice {
	const struct platform *platform;     /* never NULL */
	char name[64];			     /* full instance type, such as "g5.12xlarge", or the platform's name */
	bool forced;			     /* set by WEFT_PLATFORM */
	char how[PLATFORM_TEXT_BYTES];	     /* source of the choice */
	char wrong[PLATFORM_TEXT_BYTES * 3]; /* a warning about WEFT_PLATFORM, or "" */
};

/*
 * Chooses by WEFT_PLATFORM's value `requested`: "auto" reads DMI below `root` ("" on this machine), "none" gives
 * "unknown", and a name that matches the table forces that row. Any other value counts as "auto" and fills `wrong`.
 * Cannot fail.
 */
void platform_choose(const char *requested, const char *root, struct platform_choice *out);

/* Lists the settings of a platform in a fixed order. Returns their number. */
int platform_settings(const struct platform *p, struct platform_setting out[PLATFORM_SETTINGS]);

/* Row i of the table, or NULL past the end. */
const struct platform *platform_row(size_t i);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* The forms in which weft-info prints what Weft would do here. */
#ifndef WEFT_INFO_INFO_H
#define WEFT_INFO_INFO_H

#include <jansson.h>

#include "dev/dev.h"

/* For people, to stdout. */
void info_print_text(const struct dev_table *t);

/* For programs, to stdout. 0, or -ENOMEM. */
int info_print_json(const struct dev_table *t);

/* The type of machine: a part of either. */
void info_print_platform(const struct dev_table *t);
json_t *info_platform_json(const struct dev_table *t);

/* The CUDA driver and its GPUs: a part of either. */
void info_print_gpus(void);
json_t *info_gpus_json(void);

/* What a device does with memory of GPUs, and why: a part of either. */
void info_print_gdr(const struct dev *d);
json_t *info_gdr_json(const struct dev *d);

/* The README's parameter page, to stdout. Depends on the table alone, not on this machine. */
void info_print_markdown(void);

/* Where memory for each device is and where a sample of it really lies, to stdout. */
void info_print_placement(const struct dev_table *t);

/* The machine's tree and the devices made of it, to stdout. 0, or a negative errno when there is no tree. */
int info_print_topology(const struct dev_table *t);

/* Writes this machine as an XML file for --from and WEFT_TOPOLOGY. 0, or not, with a line on stderr. */
int info_save_topology(const struct dev_table *t, const char *file);

/*
 * Checks the comma-separated requirements; prints those that are not met, each with its probable cause, which is
 * looked for below `root` ("": this machine). Returns the exit status: 0 met, 1 not, 2 not understood.
 */
int info_require(const char *list, const char *root);

/* The requirements that there are, to stdout. */
void info_require_help(void);

#endif

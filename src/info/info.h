/* SPDX-License-Identifier: Apache-2.0 */
/* Output of weft-info in its different forms. */
#ifndef WEFT_INFO_INFO_H
#define WEFT_INFO_INFO_H

#include <jansson.h>

#include "dev/dev.h"

/* Prints everything as text to stdout. */
void info_print_text(const struct dev_table *t);

/* Prints everything as JSON to stdout. 0 or -ENOMEM. */
int info_print_json(const struct dev_table *t);

/* Makes a JSON string of `s` with invalid UTF-8 replaced. The caller owns it. NULL: out of memory. */
json_t *info_json_text(const char *s);

/* The platform section of both forms. */
void info_print_platform(const struct dev_table *t);
json_t *info_platform_json(const struct dev_table *t);

/* The section about the CUDA driver and its GPUs in both forms. */
void info_print_gpus(void);
json_t *info_gpus_json(void);

/* GPU memory support of a device, with reasons, in both forms. */
void info_print_gdr(const struct dev *d);
json_t *info_gdr_json(const struct dev *d);

/* Limit of descriptors of this process, as set by Weft, such as "1024". Static buffer. */
const char *info_descriptors(void);

/* Prints the list of docs/parameters.md to stdout. Depends only on the parameter table, not on this machine. */
void info_print_markdown(void);

/* Prints the NUMA node of each device and the real location of a memory sample for it to stdout. */
void info_print_placement(const struct dev_table *t);

/* Prints the machine's tree and its devices to stdout. 0, or a negative errno if the tree can't be loaded. */
int info_print_topology(const struct dev_table *t);

/* Writes this machine as an XML file for --from and WEFT_TOPOLOGY. 0 or a negative errno (on stderr unless ENOMEM). */
int info_save_topology(const struct dev_table *t, const char *file);

/*
 * Checks the comma-separated requirements and prints the unmet ones, each with its probable cause, found by files
 * below `root` ("": this machine). Returns the exit status: 0: all met, 1: some unmet, or out of memory, 2: invalid
 * list.
 */
int info_require(const char *list, const char *root);

/*
 * Prints the model of an all-reduce over the machines in `list`, such as "machine=p5.48xlarge,nodes=16". Returns the exit status:
 * 0, 1: out of memory, 2: invalid list.
 */
int info_what_if(const char *list, bool json);

/* Prints the available requirements to stdout. */
void info_require_help(void);

#endif

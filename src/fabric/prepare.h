/* SPDX-License-Identifier: Apache-2.0 */
/* Process-wide settings made before libfabric starts. Internal to fabric. */
#ifndef WEFT_FABRIC_PREPARE_H
#define WEFT_FABRIC_PREPARE_H

#include "fabric/fab.h"

/*
 * Raises the soft limit of descriptors, and makes fork safe with efa where the kernel alone does not. Runs once per
 * process, before the first fi_getinfo. May set an environment variable, as NCCL itself does at this point.
 */
void fab_prepare(void);

#endif

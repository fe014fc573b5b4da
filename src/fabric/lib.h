/* SPDX-License-Identifier: Apache-2.0 */
/* The loaded libfabric: its version and its errors. Internal to fabric. */
#ifndef WEFT_FABRIC_LIB_H
#define WEFT_FABRIC_LIB_H

#include <stdint.h>
#include <sys/types.h>

struct fab_nic;

/* API version to request. */
uint32_t fab_api_version(void);

/* Converts libfabric's return value to 0 or a negative errno. */
int fab_errno(ssize_t fi_ret);

/*
 * Describes an exhausted resource of this process or host, if one is found now: descriptors or space in /dev/shm. Fills
 * buf with a clause that begins with "; ", or with "". Returns buf.
 */
char *fab_exhausted(char *buf, size_t bytes);

/* Logs the failure of the call `what` on this NIC with libfabric's error `ret`. Returns the negative errno. */
int fab_failed(const struct fab_nic *nic, const char *what, ssize_t ret);

#endif

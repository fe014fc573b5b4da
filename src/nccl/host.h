/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Weft inside NCCL: the process-wide state, and the bridges for log lines and error codes. Knows NCCL's
 * types; the core (net.h) and the adapters of the ABI versions (v8.c, ...) sit on top.
 */
#ifndef WEFT_NCCL_HOST_H
#define WEFT_NCCL_HOST_H

#include "dev/dev.h"
#include "weft/nccl_net_v8.h"

/*
 * Starts Weft in this process, or only takes over the logger when it runs already. Never fails: NCCL
 * 2.28.3 to 2.29.3 crash when a plugin's init does (src/plugin/net/net_v8.cc). Whoever cannot be of use has
 * no devices instead, and host_devs says so. Any thread.
 */
void host_init(weft_nccl_logger logger);

/* The table of devices; NULL when init never ran in this process. */
const struct dev_table *host_devs(void);

/* Device number `dev`, or NULL (logged) when there is none. */
struct dev *host_dev(int dev);

weft_nccl_result host_error(int err);

/* 0 or a negative errno as NCCL's code. */
static inline weft_nccl_result host_result(int err)
{
	return err ? host_error(err) : WEFT_NCCL_SUCCESS;
}

#endif

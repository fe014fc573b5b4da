/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Weft inside NCCL: the state of the process, and the translation of log lines and error codes to NCCL's. The core
 * (net.h) and the adapters of the ABI versions (v8.c, ...) use it.
 */
#ifndef WEFT_NCCL_HOST_H
#define WEFT_NCCL_HOST_H

#include "dev/dev.h"
#include "weft/nccl_net_v8.h"

/*
 * Starts Weft in this process; if it is started already, only sets the logger. Never fails, because NCCL 2.28.3 to
 * 2.29.3 crash when the init of a plugin fails (src/plugin/net/net_v8.cc). Where Weft cannot be used, it has no
 * devices, and the table holds the reason. Any thread may call it.
 */
void host_init(weft_nccl_logger logger);

/* The table of devices; NULL before host_init. */
const struct dev_table *host_devs(void);

/* Device number `dev`, or NULL (logged) if there is none. */
struct dev *host_dev(int dev);

/* NCCL's code for a negative errno. */
weft_nccl_result host_error(int err);

/* NCCL's code for 0 or a negative errno. */
static inline weft_nccl_result host_result(int err)
{
	return err ? host_error(err) : WEFT_NCCL_SUCCESS;
}

#endif

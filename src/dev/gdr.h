/* SPDX-License-Identifier: Apache-2.0 */
/* GPU memory support of devices: availability, the flush of received data, and the reasons for both. */
#ifndef WEFT_DEV_GDR_H
#define WEFT_DEV_GDR_H

#include "dev/dev.h"

/*
 * From this compute capability on (Hopper), NCCL assumes that GPUs see a NIC's writes in order, and requests no flush
 * by default.
 */
#define GDR_UNASKED 90

/* Fills t->devs[...].gdr. Loads the CUDA driver. */
void gdr_decide(struct dev_table *t);

/* "read", "call" or "none" */
const char *gdr_flush_text(enum dev_flush flush);

/* Flush method for data received into this memory. */
enum dev_flush gdr_flush_of(const struct dev *d, const struct accel_mem *m);

/*
 * LL128 and LL poll flags inside data that is still arriving. If the devices' provider does not keep the order that
 * they need, sets NCCL_PROTO for this process, or keeps the user's value; logs either. For the plugin's init only.
 */
void gdr_guard_order(const struct dev_table *t);

/* Reason for gdr_guard_order to act, as a clause, or "": none. */
const char *gdr_order_text(const struct dev_table *t);

#endif

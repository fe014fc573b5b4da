/* SPDX-License-Identifier: Apache-2.0 */
/* Whether a device moves the memory of GPUs, how what it has received becomes visible there, and why. */
#ifndef WEFT_DEV_GDR_H
#define WEFT_DEV_GDR_H

#include "dev/dev.h"

/*
 * From this compute capability on (Hopper), NCCL takes it that GPUs see a NIC's writes in order, and asks for no flush
 * unless it is told to.
 */
#define GDR_UNASKED 90

/* Fills t->devs[...].gdr. Loads the CUDA driver. */
void gdr_decide(struct dev_table *t);

/* "read", "call" or "none" */
const char *gdr_flush_text(enum dev_flush flush);

/* How the received data of this memory are to be flushed. */
enum dev_flush gdr_flush_of(const struct dev *d, const struct accel_mem *m);

/*
 * LL128, and LL, look at flags inside of data that are still coming. Where a device's provider does not keep the order
 * they need, sets NCCL_PROTO for this process unless the user has; logs either. For the plugin's init only.
 */
void gdr_guard_order(const struct dev_table *t);

/* What gdr_guard_order does here, as a clause; "" where nothing is needed. */
const char *gdr_order_text(const struct dev_table *t);

#endif

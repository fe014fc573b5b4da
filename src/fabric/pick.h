/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which NICs the user's list (WEFT_NICS) takes, and what of it came to nothing. Pure functions.
 *
 * An item of the list means NICs by name (a shell pattern), by PCI address (a shell pattern with a colon; domain
 * 0000 may be left out) or by number (#2, #0-3: fab_nic.number). With a ^ before it, it excludes them. Where the
 * first item has a ^, all items exclude, and every other NIC is taken.
 */
#ifndef WEFT_FABRIC_PICK_H
#define WEFT_FABRIC_PICK_H

#include <stdbool.h>
#include <stddef.h>

struct fab_nic;

bool pick_takes(const char *list, const struct fab_nic *nic);

/* Is there an item that means none of the n NICs? */
bool pick_misses(const char *list, const struct fab_nic *nics, int n);

/*
 * What each item means, and the NICs that there are, both as far as there is room:
 * "`eth*` means 2 NICs, `^ib0` none; there are #0 eth0 (0000:3b:00.0), #1 eth1, #2 lo". Returns buf.
 */
char *pick_explain(const char *list, const struct fab_nic *nics, int n, char *buf, size_t buf_bytes);

#endif

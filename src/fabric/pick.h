/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Matching of NICs against the user's list (WEFT_NICS), and its items without a match. Pure functions.
 *
 * An item matches NICs by name (a shell pattern), by PCI address (a shell pattern with a colon; domain 0000 may be
 * omitted) or by number (#2, #0-3: fab_nic.number). An item with a leading ^ excludes its matches. If the first item
 * has a ^, all items exclude, and every other NIC is accepted.
 */
#ifndef WEFT_FABRIC_PICK_H
#define WEFT_FABRIC_PICK_H

#include <stdbool.h>
#include <stddef.h>

struct fab_nic;

bool pick_takes(const char *list, const struct fab_nic *nic);

/* Does an item match none of the n NICs? */
bool pick_misses(const char *list, const struct fab_nic *nics, int n);

/*
 * Describes the matches of each item, then the existing NICs, as far as buf has space:
 * "`eth*` means 2 NICs, `^ib0` none; there are #0 eth0 (0000:3b:00.0), #1 eth1, #2 lo". Returns buf.
 */
char *pick_explain(const char *list, const struct fab_nic *nics, int n, char *buf, size_t buf_bytes);

#endif

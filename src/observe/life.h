/* SPDX-License-Identifier: Apache-2.0 */
/* Does the process of a record live? */
#ifndef WEFT_OBSERVE_LIFE_H
#define WEFT_OBSERVE_LIFE_H

#include "observe/record.h"

/* fd: of the record's file. *gone: the process is known to have ended. */
enum record_life life_of(const struct weft_stats_head *h, int fd, bool *gone);

#endif

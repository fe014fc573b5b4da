/* SPDX-License-Identifier: Apache-2.0 */
/* Does the process of a record live? */
#ifndef WEFT_OBSERVE_LIFE_H
#define WEFT_OBSERVE_LIFE_H

#include "observe/record.h"

enum record_life life_of(const struct weft_stats_head *h);

#endif

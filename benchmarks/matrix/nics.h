/* SPDX-License-Identifier: Apache-2.0 */
/* The NICs that a process uses, from its record (weft/stats.h). */
#ifndef WEFT_MATRIX_NICS_H
#define WEFT_MATRIX_NICS_H

#include <sys/types.h>

#include "matrix.h"

/* Fills in the rank's NICs, and the part of its bytes that each has sent so far. Without a record there are none. */
void nics_read(pid_t pid, struct who *out, double share[MATRIX_NICS]);

#endif

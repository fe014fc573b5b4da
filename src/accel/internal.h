/* SPDX-License-Identifier: Apache-2.0 */
/* Declarations shared by the files of accel. Internal to accel. */
#ifndef WEFT_ACCEL_INTERNAL_H
#define WEFT_ACCEL_INTERNAL_H

#include "accel/accel.h"
#include "accel/cuda_abi.h"

/* The driver's functions. Optional ones that the driver lacks are NULL; without a driver, all are. */
extern struct cuda_calls cuda_calls;

/* Name of an error, such as "CUDA_ERROR_INVALID_VALUE". */
const char *cuda_error(int err);

/* Bracket calls that CUDA forbids during stream capture: relax the thread's capture mode, then restore it. */
int cuda_relax(void);
void cuda_unrelax(int mode);

#endif

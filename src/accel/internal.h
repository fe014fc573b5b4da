/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of accel share. Not for other rooms. */
#ifndef WEFT_ACCEL_INTERNAL_H
#define WEFT_ACCEL_INTERNAL_H

#include "accel/accel.h"
#include "accel/cuda_abi.h"

/* The driver's functions: those that there may be a driver without are NULL then. All are NULL without a driver. */
extern struct cuda_calls cuda_calls;

/* "CUDA_ERROR_INVALID_VALUE" */
const char *cuda_error(int err);

/* Around calls that CUDA forbids to a thread that captures a stream unless it says that it means no harm. */
int cuda_relax(void);
void cuda_unrelax(int mode);

#endif

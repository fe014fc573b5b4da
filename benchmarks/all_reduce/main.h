/* SPDX-License-Identifier: Apache-2.0 */
/* What all programs of this directory are; each one's main only says which collective. */
#ifndef WEFT_ALL_REDUCE_MAIN_H
#define WEFT_ALL_REDUCE_MAIN_H

#include "collective.h"

/* From the command line to the exit status. */
int collective_main(enum collective what, int argc, char **argv);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* The common main function of this directory's programs. Each program's own main only names the collective. */
#ifndef WEFT_ALL_REDUCE_MAIN_H
#define WEFT_ALL_REDUCE_MAIN_H

#include "collective.h"

/* Runs the program for this collective and returns its exit status. */
int collective_main(enum collective what, int argc, char **argv);

#endif

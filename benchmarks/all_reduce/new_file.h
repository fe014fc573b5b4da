/* SPDX-License-Identifier: Apache-2.0 */
/* Files for results. */
#ifndef WEFT_ALL_REDUCE_NEW_FILE_H
#define WEFT_ALL_REDUCE_NEW_FILE_H

#include <stdio.h>

/*
 * Creates a file for writing, with the suffix .0, .1, ... if that name exists: an earlier result is kept. One line on stdout
 * names it, or says that `what` is left out (NULL).
 */
FILE *new_file(const char *path, const char *what);

/* Closes it. One message on stderr if writing has failed. */
void new_file_close(FILE *f, const char *what);

#endif

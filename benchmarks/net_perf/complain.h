/* SPDX-License-Identifier: Apache-2.0 */
/* Error messages. Several processes share one stderr, so each line names its process. */
#ifndef WEFT_NET_PERF_COMPLAIN_H
#define WEFT_NET_PERF_COMPLAIN_H

/* Sets the name of this process in messages, such as "plugin A, rank 1". The text is copied. */
void complain_as(const char *who);

/* Writes one line to stderr with one call. The text contains no newline. */
void complain(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif

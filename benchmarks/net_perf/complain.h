/* SPDX-License-Identifier: Apache-2.0 */
/* Error messages: several processes share one stderr, so each line says whose it is. */
#ifndef WEFT_NET_PERF_COMPLAIN_H
#define WEFT_NET_PERF_COMPLAIN_H

/* What this process is, such as "plugin A, rank 1". Keeps a copy. */
void complain_as(const char *who);

/* One line on stderr, written at once. The text has no newline. */
void complain(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif

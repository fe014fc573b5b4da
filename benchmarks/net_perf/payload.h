/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the messages of the benchmark contain, so that a receiver knows what must be in message k.
 * Not for generating data that means something.
 */
#ifndef WEFT_NET_PERF_PAYLOAD_H
#define WEFT_NET_PERF_PAYLOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* How much of a message is written by the sender and compared by the receiver. */
enum payload_check {
	PAYLOAD_NONE,  /* nothing */
	PAYLOAD_STAMP, /* the first and, from 16 bytes on, the last 8 bytes: cheap enough to time */
	PAYLOAD_FULL,  /* every byte */
};

/* Writes message number `seq`. Numbers of different messages must differ. */
void payload_fill(void *buf, size_t bytes, uint64_t seq, enum payload_check check);

/*
 * Compares with what payload_fill wrote for `seq`. Returns the offset of the first wrong byte, or
 * `bytes` when all that was compared is right.
 */
size_t payload_verify(const void *buf, size_t bytes, uint64_t seq, enum payload_check check);

#endif

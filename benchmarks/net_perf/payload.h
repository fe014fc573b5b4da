/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The contents of the benchmark's messages. The receiver can compute the content of message k.
 */
#ifndef WEFT_NET_PERF_PAYLOAD_H
#define WEFT_NET_PERF_PAYLOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The part of a message that the sender writes and the receiver compares. */
enum payload_check {
	PAYLOAD_NONE,  /* nothing */
	PAYLOAD_STAMP, /* the first 8 bytes and, from 16 bytes on, the last 8; cheap enough for timed runs */
	PAYLOAD_FULL,  /* every byte */
};

/* Writes the content of message number `seq`. Different messages need different numbers. */
void payload_fill(void *buf, size_t bytes, uint64_t seq, enum payload_check check);

/*
 * Compares a message with the content that payload_fill writes for `seq`. Returns the offset of the first wrong byte, or
 * `bytes` if all compared bytes are right.
 */
size_t payload_verify(const void *buf, size_t bytes, uint64_t seq, enum payload_check check);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* See payload.h. A message is a sequence of 64-bit words, each a function of message number and offset. */
#include "payload.h"

#include <string.h>

/* Odd, with well-spread bits, so that neighbouring words and neighbouring messages differ in most bytes. */
#define WORD_STEP 0x9e3779b97f4a7c15ull
#define SEQ_STEP  0xbf58476d1ce4e5b9ull

static uint64_t word(uint64_t seq, size_t offset_bytes)
{
	return (seq + 1) * SEQ_STEP ^ (offset_bytes + 1) * WORD_STEP;
}

static void put(unsigned char *buf, size_t offset, size_t bytes, uint64_t seq)
{
	uint64_t w = word(seq, offset);

	memcpy(buf + offset, &w, bytes < sizeof(w) ? bytes : sizeof(w));
}

/* The number of leading bytes that are right among the (at most 8) bytes at `offset`. */
static size_t get(const unsigned char *buf, size_t offset, size_t bytes, uint64_t seq)
{
	uint64_t w = word(seq, offset);
	size_t n = bytes < sizeof(w) ? bytes : sizeof(w), i = 0;

	if (!memcmp(buf + offset, &w, n))
		return n;
	while (buf[offset + i] == ((const unsigned char *)&w)[i])
		i++;
	return i;
}

void payload_fill(void *buf, size_t bytes, uint64_t seq, enum payload_check check)
{
	size_t offset;

	if (check == PAYLOAD_FULL) {
		for (offset = 0; offset < bytes; offset += 8)
			put(buf, offset, bytes - offset, seq);
	} else if (check == PAYLOAD_STAMP && bytes) {
		put(buf, 0, bytes, seq);
		if (bytes >= 16)
			put(buf, bytes - 8, 8, seq);
	}
}

static size_t verify_stamp(const unsigned char *buf, size_t bytes, uint64_t seq)
{
	size_t head = get(buf, 0, bytes, seq);
	size_t tail;

	if (bytes < 16 || head < 8)
		return bytes > 8 && head == 8 ? bytes : head;
	tail = get(buf, bytes - 8, 8, seq);
	return bytes - 8 + tail;
}

static size_t verify_full(const unsigned char *buf, size_t bytes, uint64_t seq)
{
	size_t offset, right;

	for (offset = 0; offset + 8 <= bytes; offset += 8) {
		right = get(buf, offset, 8, seq);
		if (right < 8)
			return offset + right;
	}
	return offset < bytes ? offset + get(buf, offset, bytes - offset, seq) : bytes;
}

size_t payload_verify(const void *buf, size_t bytes, uint64_t seq, enum payload_check check)
{
	if (check == PAYLOAD_NONE || !bytes)
		return bytes;
	return check == PAYLOAD_STAMP ? verify_stamp(buf, bytes, seq) : verify_full(buf, bytes, seq);
}

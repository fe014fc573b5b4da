/* SPDX-License-Identifier: Apache-2.0 */
/* Rings of clear-to-sends that the network has written: only an entry that proves itself whole is taken. */
#include "fuzz/fuzz.h"

#include "wire/cts.h"

struct question {
	uint32_t to, seq;
	uint8_t seal; /* make the entry right first, as the peer would */
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	static struct wire_cts ring[WIRE_WINDOW];
	struct wire_cts got, again;
	struct question q;

	if (bytes < sizeof(q))
		return 0;
	memcpy(&q, data, sizeof(q));
	data += sizeof(q);
	bytes -= sizeof(q);
	wire_cts_ring_init(ring);
	memcpy(ring, data, bytes < sizeof(ring) ? bytes : sizeof(ring));
	if (q.seal & 1)
		wire_cts_seal(&ring[q.seq % WIRE_WINDOW], q.seq);
	if (!wire_cts_take(ring, q.to, q.seq, &got))
		return 0;
	must(got.to == q.to);
	again = got;
	wire_cts_seal(&again, q.seq);
	must(!memcmp(&again, &got, sizeof(got)));
	must(!wire_cts_take(ring, q.to, q.seq + WIRE_WINDOW, &got));
	return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* See flow.h. */
#include "flow.h"

#include <inttypes.h>

#include "complain.h"

static void check_received(struct flow *f, uint64_t k, size_t bytes)
{
	size_t expected = flow_bytes(f, k), right;

	if (bytes != expected) {
		if (!f->wrong++)
			complain("wrong size: message %" PRIu64 " has %zu bytes, not %zu", k, bytes, expected);
		return;
	}
	right = payload_verify(flow_slot(f, k), bytes, f->first_seq + k, f->check);
	if (right < bytes && !f->wrong++)
		complain("wrong data: message %" PRIu64 " of %zu bytes differs at offset %zu", k, bytes, right);
}

void flow_complete(struct flow *f, uint64_t k, size_t bytes)
{
	if (f->receives && f->check != PAYLOAD_NONE)
		check_received(f, k, bytes);
	f->complete[k % f->slots] = true;
	while (f->done < f->posted && f->complete[f->done % f->slots])
		f->complete[f->done++ % f->slots] = false;
}

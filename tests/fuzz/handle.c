/* SPDX-License-Identifier: Apache-2.0 */
/* Handles, as they came and with the checksum set right: what passes the check is safe to use. */
#include "fuzz/fuzz.h"

#include "wire/handle.h"

static void look(struct wire_handle *h)
{
	if (wire_handle_check(h))
		return;
	must(h->addr_bytes >= 1 && h->addr_bytes <= sizeof(h->addr));
	must(h->lifeline_family == 0 || h->lifeline_family == 4 || h->lifeline_family == 6);
	must(h->listen_id);
	must(h->version == WIRE_VERSION);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	struct wire_handle h;

	memset(&h, 0, sizeof(h));
	memcpy(&h, data, bytes < sizeof(h) ? bytes : sizeof(h));
	look(&h);
	wire_handle_seal(&h);
	look(&h);
	return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* The connection handle; see handle.h. */
#include "wire/handle.h"

#include <string.h>

static const char magic[4] = {'W', 'E', 'F', 'T'};

void wire_handle_init(struct wire_handle *h)
{
	memset(h, 0, sizeof(*h));
	memcpy(h->magic, magic, sizeof(magic));
	h->version = WIRE_VERSION;
}

const char *wire_handle_check(const struct wire_handle *h)
{
	if (memcmp(h->magic, magic, sizeof(magic)))
		return "it is not a Weft handle: the other rank uses a different NCCL network "
		       "(set NCCL_NET=weft on every rank to make that an error at start)";
	if (h->version != WIRE_VERSION)
		return "the other rank runs an incompatible Weft: install the same version on every node";
	if (!h->addr_bytes || h->addr_bytes > WIRE_ADDR_BYTES || !h->listen_id)
		return "it is damaged";
	if (h->lifeline_family != 0 && h->lifeline_family != 4 && h->lifeline_family != 6)
		return "it is damaged";
	return NULL;
}

uint16_t wire_provider_tag(const char *provider)
{
	uint32_t hash = 2166136261u; /* FNV-1a */

	/* libfabric 1.17 calls its native TCP provider "net"; the bytes on the wire are the same family. */
	if (!strcmp(provider, "net"))
		provider = "tcp";
	for (; *provider; provider++)
		hash = (hash ^ (uint8_t)*provider) * 16777619u;
	return (uint16_t)(hash ^ hash >> 16);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* The connection handle; see handle.h. */
#include "wire/handle.h"

#include <stddef.h>
#include <string.h>

static const char magic[4] = {'W', 'E', 'F', 'T'};

void wire_handle_init(struct wire_handle *h)
{
	memset(h, 0, sizeof(*h));
	memcpy(h->magic, magic, sizeof(magic));
	h->version = WIRE_VERSION;
}

static uint32_t fnv1a(uint32_t hash, const void *data, size_t bytes)
{
	const uint8_t *p = data;

	while (bytes--)
		hash = (hash ^ *p++) * 16777619u;
	return hash;
}

#define FNV_START 2166136261u

static uint32_t checksum(const struct wire_handle *h)
{
	struct wire_handle copy = *h;

	copy.checksum = 0;
	return fnv1a(FNV_START, &copy, offsetof(struct wire_handle, mark));
}

void wire_handle_seal(struct wire_handle *h)
{
	h->checksum = checksum(h);
}

/* Rejects every damaged handle, because providers may crash on an invalid address. */
const char *wire_handle_check(const struct wire_handle *h)
{
	if (memcmp(h->magic, magic, sizeof(magic)))
		return "it is not a Weft handle: the other rank uses a different NCCL network "
		       "(set NCCL_NET=weft on every rank to make that an error at start)";
	if (h->version != WIRE_VERSION)
		return "the other rank runs an incompatible Weft: install the same version on every node";
	if (h->checksum != checksum(h) || !h->addr_bytes || h->addr_bytes > WIRE_HANDLE_ADDR_BYTES || !h->listen_id ||
	    (h->lifeline_family != 0 && h->lifeline_family != 4 && h->lifeline_family != 6))
		return "it is damaged";
	return NULL;
}

bool wire_secret_is(uint64_t a, uint64_t b)
{
	volatile uint64_t difference = a ^ b; /* volatile prevents a compare of parts with an early exit */

	return !difference;
}

uint16_t wire_fingerprint(const char *provider)
{
	uint32_t hash;

	/* libfabric 1.17 calls its native TCP provider "net"; its wire format belongs to the same family. */
	if (!strcmp(provider, "net"))
		provider = "tcp";
	hash = fnv1a(FNV_START, provider, strlen(provider));
	return (uint16_t)(hash ^ hash >> 16);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The 128-byte connection handle that NCCL carries from the listening to the connecting rank.
 *
 *	 0  magic "WEFT"         4  version    6  address bytes   7  lifeline family (4, 6 or 0: none)
 *	 8  listen id           12  listener's pid
 *	16  listener's process uuid (16 bytes)
 *	32  lifeline port       34  provider tag   36  checksum of bytes 0 to 119, itself as 0
 *	40  lifeline IP address (16 bytes, network order)
 *	56  fabric address of the listening endpoint (64 bytes)
 *	120 the connecting side's own mark: zero when it arrives, kept between polls of one connect
 *
 * Little-endian. Layout and checks only; no I/O.
 */
#ifndef WEFT_WIRE_HANDLE_H
#define WEFT_WIRE_HANDLE_H

#include <stdint.h>

#define WIRE_HANDLE_BYTES 128
#define WIRE_ADDR_BYTES	  64
#define WIRE_VERSION	  4

struct wire_handle {
	char magic[4];
	uint16_t version;
	uint8_t addr_bytes;
	uint8_t lifeline_family;
	uint32_t listen_id;
	uint32_t pid;
	uint8_t uuid[16];
	uint16_t lifeline_port; /* host order */
	uint16_t provider;	/* wire_provider_tag of the provider's name */
	uint32_t checksum;
	uint8_t lifeline_ip[16];
	uint8_t addr[WIRE_ADDR_BYTES];
	uint64_t mark;
};

_Static_assert(sizeof(struct wire_handle) == WIRE_HANDLE_BYTES, "NCCL's handle is 128 bytes");
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the wire is the host's little-endian order");

/* Zeroes the handle, then sets magic and version. */
void wire_handle_init(struct wire_handle *h);

/* Sets the checksum: after the last field is filled. */
void wire_handle_seal(struct wire_handle *h);

/* NULL when the handle is one of ours and sane, else a sentence that says what is wrong with it. */
const char *wire_handle_check(const struct wire_handle *h);

/* A number that two ranks compare to see that they use the same provider. */
uint16_t wire_provider_tag(const char *provider);

#endif

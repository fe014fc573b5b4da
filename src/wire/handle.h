/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The 128-byte connection handle that NCCL carries from the listening to the connecting rank.
 *
 *	 0  magic "WEFT"         4  version    6  address bytes   7  lifeline family (4, 6 or 0: none)
 *	 8  listen id           12  listener's pid
 *	16  listener's process uuid (16 bytes)
 *	32  lifeline port       34  fingerprint    36  checksum of bytes 0 to 119, with this field as 0
 *	40  lifeline IP address (16 bytes, network order)
 *	56  fabric address of the listening endpoint (56 bytes)
 *	112 secret of the listen, which authenticates the connector
 *	120 mark of the connecting side: zero on arrival, kept between polls of one connect
 *
 * Little-endian. Layout and checks only; no I/O.
 */
#ifndef WEFT_WIRE_HANDLE_H
#define WEFT_WIRE_HANDLE_H

#include <stdbool.h>
#include <stdint.h>

#define WIRE_HANDLE_BYTES      128
#define WIRE_ADDR_BYTES	       64 /* space for a fabric address in a message */
#define WIRE_HANDLE_ADDR_BYTES 56
#define WIRE_VERSION	       7

struct wire_handle {
	char magic[4];
	uint16_t version;
	uint8_t addr_bytes;
	uint8_t lifeline_family;
	uint32_t listen_id;
	uint32_t pid;
	uint8_t uuid[16];
	uint16_t lifeline_port; /* host order */
	uint16_t fingerprint;	/* of provider and protocol; must be equal on both ranks */
	uint32_t checksum;
	uint8_t lifeline_ip[16];
	uint8_t addr[WIRE_HANDLE_ADDR_BYTES];
	uint64_t secret;
	uint64_t mark;
};

_Static_assert(sizeof(struct wire_handle) == WIRE_HANDLE_BYTES, "NCCL's handle is 128 bytes");
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the wire is the host's little-endian order");

/* Zeroes the handle, then sets magic and version. */
void wire_handle_init(struct wire_handle *h);

/* Sets the checksum; call it after all fields are filled. */
void wire_handle_seal(struct wire_handle *h);

/* Returns NULL if the handle is valid, else a clause with the error. */
const char *wire_handle_check(const struct wire_handle *h);

/* Are the secrets equal? Takes the same time for all values. */
bool wire_secret_is(uint64_t a, uint64_t b);

/* Hash of a provider's name, compared by two ranks. */
uint16_t wire_fingerprint(const char *provider);

#endif

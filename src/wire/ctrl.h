/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Control messages between two endpoints, all carried by the provider's untagged messages.
 *
 *	connect request   connector -> listener   who I am, where I am, my send channel
 *	connect response  listener -> connector   who I am, my receive channel, or why not
 *	clear-to-send     receiver -> sender      receive number `seq` is posted and takes `len` bytes
 *	eager             sender -> receiver      message `seq` of `len` bytes, which follow
 *	credit            receiver -> sender      receives up to and without `seq` are posted; see eager.c
 *	want              sender -> receiver      message `seq` waits for its clear-to-send
 *	fin               receiver -> sender      your close has arrived, and what you sent before it
 *	close             either way              I am done with this channel; `seq` messages were sent
 *
 * Every message starts with struct wire_ctrl; in the connect messages struct wire_who follows, and the
 * addresses of the rails behind the first. On the tagged wire, data goes as wire_tag(receiver's channel,
 * seq). Sequence numbers are 32 bits wide and wrap; with at most WIRE_WINDOW in flight a wrapped number
 * can't be confused. Layout and checks only; no I/O.
 */
#ifndef WEFT_WIRE_CTRL_H
#define WEFT_WIRE_CTRL_H

#include <stddef.h>
#include <stdint.h>

#include "wire/handle.h"

#define WIRE_CTRL_MAX	 1024 /* largest control message but an eager one, bytes */
#define WIRE_RAILS_MAX	 8    /* NICs of one device */
#define WIRE_EAGER_WINDOW 128 /* messages that may come before their receives, per channel */
#define WIRE_EAGER_MAX	 8192 /* largest message that travels in a control message, bytes */
#define WIRE_HOST_BYTES	 64
#define WIRE_WINDOW	 32 /* receives in flight per channel: NCCL_NET_MAX_REQUESTS */

enum wire_type {
	WIRE_CONNECT_REQUEST = 1,
	WIRE_CONNECT_RESPONSE = 2,
	WIRE_CLEAR_TO_SEND = 3,
	WIRE_CLOSE = 4,
	WIRE_EAGER = 5,
	WIRE_CREDIT = 6,
	WIRE_WANT = 7,
	WIRE_FIN = 8,
};

struct wire_ctrl {
	uint16_t magic;
	uint8_t version;
	uint8_t type;	  /* enum wire_type */
	uint32_t to;	  /* id at the receiver of this message: a channel or, in a request, a listen */
	uint32_t from;	  /* id of the sender's channel */
	uint32_t seq;	  /* of a clear-to-send; in a sender's close, the number of messages it sent */
	uint64_t len;	  /* of a clear-to-send: bytes the posted buffer takes; of a close: errno or 0;
			     of a credit: 1 when nothing will be announced until a want */
};

/* Who speaks: follows wire_ctrl in connect request and response. */
struct wire_who {
	uint8_t uuid[16];
	uint32_t pid;
	uint16_t provider;
	uint8_t addr_bytes;
	uint8_t status;	      /* response: 0, or the positive errno that refused the request */
	uint64_t lifeline_id; /* request: the lifeline opened for it, or 0 */
	uint64_t ring_addr;   /* request, RMA wire: where the receiver writes its clear-to-sends */
	uint64_t ring_key;
	uint8_t addr[WIRE_ADDR_BYTES];
	char host[WIRE_HOST_BYTES];
	uint8_t rails; /* 1 to WIRE_RAILS_MAX; addr is the first one's */
	uint8_t reserved[7];
};

struct wire_connect {
	struct wire_ctrl ctrl;
	struct wire_who who;
	uint8_t rail_addr[WIRE_RAILS_MAX - 1][WIRE_ADDR_BYTES]; /* who.rails - 1 of them are sent */
};

_Static_assert(sizeof(struct wire_ctrl) == 24, "control header is 24 bytes");
_Static_assert(sizeof(struct wire_connect) <= WIRE_CTRL_MAX, "connect messages fit");

/* Fills the header. */
void wire_ctrl_init(struct wire_ctrl *c, enum wire_type type, uint32_t to, uint32_t from);

/* Bytes a message of this type has at least; 0 for an unknown type. */
size_t wire_ctrl_bytes(uint8_t type);

/* Bytes of this very message, which is whole and sane. */
size_t wire_ctrl_size(const struct wire_ctrl *c);

/* NULL when `bytes` received bytes at c are a whole message, else what is wrong. Terminates the host name. */
const char *wire_ctrl_check(struct wire_ctrl *c, size_t bytes);

/* The provider tag of message `seq` to the receiver's channel. */
static inline uint64_t wire_tag(uint32_t channel, uint32_t seq)
{
	return (uint64_t)channel << 32 | seq;
}

#endif

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
 *	fin               receiver -> sender      your close has arrived, and all that you sent before it
 *	groups            receiver -> sender      from number `seq` on my receives are groups; see group.c
 *	groups ready      sender -> receiver      I had sent `seq` messages when I learned of that
 *	clear group       receiver -> sender      group number `seq` is posted; its places follow
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
#define WIRE_GROUP_MAX	 8  /* receives in a group */
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
	WIRE_GROUPS = 9,
	WIRE_GROUPS_READY = 10,
	WIRE_CLEAR_GROUP = 11,
};

/* Memory's, for writes to it: of an owner with one rail, or of one with more, by rail. */
union wire_keys {
	uint64_t one;
	uint32_t each[WIRE_RAILS_MAX];
};

static inline uint64_t wire_key(const union wire_keys *keys, int rails, int rail)
{
	return rails > 1 ? keys->each[rail] : keys->one;
}

struct wire_ctrl {
	uint16_t magic;
	uint8_t version;
	uint8_t type;	  /* enum wire_type */
	uint32_t to;	  /* id at the receiver of this message: a channel or, in a request, a listen */
	uint32_t from;	  /* id of the sender's channel */
	uint32_t seq;	  /* of a clear-to-send; in a sender's close, the number of messages it sent */
	uint64_t len;	  /* wire_tagged_len of an eager message, or of a clear-to-send and the bytes that its
			     buffer takes (at most UINT32_MAX); of a credit: 1 when nothing will be announced
			     until a want; of a sender's close: WIRE_CLOSE_ flags, and the places sent of group
			     `seq` */
};

#define WIRE_CLOSE_GROUPED 0x100 /* `seq` counts groups */
#define WIRE_CLOSE_LOST	   0x200 /* the eager message of the number in the upper 32 bits will never come */

#define WIRE_WHO_NO_EAGER 1 /* what this side receives may be for a GPU, where no CPU may put it */

/* Who speaks: follows wire_ctrl in connect request and response. */
struct wire_who {
	uint8_t uuid[16];
	uint32_t pid;
	uint16_t provider;
	uint8_t addr_bytes;
	uint8_t status;	      /* response: 0, or the positive errno that refused the request */
	uint64_t lifeline_id; /* request: the lifeline opened for it, or 0 */
	uint64_t ring_addr;   /* request, RMA wire: where the receiver writes its clear-to-sends */
	union wire_keys ring_keys;
	uint8_t addr[WIRE_ADDR_BYTES];
	char host[WIRE_HOST_BYTES];
	uint8_t rails; /* 1 to WIRE_RAILS_MAX; addr is the first one's */
	uint8_t flags; /* WIRE_WHO_ */
	uint8_t reserved[6];
};

struct wire_connect {
	struct wire_ctrl ctrl;
	struct wire_who who;
	uint8_t rail_addr[WIRE_RAILS_MAX - 1][WIRE_ADDR_BYTES]; /* who.rails - 1 of them are sent */
};

/* A place of a group. */
struct wire_sub {
	uint64_t addr; /* RMA wire: where to write */
	uint64_t len;  /* bytes that it takes */
	union wire_keys keys;
	uint32_t tag;
	uint32_t reserved;
};

/* A clear-to-send of a group: ctrl.len is wire_group_len. */
struct wire_group {
	struct wire_ctrl ctrl;
	struct wire_sub subs[WIRE_GROUP_MAX]; /* wire_group_count of them are sent */
};

/* Of n places, those in `taken` (a bit each) have their messages already. */
static inline uint64_t wire_group_len(unsigned n, unsigned taken)
{
	return n | taken << 8;
}

static inline uint8_t wire_group_count(const struct wire_group *g)
{
	return (uint8_t)g->ctrl.len;
}

static inline uint8_t wire_group_taken(const struct wire_group *g)
{
	return (uint8_t)(g->ctrl.len >> 8);
}

_Static_assert(sizeof(struct wire_group) <= WIRE_CTRL_MAX, "the largest group fits");
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

/* The tag and the bytes that `len` of an eager message or a clear-to-send holds. */
static inline uint64_t wire_tagged_len(uint32_t tag, uint32_t bytes)
{
	return (uint64_t)tag << 32 | bytes;
}

static inline uint32_t wire_tagged_bytes(const struct wire_ctrl *c)
{
	return (uint32_t)c->len;
}

static inline uint32_t wire_tagged_tag(const struct wire_ctrl *c)
{
	return (uint32_t)(c->len >> 32);
}

#define WIRE_TAG_SEQ 0x0fffffffu /* the part of a number that a provider tag holds */

/* The provider tag of message `seq` to the receiver's channel. */
static inline uint64_t wire_tag(uint32_t channel, uint32_t seq)
{
	return (uint64_t)channel << 32 | (seq & WIRE_TAG_SEQ);
}

/* The same for a place in group `seq`. */
static inline uint64_t wire_group_tag(uint32_t channel, uint32_t seq, unsigned place)
{
	return (uint64_t)channel << 32 | 0x80000000u | place << 28 | (seq & WIRE_TAG_SEQ);
}

#endif

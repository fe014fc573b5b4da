/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Control messages between two endpoints, all carried by the provider's untagged messages.
 *
 *	connect request   connector -> listener   identity, addresses and send comm of the connector
 *	connect response  listener -> connector   identity, addresses and receive comm, or the errno of a refusal
 *	clear-to-send     receiver -> sender      receive `seq` is posted for `len` bytes
 *	eager             sender -> receiver      message `seq` of `len` bytes; the bytes follow
 *	credit            receiver -> sender      the receives before `seq` are posted; see eager.c
 *	CTS request       sender -> receiver      message `seq` waits for its clear-to-send
 *	close ack         receiver -> sender      the close and everything sent before it have arrived
 *	groups            receiver -> sender      receives from `seq` on are grouped; see group.c
 *	groups ready      sender -> receiver      `seq` messages had been sent when that arrived
 *	group CTS         receiver -> sender      grouped receive `seq` is posted; its sub-receives follow
 *	close             either direction        this side has closed the comm; a sender had sent `seq` messages
 *
 * Every message starts with struct wire_ctrl. In connect messages follow two secrets that authenticate the peer,
 * struct wire_who, and the addresses of all rails but the first. On the tagged protocol, data carries the provider tag
 * wire_tag(receiver's comm, seq). Sequence numbers have 32 bits and wrap; with at most WIRE_WINDOW in flight a wrapped
 * number is unambiguous. Layout and checks only; no I/O.
 */
#ifndef WEFT_WIRE_CTRL_H
#define WEFT_WIRE_CTRL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wire/handle.h"

#define WIRE_CTRL_MAX	     1024 /* bytes of the largest control message that is not eager */
#define WIRE_NICS_MAX	     8	  /* NICs of one device */
#define WIRE_RAILS_MAX	     17	  /* rails of one device: NICs or streams, and one for control messages */
#define WIRE_STRIPES_MAX     8	  /* stripes of a message */
#define WIRE_RAIL_ADDR_BYTES 480
#define WIRE_EAGER_WINDOW    128   /* messages of a comm that may arrive before their receives */
#define WIRE_EAGER_MAX	     16384 /* bytes of the largest eager message of any provider */
#define WIRE_HOST_BYTES	     64
#define WIRE_GROUP_MAX	     8	/* sub-receives of a grouped receive */
#define WIRE_WINDOW	     32 /* receives of a comm in flight: NCCL_NET_MAX_REQUESTS */

enum wire_type {
	WIRE_CONNECT_REQUEST = 1,
	WIRE_CONNECT_RESPONSE = 2,
	WIRE_CTS = 3,
	WIRE_CLOSE = 4,
	WIRE_EAGER = 5,
	WIRE_CREDIT = 6,
	WIRE_CTS_REQUEST = 7,
	WIRE_CLOSE_ACK = 8,
	WIRE_GROUPS = 9,
	WIRE_GROUPS_READY = 10,
	WIRE_GROUP_CTS = 11,
};

/* Keys of memory for remote writes. `one`: the owner has one NIC; `each`: the owner has several, one key for each. */
union wire_keys {
	uint64_t one;
	uint32_t each[WIRE_NICS_MAX];
};

static inline uint64_t wire_key(const union wire_keys *keys, int nics, int nic)
{
	return nics > 1 ? keys->each[nic] : keys->one;
}

struct wire_ctrl {
	uint16_t magic;
	uint8_t version;
	uint8_t type;  /* enum wire_type */
	uint32_t to;   /* id at the receiver of this message: a comm or, in a connect request, a listen */
	uint32_t from; /* id of the sender's comm */
	uint32_t seq;  /* sequence number, see above; in a sender's close, the number of messages sent */
	uint64_t len;  /* eager message: wire_tagged_len of its bytes; clear-to-send: wire_tagged_len of the bytes of
			     its buffer (at most UINT32_MAX); credit: 1 if no clear-to-send will be sent before a CTS
			     request, else 0; sender's close: WIRE_CLOSE_ flags and, in the low 8 bits, the
			     sub-receives of grouped receive `seq` that were sent */
};

#define WIRE_CLOSE_GROUPED 0x100 /* `seq` counts grouped receives */
#define WIRE_CLOSE_LOST	   0x200 /* the eager message numbered by the upper 32 bits is lost */

#define WIRE_WHO_NO_EAGER 1 /* receives may be in GPU memory, to which the CPU can't copy */

/* Identity of the sender of a connect request or response. */
struct wire_who {
	uint8_t uuid[16];
	uint32_t pid;
	uint16_t fingerprint; /* of provider and protocol; must be equal on both ranks */
	uint8_t addr_bytes;
	uint8_t status;	      /* response: 0, or the positive errno of a refusal */
	uint64_t lifeline_id; /* request: id of the connector's lifeline, or 0 */
	uint64_t ring_addr;   /* request, RMA protocol: remote address of the ring for clear-to-sends */
	union wire_keys ring_keys;
	uint8_t addr[WIRE_ADDR_BYTES];
	char host[WIRE_HOST_BYTES];
	uint8_t rails; /* 1 to WIRE_RAILS_MAX; addr is that of the primary rail */
	uint8_t flags; /* WIRE_WHO_ flags */
	uint8_t nics;  /* 1 to WIRE_NICS_MAX; rail i uses NIC i % nics */
	uint8_t reserved;
	uint32_t ep_id; /* id of the endpoint in notes (wire/note.h) */
};

static inline size_t wire_rail_addr_bytes(const struct wire_who *who)
{
	return (who->rails - 1u) * who->addr_bytes;
}

struct wire_connect {
	struct wire_ctrl ctrl;
	uint64_t proof; /* request: the handle's secret; response: the request's `ask` */
	uint64_t ask;	/* request: random number that the response must return as `proof` */
	struct wire_who who;
	uint8_t rail_addr[WIRE_RAIL_ADDR_BYTES]; /* of the rails after the first: who.addr_bytes each, packed */
};

/* A sub-receive. */
struct wire_sub {
	uint64_t addr; /* RMA protocol: remote address of its buffer */
	uint64_t len;  /* bytes of its buffer */
	union wire_keys keys;
	uint32_t tag;
	uint32_t reserved;
};

/* Clear-to-send of a grouped receive: ctrl.len is wire_group_len. */
struct wire_group {
	struct wire_ctrl ctrl;
	struct wire_sub subs[WIRE_GROUP_MAX]; /* wire_group_count of them are sent */
};

/* n sub-receives, of which those in `taken` (one bit each) already have their messages. */
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

#define WIRE_CTRL_MAGIC 0x7745 /* "Ew" */

/* Fills the header; seq and len are 0. */
static inline void wire_ctrl_init(struct wire_ctrl *c, enum wire_type type, uint32_t to, uint32_t from)
{
	*c = (struct wire_ctrl){
		.magic = WIRE_CTRL_MAGIC, .version = WIRE_VERSION, .type = (uint8_t)type, .to = to, .from = from};
}

/* Minimum size of a message of this type in bytes; 0 for an unknown type. */
size_t wire_ctrl_bytes(uint8_t type);

/* Size of this message in bytes. The message must be complete and valid. */
size_t wire_ctrl_size(const struct wire_ctrl *c);

/* Returns NULL if the `bytes` received bytes at c are a valid message, else the error. Terminates the host name. */
const char *wire_ctrl_check(struct wire_ctrl *c, size_t bytes);

/* Packs tag and bytes into `len` of an eager message or a clear-to-send. */
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

/*
 * Are the received bytes a valid eager message? A short cut to wire_ctrl_check for the most frequent one. *c may be
 * older than a message of fewer bytes, whose length then can't be right.
 */
static inline bool wire_ctrl_is_eager(const struct wire_ctrl *c, size_t bytes)
{
	return c->magic == WIRE_CTRL_MAGIC && c->version == WIRE_VERSION && c->type == WIRE_EAGER &&
	       wire_tagged_bytes(c) <= WIRE_EAGER_MAX && bytes == sizeof(*c) + wire_tagged_bytes(c);
}

#define WIRE_TAG_SEQ 0x0fffffffu /* part of a sequence number in a provider tag */

/* Provider tag of message `seq` to the receiver's comm. */
static inline uint64_t wire_tag(uint32_t comm, uint32_t seq)
{
	return (uint64_t)comm << 32 | (seq & WIRE_TAG_SEQ);
}

/* Provider tag of a sub-receive of grouped receive `seq`. */
static inline uint64_t wire_group_tag(uint32_t comm, uint32_t seq, unsigned place)
{
	return (uint64_t)comm << 32 | 0x80000000u | place << 28 | (seq & WIRE_TAG_SEQ);
}

#endif

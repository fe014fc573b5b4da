/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A protocol moves the messages of a comm. Each protocol is a table of functions; no other code depends on which one
 * a comm uses. A function only gets comms of its own protocol. All functions need the endpoint's lock.
 */
#ifndef WEFT_PROTO_PROTO_H
#define WEFT_PROTO_PROTO_H

#include "comm/req.h"
#include "wire/cts.h"

struct proto_ops {
	/*
	 * Opens and closes the comm's state of this protocol. 0 or a negative errno. close accepts the state of a
	 * failed open.
	 */
	int (*open)(struct xfer_comm *comm);
	void (*close)(struct xfer_comm *comm);
	/* Connecting: fills in what the peer must know, and takes over what the peer has sent. */
	void (*fill_who)(const struct xfer_comm *comm, struct wire_who *out);
	void (*connected)(struct xfer_comm *comm, const struct wire_who *who);

	/* Has the clear-to-send of the next send arrived? *out (at least len and tag) gets its content. */
	bool (*cts)(struct xfer_comm *comm, struct wire_cts *out);
	/* A control message with a clear-to-send has arrived. */
	void (*cts_arrived)(struct xfer_comm *comm, const struct wire_ctrl *msg);
	/*
	 * Posts a send. Returns 0, -EAGAIN (nothing was changed) or an error. The request's number, size and region
	 * are set.
	 */
	int (*send)(struct xfer_req *req, const void *buf, const struct wire_cts *cts);
	/*
	 * The same for the receive of number next_seq, which it counts (next_seq), and its clear-to-send, now or
	 * later.
	 */
	int (*recv)(struct xfer_req *req);

	/* Groups: is a slot free for number seq? Post a part (like recv). Fill in the target of the part's message. */
	bool (*slot_free)(const struct xfer_comm *comm, uint32_t seq);
	int (*recv_part)(struct xfer_req *part);
	void (*fill_sub)(struct wire_sub *out, const struct xfer_req *part);

	/*
	 * Cancelling the requests that use a registration (NULL: all): `cancel` starts it. After their completion
	 * `discard` prepares for messages that the peer may still send.
	 */
	void (*cancel)(struct xfer_comm *comm, const struct xfer_region *region);
	void (*discard)(struct xfer_comm *comm, const struct xfer_region *region);
	/* The peer has closed its half: completes the receives of a failed comm whose messages will not arrive. */
	void (*settle)(struct xfer_comm *comm);
	/* The sender is gone and cannot write any more: completes all receives. */
	void (*abandon)(struct xfer_comm *comm);
	/* Does the provider hold operations of the comm other than requests? */
	bool (*busy)(const struct xfer_comm *comm);
	/* Have all messages of a closed sender arrived? */
	bool (*all_arrived)(const struct xfer_comm *comm);

	bool eager;   /* small messages may precede their clear-to-send; a closed sender waits for the close-ack */
	bool recalls; /* only the sender's CLOSE releases the memory of a receive */
};

extern const struct proto_ops rma_proto, tagged_proto;

#endif

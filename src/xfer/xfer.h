/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Moving messages: endpoints, comms, registrations, requests. cm makes comms through this interface, nccl sends and
 * receives through it.
 *
 *	endpoint  a device's libfabric endpoints, one per rail, for the thread that made the connections
 *	comm      one direction between two processes, on one endpoint at each end
 *	region    registered memory of a comm
 *	request   one message in flight on a comm, or one group of messages
 *
 * A receive sends the sender a clear-to-send for its buffer, and a send waits for it. So no byte arrives unexpected,
 * and no message blocks another. A small message may precede its clear-to-send and is copied (eager.c). The k-th send
 * matches the k-th receive if the tags are equal. The protocol of the comm carries the bytes: tagged messages or
 * remote writes.
 *
 * Threads: any thread may call any function; the lock of an endpoint serialises the calls on it. Only one thread at a
 * time may test a request. Only closing blocks, for at most WEFT_CLOSE_TIMEOUT.
 *
 * Errors: functions return 0 or a negative errno; -EAGAIN means that nothing happened and the caller shall call
 * again. The function that finds the cause of a failure logs it. A failed comm keeps returning its error.
 */
#ifndef WEFT_XFER_XFER_H
#define WEFT_XFER_XFER_H

#include "comm/api.h"
#include "ep/api.h"

/* --- endpoints; more in ep/api.h --- */

/* Returns the calling thread's endpoint on this device, which it opens if necessary. Adds a reference. */
int xfer_ep_get(struct dev *dev, const struct conf *conf, struct xfer_ep **out);

/* Refuses a connect request, with `err` as the reason. */
void xfer_ep_refuse(struct xfer_ep *ep, const struct wire_connect *request, int err);

/* --- comms; with the lock held --- */

/*
 * Makes the local half of a comm to the endpoint `who`. The comm takes over the reference to `line` (may be NULL),
 * also on failure. `connector` (NULL for an acceptor) gets the response, until the comm is connected or closed. The
 * comm holds a reference to the endpoint.
 */
int xfer_comm_open(struct xfer_ep *ep, enum xfer_kind kind, const struct wire_who *who, struct lifeline *line,
		   struct xfer_connector *connector, struct xfer_comm **out);

/* Sends the connect request, or the response, with its two secrets (wire/ctrl.h) to the object `to` at the peer. */
int xfer_comm_send_connect(struct xfer_comm *comm, enum wire_type type, uint32_t to, uint64_t proof, uint64_t ask);

/* Returns 1 if the connect message has been sent, 0 if not, or the comm's error. */
int xfer_comm_connect_sent(struct xfer_comm *comm);

/*
 * Connects the comm to the half, the rails and the process that the peer's message names. Transfers may start now. 0
 * or a negative errno (logged).
 */
int xfer_comm_connected(struct xfer_comm *comm, const struct wire_connect *msg);

/* The comm will be closed: from now on its peer is told so if it answers. */
void xfer_comm_give_up(struct xfer_comm *comm);

/* "host pid 123 at address", valid as long as the comm. */
const char *xfer_comm_peer_text(const struct xfer_comm *comm);

/* --- the functions below take the lock themselves --- */

/*
 * Closes a comm in any state, with its regions. It cancels outstanding receives and waits for outstanding sends;
 * after WEFT_CLOSE_TIMEOUT it shuts the whole endpoint down instead. Afterwards nothing accesses the user's memory.
 * Never fails; accepts NULL.
 */
void xfer_comm_close(struct xfer_comm *comm);

enum xfer_kind xfer_comm_kind(const struct xfer_comm *comm);

/*
 * Ends a registration. If messages that use it are outstanding, they are cancelled and the comm fails. Afterwards
 * nothing accesses the memory. Never fails.
 */
void xfer_region_close(struct xfer_region *region);

/*
 * Start a send, or a receive of n (1 to WIRE_GROUP_MAX) messages that arrive in any order: each message goes to the
 * first free buffer with its tag. All messages of a receive are sent before any message of the next receive; a send
 * with another tag returns -EAGAIN until then. -EAGAIN: try again later (no clear-to-send yet, or a queue is full).
 * On a failed comm the request is started, and testing it returns the error.
 */
int xfer_isend(struct xfer_comm *comm, void *buf, size_t len, uint32_t tag, struct xfer_region *region,
	       struct xfer_req **out);
int xfer_irecv(struct xfer_comm *comm, int n, const struct xfer_sub subs[], struct xfer_req **out);
/* The same for n = 1, by a shorter way. */
int xfer_irecv_one(struct xfer_comm *comm, void *buf, size_t len, uint32_t tag, struct xfer_region *region,
		   struct xfer_req **out);

/*
 * Makes the data of all completed receives visible to the GPU whose memory contains `buf`. *out is NULL if they are
 * visible already, otherwise a request to be tested. Returns 0 or an error.
 */
int xfer_flush(struct xfer_comm *comm, void *buf, struct xfer_region *region, struct xfer_req **out);

/* From now on receives are flushed before they complete, on GPUs for which NCCL requests no flush. */
void xfer_comm_self_flush(struct xfer_comm *comm);

/*
 * Polls the endpoint and tests the request. Returns n > 0 if the request is done: out_lens then has the lengths of
 * its n messages, and the request is freed. Returns 0 if it is not done. Negative: the request failed; the comm keeps
 * it until the comm is closed.
 */
int xfer_test(struct xfer_req *req, size_t out_lens[]);

/*
 * The same without a poll and without the lock, for a message that is done and needs nothing more: gives its length and
 * frees the request. False: xfer_test has the answer.
 */
bool xfer_is_done(struct xfer_req *req, size_t *out_len);

/* The same for a message; `note` sees the request after the poll, with the lock held. */
int xfer_test_noting(struct xfer_req *req, size_t out_lens[], void (*note)(const struct xfer_req *req, void *arg),
		     void *arg);

#endif

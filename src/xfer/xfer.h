/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Moving messages: ports, channels, registrations, requests. conn makes channels with it, nccl sends and
 * receives through it.
 *
 *	port      a device's libfabric endpoints, one a rail, for the thread that made the connections
 *	channel   one direction between two processes, on one port at each end
 *	region    registered memory of a channel
 *	request   one message in flight on a channel
 *
 * A receive tells the sender of its buffer (clear-to-send); a send waits for that word, so no byte arrives
 * unexpected and no message blocks another's way; a small message may go ahead of it and is copied
 * (eager.c). The k-th send meets the k-th receive, if the tags are the same. What carries the bytes is the channel's wire: tagged
 * messages or remote writes.
 *
 * Threads: any thread may call anything; calls on one port are serialised by its lock. A request is tested
 * by one thread at a time. Nothing blocks but closing, for at most WEFT_CLOSE_TIMEOUT.
 *
 * Errors: 0 or a negative errno; -EAGAIN means nothing happened, call again. Whoever finds a failure's
 * cause has logged it; a failed channel keeps returning its error.
 */
#ifndef WEFT_XFER_XFER_H
#define WEFT_XFER_XFER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dev/dev.h"
#include "peer/lifeline.h"
#include "wire/ctrl.h"

struct xfer_port;
struct xfer_chan;
struct xfer_region;
struct xfer_req;

/*
 * What conn does with the connect messages that arrive at a port. Called under the port's lock.
 * `listen` and `waiter` are what xfer_port_listen and xfer_chan_open were given.
 */
struct xfer_conn_ops {
	void (*request)(void *listen, const struct wire_connect *msg);
	void (*response)(void *waiter, const struct wire_connect *msg);
};

/* --- ports --- */

/* The calling thread's port on this device, opened when there is none yet; counted. */
int xfer_port_get(struct dev *dev, const struct conf *conf, const struct xfer_conn_ops *ops,
		  struct xfer_port **out);

/* Gives up one count; the last closes the endpoint. Accepts NULL. */
void xfer_port_put(struct xfer_port *port);

/* The lock that serialises a port; conn holds it around its steps. */
void xfer_port_lock(struct xfer_port *port);
void xfer_port_unlock(struct xfer_port *port);

/* The following need the lock. */

/* Drives libfabric once. 0, or the error that broke the whole port. */
int xfer_port_poll(struct xfer_port *port);

/* A number that two ranks compare to see that they use the same provider and protocol. */
uint16_t xfer_wire_tag(const struct dev *dev);

/* Where this port is reached. */
void xfer_port_who(const struct xfer_port *port, struct wire_who *out);
const struct lifeline_addr *xfer_port_lifeline(const struct xfer_port *port);

/* Gives `listen` an id that connect requests may name; ended by xfer_port_unlisten. */
int xfer_port_listen(struct xfer_port *port, void *listen, uint32_t *out_id);
void xfer_port_unlisten(struct xfer_port *port, uint32_t id);

/* Answers a request that nobody here will serve. */
void xfer_port_refuse(struct xfer_port *port, const struct wire_connect *request, int err);

/* --- channels; with the lock held --- */

enum xfer_kind { XFER_SEND, XFER_RECV };

/*
 * Makes a channel's local half towards the endpoint `who`; `line` (may be NULL) becomes the channel's,
 * also on failure. `waiter` is handed to ops->response. The channel holds a count of the port.
 */
int xfer_chan_open(struct xfer_port *port, enum xfer_kind kind, const struct wire_who *who,
		   struct lifeline *line, void *waiter, struct xfer_chan **out);

/* Sends the connect request, or the response with the errno `status`, to the object `to` at the peer. */
int xfer_chan_send_connect(struct xfer_chan *chan, enum wire_type type, uint32_t to, uint8_t status);

/* Has the connect message left? 1, 0, or the channel's error. */
int xfer_chan_connect_sent(struct xfer_chan *chan);

/*
 * Names the peer's half, its rails and, for a connector, who it turned out to be: data may flow now. 0 or a
 * negative errno (logged).
 */
int xfer_chan_connected(struct xfer_chan *chan, const struct wire_connect *msg);

/* Looks at the peer's lifeline. 0, or the error of a peer that is gone (logged). */
int xfer_chan_check_peer(struct xfer_chan *chan);

/* "host pid 123 (tcp, lo)": valid as long as the channel. */
const char *xfer_chan_peer_text(const struct xfer_chan *chan);

/* --- everything below takes the lock itself --- */

/*
 * Ends a channel in any state, with its regions. Outstanding receives are given up, outstanding sends are
 * waited for; when WEFT_CLOSE_TIMEOUT passes, the whole port is shut down instead. Afterwards nothing
 * touches the user's memory. Never fails; accepts NULL.
 */
void xfer_chan_close(struct xfer_chan *chan);

enum xfer_kind xfer_chan_kind(const struct xfer_chan *chan);

/* Registers host memory for this channel. May run beside traffic. */
int xfer_region_open(struct xfer_chan *chan, void *base, size_t len, struct xfer_region **out);

/*
 * The same for memory of a GPU, which no CPU may touch. fd: a dma-buf that has it from `offset` on, or -1. -ENOTSUP: the
 * device or this GPU can't (logged).
 */
int xfer_region_open_gpu(struct xfer_chan *chan, const struct accel_mem *m, void *base, size_t len, int fd,
			 uint64_t offset, struct xfer_region **out);

/*
 * Ends a registration. Messages still moving through it are given up and the channel is dead; afterwards
 * nothing touches the memory. Never fails.
 */
void xfer_region_close(struct xfer_region *region);

/* A buffer of a receive. region may be NULL when len is 0. */
struct xfer_sub {
	void *buf;
	size_t len;
	uint32_t tag;
	struct xfer_region *region;
};

/*
 * Starts a message, or a receive of n (1 to WIRE_GROUP_MAX) messages that come in any order: each goes to the
 * first buffer with its tag that has none. All messages of a receive are sent before any of the next: one with
 * another tag gets -EAGAIN until its turn. -EAGAIN: not now (no clear-to-send yet, or something is full). A dead channel is no
 * error here: the request fails when it is tested.
 */
int xfer_isend(struct xfer_chan *chan, void *buf, size_t len, uint32_t tag, struct xfer_region *region,
	       struct xfer_req **out);
int xfer_irecv(struct xfer_chan *chan, int n, const struct xfer_sub subs[], struct xfer_req **out);

/*
 * Makes what was received into a GPU's memory `buf` visible to the GPU: everything whose receive is done. *out is NULL
 * when that is so already, else a request to be tested. 0, or an error.
 */
int xfer_flush(struct xfer_chan *chan, void *buf, struct xfer_region *region, struct xfer_req **out);

/* From now on receives are flushed before they are done, for GPUs that NCCL asks no flush for. */
void xfer_chan_self_flush(struct xfer_chan *chan);

/*
 * Drives the port. n > 0: done, out_lens has the lengths of its n messages and the request is gone. 0: not yet.
 * Negative: the request failed; it stays the channel's until that is closed.
 */
int xfer_test(struct xfer_req *req, size_t out_lens[]);

#endif

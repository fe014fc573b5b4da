/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A device on the loopback and connected comms for the tests of xfer and conn, all in one process. The receiving half
 * has an endpoint of its own, as if on another thread, and the test's thread polls both: the test chooses the order of
 * events. All functions but net_poll are for the test's thread only.
 */
#ifndef TESTS_UNIT_NET_H
#define TESTS_UNIT_NET_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cm/internal.h"
#include "dev/table.h"
#include "proto/eager.h"
#include "proto/group.h"
#include "proto/rma.h"
#include "proto/tagged.h"
#include "xfer/internal.h"

struct net {
	struct dev_table table;
	struct dev *dev;  /* NULL: the provider is unavailable, skip the test */
	struct conf conf; /* a copy of the table's parameters, free to change */
	/*
	 * The endpoint of the test's thread, open during the whole test: libfabric 1.17's shm crashes on a send to a
	 * closed endpoint of the same process.
	 */
	struct xfer_ep *home;
};

/* Setup and teardown of a test whose initial state is a provider's name. */
extern struct net net;
int net_begin(void **state);
int net_end(void **state); /* also fails the test if endpoints are left open */

/* Entries of a test array: over one provider, and (NET_TESTS) over tcp and shm. */
#define NET_TEST(f, provider)                                                                                          \
	{                                                                                                              \
		provider ": " #f, f, net_begin, net_end, (void *)(uintptr_t)provider                                   \
	}
#define NET_RMA	     "rma" /* as a provider: tcp with the RMA protocol */
#define NET_TESTS(f) NET_TEST(f, "tcp"), NET_TEST(f, "shm")

#define NET_NEEDED()                                                                                                   \
	do {                                                                                                           \
		if (!net.dev)                                                                                          \
			skip();                                                                                        \
	} while (0)

/* Number of open endpoints of the device; the wakeup thread may hold one a moment longer. */
int net_users(struct dev *dev);

/* Opens a listen on an endpoint of its own, different from that of the test's thread. */
void net_listen(struct wire_handle *handle, struct cm_listen **out);

/* Two halves of one comm with `bytes` of registered memory each. */
struct net_link {
	struct xfer_comm *send, *recv;
	struct xfer_region *from_region, *to_region;
	unsigned char *from, *to;
	size_t bytes;
};

/* Connects and accepts until both halves exist. */
void net_connect(struct cm_listen *listen, struct wire_handle *handle, struct xfer_comm **send,
		 struct xfer_comm **recv);

/* Several links on the same two endpoints: `listen` provides the receiving endpoint. */
void net_link_open(struct net_link *l, struct cm_listen *listen, struct wire_handle *handle, size_t bytes);

/* Accepts halves that are already closed (NULL). On return the endpoints have informed each other. */
void net_link_close(struct net_link *l);

/* Closes a listen and, if no comm is left there, its endpoint. */
void net_listen_close(struct cm_listen *listen);

/* Polls one endpoint, or both of a link. */
void net_poll(struct xfer_ep *ep);
void net_turn(struct net_link *l);

/* A message with tag 0; a receive of one buffer. */
int net_isend(struct xfer_comm *comm, void *buf, size_t len, struct xfer_region *region, struct xfer_req **out);
int net_irecv(struct xfer_comm *comm, void *buf, size_t len, struct xfer_region *region, struct xfer_req **out);

/* Posts and repeats on -EAGAIN while polling both endpoints; returns other results. */
int net_send(struct net_link *l, size_t at, size_t len, struct xfer_req **out);
int net_recv(struct net_link *l, size_t at, size_t len, struct xfer_req **out);

/* Polls both endpoints until the request is done or has failed: 1 or the error. */
int net_wait(struct net_link *l, struct xfer_req *req, size_t *out_len);

/*
 * Returns the error of a message without bytes on a failed comm, from its request or its post. `ep` (may be NULL) is
 * polled, too.
 */
int net_failed_send(struct xfer_comm *comm, struct xfer_ep *ep);
int net_vain_recv(struct xfer_comm *comm, struct xfer_ep *ep);

/* Transfers and verifies one message of len bytes. */
void net_message(struct net_link *l, size_t len);

#endif

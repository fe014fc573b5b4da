/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A device on the loopback and connected channels for the tests of xfer and conn, all in one
 * process: the receiving half lives on a port of its own, as if on another thread, and the test's
 * thread drives both. That makes every order of events the test's own choice. Only on the test's
 * thread, but for net_poll.
 */
#ifndef TESTS_UNIT_NET_H
#define TESTS_UNIT_NET_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "conn/internal.h"
#include "dev/dev.h"
#include "xfer/internal.h"

struct net {
	struct dev_table table;
	struct dev *dev;  /* NULL: the provider is not here, skip the test */
	struct conf conf; /* a copy of the table's to change at will */
	/*
	 * The test's thread's port, open as long as the test: libfabric 1.17's shm crashes when
	 * something is sent to an endpoint of the same process that is closed.
	 */
	struct xfer_port *home;
};

/* Setup and teardown of a test whose initial state is a provider's name. */
extern struct net net;
int net_begin(void **state);
int net_end(void **state); /* also fails the test when ports are left open */

/* An array's entries: the test once over tcp and once over shm. */
#define NET_TEST(f, provider)                                                                      \
	{                                                                                          \
		provider ": " #f, f, net_begin, net_end, (void *)(uintptr_t)provider               \
	}
#define NET_RMA	     "rma" /* in place of a provider: tcp by the RMA wire; else it is the tagged one */
#define NET_TESTS(f) NET_TEST(f, "tcp"), NET_TEST(f, "shm")

#define NET_NEEDED()                                                                               \
	do {                                                                                       \
		if (!net.dev)                                                                      \
			skip();                                                                    \
	} while (0)

/* Ports of the device that are open; a bell's thread may hold one a moment longer. */
int net_users(struct dev *dev);

/* A listen on a port of its own, other than the test's thread's. */
void net_listen(struct wire_handle *handle, struct conn_listen **out);

/* Two halves of one channel with `bytes` of registered memory each. */
struct net_link {
	struct xfer_chan *send, *recv;
	struct xfer_region *from_region, *to_region;
	unsigned char *from, *to;
	size_t bytes;
};

/* Connects and accepts until both halves are there. */
void net_connect(struct conn_listen *listen, struct wire_handle *handle, struct xfer_chan **send,
		 struct xfer_chan **recv);

/* Several links on the same two ports: `listen` gives the receiving one. */
void net_link_open(struct net_link *l, struct conn_listen *listen, struct wire_handle *handle,
		   size_t bytes);

/* Accepts halves that are closed already (NULL). The ports have then told each other. */
void net_link_close(struct net_link *l);

/* Ends a listen and with it its port, when no channel is left there. */
void net_listen_close(struct conn_listen *listen);

/* Drives one port, or both of a link. */
void net_poll(struct xfer_port *port);
void net_turn(struct net_link *l);

/* A message with tag 0, a receive of one. */
int net_isend(struct xfer_chan *chan, void *buf, size_t len, struct xfer_region *region,
	      struct xfer_req **out);
int net_irecv(struct xfer_chan *chan, void *buf, size_t len, struct xfer_region *region,
	      struct xfer_req **out);

/* Posts, trying again on -EAGAIN while both ports make progress; other results are returned. */
int net_send(struct net_link *l, size_t at, size_t len, struct xfer_req **out);
int net_recv(struct net_link *l, size_t at, size_t len, struct xfer_req **out);

/* Tests until done or failed, while both ports make progress: 1 or the error. */
int net_wait(struct net_link *l, struct xfer_req *req, size_t *out_len);

/*
 * How a message without bytes on a channel that is dead ends: the error of its request, or of its
 * start. `port` (may be NULL) is driven besides.
 */
int net_vain_send(struct xfer_chan *chan, struct xfer_port *port);
int net_vain_recv(struct xfer_chan *chan, struct xfer_port *port);

/* One message of len bytes, verified. */
void net_message(struct net_link *l, size_t len);

#endif

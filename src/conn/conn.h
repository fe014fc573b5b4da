/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Making channels: listen, connect, accept. Nothing here blocks; connect and accept are polled until they
 * have an answer. Any number may be under way at once, on any threads.
 *
 *	listener                                    connector
 *	  conn_listen: handle (address, id) ......>  (carried by NCCL)
 *	                                             dials the listener's lifeline
 *	               <---- connect request ------  names its send channel and its lifeline
 *	  finds the lifeline, opens a receive channel
 *	               ----- connect response ---->  names the receive channel: connected
 *	  response has left: accepted
 */
#ifndef WEFT_CONN_CONN_H
#define WEFT_CONN_CONN_H

#include "dev/dev.h"
#include "wire/handle.h"
#include "xfer/xfer.h"

struct conn_listen;

/* Fills the handle. 0 or a negative errno (logged). */
int conn_listen(struct dev *dev, const struct conf *conf, struct wire_handle *handle,
		struct conn_listen **out);

/* Requests not yet accepted are refused. Accepts NULL. */
void conn_listen_close(struct conn_listen *listen);

/*
 * One step towards a send channel. The state between calls is found through handle->mark, so it is the same
 * handle buffer every time. 0 with *out set: connected. 0 and NULL: call again. Negative errno: failed and
 * logged, *out is NULL, everything is released.
 */
int conn_connect(struct dev *dev, const struct conf *conf, struct wire_handle *handle,
		 struct xfer_chan **out);

/* One step towards a receive channel from the next peer that connects; results as of conn_connect. */
int conn_accept(struct conn_listen *listen, const struct conf *conf, struct xfer_chan **out);

#endif

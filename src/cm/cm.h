/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Creation of comms: listen, connect, accept. No call blocks; the caller polls connect and accept until they
 * complete. Any number may be in progress at once, on any threads.
 *
 *	listener                                    connector
 *	  cm_listen: handle (address, id) ......>  (carried by NCCL)
 *	                                             dials the listener's lifeline
 *	               <---- connect request ------  names its send comm and its lifeline
 *	  finds the lifeline, opens a receive comm
 *	               ----- connect response ---->  names the receive comm: connected
 *	  response has left: accepted
 */
#ifndef WEFT_CM_CM_H
#define WEFT_CM_CM_H

#include "dev/dev.h"
#include "wire/handle.h"
#include "xfer/xfer.h"

struct cm_listen;

/* Starts listening and fills the handle. 0 or a negative errno (logged). */
int cm_listen(struct dev *dev, const struct conf *conf, struct wire_handle *handle, struct cm_listen **out);

/* Refuses requests not yet accepted. Accepts NULL. */
void cm_listen_close(struct cm_listen *listen);

/*
 * Progresses a connect. handle->mark identifies the state between calls, so the caller passes the same handle
 * buffer every time. 0 with *out set: connected, the caller owns the send comm. 0 with *out NULL: call again.
 * Negative errno (logged): failed, *out is NULL, all resources are released.
 */
int cm_connect(struct dev *dev, const struct conf *conf, struct wire_handle *handle, struct xfer_comm **out);

/* The connect that is in progress with this handle belongs to `owner`. No effect if none is. */
void cm_connect_own(const struct wire_handle *handle, const void *owner);

/* Closes the connects in progress that belong to `owner` (not NULL): nobody will continue them. */
void cm_connect_abandon(const void *owner);

/* Progresses an accept of the next connect request. Results as of cm_connect, with a receive comm. */
int cm_accept(struct cm_listen *listen, const struct conf *conf, struct xfer_comm **out);

#endif

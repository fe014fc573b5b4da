/* SPDX-License-Identifier: Apache-2.0 */
/* Listening: the handle, and the queue of connect requests. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "conn/internal.h"
#include "peer/ident.h"

static void request_arrived(void *listen, const struct wire_connect *msg)
{
	struct conn_listen *l = listen;
	struct conn_request *r = malloc(sizeof(*r));

	if (!r) {
		xfer_port_refuse(l->port, msg, ENOMEM);
		return;
	}
	r->msg = *msg;
	list_append(&l->requests, &r->link);
}

const struct xfer_conn_ops conn_ops = {
	.request = request_arrived,
	.response = connecting_response,
};

static void fill_handle(struct conn_listen *l, struct wire_handle *handle)
{
	const struct lifeline_addr *line = xfer_port_lifeline(l->port);
	struct wire_who who;

	xfer_port_who(l->port, &who);
	wire_handle_init(handle);
	handle->listen_id = l->id;
	handle->pid = who.pid;
	memcpy(handle->uuid, who.uuid, sizeof(who.uuid));
	handle->provider = who.provider;
	handle->addr_bytes = who.addr_bytes;
	memcpy(handle->addr, who.addr, who.addr_bytes);
	handle->lifeline_family = (uint8_t)line->family;
	handle->lifeline_port = line->port;
	memcpy(handle->lifeline_ip, line->ip, sizeof(line->ip));
	wire_handle_seal(handle);
}

int conn_listen(struct dev *dev, const struct conf *conf, struct wire_handle *handle,
		struct conn_listen **out)
{
	struct conn_listen *l = calloc(1, sizeof(*l));
	int ret;

	*out = NULL;
	if (!l)
		return -ENOMEM;
	list_init(&l->requests);
	ret = xfer_port_get(dev, conf, &conn_ops, &l->port);
	if (ret) {
		free(l);
		return ret;
	}
	xfer_port_lock(l->port);
	ret = xfer_port_listen(l->port, l, &l->id);
	if (!ret)
		fill_handle(l, handle);
	xfer_port_unlock(l->port);
	if (ret) {
		log_warn("cannot listen on NIC %s: %s", dev->nic->name, strerror(-ret));
		xfer_port_put(l->port);
		free(l);
		return ret;
	}
	*out = l;
	return 0;
}

void conn_listen_close(struct conn_listen *l)
{
	if (!l)
		return;
	xfer_port_lock(l->port);
	accepting_abandon(l);
	while (!list_empty(&l->requests)) {
		struct conn_request *r = owner_of(l->requests.next, struct conn_request, link);

		list_remove(&r->link);
		xfer_port_refuse(l->port, &r->msg, ECONNREFUSED);
		free(r);
	}
	xfer_port_unlisten(l->port, l->id);
	xfer_port_unlock(l->port);
	xfer_port_put(l->port);
	free(l);
}

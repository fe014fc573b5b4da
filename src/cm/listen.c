/* SPDX-License-Identifier: Apache-2.0 */
/* Listen: the handle and the queue of connect requests. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/random.h"
#include "cm/internal.h"
#include "peer/ident.h"

/* A message is sent again after a failure, and what has failed may have arrived. */
static bool is_copy(struct cm_listen *l, uint64_t ask)
{
	int i;

	for (i = 0; i < CM_ASKS; i++)
		if (ask && l->asks[i] == ask)
			return true;
	l->asks[l->asked++ % CM_ASKS] = ask;
	return false;
}

static void request_arrived(struct xfer_listener *listener, const struct wire_connect *msg)
{
	struct cm_listen *l = container_of(listener, struct cm_listen, listener);
	struct cm_request *r;

	/* The refusal is the same as for an unknown listen, so a stranger that guesses ids learns nothing. */
	if (!wire_secret_is(msg->proof, l->secret)) {
		log_debug("a connect request with a wrong secret, from %s pid %u, is refused", msg->who.host,
			  msg->who.pid);
		xfer_ep_refuse(l->ep, msg, ECONNREFUSED);
		return;
	}
	if (is_copy(l, msg->ask)) {
		log_debug("a connect request of %s pid %u has arrived twice", msg->who.host, msg->who.pid);
		return;
	}
	r = l->request_count < CM_REQUESTS_MAX ? malloc(sizeof(*r)) : NULL;
	if (!r) {
		xfer_ep_refuse(l->ep, msg, ENOBUFS);
		return;
	}
	r->msg = *msg;
	list_append(&l->requests, &r->link);
	l->request_count++;
}

static int fill_handle(struct cm_listen *l, struct wire_handle *handle)
{
	const struct lifeline_addr *line = xfer_ep_lifeline(l->ep);
	struct wire_who who;

	xfer_ep_who(l->ep, &who);
	if (who.addr_bytes > WIRE_HANDLE_ADDR_BYTES)
		return -ENAMETOOLONG;
	wire_handle_init(handle);
	handle->listen_id = l->id;
	handle->secret = l->secret;
	handle->pid = who.pid;
	memcpy(handle->uuid, who.uuid, sizeof(who.uuid));
	handle->fingerprint = who.fingerprint;
	handle->addr_bytes = who.addr_bytes;
	memcpy(handle->addr, who.addr, who.addr_bytes);
	handle->lifeline_family = (uint8_t)line->family;
	handle->lifeline_port = line->port;
	memcpy(handle->lifeline_ip, line->ip, sizeof(line->ip));
	wire_handle_seal(handle);
	return 0;
}

static int start_listening(struct cm_listen *l, struct wire_handle *handle)
{
	int ret;

	xfer_ep_lock(l->ep);
	ret = xfer_ep_listen(l->ep, &l->listener, &l->id);
	if (!ret)
		ret = fill_handle(l, handle);
	if (ret)
		xfer_ep_unlisten(l->ep, l->id);
	xfer_ep_unlock(l->ep);
	return ret;
}

int cm_listen(struct dev *dev, const struct conf *conf, struct wire_handle *handle, struct cm_listen **out)
{
	struct cm_listen *l = calloc(1, sizeof(*l));
	int ret;

	*out = NULL;
	if (!l)
		return -ENOMEM;
	list_init(&l->requests);
	l->listener.request = request_arrived;
	ret = xfer_ep_get(dev, conf, &l->ep);
	if (ret) {
		free(l);
		return ret;
	}
	random_fill(&l->secret, sizeof(l->secret));
	ret = lifeline_expect(l->secret);
	if (!ret)
		ret = start_listening(l, handle);
	if (ret) {
		log_warn("cannot listen on NIC %s: %s", dev->nic->name, strerror(-ret));
		lifeline_forget(l->secret);
		xfer_ep_put(l->ep);
		free(l);
		return ret;
	}
	*out = l;
	return 0;
}

void cm_listen_close(struct cm_listen *l)
{
	if (!l)
		return;
	xfer_ep_lock(l->ep);
	accepting_abandon(l);
	while (!list_empty(&l->requests)) {
		struct cm_request *r = container_of(l->requests.next, struct cm_request, link);

		list_remove(&r->link);
		xfer_ep_refuse(l->ep, &r->msg, ECONNREFUSED);
		free(r);
	}
	xfer_ep_unlisten(l->ep, l->id);
	xfer_ep_unlock(l->ep);
	lifeline_forget(l->secret);
	xfer_ep_put(l->ep);
	free(l);
}

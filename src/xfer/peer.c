/* SPDX-License-Identifier: Apache-2.0 */
/* Remote endpoints: one entry of the address vector each, however many channels go there. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "xfer/internal.h"

static struct xfer_peer *find(struct xfer_port *port, const struct wire_who *who)
{
	struct list *it, *tmp;

	list_each (&port->peers, it, tmp) {
		struct xfer_peer *p = owner_of(it, struct xfer_peer, link);

		if (p->who.addr_bytes == who->addr_bytes &&
		    !memcmp(p->who.addr, who->addr, who->addr_bytes) &&
		    !memcmp(p->who.uuid, who->uuid, sizeof(who->uuid)))
			return p;
	}
	return NULL;
}

/* "127.0.0.1:4711" when the address is a socket address, else "". */
static void addr_text(const struct wire_who *who, char *buf, size_t buf_bytes)
{
	const struct sockaddr_in *in = (const void *)who->addr;
	const struct sockaddr_in6 *in6 = (const void *)who->addr;
	char ip[INET6_ADDRSTRLEN];

	buf[0] = 0;
	if (who->addr_bytes == sizeof(*in) && in->sin_family == AF_INET)
		snprintf(buf, buf_bytes, " at %s:%u", inet_ntop(AF_INET, &in->sin_addr, ip, sizeof(ip)),
			 ntohs(in->sin_port));
	else if (who->addr_bytes == sizeof(*in6) && in6->sin6_family == AF_INET6)
		snprintf(buf, buf_bytes, " at [%s]:%u",
			 inet_ntop(AF_INET6, &in6->sin6_addr, ip, sizeof(ip)), ntohs(in6->sin6_port));
}

void peer_name(struct xfer_peer *peer, const struct wire_who *who)
{
	char addr[80];

	if (who->host[0]) {
		memcpy(peer->who.host, who->host, sizeof(who->host));
		peer->named = true;
	}
	peer->who.pid = who->pid;
	addr_text(&peer->who, addr, sizeof(addr));
	snprintf(peer->text, sizeof(peer->text), "%.60s%spid %u%s", peer->who.host,
		 peer->named ? " " : "", peer->who.pid, addr);
}

int peer_get(struct xfer_port *port, const struct wire_who *who, struct xfer_peer **out)
{
	struct xfer_peer *p = find(port, who);
	int ret;

	*out = NULL;
	if (!p) {
		if (!port->ep)
			return port->err;
		p = calloc(1, sizeof(*p));
		if (!p)
			return -ENOMEM;
		p->paths[0] = (struct path){.rail = &port->rails[0], .sharing = 1};
		ret = fab_ep_insert(port->ep, who->addr, &p->paths[0].fab_addr);
		if (ret) {
			free(p);
			return ret;
		}
		p->port = port;
		p->who = *who;
		p->path_count = p->rails = 1;
		list_append(&port->peers, &p->link);
	}
	if (!p->named)
		peer_name(p, who);
	p->refs++;
	*out = p;
	return 0;
}

/*
 * Path p leads from the p-th rail here to the p-th rail there, round the fewer: both sides count the same
 * paths, and each side's endpoints know whom they hear from before anything comes.
 */
int peer_widen(struct xfer_peer *peer, const struct wire_connect *msg)
{
	struct xfer_port *port = peer->port;
	int ours = port->rail_count, theirs = msg->who.rails, n = ours > theirs ? ours : theirs;
	int i, ret;

	if (peer->path_count == n)
		return 0;
	for (i = 1; i < n; i++) {
		struct path *p = &peer->paths[i];
		int at = i % theirs;

		*p = (struct path){.rail = &port->rails[i % ours], .remote = (uint8_t)at};
		ret = port->ep ? fab_ep_insert(p->rail->ep, at ? msg->rail_addr[at - 1] : peer->who.addr,
					       &p->fab_addr)
			       : port->err;
		if (ret)
			return ret;
		peer->path_count = i + 1;
	}
	for (i = 0; i < n; i++)
		peer->paths[i].sharing = (uint8_t)((n - i % ours + ours - 1) / ours);
	peer->rails = theirs;
	return 0;
}

void peer_put(struct xfer_peer *peer)
{
	int i;

	if (!peer || --peer->refs)
		return;
	for (i = 0; peer->port->ep && i < peer->path_count; i++)
		fab_ep_forget(peer->paths[i].rail->ep, peer->paths[i].fab_addr);
	list_remove(&peer->link);
	free(peer);
}

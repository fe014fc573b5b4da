/* SPDX-License-Identifier: Apache-2.0 */
/* Remote endpoints; see peer.h. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ep/peer.h"

static bool same_address(const struct wire_who *a, const struct wire_who *b)
{
	return a->addr_bytes == b->addr_bytes && !memcmp(a->addr, b->addr, a->addr_bytes);
}

static void peer_forget(struct xfer_peer *peer)
{
	int i;

	for (i = 0; peer->ep->fab && i < peer->path_count; i++)
		fab_ep_forget(peer->paths[i].rail->fab, peer->paths[i].fab_addr);
	list_remove(&peer->link);
	free(peer);
}

/* The peer in the list, or NULL. *out_former is a peer of an earlier process at the same address, or NULL. */
static struct xfer_peer *peer_find_in(struct list *peers, const struct wire_who *who, struct xfer_peer **out_former)
{
	struct list *it, *tmp;

	*out_former = NULL;
	list_each (peers, it, tmp) {
		struct xfer_peer *p = container_of(it, struct xfer_peer, link);

		if (!same_address(&p->who, who))
			continue;
		if (!memcmp(p->who.uuid, who->uuid, sizeof(who->uuid)))
			return p;
		*out_former = p;
	}
	return NULL;
}

static struct xfer_peer *peer_find(struct xfer_ep *ep, const struct wire_who *who)
{
	struct xfer_peer *former, *p = peer_find_in(&ep->peers, who, &former);

	if (p)
		return p;
	p = peer_find_in(&ep->peers_idle, who, &former);
	if (former) {
		ep->idle_count--;
		peer_forget(former);
	}
	if (p) {
		ep->idle_count--;
		list_remove(&p->link);
		list_append(&ep->peers, &p->link);
	}
	return p;
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
		snprintf(buf, buf_bytes, " at [%s]:%u", inet_ntop(AF_INET6, &in6->sin6_addr, ip, sizeof(ip)),
			 ntohs(in6->sin6_port));
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
	snprintf(peer->text, sizeof(peer->text), "%.63s%spid %u%s", peer->who.host, peer->named ? " " : "",
		 peer->who.pid, addr);
}

int peer_get(struct xfer_ep *ep, const struct wire_who *who, struct xfer_peer **out)
{
	struct xfer_peer *p = peer_find(ep, who);
	int ret;

	*out = NULL;
	if (!p) {
		if (!ep->fab)
			return ep->err;
		p = calloc(1, sizeof(*p));
		if (!p)
			return -ENOMEM;
		p->paths[0] = (struct path){.rail = &ep->rails[0], .sharing = 1};
		ret = fab_ep_insert(ep->fab, who->addr, &p->paths[0].fab_addr);
		if (ret) {
			free(p);
			return ret;
		}
		p->ep = ep;
		p->who = *who;
		p->path_count = p->rails = p->nics = 1;
		list_append(&ep->peers, &p->link);
	}
	if (!p->named)
		peer_name(p, who);
	p->refs++;
	*out = p;
	return 0;
}

/* The rail of a path, of n rails. */
static int rail_of_path(const struct xfer_ep *ep, int path, int n)
{
	return ep->control_alone && path && n > 1 ? 1 + (path - 1) % (n - 1) : path % n;
}

/*
 * Path p leads from our rail p to the peer's rail p, modulo the smaller number of rails; only path 0 uses the rail of
 * control messages, where both sides have one. Both sides number the paths alike, and each endpoint knows its senders
 * before the first message.
 */
int peer_widen(struct xfer_peer *peer, const struct wire_connect *msg)
{
	struct xfer_ep *ep = peer->ep;
	int ours = ep->rail_count, theirs = msg->who.rails, n = ours > theirs ? ours : theirs;
	size_t bytes = msg->who.addr_bytes;
	uint8_t addr[WIRE_ADDR_BYTES];
	int i, k, ret;

	if (peer->path_count == n)
		return 0;
	for (i = 1; i < n; i++) {
		struct path *p = &peer->paths[i];
		int at = rail_of_path(ep, i, theirs);

		*p = (struct path){.rail = &ep->rails[rail_of_path(ep, i, ours)],
				   .remote = (uint8_t)(at % msg->who.nics)};
		memset(addr, 0, sizeof(addr));
		memcpy(addr, at ? msg->rail_addr + (size_t)(at - 1) * bytes : peer->who.addr, bytes);
		ret = ep->fab ? fab_ep_insert(p->rail->fab, addr, &p->fab_addr) : ep->err;
		if (ret)
			return ret;
		peer->path_count = i + 1;
	}
	peer->paths[0].sharing = 0;
	for (i = 0; i < n; i++)
		for (k = 0; k < n; k++)
			if (peer->paths[k].rail == peer->paths[i].rail)
				peer->paths[i].sharing++;
	peer->rails = theirs;
	peer->nics = msg->who.nics;
	return 0;
}

void peer_put(struct xfer_peer *peer)
{
	struct xfer_ep *ep;

	if (!peer || --peer->refs)
		return;
	ep = peer->ep;
	list_remove(&peer->link);
	list_append(&ep->peers_idle, &peer->link);
	if (++ep->idle_count <= PEERS_IDLE_MAX)
		return;
	ep->idle_count--;
	peer_forget(container_of(ep->peers_idle.next, struct xfer_peer, link));
}

void peers_close(struct xfer_ep *ep)
{
	while (!list_empty(&ep->peers_idle))
		peer_forget(container_of(ep->peers_idle.next, struct xfer_peer, link));
	while (!list_empty(&ep->peers))
		peer_forget(container_of(ep->peers.next, struct xfer_peer, link));
}

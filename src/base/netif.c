/* SPDX-License-Identifier: Apache-2.0 */
/* Rating of network interfaces; see netif.h. netif_kernel.c reads them from the kernel. */
#include "base/netif.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#define because(why, ...) snprintf(why, NETIF_WHY_BYTES, __VA_ARGS__)

void netif_plain_name(const char *name, char out[NETIF_NAME_BYTES])
{
	size_t len = strcspn(name, ":");

	if (len >= NETIF_NAME_BYTES)
		len = NETIF_NAME_BYTES - 1;
	memcpy(out, name, len);
	out[len] = 0;
}

char *netif_ip_text(int family, const uint8_t ip[16], char buf[NETIF_IP_BYTES])
{
	if (!family || !inet_ntop(family == 4 ? AF_INET : AF_INET6, ip, buf, NETIF_IP_BYTES))
		*buf = 0;
	return buf;
}

static bool is_loopback(int family, const uint8_t ip[16])
{
	static const uint8_t one[16] = {[15] = 1};

	return family == 4 ? ip[0] == 127 : family == 6 && !memcmp(ip, one, sizeof(one));
}

static bool is_link_local(int family, const uint8_t ip[16])
{
	return family == 4 ? ip[0] == 169 && ip[1] == 254 : family == 6 && ip[0] == 0xfe && (ip[1] & 0xc0) == 0x80;
}

static bool kind_in(const struct netif *i, const char *const kinds[])
{
	for (; *kinds; kinds++)
		if (!strcmp(i->kind, *kinds))
			return true;
	return false;
}

static bool is_tunnel(const struct netif *i)
{
	static const char *const kinds[] = {"tun",	 "wireguard", "vxlan",	   "geneve",   "gre",
					    "gretap",	 "ip6gre",    "ip6gretap", "ipip",     "ip6tnl",
					    "sit",	 "erspan",    "vti",	   "vti6",     "xfrm",
					    "ip6erspan", "bareudp",   "ppp",	   "l2tp_eth", NULL};

	return i->tunnel || kind_in(i, kinds);
}

/* Is it an interface without a cable, which may carry the host's own address? */
static bool is_cableless(const struct netif *i)
{
	static const char *const kinds[] = {"dummy", "vrf", NULL};

	return i->loopback || kind_in(i, kinds);
}

/* Does a port of the bridge lead out of this host? */
static bool leads_out(const struct netif_list *l, const struct netif *bridge)
{
	int i;

	for (i = 0; i < l->if_count; i++) {
		const struct netif *port = &l->ifs[i];

		if (port->master == bridge->index && strcmp(port->kind, "veth") && !is_tunnel(port) &&
		    !is_cableless(port))
			return true;
	}
	return false;
}

/* Does another interface have the same address? */
static bool stands_twice(const struct netif_list *l, const char *name, int family, const uint8_t ip[16])
{
	int i;

	for (i = 0; i < l->addr_count; i++)
		if (l->addrs[i].family == family && !memcmp(l->addrs[i].ip, ip, 16) && strcmp(l->addrs[i].name, name))
			return true;
	return false;
}

static const struct netif *netif_find(const struct netif_list *l, const char *name)
{
	int i;

	for (i = 0; i < l->if_count; i++)
		if (!strcmp(l->ifs[i].name, name))
			return &l->ifs[i];
	return NULL;
}

/* Returns the bridge or bond of a port, or NULL. Members of a VRF count as normal interfaces. */
static const struct netif *master_of(const struct netif_list *l, const struct netif *port)
{
	int i;

	for (i = 0; i < l->if_count && port->master; i++)
		if (l->ifs[i].index == port->master && strcmp(l->ifs[i].kind, "vrf"))
			return &l->ifs[i];
	return NULL;
}

static bool is_outward(const struct netif_list *l, int family, const uint8_t ip[16])
{
	const struct netif_addr *a = &l->outward[family == 6];

	return a->family == family && !memcmp(a->ip, ip, 16);
}

static enum netif_reach judge_kind(const struct netif_list *l, const struct netif *i, int family, const uint8_t ip[16],
				   char why[NETIF_WHY_BYTES])
{
	if (is_cableless(i) && !is_outward(l, family, ip)) {
		because(why, "its address is on %s interface: other hosts may have the same one",
			i->loopback	    ? "the loopback"
			: i->kind[0] == 'd' ? "a dummy"
					    : "a VRF");
		return NETIF_HOST_ROUTE;
	}
	if (i->usb) {
		because(why, "it is on USB, as the NIC of a management controller is");
		return NETIF_USB;
	}
	if (is_tunnel(i)) {
		because(why, "it is a tunnel%s%s", *i->kind ? ": " : "", i->kind);
		return NETIF_TUNNEL;
	}
	if (!strcmp(i->kind, "veth") && stands_twice(l, i->name, family, ip)) {
		because(why,
			"it is this host's end of a container's interface: another interface has its address, too");
		return NETIF_POD;
	}
	return NETIF_OUTSIDE;
}

enum netif_reach netif_judge(const struct netif_list *l, const char *name, int family, const uint8_t ip[16],
			     char why[NETIF_WHY_BYTES])
{
	char plain[NETIF_NAME_BYTES], text[NETIF_IP_BYTES];
	const struct netif *i, *master;

	*why = 0;
	netif_plain_name(name, plain);
	i = netif_find(l, plain);
	master = i ? master_of(l, i) : NULL;
	if (is_loopback(family, ip)) {
		because(why, "its address %s reaches this host only", netif_ip_text(family, ip, text));
		return NETIF_LOOPBACK;
	}
	if (i && !i->link) {
		because(why, "it has no link (no carrier)");
		return NETIF_NO_LINK;
	}
	if (master) {
		because(why, "it is a port of %s", master->name);
		return NETIF_PORT;
	}
	if (i && !strcmp(i->kind, "bridge") && !leads_out(l, i)) {
		because(why, "it is a bridge, and none of its ports leads out of this host");
		return NETIF_BRIDGE;
	}
	if (is_link_local(family, ip)) {
		because(why, "it has a link-local address only, %s", netif_ip_text(family, ip, text));
		return NETIF_LINK_LOCAL;
	}
	return i ? judge_kind(l, i, family, ip, why) : NETIF_OUTSIDE;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Checks of peer addresses before the provider sees them; see address.h. */
#include "fabric/address.h"

#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include <rdma/fabric.h>

#include "fabric/fab.h"

_Static_assert(sizeof(struct sockaddr_in6) <= FAB_ADDR_BYTES, "an IP address has room");

static bool is_host4(const struct sockaddr_in *in)
{
	uint32_t ip = ntohl(in->sin_addr.s_addr);

	return ip && ip >> 28 < 14 && in->sin_port; /* excludes multicast and reserved addresses */
}

static bool is_host6(const struct sockaddr_in6 *in6)
{
	return !IN6_IS_ADDR_UNSPECIFIED(&in6->sin6_addr) && !IN6_IS_ADDR_MULTICAST(&in6->sin6_addr) && in6->sin6_port;
}

/* The scope of a link-local address is the interface index, which differs between hosts. */
static void set_scope(const struct fab_nic *nic, struct sockaddr_in6 *in6)
{
	const struct sockaddr_in6 *own = nic->info->src_addr;

	in6->sin6_scope_id = 0;
	if (!IN6_IS_ADDR_LINKLOCAL(&in6->sin6_addr))
		return;
	if (own && own->sin6_scope_id)
		in6->sin6_scope_id = own->sin6_scope_id;
	else
		in6->sin6_scope_id = if_nametoindex(nic->name);
}

static bool fits_ip(const struct fab_nic *nic, uint8_t addr[FAB_ADDR_BYTES], int family)
{
	struct sockaddr_in in;
	struct sockaddr_in6 in6;

	if (family == AF_INET) {
		memcpy(&in, addr, sizeof(in));
		return in.sin_family == AF_INET && is_host4(&in);
	}
	memcpy(&in6, addr, sizeof(in6));
	if (in6.sin6_family != AF_INET6 || !is_host6(&in6))
		return false;
	set_scope(nic, &in6);
	memcpy(addr, &in6, sizeof(in6));
	return true;
}

/* The address must have the scheme of `own`, such as fi_shm://, then a name without a slash: no path traversal. */
static bool fits_text(const char *own, const uint8_t addr[FAB_ADDR_BYTES])
{
	const char *text = (const char *)addr, *scheme = strstr(own, "://");
	size_t len = scheme ? (size_t)(scheme + 3 - own) : 0;

	return memchr(text, 0, FAB_ADDR_BYTES) && !strncmp(own, text, len) && text[len] && !strchr(text + len, '/');
}

static int family_of(const uint8_t addr[FAB_ADDR_BYTES])
{
	struct sockaddr sa;

	memcpy(&sa, addr, sizeof(sa));
	return sa.sa_family == AF_INET ? 4 : sa.sa_family == AF_INET6 ? 6 : 0;
}

int address_fit(const struct fab_nic *nic, const char *own, uint8_t addr[FAB_ADDR_BYTES], char *why, size_t why_bytes)
{
	bool good;

	switch (nic->info->addr_format) {
	case FI_SOCKADDR_IN: good = fits_ip(nic, addr, AF_INET); break;
	case FI_SOCKADDR_IN6: good = fits_ip(nic, addr, AF_INET6); break;
	case FI_ADDR_STR: good = fits_text(own, addr); break;
	default: return 0; /* only the provider knows its addresses */
	}
	if (good)
		return 0;
	if (nic->family && family_of(addr) == 10 - nic->family)
		snprintf(
			why, why_bytes,
			"the peer uses an IPv%d address and NIC %s the IPv%d address %s: set WEFT_IP_FAMILY to a family that "
			"all nodes have",
			family_of(addr), nic->name, nic->family, nic->address);
	else
		snprintf(why, why_bytes, "the peer's message holds no address that NIC %s of provider %s can use",
			 nic->name, nic->provider);
	return -EADDRNOTAVAIL;
}

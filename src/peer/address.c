/* SPDX-License-Identifier: Apache-2.0 */
/* Choice of this host's IP address for peers. */
#include "peer/address.h"

#include <arpa/inet.h>
#include <limits.h>
#include <string.h>

int address_from_text(const char *text, uint8_t out_ip[16])
{
	memset(out_ip, 0, 16);
	if (inet_pton(AF_INET, text, out_ip) == 1)
		return 4;
	if (inet_pton(AF_INET6, text, out_ip) == 1)
		return 6;
	return 0;
}

/* A link-local IPv6 address needs its interface, which a handle does not carry. */
static bool can_be_named(const struct netif_addr *a, enum netif_reach reach)
{
	return reach != NETIF_LINK_LOCAL || a->family == 4;
}

/* Lower is better. Order: reach, the kernel's source address towards other networks, IPv4. */
static int rank(const struct netif_list *l, const struct netif_addr *a, enum netif_reach reach)
{
	const struct netif_addr *own = &l->outward[a->family == 6];
	bool outward = own->family == a->family && !memcmp(own->ip, a->ip, sizeof(a->ip));

	return 4 * (int)reach + 2 * !outward + (a->family == 6);
}

int address_choose(const struct netif_list *l, bool local_only, uint8_t out_ip[16])
{
	char why[NETIF_WHY_BYTES];
	int i, at, best = INT_MAX, family = 0;

	for (i = 0; i < l->addr_count; i++) {
		const struct netif_addr *a = &l->addrs[i];
		enum netif_reach reach = netif_judge(l, a->name, a->family, a->ip, why);

		if ((reach == NETIF_LOOPBACK) != local_only || !can_be_named(a, reach))
			continue;
		at = rank(l, a, reach);
		if (at >= best)
			continue;
		best = at;
		family = a->family;
		memcpy(out_ip, a->ip, sizeof(a->ip));
	}
	return family;
}

int address_of_host(bool local_only, uint8_t out_ip[16])
{
	struct netif_list l;
	int family;

	netif_list_load(&l); /* on failure, the list holds the addresses found */
	family = address_choose(&l, local_only, out_ip);
	netif_list_fini(&l);
	return family;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Which IP address of this host peers can reach. */
#include "peer/address.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
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

static int take(const struct ifaddrs *ifa, uint8_t out_ip[16])
{
	const struct sockaddr_in6 *in6 = (const void *)ifa->ifa_addr;

	memset(out_ip, 0, 16);
	if (ifa->ifa_addr->sa_family == AF_INET) {
		memcpy(out_ip, &((const struct sockaddr_in *)(const void *)ifa->ifa_addr)->sin_addr, 4);
		return 4;
	}
	if (ifa->ifa_addr->sa_family == AF_INET6 && !IN6_IS_ADDR_LINKLOCAL(&in6->sin6_addr)) {
		memcpy(out_ip, &in6->sin6_addr, 16);
		return 6;
	}
	return 0;
}

int address_of_host(bool local_only, uint8_t out_ip[16])
{
	struct ifaddrs *all, *ifa;
	uint8_t ip[16];
	int family = 0;

	if (getifaddrs(&all))
		return 0;
	for (ifa = all; ifa && family != 4; ifa = ifa->ifa_next) {
		bool loopback = ifa->ifa_flags & IFF_LOOPBACK;
		int found;

		if (!ifa->ifa_addr || !(ifa->ifa_flags & IFF_UP) || loopback != local_only)
			continue;
		found = take(ifa, ip);
		if (found == 4 || (found && !family)) {
			family = found;
			memcpy(out_ip, ip, sizeof(ip));
		}
	}
	freeifaddrs(all);
	return family;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Properties of a NIC derived from its fi_info entry. */
#include <netinet/in.h>
#include <string.h>

#include <rdma/fabric.h>

#include "fabric/fab.h"
#include "fabric/provider.h"

int fab_nic_ip(const struct fab_nic *nic, uint8_t out_ip[16])
{
	const struct sockaddr_in *in = nic->info->src_addr;
	const struct sockaddr_in6 *in6 = nic->info->src_addr;

	memset(out_ip, 0, 16);
	if (nic->info->addr_format == FI_SOCKADDR_IN && in) {
		memcpy(out_ip, &in->sin_addr, 4);
		return 4;
	}
	if (nic->info->addr_format == FI_SOCKADDR_IN6 && in6 && !IN6_IS_ADDR_LINKLOCAL(&in6->sin6_addr)) {
		memcpy(out_ip, &in6->sin6_addr, 16);
		return 6;
	}
	return 0;
}

bool fab_nic_local_only(const struct fab_nic *nic)
{
	return provider_quirks(nic->provider)->local_only;
}

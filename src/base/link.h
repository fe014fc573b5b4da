/* SPDX-License-Identifier: Apache-2.0 */
/* Has a NIC a link? */
#ifndef WEFT_BASE_LINK_H
#define WEFT_BASE_LINK_H

enum link_state { LINK_UNKNOWN, LINK_UP, LINK_DOWN };

/* By the NIC's name in libfabric: a network interface of this network namespace ("eth0"), or an RDMA device ("mlx5_0", "rdmap0s6-rdm"). */
enum link_state link_state(const char *nic);

#endif

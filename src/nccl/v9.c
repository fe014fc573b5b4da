/* SPDX-License-Identifier: Apache-2.0 */
/* NCCL's net interface, version 9: the first with size_t. */
#include "nccl/net.h"

extern const struct weft_nccl_net_v9 ncclNetPlugin_v9;

/* NULL entries: those of v8.c, and makeVDevice, because Weft joins NICs by itself (WEFT_RAILS). */
__attribute__((visibility("default"))) const struct weft_nccl_net_v9 ncclNetPlugin_v9 = {
	.name = NET_NAME,
	.init = net_init_plain,
	.devices = net_devices,
	.get_properties = net_get_properties_v9,
	.listen = net_listen_plain,
	.connect = net_connect_plain,
	.accept = net_accept,
	.reg_mr = net_reg_mr,
	.reg_mr_dmabuf = net_reg_mr_dmabuf,
	.dereg_mr = net_dereg_mr,
	.isend = net_isend,
	.irecv = net_irecv,
	.iflush = net_iflush,
	.test = net_test,
	.close_send = net_close_comm,
	.close_recv = net_close_comm,
	.close_listen = net_close_listen,
};

/* SPDX-License-Identifier: Apache-2.0 */
/* NCCL's net interface, version 12, the newest: the core has the same form. */
#include "nccl/net.h"

extern const struct weft_nccl_net_v12 ncclNetPlugin_v12;

/* NULL entries: those of v9.c, and setNetAttr, because Weft ignores traffic hints. */
__attribute__((visibility("default"))) const struct weft_nccl_net_v12 ncclNetPlugin_v12 = {
	.name = NET_NAME,
	.init = net_init,
	.devices = net_devices,
	.get_properties = net_get_properties,
	.listen = net_listen,
	.connect = net_connect,
	.accept = net_accept,
	.reg_mr = net_reg_mr,
	.reg_mr_dmabuf = net_reg_mr_dmabuf,
	.dereg_mr = net_dereg_mr,
	.isend = net_isend_profiled,
	.irecv = net_irecv_profiled,
	.iflush = net_iflush,
	.test = net_test,
	.close_send = net_close_comm,
	.close_recv = net_close_comm,
	.close_listen = net_close_listen,
	.finalize = net_finalize,
};

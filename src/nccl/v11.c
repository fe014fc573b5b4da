/* SPDX-License-Identifier: Apache-2.0 */
/* NCCL's net interface, version 11: adds a context for each communicator. */
#include "nccl/net.h"
#include "nccl/props.h"

static weft_nccl_result v11_get_properties(int dev, struct weft_nccl_props_v11 *props)
{
	struct weft_nccl_props_v12 p;
	weft_nccl_result r = net_get_properties(dev, props ? &p : NULL);

	if (r)
		return r;
	*props = (struct weft_nccl_props_v11){0};
	PROPS_COPY_V11(props, &p);
	return WEFT_NCCL_SUCCESS;
}

extern const struct weft_nccl_net_v11 ncclNetPlugin_v11;

/* NULL entries: those of v9.c, and setNetAttr, because Weft ignores traffic hints. */
__attribute__((visibility("default"))) const struct weft_nccl_net_v11 ncclNetPlugin_v11 = {
	.name = NET_NAME,
	.init = net_init,
	.devices = net_devices,
	.get_properties = v11_get_properties,
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

/* SPDX-License-Identifier: Apache-2.0 */
/* NCCL's net interface, version 10: adds a profiler and a traffic class. */
#include "nccl/net.h"
#include "nccl/profile.h"

static weft_nccl_result v10_init(weft_nccl_logger logger, weft_nccl_profiler profiler)
{
	profile_set(profiler);
	host_init(logger);
	return WEFT_NCCL_SUCCESS;
}

static weft_nccl_result v10_connect(int dev, struct weft_nccl_comm_config *config, void *handle, void **send_comm,
				    struct weft_nccl_device_handle **send_dev)
{
	net_traffic_class(config);
	return net_connect(NULL, dev, handle, send_comm, send_dev);
}

extern const struct weft_nccl_net_v10 ncclNetPlugin_v10;

/* NULL entries: those of v8.c, and makeVDevice, because Weft joins NICs by itself (WEFT_RAILS). */
__attribute__((visibility("default"))) const struct weft_nccl_net_v10 ncclNetPlugin_v10 = {
	.name = NET_NAME,
	.init = v10_init,
	.devices = net_devices,
	.get_properties = net_get_properties_v9,
	.listen = net_listen_plain,
	.connect = v10_connect,
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
};

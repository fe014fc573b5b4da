/* SPDX-License-Identifier: Apache-2.0 */
/* NCCL's net interface, version 11: with a context for each communicator. */
#include "nccl/net.h"

static weft_nccl_result v11_get_properties(int dev, struct weft_nccl_props_v11 *props)
{
	struct weft_nccl_props_v12 p;
	weft_nccl_result r = net_get_properties(dev, props ? &p : NULL);

	if (r)
		return r;
	*props = (struct weft_nccl_props_v11){
		.name = p.name,
		.pci_path = p.pci_path,
		.guid = p.guid,
		.ptr_support = p.ptr_support,
		.reg_is_global = p.reg_is_global,
		.force_flush = p.force_flush,
		.speed_mbps = p.speed_mbps,
		.port = p.port,
		.latency_us = p.latency_us,
		.max_comms = p.max_comms,
		.max_recvs = p.max_recvs,
		.net_device_type = p.net_device_type,
		.net_device_version = p.net_device_version,
		.vprops = {.ndevs = p.vprops.ndevs, .devs = {p.vprops.devs[0]}},
		.max_p2p_bytes = p.max_p2p_bytes,
		.max_coll_bytes = p.max_coll_bytes,
		.max_multi_request_size = p.max_multi_request_size,
	};
	return WEFT_NCCL_SUCCESS;
}

extern const struct weft_nccl_net_v11 ncclNetPlugin_v11;

/* NULL besides what is in v9.c: setNetAttr, since Weft acts on no hint. */
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
	.close_send = net_close_chan,
	.close_recv = net_close_chan,
	.close_listen = net_close_listen,
	.finalize = net_finalize,
};

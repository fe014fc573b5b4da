/* SPDX-License-Identifier: Apache-2.0 */
/* NCCL's net interface, version 8: sizes are int, and there are no contexts. */
#include "nccl/net.h"
#include "nccl/props.h"

static weft_nccl_result v8_get_properties(int dev, struct weft_nccl_props_v8 *props)
{
	struct weft_nccl_props_v12 p;
	weft_nccl_result r = net_get_properties(dev, props ? &p : NULL);

	if (r)
		return r;
	*props = (struct weft_nccl_props_v8){0};
	PROPS_COPY_V8(props, &p);
	return WEFT_NCCL_SUCCESS;
}

/* A negative size becomes a huge one, which the core refuses. */
static weft_nccl_result v8_isend(void *send_comm, void *data, int size, int tag, void *mhandle, void **request)
{
	return net_isend(send_comm, data, (size_t)size, tag, mhandle, request);
}

static weft_nccl_result v8_irecv(void *recv_comm, int n, void **data, int *sizes, int *tags, void **mhandles,
				 void **request)
{
	size_t wide[WIRE_GROUP_MAX];
	int i;

	for (i = 0; sizes && i < n && i < WIRE_GROUP_MAX; i++)
		wide[i] = (size_t)sizes[i];
	return net_irecv(recv_comm, n, data, sizes ? wide : NULL, tags, mhandles, request);
}

extern const struct weft_nccl_net_v8 ncclNetPlugin_v8;

/* NULL entries: getDeviceMr, because there is no device offload, and irecvConsumed, which Weft does not need. */
__attribute__((visibility("default"))) const struct weft_nccl_net_v8 ncclNetPlugin_v8 = {
	.name = NET_NAME,
	.init = net_init_plain,
	.devices = net_devices,
	.get_properties = v8_get_properties,
	.listen = net_listen_plain,
	.connect = net_connect_plain,
	.accept = net_accept_unflushed,
	.reg_mr = net_reg_mr,
	.reg_mr_dmabuf = net_reg_mr_dmabuf,
	.dereg_mr = net_dereg_mr,
	.isend = v8_isend,
	.irecv = v8_irecv,
	.iflush = net_iflush,
	.test = net_test,
	.close_send = net_close_comm,
	.close_recv = net_close_comm,
	.close_listen = net_close_listen,
};

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A v11 net plugin for tests whose table has only a name and init at first; init fills it with the entries of Weft, whose
 * path is in LATE_INNER. NCCL allows it, and some plugins decide on their transport there.
 */
#include "weft/nccl_net_v11.h"

#include <dlfcn.h>
#include <stdlib.h>

extern struct weft_nccl_net_v11 ncclNetPlugin_v11;

static weft_nccl_result init(void **ctx, uint64_t comm_id, struct weft_nccl_comm_config *config,
			     weft_nccl_logger logger, weft_nccl_profiler profiler)
{
	const char *path = getenv("LATE_INNER");
	void *dl = path ? dlopen(path, RTLD_NOW | RTLD_LOCAL) : NULL;
	const struct weft_nccl_net_v11 *inner = dl ? dlsym(dl, WEFT_NCCL_NET_V11_SYMBOL) : NULL;

	if (!inner)
		return WEFT_NCCL_SYSTEM_ERROR;
	ncclNetPlugin_v11 = *inner;
	return inner->init(ctx, comm_id, config, logger, profiler);
}

__attribute__((visibility("default"))) struct weft_nccl_net_v11 ncclNetPlugin_v11 = {.name = "late", .init = init};

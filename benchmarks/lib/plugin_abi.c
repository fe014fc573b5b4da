/* SPDX-License-Identifier: Apache-2.0 */
/* Presents tables of versions 9 to 12 as a table of version 8; see plugin_abi.h. */
#include "plugin_abi.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "weft/nccl_net_v12.h"

#define GROUP_MAX    64 /* largest number of buffers in a receive of NCCL */
#define CONTEXTS_MAX 16
#define COMM_ID	     0x5745465423ull

/* All versions have the entries of version 8 at the same offsets, some with other arguments. */
_Static_assert(offsetof(struct weft_nccl_net_v8, irecv_consumed) == offsetof(struct weft_nccl_net_v12, irecv_consumed),
	       "version 12 begins like version 8");

static union {
	const void *any;
	const struct weft_nccl_net_v9 *v9;
	const struct weft_nccl_net_v10 *v10;
	const struct weft_nccl_net_v11 *v11;
	const struct weft_nccl_net_v12 *v12;
} inner;
static struct weft_nccl_net_v8 table;
static int version;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* protects the contexts */
static void *contexts[CONTEXTS_MAX];
static int context_count;

static void take_table(void);

/* Some plugins know most of their entries only after init, as NCCL allows. */
static weft_nccl_result complete(weft_nccl_result r)
{
	if (!table.devices)
		take_table();
	return r;
}

static weft_nccl_result init_v9(weft_nccl_logger logger)
{
	return complete(inner.v9->init(logger));
}

static weft_nccl_result init_v10(weft_nccl_logger logger)
{
	return complete(inner.v10->init(logger, NULL));
}

/* Versions 11 and 12 have the same arguments in all entries that this file calls through inner.v11. */
static weft_nccl_result init_v11(weft_nccl_logger logger)
{
	struct weft_nccl_comm_config config = {.traffic_class = WEFT_NCCL_TRAFFIC_CLASS_UNDEF};
	void *ctx = NULL;
	weft_nccl_result r = complete(inner.v11->init(&ctx, COMM_ID, &config, logger, NULL));

	pthread_mutex_lock(&lock);
	if (!r && context_count < CONTEXTS_MAX)
		contexts[context_count++] = ctx;
	pthread_mutex_unlock(&lock);
	return r;
}

void *plugin_abi_context(void)
{
	void *ctx;

	pthread_mutex_lock(&lock);
	ctx = context_count ? contexts[context_count - 1] : NULL;
	pthread_mutex_unlock(&lock);
	return ctx;
}

/* Fields that the plugin did not write keep the content of the caller's memory. */
#define COPY_PROPS(from, to)                                                                                           \
	do {                                                                                                           \
		(to)->name = (from)->name;                                                                             \
		(to)->pci_path = (from)->pci_path;                                                                     \
		(to)->guid = (from)->guid;                                                                             \
		(to)->ptr_support = (from)->ptr_support;                                                               \
		(to)->reg_is_global = (from)->reg_is_global;                                                           \
		(to)->speed_mbps = (from)->speed_mbps;                                                                 \
		(to)->port = (from)->port;                                                                             \
		(to)->latency_us = (from)->latency_us;                                                                 \
		(to)->max_comms = (from)->max_comms;                                                                   \
		(to)->max_recvs = (from)->max_recvs;                                                                   \
		(to)->net_device_type = (from)->net_device_type;                                                       \
		(to)->net_device_version = (from)->net_device_version;                                                 \
	} while (0)

static weft_nccl_result get_properties_v9(int dev, struct weft_nccl_props_v8 *props)
{
	struct weft_nccl_props_v9 p;
	weft_nccl_result r;

	memset(&p, 0, sizeof(p));
	COPY_PROPS(props, &p);
	r = version == 9 ? inner.v9->get_properties(dev, &p) : inner.v10->get_properties(dev, &p);
	COPY_PROPS(&p, props);
	return r;
}

static weft_nccl_result get_properties_v11(int dev, struct weft_nccl_props_v8 *props)
{
	struct weft_nccl_props_v11 p;
	weft_nccl_result r;

	memset(&p, 0, sizeof(p));
	COPY_PROPS(props, &p);
	r = inner.v11->get_properties(dev, &p);
	COPY_PROPS(&p, props);
	return r;
}

static weft_nccl_result get_properties_v12(int dev, struct weft_nccl_props_v8 *props)
{
	struct weft_nccl_props_v12 p;
	weft_nccl_result r;

	memset(&p, 0, sizeof(p));
	COPY_PROPS(props, &p);
	r = inner.v12->get_properties(dev, &p);
	COPY_PROPS(&p, props);
	return r;
}

bool plugin_abi_force_flush(int dev)
{
	struct weft_nccl_props_v9 p9;
	struct weft_nccl_props_v11 p11;
	struct weft_nccl_props_v12 p12;

	memset(&p9, 0, sizeof(p9));
	memset(&p11, 0, sizeof(p11));
	memset(&p12, 0, sizeof(p12));
	switch (version) {
	case 9: return !inner.v9->get_properties(dev, &p9) && p9.force_flush;
	case 10: return !inner.v10->get_properties(dev, &p9) && p9.force_flush;
	case 11: return !inner.v11->get_properties(dev, &p11) && p11.force_flush;
	case 12: return !inner.v12->get_properties(dev, &p12) && p12.force_flush;
	default: return false;
	}
}

static weft_nccl_result listen_v11(int dev, void *handle, void **listen_comm)
{
	return inner.v11->listen(plugin_abi_context(), dev, handle, listen_comm);
}

static weft_nccl_result connect_v10(int dev, void *handle, void **send_comm, struct weft_nccl_device_handle **send_dev)
{
	return inner.v10->connect(dev, NULL, handle, send_comm, send_dev);
}

static weft_nccl_result connect_v11(int dev, void *handle, void **send_comm, struct weft_nccl_device_handle **send_dev)
{
	return inner.v11->connect(plugin_abi_context(), dev, handle, send_comm, send_dev);
}

/* A negative size becomes a huge one, which the plugin must reject. */
static weft_nccl_result isend_v9(void *send_comm, void *data, int size, int tag, void *mhandle, void **request)
{
	if (version == 9)
		return inner.v9->isend(send_comm, data, (size_t)size, tag, mhandle, request);
	return inner.v10->isend(send_comm, data, (size_t)size, tag, mhandle, NULL, request);
}

static weft_nccl_result irecv_v9(void *recv_comm, int n, void **data, int *sizes, int *tags, void **mhandles,
				 void **request)
{
	size_t wide[GROUP_MAX + 1]; /* one more, so that tests can request too many */
	int i;

	for (i = 0; i < n && i <= GROUP_MAX; i++)
		wide[i] = (size_t)sizes[i];
	if (version == 9)
		return inner.v9->irecv(recv_comm, n, data, wide, tags, mhandles, request);
	return inner.v10->irecv(recv_comm, n, data, wide, tags, mhandles, NULL, request);
}

/* Missing functions stay NULL, for tests to detect. */
#define REPLACE(entry, by) (table.entry = table.entry ? (by) : NULL)

/* Copies the plugin's table and replaces the entries whose arguments differ from version 8. */
static void take_table(void)
{
	memcpy(&table, inner.any, sizeof(table));
	REPLACE(init, init_v9);
	REPLACE(isend, isend_v9);
	REPLACE(irecv, irecv_v9);
	REPLACE(get_properties, get_properties_v9);
	if (version >= 10) {
		REPLACE(init, init_v10);
		REPLACE(connect, connect_v10);
	}
	if (version >= 11) {
		REPLACE(init, init_v11);
		REPLACE(listen, listen_v11);
		REPLACE(connect, connect_v11);
		REPLACE(get_properties, version == 11 ? get_properties_v11 : get_properties_v12);
	}
}

int plugin_abi_newest(void *dl)
{
	int abi = PLUGIN_ABI_MAX;

	while (abi >= PLUGIN_ABI_MIN && !plugin_abi_native(dl, abi))
		abi--;
	return abi >= PLUGIN_ABI_MIN ? abi : 0;
}

const void *plugin_abi_native(void *dl, int abi)
{
	char symbol[32];

	snprintf(symbol, sizeof(symbol), "ncclNetPlugin_v%d", abi);
	return dlsym(dl, symbol);
}

const struct weft_nccl_net_v8 *plugin_abi_table(void *dl, int abi)
{
	const void *native = plugin_abi_native(dl, abi);

	if (!native || abi == 8)
		return native;
	inner.any = native;
	version = abi;
	take_table();
	return &table;
}

void plugin_abi_end(void)
{
	int i;

	for (i = 0; i < context_count; i++)
		if (inner.v11->finalize)
			inner.v11->finalize(contexts[i]);
	context_count = 0;
	version = 0;
}

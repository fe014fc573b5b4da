/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The differences between versions 8 and 12 of NCCL's net interface. The entries at offsets 0 to 144 are the same in
 * all of them.
 */
#include "table.h"

#include <string.h>

enum entry {
	NAME,
	INIT,
	DEVICES,
	GET_PROPERTIES,
	LISTEN,
	CONNECT,
	ACCEPT,
	REG_MR,
	REG_MR_DMABUF,
	DEREG_MR,
	ISEND,
	IRECV,
	IFLUSH,
	TEST,
	CLOSE_SEND,
	CLOSE_RECV,
	CLOSE_LISTEN,
};

#define TAG	       0
#define PTR_HOST       1
#define RECV_SIZES     64 /* number of sizes passed to test by NCCL */
#define HAS_CTX(t)     ((t)->version >= 11)
#define HAS_CONFIG(t)  ((t)->version == 10)
#define HAS_SIZE_T(t)  ((t)->version >= 9)
#define HAS_PHANDLE(t) ((t)->version >= 10)

typedef void (*any_fn)(void);
typedef int (*devices_fn)(int *);
typedef int (*props_fn)(int, void *);
typedef int (*listen_v8)(int, void *, void **);
typedef int (*listen_v11)(void *ctx, int, void *, void **);
typedef int (*connect_v8)(int, void *, void **, void **dev_handle);
typedef int (*connect_v10)(int, void *config, void *, void **, void **dev_handle);
typedef int (*connect_v11)(void *ctx, int, void *, void **, void **dev_handle);
typedef int (*accept_fn)(void *, void **, void **dev_handle);
typedef int (*reg_fn)(void *, void *, size_t, int type, void **);
typedef int (*dereg_fn)(void *, void *);
typedef int (*isend_v8)(void *, void *, int, int tag, void *, void **);
typedef int (*isend_v9)(void *, void *, size_t, int tag, void *, void **);
typedef int (*isend_v10)(void *, void *, size_t, int tag, void *, void *phandle, void **);
typedef int (*irecv_v8)(void *, int n, void **, int *, int *tags, void **, void **);
typedef int (*irecv_v9)(void *, int n, void **, size_t *, int *tags, void **, void **);
typedef int (*irecv_v10)(void *, int n, void **, size_t *, int *tags, void **, void **phandles, void **);
typedef int (*test_fn)(void *, int *, int *);
typedef int (*close_fn)(void *);

static any_fn fn(const struct net_table *t, enum entry e)
{
	return ((const any_fn *)t->entries)[e];
}

int table_devices(const struct net_table *t, int *out_n)
{
	return ((devices_fn)fn(t, DEVICES))(out_n);
}

static void get(const unsigned char *raw, size_t offset, void *out, size_t len_bytes)
{
	memcpy(out, raw + offset, len_bytes);
}

int table_props(const struct net_table *t, int dev, unsigned char fill, struct table_props *out)
{
	unsigned char raw[256];
	size_t shift = t->version >= 9 ? 4 : 0;	     /* v9 inserted forceFlush at 28 + 4 */
	size_t limits = t->version >= 12 ? 104 : 88; /* after vProps, which grew in v12 */
	int rc;

	memset(raw, fill, sizeof(raw));
	memset(out, 0, sizeof(*out));
	rc = ((props_fn)fn(t, GET_PROPERTIES))(dev, raw);
	get(raw, 0, &out->name, 8);
	get(raw, 8, &out->pci_path, 8);
	get(raw, 16, &out->guid, 8);
	get(raw, 24, &out->ptr_support, 4);
	get(raw, 28, &out->reg_is_global, 4);
	get(raw, 32 + shift, &out->speed_mbps, 4);
	get(raw, 36 + shift, &out->port, 4);
	get(raw, 40 + shift, &out->latency_us, 4);
	get(raw, 44 + shift, &out->max_comms, 4);
	get(raw, 48 + shift, &out->max_recvs, 4);
	get(raw, 52 + shift, &out->net_device_type, 4);
	get(raw, 56 + shift, &out->net_device_version, 4);
	if (t->version < 9)
		return rc;
	get(raw, 32, &out->force_flush, 4);
	get(raw, 64, &out->vprops_ndevs, 4);
	get(raw, 68, &out->vprops_dev0, 4);
	get(raw, limits, &out->max_p2p_bytes, 8);
	get(raw, limits + 8, &out->max_coll_bytes, 8);
	return rc;
}

int table_listen(const struct net_table *t, int dev, void *handle, void **out_comm)
{
	if (HAS_CTX(t))
		return ((listen_v11)fn(t, LISTEN))(NULL, dev, handle, out_comm);
	return ((listen_v8)fn(t, LISTEN))(dev, handle, out_comm);
}

int table_connect(const struct net_table *t, int dev, void *handle, void **out_comm)
{
	void *dev_handle = NULL;

	if (HAS_CTX(t))
		return ((connect_v11)fn(t, CONNECT))(NULL, dev, handle, out_comm, &dev_handle);
	if (HAS_CONFIG(t))
		return ((connect_v10)fn(t, CONNECT))(dev, NULL, handle, out_comm, &dev_handle);
	return ((connect_v8)fn(t, CONNECT))(dev, handle, out_comm, &dev_handle);
}

int table_accept(const struct net_table *t, void *listen_comm, void **out_comm)
{
	void *dev_handle = NULL;

	return ((accept_fn)fn(t, ACCEPT))(listen_comm, out_comm, &dev_handle);
}

int table_reg_host(const struct net_table *t, void *comm, void *data, size_t size, void **out_mh)
{
	return ((reg_fn)fn(t, REG_MR))(comm, data, size, PTR_HOST, out_mh);
}

int table_dereg(const struct net_table *t, void *comm, void *mhandle)
{
	return ((dereg_fn)fn(t, DEREG_MR))(comm, mhandle);
}

int table_isend(const struct net_table *t, void *comm, void *data, size_t size, void *mhandle, void **request)
{
	any_fn f = fn(t, ISEND);

	if (HAS_PHANDLE(t))
		return ((isend_v10)f)(comm, data, size, TAG, mhandle, NULL, request);
	if (HAS_SIZE_T(t))
		return ((isend_v9)f)(comm, data, size, TAG, mhandle, request);
	return ((isend_v8)f)(comm, data, (int)size, TAG, mhandle, request);
}

int table_irecv(const struct net_table *t, void *comm, void *data, size_t size, void *mhandle, void **request)
{
	any_fn f = fn(t, IRECV);
	int tag = TAG, size_v8 = (int)size;

	if (HAS_PHANDLE(t))
		return ((irecv_v10)f)(comm, 1, &data, &size, &tag, &mhandle, NULL, request);
	if (HAS_SIZE_T(t))
		return ((irecv_v9)f)(comm, 1, &data, &size, &tag, &mhandle, request);
	return ((irecv_v8)f)(comm, 1, &data, &size_v8, &tag, &mhandle, request);
}

int table_test(const struct net_table *t, void *request, int *out_done, int *out_size)
{
	int sizes[RECV_SIZES] = {0};
	int rc = ((test_fn)fn(t, TEST))(request, out_done, sizes);

	*out_size = sizes[0];
	return rc;
}

int table_close_send(const struct net_table *t, void *comm)
{
	return ((close_fn)fn(t, CLOSE_SEND))(comm);
}

int table_close_recv(const struct net_table *t, void *comm)
{
	return ((close_fn)fn(t, CLOSE_RECV))(comm);
}

int table_close_listen(const struct net_table *t, void *comm)
{
	return ((close_fn)fn(t, CLOSE_LISTEN))(comm);
}

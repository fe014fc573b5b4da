/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Calls through a net function table in NCCL's own version of the interface, v8 to v12, with one set of arguments. A
 * property missing from a version has the default value of its successor.
 *
 * Every function returns a ncclResult_t and otherwise equals the entry of the same name in weft/nccl_net_v8.h. Contexts
 * (v11) and profiler handles (v10) are passed as NULL: networks behind the v8 adapter, and NCCL's own, ignore them.
 */
#ifndef WEFT_TESTS_TABLE_H
#define WEFT_TESTS_TABLE_H

#include <stddef.h>
#include <stdint.h>

#include "libnccl.h"

struct table_props {
	const char *name;
	const char *pci_path;
	uint64_t guid;
	int ptr_support;
	int reg_is_global;
	int speed_mbps;
	int port;
	float latency_us;
	int max_comms;
	int max_recvs;
	int net_device_type;
	int net_device_version;
	/* v9 and later */
	int force_flush;
	int vprops_ndevs;
	int vprops_dev0;
	size_t max_p2p_bytes;
	size_t max_coll_bytes;
};

int table_devices(const struct net_table *t, int *out_n);
/* The plugin gets memory full of `fill`, so that unwritten properties can be detected. */
int table_props(const struct net_table *t, int dev, unsigned char fill, struct table_props *out);

int table_listen(const struct net_table *t, int dev, void *handle, void **out_comm);
int table_connect(const struct net_table *t, int dev, void *handle, void **out_comm);
int table_accept(const struct net_table *t, void *listen_comm, void **out_comm);

int table_reg_host(const struct net_table *t, void *comm, void *data, size_t size, void **out_mh);
int table_dereg(const struct net_table *t, void *comm, void *mhandle);

/* v8 has an int for size; sizes above 2^31 - 1 are for later tables only. */
int table_isend(const struct net_table *t, void *comm, void *data, size_t size, void *mhandle, void **request);
int table_irecv(const struct net_table *t, void *comm, void *data, size_t size, void *mhandle, void **request);
int table_test(const struct net_table *t, void *request, int *out_done, int *out_size);

int table_close_send(const struct net_table *t, void *comm);
int table_close_recv(const struct net_table *t, void *comm);
int table_close_listen(const struct net_table *t, void *comm);

#endif

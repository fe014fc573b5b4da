/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Device properties in the forms of NCCL's versions. Each version has the fields of the versions before it, so every
 * field is named once, under the version that introduced it. Arguments are pointers to different structures.
 */
#ifndef WEFT_NCCL_PROPS_H
#define WEFT_NCCL_PROPS_H

#define PROPS_COPY_V8(to, from)                                                                                        \
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

/* vprops names one device: Weft joins NICs by itself (WEFT_RAILS). */
#define PROPS_COPY_V9(to, from)                                                                                        \
	do {                                                                                                           \
		PROPS_COPY_V8(to, from);                                                                               \
		(to)->force_flush = (from)->force_flush;                                                               \
		(to)->vprops.ndevs = (from)->vprops.ndevs;                                                             \
		(to)->vprops.devs[0] = (from)->vprops.devs[0];                                                         \
		(to)->max_p2p_bytes = (from)->max_p2p_bytes;                                                           \
		(to)->max_coll_bytes = (from)->max_coll_bytes;                                                         \
	} while (0)

#define PROPS_COPY_V11(to, from)                                                                                       \
	do {                                                                                                           \
		PROPS_COPY_V9(to, from);                                                                               \
		(to)->max_multi_request_size = (from)->max_multi_request_size;                                         \
	} while (0)

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Parts of libfabric's interface added after 1.17: Weft may be built with that release's headers and run on a newer
 * library. Values and layouts are part of libfabric's stable ABI. Callers check at run time, by fi_version(), that the
 * library has a part. Internal to fabric.
 */
#ifndef WEFT_FABRIC_NEWER_H
#define WEFT_FABRIC_NEWER_H

#include <stddef.h>
#include <stdint.h>

#include <rdma/fabric.h>
#include <rdma/fi_domain.h>
#include <rdma/fi_endpoint.h>
#include <rdma/fi_eq.h>
#include <rdma/fi_ext.h>

/* Newest API that this file's structures support; older libraries get a request for their own API. */
#define NEWER_API FI_VERSION(2, 6)

/* Releases that added them. */
#define SINCE_EFA_OPTIONS   FI_VERSION(1, 18) /* also CUDA_API_PERMITTED */
#define SINCE_DMABUF	    FI_VERSION(1, 20)
#define SINCE_SHARED_MEMORY FI_VERSION(1, 21)

/* Options of endpoints. */
enum {
	OPT_CUDA_API_PERMITTED = 10,
	OPT_SHARED_MEMORY_PERMITTED = 11,
	OPT_EFA_EMULATED_WRITE = -(0xefa << 16) + 2,
	OPT_EFA_SENDRECV_IN_ORDER_ALIGNED_128_BYTES = -(0xefa << 16) + 5,
	OPT_EFA_WRITE_IN_ORDER_ALIGNED_128_BYTES = -(0xefa << 16) + 6,
};

#define MR_DMABUF (1ULL << 40)

struct mr_dmabuf {
	int fd;
	uint64_t offset;
	size_t len;
	void *base_addr;
};

/* Padded with zeros for fields that newer libraries read past the end of our header's structure. */
struct mr_attr {
	struct fi_mr_attr attr;
	uint64_t later[8];
};

/* Padded for fields that newer libraries write past the end of our header's structure. */
struct cq_err_entry {
	struct fi_cq_err_entry entry;
	uint64_t later[8];
};

#ifdef HAVE_FI_OPT_CUDA_API_PERMITTED
_Static_assert((int)OPT_CUDA_API_PERMITTED == (int)FI_OPT_CUDA_API_PERMITTED, "as libfabric has it");
#endif
#ifdef HAVE_FI_OPT_SHARED_MEMORY_PERMITTED
_Static_assert((int)OPT_SHARED_MEMORY_PERMITTED == (int)FI_OPT_SHARED_MEMORY_PERMITTED, "as libfabric has it");
#endif
#ifdef HAVE_FI_OPT_EFA_EMULATED_WRITE
_Static_assert((int)OPT_EFA_EMULATED_WRITE == (int)FI_OPT_EFA_EMULATED_WRITE, "as libfabric has it");
#endif
#ifdef HAVE_FI_OPT_EFA_WRITE_IN_ORDER_ALIGNED_128_BYTES
_Static_assert((int)OPT_EFA_WRITE_IN_ORDER_ALIGNED_128_BYTES == (int)FI_OPT_EFA_WRITE_IN_ORDER_ALIGNED_128_BYTES,
	       "as libfabric has it");
_Static_assert((int)OPT_EFA_SENDRECV_IN_ORDER_ALIGNED_128_BYTES == (int)FI_OPT_EFA_SENDRECV_IN_ORDER_ALIGNED_128_BYTES,
	       "as libfabric has it");
#endif
#ifdef HAVE_FI_MR_DMABUF
_Static_assert(MR_DMABUF == FI_MR_DMABUF, "as libfabric has it");
_Static_assert(sizeof(struct mr_dmabuf) == sizeof(struct fi_mr_dmabuf) &&
		       offsetof(struct mr_dmabuf, base_addr) == offsetof(struct fi_mr_dmabuf, base_addr) &&
		       offsetof(struct mr_dmabuf, offset) == offsetof(struct fi_mr_dmabuf, offset),
	       "as libfabric has it");
_Static_assert(offsetof(struct fi_mr_attr, dmabuf) == offsetof(struct fi_mr_attr, mr_iov), "one pointer for both");
#endif

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* The state that raw_open.c creates and raw_move.c uses; private to both. */
#ifndef WEFT_NET_PERF_RAW_PRIV_H
#define WEFT_NET_PERF_RAW_PRIV_H

#include <rdma/fabric.h>
#include <rdma/fi_cm.h>
#include <rdma/fi_domain.h>
#include <rdma/fi_endpoint.h>
#include <rdma/fi_errno.h>
#include <rdma/fi_rma.h>
#include <rdma/fi_tagged.h>

#include "raw.h"

/* An operation in flight. The context must be first, because completions contain its address. */
struct raw_pending {
	struct fi_context2 context;
	struct flow *flow;
	uint64_t k;
};

/* The functions that libfabric's headers do not define inline. */
struct raw_library {
	uint32_t (*version)(void);
	int (*getinfo)(uint32_t version, const char *node, const char *service, uint64_t flags,
		       const struct fi_info *hints, struct fi_info **info);
	void (*freeinfo)(struct fi_info *info);
	struct fi_info *(*dupinfo)(const struct fi_info *info);
	int (*fabric)(struct fi_fabric_attr *attr, struct fid_fabric **fabric, void *context);
	const char *(*error_text)(int errnum);
};

struct raw {
	struct raw_library lib;
	struct fi_info *info;
	struct fid_fabric *fabric;
	struct fid_domain *domain;
	struct fid_eq *eq;
	struct fid_av *av;
	struct fid_cq *cq;
	struct fid_mr *mr;
	struct fid_ep *ep;
	void *desc;
	size_t inject_bytes;
	fi_addr_t peer;
	uint64_t remote_base; /* RMA address of the start of the peer's memory */
	uint64_t remote_key;

	struct raw_pending pending[2][FLOW_SLOTS]; /* sends or writes, receives; by slot */

	/* Writes with immediate data: message numbers of 31 bits; see raw_move.c. */
	uint32_t consumed;	/* the peer has consumed all our messages before this number */
	uint32_t consumed_told; /* last number reported to the peer: we have consumed its messages before this one */
};

/* The first two steps of raw_open, in this order. 0, or -1 after a message. */
int raw_load(struct raw *r, struct raw_facts *facts);
int raw_choose(struct raw *r, unsigned ops, const char *nic, struct raw_facts *facts);

/* Reports the failure of `what`; `err` may be positive or negative. Returns -1. */
int raw_failed(const struct raw *r, const char *what, ssize_t err);

#endif

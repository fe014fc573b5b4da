/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libefa's binary interface as seen by callers built with any release of the header: structures only ever grew, and
 * every call passes the size known to its caller.
 */
#ifndef WEFT_TESTS_SOFTEFA_ABI_H
#define WEFT_TESTS_SOFTEFA_ABI_H

#include <stdbool.h>
#include <stdint.h>

#include <infiniband/verbs.h>

enum {
	SOFT_CAP_READ = 1 << 0,
	SOFT_CAP_RNR_RETRY = 1 << 1,
	SOFT_CAP_SGID = 1 << 2,
	SOFT_CAP_WRITE = 1 << 3,
	SOFT_CAP_UNSOLICITED = 1 << 4,
};

enum { SOFT_QP_UNSOLICITED = 1 << 0 };
enum { SOFT_WR_HINTS = 1 << 0 };
enum { SOFT_WC_SGID = 1 << 0, SOFT_WC_UNSOLICITED = 1 << 1 };

struct soft_efadv_device_attr {
	uint64_t comp_mask;
	uint32_t max_sq_wr, max_rq_wr;
	uint16_t max_sq_sge, max_rq_sge;
	uint16_t inline_buf_size, inline_buf_size_ex;
	uint32_t device_caps;
	uint32_t max_rdma_size;
};

struct soft_efadv_ah_attr {
	uint64_t comp_mask;
	uint16_t ahn;
	uint8_t reserved[6];
};

struct soft_efadv_qp_attr {
	uint64_t comp_mask;
	uint32_t driver_qp_type;
	uint16_t flags;
	uint8_t sl;
	uint8_t reserved;
	uint64_t wr_flags;
};

struct soft_efadv_cq_attr {
	uint64_t comp_mask;
	uint64_t wc_flags;
	uint64_t flags;
};

struct soft_efadv_cq {
	uint64_t comp_mask;
	int (*wc_read_sgid)(struct soft_efadv_cq *cq, union ibv_gid *sgid);
	bool (*wc_is_unsolicited)(struct soft_efadv_cq *cq);
};

struct soft_efadv_qp {
	uint64_t comp_mask;
	void (*wr_set_processing_hints)(struct soft_efadv_qp *qp, uint32_t hints);
};

struct soft_efadv_mr_attr {
	uint64_t comp_mask;
	uint16_t ic_id_validity, recv_ic_id, rdma_read_ic_id, rdma_recv_ic_id;
};

/* The exported names for callers. */
int efadv_query_device(struct ibv_context *context, struct soft_efadv_device_attr *attr, uint32_t bytes);
int efadv_query_ah(struct ibv_ah *ah, struct soft_efadv_ah_attr *attr, uint32_t bytes);
int efadv_query_mr(struct ibv_mr *mr, struct soft_efadv_mr_attr *attr, uint32_t bytes);
struct ibv_cq_ex *efadv_create_cq(struct ibv_context *context, struct ibv_cq_init_attr_ex *attr,
				  struct soft_efadv_cq_attr *efa, uint32_t bytes);
struct soft_efadv_cq *efadv_cq_from_ibv_cq_ex(struct ibv_cq_ex *cq);
int efadv_query_cq(struct ibv_cq *cq, void *attr, uint32_t bytes);
struct ibv_qp *efadv_create_qp_ex(struct ibv_context *context, struct ibv_qp_init_attr_ex *attr,
				  struct soft_efadv_qp_attr *efa, uint32_t bytes);
struct ibv_qp *efadv_create_driver_qp(struct ibv_pd *pd, struct ibv_qp_init_attr *attr, uint32_t type);
struct soft_efadv_qp *efadv_qp_from_ibv_qp_ex(struct ibv_qp_ex *qp);
int efadv_query_qp_wqs(struct ibv_qp *qp, void *sq, void *rq, uint32_t bytes);
int efadv_get_max_sq_depth(struct ibv_context *context, void *attr, uint32_t bytes);
int efadv_get_max_rq_depth(struct ibv_context *context, void *attr, uint32_t bytes);
void *efadv_create_comp_cntr(struct ibv_context *context, void *attr, void *efa, uint32_t bytes);
int ibv_query_qp_data_in_order(struct ibv_qp *qp, enum ibv_wr_opcode op, uint32_t flags);

#endif

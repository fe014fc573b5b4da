/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Calls for objects that the device does not support: completion counters and shared receive queues. They must still be
 * defined here: otherwise they would reach the real libibverbs, which would take one of our pointers for its own.
 * tests/softefa/basic.t compares the calls made by libfabric with those answered by the device.
 */
#include <errno.h>

#include "softefa.h"

/* Declared in newer headers only. */
struct ibv_comp_cntr;
struct ibv_comp_cntr_caps;
struct ibv_comp_cntr_init_attr;
struct ibv_qp_attach_comp_cntr_attr;
int _ibv_query_comp_cntr_caps(struct ibv_context *context, struct ibv_comp_cntr_caps *caps, size_t bytes);
struct ibv_comp_cntr *ibv_create_comp_cntr(struct ibv_context *context, struct ibv_comp_cntr_init_attr *attr);
int ibv_destroy_comp_cntr(struct ibv_comp_cntr *counter);
int ibv_set_comp_cntr(struct ibv_comp_cntr *counter, uint64_t value);
int ibv_set_err_comp_cntr(struct ibv_comp_cntr *counter, uint64_t value);
int ibv_inc_comp_cntr(struct ibv_comp_cntr *counter, uint64_t amount);
int ibv_inc_err_comp_cntr(struct ibv_comp_cntr *counter, uint64_t amount);
int ibv_read_comp_cntr(struct ibv_comp_cntr *counter, uint64_t *value);
int ibv_read_err_comp_cntr(struct ibv_comp_cntr *counter, uint64_t *value);
int ibv_qp_attach_comp_cntr(struct ibv_qp *qp, struct ibv_comp_cntr *counter,
			    struct ibv_qp_attach_comp_cntr_attr *attr);

static void *no_object(void)
{
	errno = EOPNOTSUPP;
	return NULL;
}

SOFT_EXPORT int _ibv_query_comp_cntr_caps(struct ibv_context *context, struct ibv_comp_cntr_caps *caps, size_t bytes)
{
	(void)context, (void)caps, (void)bytes;
	return EOPNOTSUPP;
}

SOFT_EXPORT struct ibv_comp_cntr *ibv_create_comp_cntr(struct ibv_context *context,
						       struct ibv_comp_cntr_init_attr *attr)
{
	(void)context, (void)attr;
	return no_object();
}

SOFT_EXPORT void *efadv_create_comp_cntr(struct ibv_context *context, void *attr, void *efa, uint32_t bytes)
{
	(void)context, (void)attr, (void)efa, (void)bytes;
	return no_object();
}

SOFT_EXPORT int ibv_destroy_comp_cntr(struct ibv_comp_cntr *counter)
{
	(void)counter;
	return EOPNOTSUPP;
}

SOFT_EXPORT int ibv_set_comp_cntr(struct ibv_comp_cntr *counter, uint64_t value)
{
	(void)counter, (void)value;
	return EOPNOTSUPP;
}

SOFT_EXPORT int ibv_set_err_comp_cntr(struct ibv_comp_cntr *counter, uint64_t value)
{
	(void)counter, (void)value;
	return EOPNOTSUPP;
}

SOFT_EXPORT int ibv_inc_comp_cntr(struct ibv_comp_cntr *counter, uint64_t amount)
{
	(void)counter, (void)amount;
	return EOPNOTSUPP;
}

SOFT_EXPORT int ibv_inc_err_comp_cntr(struct ibv_comp_cntr *counter, uint64_t amount)
{
	(void)counter, (void)amount;
	return EOPNOTSUPP;
}

SOFT_EXPORT int ibv_read_comp_cntr(struct ibv_comp_cntr *counter, uint64_t *value)
{
	(void)counter, (void)value;
	return EOPNOTSUPP;
}

SOFT_EXPORT int ibv_read_err_comp_cntr(struct ibv_comp_cntr *counter, uint64_t *value)
{
	(void)counter, (void)value;
	return EOPNOTSUPP;
}

SOFT_EXPORT int ibv_qp_attach_comp_cntr(struct ibv_qp *qp, struct ibv_comp_cntr *counter,
					struct ibv_qp_attach_comp_cntr_attr *attr)
{
	(void)qp, (void)counter, (void)attr;
	return EOPNOTSUPP;
}

SOFT_EXPORT struct ibv_srq *ibv_create_srq(struct ibv_pd *pd, struct ibv_srq_init_attr *attr)
{
	(void)pd, (void)attr;
	return no_object();
}

SOFT_EXPORT int ibv_destroy_srq(struct ibv_srq *srq)
{
	(void)srq;
	return EOPNOTSUPP;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Events for NCCL's profiler (include/weft/profile.h). NCCL passes its callback always; without a profiler it does
 * nothing. So a comm whose start was not answered asks again only with every PROFILE_ASK_EVERY-th message.
 */
#ifndef WEFT_NCCL_PROFILE_H
#define WEFT_NCCL_PROFILE_H

#include "nccl/host.h"
#include "weft/nccl_net_v12.h"
#include "xfer/xfer.h"

#define PROFILE_ASK_EVERY 64

/* The callback of the latest init, or NULL. */
void profile_set(weft_nccl_profiler callback);
/* For a forked child. */
void profile_in_child(void);

/* Shall the next message of the comm be profiled? */
bool profile_wanted(struct xfer_comm *comm);

/* Around an isend or irecv. req may be NULL. phandles: one for each message of a receive; one for a send. */
struct req_profile *profile_begin(struct xfer_comm *comm);
void profile_begun(struct xfer_comm *comm, struct req_profile *p, struct xfer_req *req, void **phandles);

/* xfer_test of a request with events. */
int profile_test(struct xfer_req *req, size_t out_lens[]);

/* xfer_comm_close; stops the events that are left. Accepts NULL. */
void profile_close(struct xfer_comm *comm);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libfabric as the rest of Weft sees it: NICs, domains, endpoints with their completion queue, memory
 * regions, messages. The only room that includes <rdma/>. libfabric's error numbers become negative
 * errno here (the FI_ codes below 256 are errno values; others become -EIO).
 *
 * Threads: discovery and domains from any thread, one at a time. All calls on one endpoint are
 * serialised by its owner; different endpoints of a domain may be used at the same time, and memory is
 * registered from any thread at any time.
 */
#ifndef WEFT_FABRIC_FAB_H
#define WEFT_FABRIC_FAB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "accel/accel.h"
#include "conf/conf.h"

#define FAB_NAME_BYTES 64
#define FAB_ADDR_BYTES 64
#define FAB_PCI_BYTES  16
#define FAB_WHY_BYTES  768

struct fi_info;

/* Do the 128 bytes of a line of LL128, or the 8 of LL, arrive together or in their order? */
enum fab_order { FAB_ORDER_KEPT, FAB_ORDER_LOST, FAB_ORDER_UNKNOWN };

/* One NIC as a provider offers it. */
struct fab_nic {
	char name[FAB_NAME_BYTES];     /* libfabric's domain name: "eth0", "rdmap0s6-rdm" */
	char provider[FAB_NAME_BYTES]; /* "net", "tcp;ofi_rxm", "efa" */
	char fabric[FAB_NAME_BYTES];
	char pci[FAB_PCI_BYTES];       /* "0000:3b:00.0" as the provider says, or "" */
	int speed_mbps;		       /* as the provider says, or 0 */
	int number;		       /* among all of the provider: by PCI address, then name; loopback last */
	bool loopback;
	bool rma; /* remote writes with immediate data are to be used */
	bool hmem;  /* it reaches memory of GPUs ... */
	bool reads; /* ... and can read it back */
	bool writes_native; /* the NIC itself does remote writes, as far as the provider tells */
	bool silent_dead;   /* what it was given and never ends shows that it has died: nothing else does */
	size_t queued;	    /* bytes of a message that cost the provider no system call, where others do; else 0 */
	enum fab_order order;
	const char *hmem_why; /* why it does not reach it, or "" */
	struct fi_info *info;
};

/* What became of one provider of this libfabric. */
struct fab_candidate {
	char provider[FAB_NAME_BYTES];
	int nics;
	bool chosen;
	char why[FAB_WHY_BYTES]; /* why it was not chosen; "" for the chosen one */
};

#define FAB_CANDIDATES 24

struct fab_report {
	struct fab_nic *nics; /* of the chosen provider, usable ones only, by number: those taken ... */
	int nic_count;
	int nic_seen; /* ... and, up to here, those left out by WEFT_NICS or by default */
	struct fab_candidate candidates[FAB_CANDIDATES];
	int candidate_count;
	char why[FAB_WHY_BYTES]; /* when there is no NIC: one complete sentence or two for the user */
	bool user_error;	 /* `why` is the fault of a setting, not of the machine */
	char hmem_why[FAB_WHY_BYTES]; /* what NICs point to */
	char missed[FAB_WHY_BYTES]; /* one warning when part of WEFT_NICS means no NIC, or "" */
};

/*
 * Finds every provider that can carry Weft and chooses one by conf. 0, also when nothing is usable
 * (then nic_count is 0 and `why` says so); -ENOMEM. fab_report_fini frees it in either case.
 */
int fab_discover(const struct conf *conf, struct fab_report *out);
void fab_report_fini(struct fab_report *r);

/* "1.17.0 (API 1.17)" and the path of the loaded library. */
const char *fab_library_version(void);
const char *fab_library_path(void);

/* Why dma-bufs can't be registered with this libfabric: a clause, or "" if they can. */
const char *fab_dmabuf_why(void);

/* An IP address the NIC's own endpoints use: family 4 or 6, or 0 when it is not an IP provider. */
int fab_nic_ip(const struct fab_nic *nic, uint8_t out_ip[16]);

/* True when the provider only reaches this host (shm). */
bool fab_nic_local_only(const struct fab_nic *nic);

struct fab_domain;

/* Opens fabric, event queue and domain; logs a failure. */
int fab_domain_open(const struct fab_nic *nic, struct fab_domain **out);
void fab_domain_close(struct fab_domain *d); /* accepts NULL */

struct fab_mr;

/*
 * Registers host memory for messages, and for remote writes where the NIC's `rma` says so. When the provider
 * wants no registration, *out is NULL and the return 0.
 * The memory stays the caller's.
 */
int fab_mr_reg(struct fab_domain *d, void *buf, size_t len, struct fab_mr **out);

/*
 * The same for memory of a GPU, on a NIC with `hmem`; with `reads`, it may be read remotely, too. fd: a dma-buf that has
 * it from `offset` on, or -1: the provider finds its way by the pointer. -EOPNOTSUPP: no dma-bufs with this libfabric.
 */
int fab_mr_reg_gpu(struct fab_domain *d, const struct accel_mem *m, void *buf, size_t len, int fd, uint64_t offset,
		   struct fab_mr **out);
void fab_mr_close(struct fab_mr *mr);	   /* accepts NULL */
void *fab_mr_desc(const struct fab_mr *mr); /* accepts NULL */

/* By what a peer names the byte at `at` of memory registered from `base` on. */
uint64_t fab_mr_remote_addr(const struct fab_domain *d, const void *base, const void *at);
uint64_t fab_mr_key(const struct fab_mr *mr);

/* How an operation ended. */
struct fab_result {
	int err;	  /* 0 or negative errno */
	size_t len;	  /* received bytes */
	const char *text; /* the provider's words on an error, or NULL */
};

/*
 * One operation in flight. The owner keeps it in place until `done` was called, or the endpoint closed.
 * `done` runs inside fab_ep_poll and may post.
 */
struct fab_op {
	uint64_t provider_scratch[8]; /* FI_CONTEXT2: libfabric writes here */
	void (*done)(struct fab_op *op, const struct fab_result *r);
};

struct fab_ep;

/* A peer's write with immediate data has arrived here; len is valid where the immediate is short. */
typedef void (*fab_arrival)(void *arg, uint64_t imm, size_t len);

/*
 * Opens an endpoint with its address vector and a completion queue of about cq_depth entries. `arrival` is
 * called inside fab_ep_poll.
 */
int fab_ep_open(struct fab_domain *d, size_t cq_depth, fab_arrival arrival, void *arg,
		struct fab_ep **out);

/* Operations in flight are dropped without `done`; afterwards libfabric touches no buffer of theirs. */
void fab_ep_close(struct fab_ep *ep); /* accepts NULL */

/* What the provider answered when the endpoint was opened. */
struct fab_ep_says {
	bool cuda_forbidden;  /* it calls no CUDA, so it reaches GPUs by itself */
	bool writes_told, writes_emulated;
	enum fab_order order;
	const char *cuda_why; /* a clause: why cuda_forbidden is false, or "" */
};

void fab_ep_says(const struct fab_ep *ep, struct fab_ep_says *out);

/* The endpoint's own address, at most FAB_ADDR_BYTES. */
int fab_ep_addr(struct fab_ep *ep, uint8_t *out, size_t *out_bytes);

/* Makes a peer's address usable; fab_ep_forget undoes it. */
int fab_ep_insert(struct fab_ep *ep, const uint8_t *addr, uint64_t *out_peer);
void fab_ep_forget(struct fab_ep *ep, uint64_t peer);

/* Largest message the provider takes. */
size_t fab_ep_max_bytes(const struct fab_ep *ep);

/*
 * Post one operation. 0: op->done will be called. -EAGAIN: nothing happened, poll and call again (also
 * when the completion queue could not hold one more). Other errors: nothing will happen. Untagged messages
 * are for control, tagged ones for data: the queue always keeps room for control.
 */
int fab_send(struct fab_ep *ep, struct fab_op *op, const void *buf, size_t len, void *desc,
	     uint64_t peer);
int fab_recv(struct fab_ep *ep, struct fab_op *op, void *buf, size_t len, void *desc);
int fab_tsend(struct fab_ep *ep, struct fab_op *op, const void *buf, size_t len, void *desc,
	      uint64_t peer, uint64_t tag);
int fab_trecv(struct fab_ep *ep, struct fab_op *op, void *buf, size_t len, void *desc, uint64_t tag);


/* A small message that leaves no completion and has copied buf; see fab_inject_bytes. */
int fab_inject(struct fab_ep *ep, const void *buf, size_t len, uint64_t peer);

/* Remote writes, like the above; the second reaches the peer's `arrival`. `imm` is cut to what fits. */
int fab_write(struct fab_ep *ep, struct fab_op *op, const void *buf, size_t len, void *desc,
	      uint64_t peer, uint64_t addr, uint64_t key);
int fab_write_imm(struct fab_ep *ep, struct fab_op *op, const void *buf, size_t len, void *desc,
		  uint64_t peer, uint64_t addr, uint64_t key, uint64_t imm);

/* A remote read into buf, like fab_write; only on a NIC with `reads`. */
int fab_read(struct fab_ep *ep, struct fab_op *op, void *buf, size_t len, void *desc, uint64_t peer, uint64_t addr,
	     uint64_t key);

/* A small write that leaves no completion and has copied buf; see fab_inject_bytes. */
int fab_write_inject(struct fab_ep *ep, const void *buf, size_t len, uint64_t peer, uint64_t addr,
		     uint64_t key);
size_t fab_inject_bytes(const struct fab_ep *ep);

/* Does an immediate carry 8 bytes (else 4)? */
bool fab_imm_is_long(const struct fab_ep *ep);

/* Keeps room in the completion queue for one write of a peer. 0 or -EAGAIN; fab_unexpect gives it back. */
int fab_expect(struct fab_ep *ep);
void fab_unexpect(struct fab_ep *ep);

/* Asks to give up a receive: if that works, done comes with -ECANCELED; if data already flow, as usual. */
void fab_cancel(struct fab_ep *ep, struct fab_op *op);

/*
 * Drives the provider and calls `done` for what has completed, at most one batch. Returns the number of
 * completions, 0 when there was nothing, negative when the queue itself is broken.
 */
int fab_ep_poll(struct fab_ep *ep);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Weft's interface to libfabric: NICs, domains, endpoints with their completion queue, memory regions,
 * messages. No other module includes <rdma/>. libfabric's error numbers become negative errno here (the FI_
 * codes below 256 are errno values; others become -EIO).
 *
 * Threads: discovery and domain calls may come from any thread, one at a time. The owner of an endpoint
 * serialises all calls on it; different endpoints of a domain may be used concurrently. Memory may be
 * registered from any thread at any time.
 */
#ifndef WEFT_FABRIC_FAB_H
#define WEFT_FABRIC_FAB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "accel/accel.h"
#include "base/netif.h"
#include "conf/conf.h"

#define FAB_NAME_BYTES 64
#define FAB_ADDR_BYTES 64
#define FAB_PCI_BYTES  16
#define FAB_WHY_BYTES  768

struct fi_info;

/* Whether the 128 bytes of an LL128 line, or the 8 of an LL one, arrive together or in order. */
enum fab_order { FAB_ORDER_KEPT, FAB_ORDER_LOST, FAB_ORDER_UNKNOWN };

/* One NIC of a provider. */
struct fab_nic {
	char name[FAB_NAME_BYTES];     /* libfabric's domain name: "eth0", "rdmap0s6-rdm" */
	char provider[FAB_NAME_BYTES]; /* "net", "tcp;ofi_rxm", "efa" */
	char fabric[FAB_NAME_BYTES];
	char pci[FAB_PCI_BYTES]; /* PCI address as the provider reports it, "0000:3b:00.0", or "" */
	int speed_mbps;		 /* link speed in Mbit/s as the provider reports it, or 0 */
	int number;		 /* index in the provider's NICs, sorted by PCI address, then name; loopback last */
	bool loopback;
	int family; /* IP family of its endpoints' address: 4, 6, or 0 if the provider reports no IP address */
	char address[NETIF_IP_BYTES];	/* IP address of its endpoints as text, or "" */
	enum netif_reach reach;		/* how far the address reaches other hosts */
	int ip_place;			/* index of the address in netif_list.addrs */
	bool refused;			/* excluded even if WEFT_NICS names it */
	char left_out[NETIF_WHY_BYTES]; /* reason for not using it: a clause, or "" */
	bool rma;			/* remote writes with immediate data are used */
	bool hmem;			/* it can access GPU memory */
	bool reads;			/* it can read GPU memory remotely */
	bool writes_native;		/* the provider reports that the NIC itself does remote writes */
	bool silent_dead;		/* a dead NIC shows only by operations that never complete */
	bool streams;			/* several connections to a peer may be faster than one */
	bool copies;			/* a completion means that the kernel has a copy, not that it has arrived */
	bool serial_domain;		/* endpoints of different threads need domains of their own to move at once */
	size_t queued; /* bytes of the largest message sent without a system call if larger ones need some; else 0 */
	enum fab_order order;
	const char *hmem_why; /* reason for not accessing GPU memory, or "" */
	struct fi_info *info;
};

/* One provider of this libfabric, chosen or rejected. */
struct fab_candidate {
	char provider[FAB_NAME_BYTES];
	int nics;
	bool chosen;
	char why[FAB_WHY_BYTES]; /* reason for rejecting it; "" for the chosen one */
};

#define FAB_CANDIDATES 24

struct fab_report {
	struct fab_nic *nics; /* usable NICs of the chosen provider: those taken by number, then those left out */
	int nic_count;	      /* NICs taken */
	int nic_seen;	      /* NICs taken plus NICs left out by WEFT_NICS or by default */
	struct fab_candidate candidates[FAB_CANDIDATES];
	int candidate_count;
	char why[FAB_WHY_BYTES];       /* reason for having no NIC: one or two complete sentences for the user */
	bool user_error;	       /* `why` is caused by a setting, not by the machine */
	char hmem_why[FAB_WHY_BYTES];  /* storage of fab_nic.hmem_why */
	char unmatched[FAB_WHY_BYTES]; /* a warning if an item of WEFT_NICS matches no NIC, or "" */
};

/*
 * Finds every provider that Weft can use and chooses one by conf. Returns 0, also if none is usable (nic_count is
 * then 0 and `why` gives the reason), or -ENOMEM. The caller frees the report with fab_report_fini in either case.
 */
int fab_discover(const struct conf *conf, struct fab_report *out);
void fab_report_fini(struct fab_report *r);

/* "1.17.0 (API 1.17)" and the path of the loaded library. */
const char *fab_library_version(void);
const char *fab_library_path(void);

/* Fork safety of this process with efa, with the setting that Weft made: a sentence without its full stop. */
const char *fab_fork_text(void);

/* Reason why this libfabric can't register dma-bufs: a clause, or "" if it can. */
const char *fab_dmabuf_why(void);

/* Writes the IP address of the NIC's endpoints. Returns its family, 4 or 6; 0: none, or IPv6 link-local. */
int fab_nic_ip(const struct fab_nic *nic, uint8_t out_ip[16]);

/* True if the provider reaches only this host (shm). */
bool fab_nic_local_only(const struct fab_nic *nic);

struct fab_domain;

/* Opens fabric, event queue and domain. 0 or a negative errno; logs libfabric's failures. */
int fab_domain_open(const struct fab_nic *nic, struct fab_domain **out);
void fab_domain_close(struct fab_domain *d); /* accepts NULL */

/* Makes the keys of later registrations 32 bits long, where we choose them. */
void fab_domain_narrow_keys(struct fab_domain *d);

struct fab_mr;

/*
 * Registers host memory for messages, and for remote writes if the NIC's `rma` is set. If the provider needs no
 * registration, or len is 0, returns 0 with *out NULL. The caller keeps ownership of the memory.
 */
int fab_mr_reg(struct fab_domain *d, void *buf, size_t len, struct fab_mr **out);

/*
 * The same for GPU memory, on a NIC with `hmem`; with `reads`, peers may also read it. fd: a dma-buf that contains the
 * memory from `offset` on, or -1: the provider uses the pointer. -EOPNOTSUPP: this libfabric lacks dma-buf support.
 */
int fab_mr_reg_gpu(struct fab_domain *d, const struct accel_mem *m, void *buf, size_t len, int fd, uint64_t offset,
		   struct fab_mr **out);
void fab_mr_close(struct fab_mr *mr);	    /* accepts NULL */
void *fab_mr_desc(const struct fab_mr *mr); /* accepts NULL */

/* Remote address of the byte at `at` in memory registered from `base` on: pass it to a peer with the key. */
uint64_t fab_mr_remote_addr(const struct fab_domain *d, const void *base, const void *at);
uint64_t fab_mr_key(const struct fab_mr *mr);

/* Result of an operation. */
struct fab_result {
	int err;	  /* 0 or negative errno */
	size_t len;	  /* received bytes */
	const char *text; /* the provider's error text, or NULL; valid only inside `done` */
};

/*
 * One operation in flight. The owner keeps it in place until `done` has run or the endpoint is closed.
 * `done` runs inside fab_ep_poll and may post.
 */
struct fab_op {
	uint64_t provider_scratch[8]; /* FI_CONTEXT2 storage for libfabric */
	void (*done)(struct fab_op *op, const struct fab_result *r);
};

/*
 * Does nothing. The owner of an operation that may consist of several packets sets it as `done` after a failure, and keeps
 * the operation: efa (1.17) reports the failure again for each packet.
 */
void fab_op_over(struct fab_op *op, const struct fab_result *r);

struct fab_ep;

/* What an endpoint counts. Data: tagged messages, writes with immediate data, and data that is injected. */
struct fab_counts {
	uint64_t tx_bytes, tx_messages; /* data posted */
	uint64_t rx_bytes,
		rx_messages; /* data arrived; the owner counts the bytes of arrivals, and of tagged messages both */
	uint64_t completed;  /* operations, and arrivals */
	uint64_t refused;    /* returns of -EAGAIN */
	uint64_t failed;     /* completions with an error */
};

/* Called for each arrived write of a peer with immediate data; len is only valid if the immediate has 4 bytes. */
typedef void (*fab_arrival)(void *arg, uint64_t imm, size_t len);

/*
 * Opens an endpoint with its address vector and a completion queue of about cq_depth entries. `arrival` runs
 * inside fab_ep_poll. Returns 0 or a negative errno.
 */
int fab_ep_open(struct fab_domain *d, size_t cq_depth, fab_arrival arrival, void *arg, struct fab_ep **out);

/* Counts into `counts` from now on, instead of nowhere. NULL: nowhere. */
void fab_ep_count(struct fab_ep *ep, struct fab_counts *counts);

/* The entries of the completion queue in use, and their number. */
size_t fab_ep_fill(const struct fab_ep *ep, size_t *out_depth);
/* Opens another endpoint on the completion queue of `first`: polling `first` serves both. Close it before `first`. */
int fab_ep_open_beside(struct fab_ep *first, struct fab_ep **out);

/* From now on, a write with immediate data completes when it has arrived. Only on a NIC with `copies`. */
void fab_ep_await_delivery(struct fab_ep *ep);

/* Drops operations in flight without calling `done`; libfabric no longer accesses their buffers afterwards. */
void fab_ep_close(struct fab_ep *ep); /* accepts NULL */

/* Properties that the provider reported when the endpoint was opened. */
struct fab_ep_attrs {
	bool cuda_forbidden; /* the provider makes no CUDA calls: it accesses GPU memory by the NIC itself */
	bool writes_reported, writes_emulated;
	enum fab_order order;
	const char *cuda_why; /* reason why cuda_forbidden is false: a clause, or "" */
};

void fab_ep_attrs(const struct fab_ep *ep, struct fab_ep_attrs *out);

/* Writes the endpoint's own address, at most FAB_ADDR_BYTES bytes. */
int fab_ep_addr(struct fab_ep *ep, uint8_t *out, size_t *out_bytes);

/* Adds a peer's address, FAB_ADDR_BYTES bytes, to the address vector; fab_ep_forget removes it. Logs a failure. */
int fab_ep_insert(struct fab_ep *ep, const uint8_t *addr, uint64_t *out_peer);
void fab_ep_forget(struct fab_ep *ep, uint64_t peer);

/* Size of the provider's largest message. */
size_t fab_ep_max_bytes(const struct fab_ep *ep);

/*
 * Post one operation. 0: op->done will run. -EAGAIN: not posted, because the provider or our share of the completion
 * queue is full: poll and call again. Other errors: not posted. Untagged messages carry control, tagged ones data:
 * part of the queue is reserved for control.
 */
int fab_send(struct fab_ep *ep, struct fab_op *op, const void *buf, size_t len, void *desc, uint64_t peer);
int fab_recv(struct fab_ep *ep, struct fab_op *op, void *buf, size_t len, void *desc);
int fab_tsend(struct fab_ep *ep, struct fab_op *op, const void *buf, size_t len, void *desc, uint64_t peer,
	      uint64_t tag);
int fab_trecv(struct fab_ep *ep, struct fab_op *op, void *buf, size_t len, void *desc, uint64_t tag);

/*
 * Sends a small message, of at most fab_inject_bytes, without a completion; buf is copied before the return. `data` of
 * its bytes count as data.
 */
int fab_inject(struct fab_ep *ep, const void *buf, size_t len, size_t data, uint64_t peer);

/* Remote writes, posted like the above; fab_write_imm calls the peer's `arrival`. `imm` may be cut to 4 bytes. */
int fab_write(struct fab_ep *ep, struct fab_op *op, const void *buf, size_t len, void *desc, uint64_t peer,
	      uint64_t addr, uint64_t key);
int fab_write_imm(struct fab_ep *ep, struct fab_op *op, const void *buf, size_t len, void *desc, uint64_t peer,
		  uint64_t addr, uint64_t key, uint64_t imm);

/* Remote read into buf, posted like fab_write; only on a NIC with `reads`. */
int fab_read(struct fab_ep *ep, struct fab_op *op, void *buf, size_t len, void *desc, uint64_t peer, uint64_t addr,
	     uint64_t key);

/* Small remote write, of at most fab_inject_bytes, without a completion; buf is copied before the return. */
int fab_write_inject(struct fab_ep *ep, const void *buf, size_t len, uint64_t peer, uint64_t addr, uint64_t key);
size_t fab_inject_bytes(const struct fab_ep *ep);

/* True if immediate data has 8 bytes, false if it has 4. */
bool fab_imm_is_long(const struct fab_ep *ep);

/* Reserves n completion queue entries for writes of a peer. 0 or -EAGAIN; fab_cq_release returns them. */
int fab_cq_reserve(struct fab_ep *ep, size_t n);
void fab_cq_release(struct fab_ep *ep, size_t n);

/* Requests cancellation of a receive. `done` runs with -ECANCELED, or as usual if data already arrives. */
void fab_cancel(struct fab_ep *ep, struct fab_op *op);

/*
 * Reads the event queue, shared by the domain's endpoints, for errors that belong to no operation. Returns 0, or this
 * endpoint's (logged) error. For slow paths.
 */
int fab_ep_check(struct fab_ep *ep);

/*
 * Progresses the provider and calls `done` for completed operations, at most one batch. Returns the number of
 * completions, or a negative errno if the completion queue itself fails.
 */
int fab_ep_poll(struct fab_ep *ep);

#endif

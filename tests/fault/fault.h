/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The fault provider: a libfabric provider that carries all traffic over another one, the inner provider, and injects
 * the faults requested by its environment, within libfabric's contract or at its edge. README.md beside this file is
 * the manual. This header is for the provider's own files only.
 *
 * Objects are the inner provider's own. Their tables of operations are replaced by ours. Each of these tables lives
 * inside the structure with our side of the object, so that a table's address leads to that structure.
 *
 * Lock order: a completion queue's lock, then the domain's. No lock is held across a post.
 */
#ifndef WEFT_TESTS_FAULT_H
#define WEFT_TESTS_FAULT_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <rdma/fabric.h>
#include <rdma/fi_cm.h>
#include <rdma/fi_domain.h>
#include <rdma/fi_endpoint.h>
#include <rdma/fi_eq.h>
#include <rdma/fi_errno.h>
#include <rdma/fi_rma.h>
#include <rdma/fi_tagged.h>

#define FAULT_NAME     "fault"
#define FAULT_NICS_MAX 32

/* The structure of type `type` whose member `member` is at ptr. */
#define fault_owner(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

/* ---- setup.c: settings from the environment ---- */

/* Calls that FAULT_FAIL_CALL can name. */
enum fault_call {
	CALL_GETINFO,
	CALL_FABRIC,
	CALL_EQ_OPEN,
	CALL_DOMAIN,
	CALL_MR_REG,
	CALL_AV_OPEN,
	CALL_AV_INSERT,
	CALL_CQ_OPEN,
	CALL_CQ_READ, /* these two are not part of "any": the number of reads depends on timing */
	CALL_EQ_READ,
	CALL_ENDPOINT,
	CALL_BIND,
	CALL_ENABLE,
	CALL_GETNAME,
	CALL_SEND, /* first of the posts */
	CALL_RECV,
	CALL_TSEND,
	CALL_TRECV,
	CALL_WRITE,
	CALL_READ,
	CALL_INJECT,
	CALL_COUNT
};

enum fault_truncate { TRUNCATE_NOT, TRUNCATE_ONE, TRUNCATE_RANDOM };

struct fault_nic {
	bool pci;
	uint16_t domain;
	uint8_t bus, device, function;
	uint64_t speed_mbps; /* 0: not reported */
	uint64_t kill_after; /* posts of an endpoint before it dies; 0: never */
	uint64_t rate;	     /* bytes per second; 0: unlimited */
};

struct fault_setup {
	char inner[64]; /* the inner provider's name */
	uint64_t seed;
	unsigned eagain_percent;
	unsigned reorder; /* largest number of completions held back */
	unsigned delay_us;
	enum fault_truncate truncate;
	unsigned duplicate_percent;
	uint64_t fail_nth;   /* 0: never */
	uint32_t fail_calls; /* bits 1 << enum fault_call */
	int fail_errno;	     /* a positive errno */
	uint64_t error_nth;
	bool mr_local;
	bool hmem;
	struct fault_nic nics[FAULT_NICS_MAX];
	int nic_count;
	const char *log; /* NULL: none, "1": stderr, else a file */
};

extern struct fault_setup fault_setup;

/* Reads FAULT_*. On a bad value: one line on stderr, then abort. `native` is the default inner provider. */
void fault_setup_load(const char *native);

/* ---- dice.c: random decisions, and their log ---- */

/* Counters printed with FAULT_LOG. */
enum fault_count {
	COUNT_POSTS,	   /* accepted by the inner provider */
	COUNT_CALLS,	   /* calls named by FAULT_FAIL_CALL */
	COUNT_FAILED,	   /* calls made to fail */
	COUNT_EAGAIN,	   /* posts refused with -FI_EAGAIN */
	COUNT_COMPLETIONS, /* successful completions delivered to the application */
	COUNT_REORDERED,   /* completions that overtook an older one */
	COUNT_DELAYED,
	COUNT_TRUNCATED, /* reads that returned fewer completions than available */
	COUNT_DUPLICATED,
	COUNT_ERRORS,	    /* completions turned into errors */
	COUNT_LIMITED,	    /* completions held for FAULT_RATE */
	COUNT_DEAD,	    /* posts on a dead endpoint */
	COUNT_SWALLOWED,    /* completions dropped at a dead endpoint */
	COUNT_UNREGISTERED, /* posts refused by FAULT_MR_LOCAL */
	COUNT_OVERRUN,	    /* posts beyond the size of their completion queue */
	COUNT_KINDS
};

/* Independent random streams. */
enum fault_dice { DICE_EAGAIN, DICE_REORDER, DICE_DELAY, DICE_TRUNCATE, DICE_DUPLICATE, DICE_KINDS };

void fault_count(enum fault_count what);

/* A number below `below`, determined by the seed, the stream and the number of earlier calls. */
uint64_t fault_roll(enum fault_dice dice, uint64_t below);
bool fault_percent(enum fault_dice dice, unsigned percent);

/* 0, or the negative error that this call must return without doing any work. */
int fault_fail(enum fault_call call);

/* True once: for the completion selected by FAULT_ERROR_NTH. */
bool fault_error_now(void);

int64_t fault_now_us(void);

/*
 * Lets `len` bytes pass the NIC. Returns the time, by fault_now_us, at which they have passed; 0 if the rate is
 * unlimited.
 */
int64_t fault_pass(int nic, bool incoming, size_t len);

/* Prints the counters; later calls do nothing. */
void fault_log(void);
void fault_dice_init(void);

/* ---- fabric.c: the entry point; info.c: results of fi_getinfo ---- */

/* The libfabric that has loaded us; never another copy in the same process. */
struct fault_lib {
	uint32_t version;
	int (*getinfo)(uint32_t version, const char *node, const char *service, uint64_t flags,
		       const struct fi_info *hints, struct fi_info **info);
	void (*freeinfo)(struct fi_info *info);
	struct fi_info *(*dupinfo)(const struct fi_info *info);
	int (*fabric)(struct fi_fabric_attr *attr, struct fid_fabric **fabric, void *context);
};

extern struct fault_lib fault_lib;
extern struct fi_provider fault_provider;

int fault_getinfo(uint32_t version, const char *node, const char *service, uint64_t flags, const struct fi_info *hints,
		  struct fi_info **out);

/*
 * A copy of one of our infos with the inner provider's names, for the caller to free; *out_nic is the number of the
 * NIC, -1 if the info is not ours. NULL then, or without memory.
 */
struct fi_info *fault_info_inner(const struct fi_info *info, int *out_nic);

/* Converts attr, a copy of ours without its own strings, to the attributes of the inner provider's fabric. */
int fault_fabric_inner(struct fi_fabric_attr *attr);

/* A new fid_nic for NIC number i, with the operations needed by fi_dupinfo and fi_freeinfo. */
struct fid_nic *fault_nic_new(int i);

/* ---- fabric.c: fabrics, domains, address vectors ---- */

int fault_fabric(struct fi_fabric_attr *attr, struct fid_fabric **out, void *context);

/* An endpoint is bound to an event queue; the queue's injected error names the last one. Ignores other objects. */
void fault_eq_bound(struct fid *queue, struct fid *ep);

struct fault_ep;

/* One operation in flight. `inner` is the inner provider's context of it. */
struct fault_op {
	struct fi_context2 inner;
	void *context; /* the application's context */
	struct fault_ep *ep;
	enum fault_call call;
	bool multi; /* may complete several times */
	bool stuck; /* posted to a dead endpoint: unknown to the inner provider */
	size_t len;
	const void *target;	     /* target of a read, if it is in this process */
	struct fault_op *next, **at; /* in the endpoint's list, or (next only) the domain's free list */
};

struct fault_slab;
struct fault_mr;

/* Endpoints and operations stay until the domain closes: late completions may refer to them. */
struct fault_domain {
	struct fi_ops fid_ops;
	struct fi_ops_domain ops;
	struct fi_ops_mr mr;
	struct fi_ops *inner_fid;
	struct fi_ops_domain *inner;
	struct fi_ops_mr *inner_mr;
	uint32_t api; /* the application's API version: determines the length of some of its structures */
	int nic;
	pthread_mutex_t lock; /* protects all below, and every endpoint's list of operations */
	struct fault_op *free_ops;
	struct fault_slab *slabs;
	struct fault_ep *eps;
	struct fault_mr *mrs;
};

/* ---- mr.c: memory ---- */

int fault_mr_reg(struct fid *fid, const void *buf, size_t len, uint64_t access, uint64_t offset, uint64_t requested_key,
		 uint64_t flags, struct fid_mr **mr, void *context);
int fault_mr_regv(struct fid *fid, const struct iovec *iov, size_t count, uint64_t access, uint64_t offset,
		  uint64_t requested_key, uint64_t flags, struct fid_mr **mr, void *context);
int fault_mr_regattr(struct fid *fid, const struct fi_mr_attr *attr, uint64_t flags, struct fid_mr **mr);

/*
 * With FAULT_MR_LOCAL: replaces the application's descriptors by the inner provider's. Returns -FI_EINVAL, with a line
 * on stderr, if a descriptor does not cover its memory.
 */
int fault_mr_check(struct fault_domain *d, enum fault_call call, const struct iovec *iov, void **desc, size_t count,
		   void **out_desc);

/* The watched memory with that key; NULL if it is unknown or not ours. */
const void *fault_mr_base(struct fault_domain *d, uint64_t key);

/* ---- hmem.c: GPU memory ---- */

/* Loads the symbols of the fake CUDA driver; false if it is absent. */
bool fault_hmem_load(void);

/* Addresses of the iovecs as NIC `nic` accesses them: only GPU memory differs. True if some of it is GPU memory. */
bool fault_hmem_translate(int nic, const struct iovec *from, size_t count, struct iovec *to);

/* Registers one iovec of host or GPU memory; *out_own is the application's memory. */
int fault_hmem_reg(struct fault_domain *d, struct fid *fid, const struct fi_mr_attr *attr, uint64_t flags,
		   struct fid_mr **mr, struct iovec *out_own);

/* A remote read by this NIC, from this process's memory at `target`, has completed. */
void fault_hmem_read(int nic, const void *target);

/* ---- ep.c: endpoints; post.c: their data operations; op.c: operations in flight ---- */

struct fault_cq;

struct fault_ep {
	struct fi_ops fid_ops;
	struct fi_ops_ep ops;
	struct fi_ops_cm cm;
	struct fi_ops_msg msg;
	struct fi_ops_tagged tagged;
	struct fi_ops_rma rma;
	struct fi_ops *inner_fid;
	struct fi_ops_ep *inner;
	struct fi_ops_cm *inner_cm;
	struct fi_ops_msg *inner_msg; /* these three: NULL until fi_enable, or without the capability */
	struct fi_ops_tagged *inner_tagged;
	struct fi_ops_rma *inner_rma;
	struct fault_domain *domain;
	struct fault_cq *tx_cq, *rx_cq;
	uint64_t caps, tx_flags, rx_flags;
	atomic_uint_fast64_t posts;
	atomic_bool dead;
	struct fault_op *flying;
	struct fault_ep *next; /* next endpoint of the domain */
};

int fault_endpoint(struct fid_domain *domain, struct fi_info *info, struct fid_ep **out, void *context);

extern const struct fi_ops_msg fault_msg_ops;
extern const struct fi_ops_tagged fault_tagged_ops;
extern const struct fi_ops_rma fault_rma_ops;

/* NULL without memory. fault_op_put also removes it from its endpoint's list. */
struct fault_op *fault_op_get(struct fault_ep *ep, enum fault_call call, size_t len, void *context);
void fault_op_put(struct fault_op *op);
/* The operation in flight with the application's context, or NULL. */
struct fault_op *fault_op_find(struct fault_ep *ep, const void *context);
void fault_ops_free(struct fault_domain *d);

/* The completion flags of a call. */
uint64_t fault_flags(enum fault_call call);
static inline bool fault_is_rx(enum fault_call call)
{
	return call == CALL_RECV || call == CALL_TRECV;
}

/* ---- cq.c: completion queues; held.c: completions held in them ---- */

/* A completion on its way to the application. */
struct fault_held {
	struct fi_cq_tagged_entry e;
	fi_addr_t src;
	int64_t since_us, due_us;
	struct fault_error *error; /* NULL: a success */
};

struct fault_error {
	int err, prov_errno;
	size_t olen;
	fi_addr_t src;
	size_t data_bytes;
	uint8_t data[];
};

struct fault_cq {
	struct fi_ops fid_ops;
	struct fi_ops_cq ops;
	struct fi_ops *inner_fid;
	struct fi_ops_cq *inner;
	enum fi_cq_format format;
	uint32_t api;
	size_t size;		 /* requested by the application; 0: the provider's choice */
	atomic_long outstanding; /* operations that may still complete in this queue */
	atomic_bool signalled;
	_Atomic(struct fault_ep *) rx_ep; /* the only endpoint that receives into this queue, or NULL */
	atomic_int rx_eps;
	pthread_mutex_t lock;	 /* protects all below */
	struct fault_held *held; /* oldest first */
	size_t count, room;
	unsigned idle_reads;
	struct fault_error *shown; /* the last error delivered; holds its data */
	struct fault_held failed;  /* waits for fi_cq_readerr while failed.error is set */
};

int fault_cq_open(struct fid_domain *domain, struct fi_cq_attr *attr, struct fid_cq **out, void *context);

/* Our side of a queue, or NULL if it is no completion queue of ours. */
struct fault_cq *fault_cq_of(struct fid *fid);

/* Adds an error completion of our own to the queue. */
void fault_cq_error(struct fault_cq *cq, void *context, uint64_t flags, int err);

/* held.c: needs the queue's lock. */
int fault_held_add(struct fault_cq *cq, const struct fault_held *h);
/* Removes the next completion that may be delivered; false: there is none yet. */
bool fault_held_take(struct fault_cq *cq, bool released, struct fault_held *out);
struct fault_error *fault_error_new(int err, int prov_errno, size_t data_bytes);

#endif

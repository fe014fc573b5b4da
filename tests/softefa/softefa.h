/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The software EFA device: a shared object that takes the place of libibverbs and libefa, so that libfabric's own efa
 * provider finds EFA devices on a machine without any and uses them between the processes of that machine.
 * docs/softefa.md is the manual. This header is for the device's own files only.
 *
 * The rooms, each of which may call those above it:
 *   setup.c     settings from the environment; log lines; dice
 *   clocks.c    this process's clock in virtual time, among the clocks of the others
 *   time.c      virtual time taken by traffic; the clock as seen by the program
 *   port.c      ports: opened devices as seen by others, through files
 *   wire.c      peers, and rings of packets between ports in shared memory
 *   sysfs.c     the files that describe the devices, and their counters
 *   memory.c    protection domains, memory regions, address handles
 *   cq.c        completion queues
 *   srd_*.c     the transport: messages become packets in any order, and completions
 *   qp.c        queue pairs and work requests
 *   absent.c    calls for objects that the device does not support
 *   device.c    the list of devices, open and close, the thread that moves packets while no call does
 *
 * A single lock, the context's, covers all parts of an opened device. The functions below require it unless they say
 * otherwise. No lock is shared between processes: a killed process cannot stop another.
 */
#ifndef WEFT_TESTS_SOFTEFA_H
#define WEFT_TESTS_SOFTEFA_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include <infiniband/verbs.h>

#include "abi.h"

#define SOFT_NICS_MAX	32
#define SOFT_SEND_SGES	2
#define SOFT_RECV_SGES	3
#define SOFT_INLINE	32
#define SOFT_SEND_DEPTH 4096
#define SOFT_RECV_DEPTH 32768
#define SOFT_QPS	256
#define SOFT_CQE_MAX	32768
#define SOFT_AHS	1024
#define SOFT_MRS	262144
#define SOFT_RDMA_MAX	(1u << 30)
#define SOFT_WINDOW	64 /* largest number of packets or messages among which one is chosen */
#define SOFT_NO_AH	0xffff

#define SOFT_EXPORT __attribute__((visibility("default")))
/* The structure of type `type` whose member `member` is at ptr. */
#define soft_owner(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

/* ---- setup.c ---- */

/* The device's status codes, reported as a completion's vendor error. */
enum soft_status {
	SOFT_OK = 0,
	SOFT_FLUSHED = 1,
	SOFT_UNSUPPORTED = 3,
	SOFT_BAD_AH = 4,
	SOFT_BAD_LKEY = 5,
	SOFT_TOO_LONG = 6,
	SOFT_BAD_ADDRESS = 7,
	SOFT_NO_QP = 9,
	SOFT_RNR = 10,
	SOFT_RECV_SHORT = 11,
	SOFT_BAD_STATUS = 12,
	SOFT_UNRESPONSIVE = 13,
	SOFT_UNKNOWN_PEER = 14,
	SOFT_UNREACHABLE = 15,
};

struct soft_nic {
	unsigned domain, bus, device, function;
	uint64_t speed_mbps;
	uint64_t kill_after;	      /* work requests before it dies; 0: never */
	uint64_t down_after, down_ms; /* work requests before its link goes down, and the duration; 0: forever */
};

struct soft_setup {
	char dir[96];	   /* the common directory of all processes */
	const char *sysfs; /* NULL: a private directory */
	uint32_t host;
	unsigned generation;
	uint32_t part_id;
	uint32_t caps; /* EFADV_DEVICE_ATTR_CAPS_* */
	uint32_t mtu;
	uint64_t seed;
	unsigned window; /* window of reordering; 1: in order */
	unsigned rnr_percent, loss_percent, duplicate_percent, ghost_percent;
	uint64_t dead_ms;
	bool timed; /* virtual time is on, with the three settings that follow */
	int64_t latency_ns, request_ns, look_ns;
	struct soft_nic nics[SOFT_NICS_MAX];
	int nic_count;
};

extern struct soft_setup soft_setup;

/* Reads SOFTEFA_*, once. On a bad value: one line on stderr, then abort. Any thread. */
void soft_setup_load(void);

/* Prints one line on stderr or into $SOFTEFA_LOG; only the first 50 of a process. Any thread. */
void soft_log(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Independent random streams. Each depends on the seed, the process's host number and the number of earlier rolls. */
enum soft_dice { DICE_ORDER, DICE_RNR, DICE_LOSS, DICE_DUPLICATE, DICE_GHOST, DICE_NAME, DICE_KINDS };
uint64_t soft_roll(enum soft_dice dice, uint64_t below);
bool soft_percent(enum soft_dice dice, unsigned percent);

int64_t soft_now_us(void);

/* ---- counters: kept per context, written to files by sysfs.c ---- */

/* In the order of the names in sysfs.c. */
/* clang-format off */
enum soft_counter {
	TX_BYTES, TX_PKTS, RX_BYTES, RX_PKTS, RX_DROPS,
	SEND_BYTES, SEND_WRS, RECV_BYTES, RECV_WRS,
	RDMA_READ_WRS, RDMA_READ_BYTES, RDMA_READ_WR_ERR, RDMA_READ_RESP_BYTES,
	RDMA_WRITE_WRS, RDMA_WRITE_BYTES, RDMA_WRITE_WR_ERR, RDMA_WRITE_RECV_BYTES,
	RETRANS_BYTES, RETRANS_PKTS, RETRANS_TIMEOUT_EVENTS, UNRESPONSIVE_REMOTE_EVENTS,
	IMPAIRED_REMOTE_CONN_EVENTS,
	/* Not among the hardware's files. They compare programs, and show that faults take place. */
	DOORBELLS, COMPLETIONS, OVERTAKEN, NOT_READY,
	PORT_COUNTERS,
	/* of the device rather than its port */
	SUBMITTED_CMDS = PORT_COUNTERS, COMPLETED_CMDS, CMDS_ERR, NO_COMPLETION_CMDS, KEEP_ALIVE_RCVD,
	ALLOC_PD_ERR, CREATE_QP_ERR, CREATE_CQ_ERR, REG_MR_ERR, ALLOC_UCONTEXT_ERR, CREATE_AH_ERR, MMAP_ERR,
	SOFT_COUNTERS
};
/* clang-format on */

/* ---- port.c, wire.c ---- */

enum soft_packet_type {
	PACKET_PAD, /* padding: the rest of the ring's memory */
	PACKET_SEND,
	PACKET_DATAGRAM, /* a send without an acknowledgement */
	PACKET_WRITE,
	PACKET_READ, /* a request */
	PACKET_READ_DATA,
	PACKET_ACK,
	PACKET_CANCEL, /* no more packets of this message will come */
};

enum { PACKET_HAS_IMM = 1, PACKET_REPEATED = 2 };

/* Header of a packet, before `len` bytes of payload. */
struct soft_packet {
	uint8_t type, flags, status, spare;
	uint16_t src_qpn, dst_qpn;
	uint32_t len;
	uint32_t imm;
	uint64_t id;	 /* id of the message at its sender, or of the read at the reader */
	uint64_t addr;	 /* address of the message's first byte at the target */
	uint64_t offset; /* offset of this payload in the message */
	uint64_t total;
	uint32_t rkey, qkey;
	int64_t stamp; /* arrival time of its last byte, in virtual time */
};
_Static_assert(sizeof(struct soft_packet) == 64, "rings keep packets on 64-byte boundaries");

struct soft_page;
struct soft_ring;
struct soft_pending;

/* Another port, or our own: our packets to it and its packets to us. Kept until the context closes. */
struct soft_peer {
	struct soft_peer *next;
	char name[96]; /* below soft_setup.dir */
	union ibv_gid gid;
	struct soft_page *page; /* NULL before the first send to it */
	int lock_fd;		/* -1: a port of this process */
	struct soft_ring *in, *out;
	size_t in_bytes, out_bytes;
	bool hopeless;			     /* unreachable: no shared memory */
	STAILQ_HEAD(, soft_pending) backlog; /* packets that found no room in the ring */
	unsigned flying;		     /* our operations that wait for it */
	bool responded;
	bool gone;			    /* no packet from or to it will ever move again */
	bool reported;			    /* its silence has been logged */
	int64_t silent_us;		    /* time since when it is gone, or its link or ours down; 0: it is present */
	LIST_HEAD(, soft_partial) partials; /* its writes that have partly arrived */
};

/* The part of a context that is visible to others. */
struct soft_port {
	char name[96];
	struct soft_page *page;
	int lock_fd;
	uint32_t seen; /* the page's count of rings, as far as they have been accepted */
};

struct soft_context;

/* Makes the context visible to others. Returns 0 or a negative errno, logged. */
int soft_port_open(struct soft_context *c);
/* Hides it from others. */
void soft_port_leave(struct soft_context *c);
/* Accepts a half-opened port. */
void soft_port_close(struct soft_context *c);
/* True while the context's link is down. */
bool soft_port_is_down(const struct soft_context *c);
/* Takes the link down for so many milliseconds; 0: forever. Packets in flight to it stay in flight. */
void soft_port_down(struct soft_context *c, uint64_t ms);
/* The device falls silent: it accepts requests but completes none, and refuses all other calls. */
void soft_port_die(struct soft_context *c);
/* True, with errno EIO, for any call on a dead device. Without the lock. */
bool soft_port_refuses(const struct soft_context *c);

/* Claims a number; -EEXIST if a living process has it. */
int soft_port_claim(struct soft_context *c, uint32_t qpn);
void soft_port_release(struct soft_context *c, uint32_t qpn);

/*
 * The peer with this queue pair, or NULL; *out_known tells whether its device exists at all. Looks up names in the file
 * system on first use only.
 */
struct soft_peer *soft_peer_find(struct soft_context *c, const union ibv_gid *gid, uint32_t qpn, bool *out_known);
/* True if no packet from or to this peer will ever move again. A system call. */
bool soft_peer_is_gone(const struct soft_peer *p);
/* True while its link is down. */
bool soft_peer_is_down(const struct soft_peer *p);
void soft_peers_free(struct soft_context *c);
/* Accepts rings made by others for us. */
void soft_peers_accept(struct soft_context *c);

/*
 * Room for a packet with len bytes after it in the ring to the peer; NULL if it is full. soft_ring_push sends the
 * packet written there. Neither is for replies: soft_reply never fails.
 */
struct soft_packet *soft_ring_room(struct soft_context *c, struct soft_peer *p, size_t len);
void soft_ring_push(struct soft_context *c, struct soft_peer *p, const struct soft_packet *packet);
void soft_reply(struct soft_context *c, struct soft_peer *p, const struct soft_packet *packet);
/* Sends the replies kept by soft_reply. */
void soft_backlog_run(struct soft_context *c, struct soft_peer *p);

/* The next packet from a peer, or NULL. It stays until soft_ring_pop. */
struct soft_packet *soft_ring_peek(struct soft_peer *p);
void soft_ring_pop(struct soft_peer *p, const struct soft_packet *packet);
/*
 * Gives up all packets that we have sent and the peer has not yet seen. The other: true if the next packet from the
 * peer has been given up.
 */
void soft_ring_void(struct soft_peer *p);
bool soft_ring_is_void(const struct soft_peer *p);

/* Removes the remains of killed processes from the common directory. */
void soft_dir_sweep(void);
void soft_tree_remove(const char *path);
/* Creates a file and locks it until the process ends. Returns a descriptor, or -1 and errno. */
int soft_lock_file(const char *path);

/* ---- clocks.c: this process's clock, in ns of virtual time; stands at 0 if virtual time is off ---- */

/* From then on, the clock advances with the others. */
void soft_clock_join(void);
/* Called in a child process, which does not use the parent's clock. */
void soft_clock_forked(void);
int64_t soft_time_now(void);
void soft_time_reach(int64_t stamp);
/* The process is active; if it was away, its clock is first set to those of the others. Any thread. */
void soft_clock_here(void);
/* True while it waits for another process that is behind. Any thread. */
bool soft_clock_held(void);
/* A poll has found no completion, which takes a little time. Any thread. */
void soft_time_looks(void);
/* The program calls the device, so it does not read its memory only. Any thread. */
void soft_time_called(void);

/*
 * Called by the ticker. A program that works without calling the device may read its memory instead, for a write that
 * arrives at `early` (INT64_MAX: none is in flight): its time then advances.
 */
void soft_time_tick(int64_t early);

/* ---- time.c: virtual time taken by traffic; all stamps are 0 if virtual time is off ---- */

/* The process gets or does something. */
void soft_time_acts(void);
/* The time at which the NIC takes a request posted at `posted`. */
int64_t soft_time_start(struct soft_context *c, int64_t posted);
/* The stamp of a packet with `bytes` of payload, of a request that started at `start`. */
int64_t soft_time_leave(struct soft_context *c, int64_t start, uint64_t bytes);
/* The time at which an arrived packet is in place. */
int64_t soft_time_arrive(struct soft_context *c, const struct soft_packet *packet);
void soft_time_free(struct soft_context *c);
/* The real CLOCK_MONOTONIC. */
int64_t soft_time_real_ns(void);

/* ---- memory.c ---- */

struct soft_pd {
	struct ibv_pd ibv;
};

struct soft_mr {
	struct ibv_mr ibv;
	uint64_t iova;
	char *base; /* our own mapping for a dma-buf, otherwise the application's memory */
	unsigned access;
	void *mapping; /* NULL: not a dma-buf */
	size_t mapping_bytes;
};

struct soft_ah {
	struct ibv_ah ibv;
	union ibv_gid gid;
	uint16_t number;
};

struct soft_ah_slot {
	union ibv_gid gid;
	unsigned users;
};

/*
 * The memory behind [addr, addr + len) of the region with that key, which must allow `access` (0: reads by the device
 * itself) and belong to pd (NULL: any). NULL if there is none, with the reason in *out_why.
 */
char *soft_mr_resolve(struct soft_context *c, const struct ibv_pd *pd, uint32_t key, uint64_t addr, uint64_t len,
		      unsigned access, const char **out_why);
/* The number of the address handle for a GID, or SOFT_NO_AH. */
uint16_t soft_ah_number(struct soft_context *c, const union ibv_gid *gid);

/* ---- cq.c ---- */

struct soft_completion {
	struct soft_qp *qp;
	uint64_t wr_id;
	enum ibv_wc_opcode opcode;
	enum soft_status status;
	uint32_t qpn, src_qpn, bytes, imm;
	bool has_imm, unsolicited;
	uint16_t ah;
	union ibv_gid gid;
	int64_t stamp; /* in virtual time; 0: none */
};

struct soft_cq {
	struct ibv_cq_ex ibv;
	struct soft_efadv_cq efadv;
	struct soft_context *context;
	struct soft_completion *ring;
	uint32_t size, head, count; /* size: a power of two */
	bool overrun, armed;
	struct soft_completion now; /* the completion shown by a poll */
};

/* Queues a completion; if the queue is full, the completion is lost and that is logged. cq NULL: no effect. */
void soft_cq_add(struct soft_cq *cq, const struct soft_completion *done);
/* Drops the completions of a destroyed queue pair. */
void soft_cq_purge(struct soft_cq *cq, const struct soft_qp *qp);
/* Called through the context's table (create_cq_ex); takes the lock. */
struct ibv_cq_ex *soft_cq_create(struct ibv_context *context, struct ibv_cq_init_attr_ex *attr);
int soft_cq_poll(struct ibv_cq *cq, int count, struct ibv_wc *wc);
int soft_cq_arm(struct ibv_cq *cq, int solicited_only);

/* ---- srd_tx.c: outgoing traffic; srd_rx.c: incoming traffic ---- */

enum soft_op_kind { OP_SEND, OP_WRITE, OP_READ, OP_READ_REPLY };

/* A message in flight, or our answer to a read by a peer. */
struct soft_op {
	TAILQ_ENTRY(soft_op) link; /* in one of the context's lists */
	TAILQ_HEAD(soft_ops, soft_op) * list;
	uint64_t id;
	enum soft_op_kind kind;
	struct soft_qp *qp; /* NULL: a reply */
	struct soft_peer *peer;
	uint64_t wr_id;
	uint32_t dst_qpn, qkey, src_qpn;
	union ibv_gid gid;
	bool is_inline, has_imm, quiet; /* quiet: no completion unless it fails */
	uint32_t imm;
	struct ibv_sge sge[SOFT_SEND_SGES];
	int sges;
	char data[SOFT_INLINE];
	uint64_t len, remote_addr;
	uint32_t rkey;
	unsigned tries;		  /* number of retries after "receiver not ready" */
	int64_t due_us;		  /* earliest time to send, while it rests */
	int64_t start_ns, end_ns; /* in virtual time; the end: as far as it is known */
	uint64_t got;		  /* bytes received by a read */
	uint64_t remote_id;	  /* of a reply: the reader's id */
	/* Its packets: those in `window` are counted in `next` but not yet sent. */
	uint32_t packets, next, windowed;
	uint32_t window[SOFT_WINDOW];
};

/* Zeroed except its id; NULL without memory. */
struct soft_op *soft_op_new(struct soft_context *c);
/* The operation with that id, or NULL once it is over. */
struct soft_op *soft_op_find(struct soft_context *c, uint64_t id);
/* Checks and starts it; errors become completions. op->gid and dst_qpn are the destination. */
void soft_op_start(struct soft_context *c, struct soft_op *op);
/* Ends it with a completion, unless it is a reply. Frees it. */
void soft_op_finish(struct soft_context *c, struct soft_op *op, enum soft_status status);
/* Waits, then sends all of it again. */
void soft_op_again(struct soft_context *c, struct soft_op *op, int64_t after_us);
/* Ends or drops the operations of a queue pair. */
void soft_ops_flush(struct soft_context *c, struct soft_qp *qp, bool complete);
void soft_tx_run(struct soft_context *c);
/* Checks now and then for peers that have gone. */
void soft_tx_watch(struct soft_context *c);

void soft_rx_run(struct soft_context *c);
/* In virtual time: arrival of the first write that the program may detect by reading its memory; INT64_MAX: none. */
int64_t soft_rx_early(struct soft_context *c);
void soft_partials_free(struct soft_peer *p);

/* Moves all packets that can move. */
void soft_progress(struct soft_context *c);

/* ---- qp.c ---- */

struct soft_recv {
	uint64_t wr_id;
	int sges;
	struct ibv_sge sge[SOFT_RECV_SGES];
};

struct soft_qp {
	struct ibv_qp_ex ibv;
	struct soft_efadv_qp efadv;
	struct soft_context *context;
	struct soft_qp *next; /* next queue pair of the context */
	bool datagram, unsolicited;
	enum ibv_qp_state state;
	uint32_t qkey, rnr_retry;
	uint32_t send_depth, flying;
	bool sig_all;
	struct soft_recv *recvs;
	uint32_t recv_size, recv_head, recv_count;
	/* between wr_start and wr_complete */
	struct soft_op *batch[64];
	unsigned batched;
	int batch_error;
};

struct soft_qp *soft_qp_find(struct soft_context *c, uint32_t qpn);
struct ibv_qp *soft_qp_create(struct ibv_context *context, struct ibv_qp_init_attr_ex *attr);
int soft_qp_post_send(struct ibv_qp *qp, struct ibv_send_wr *wr, struct ibv_send_wr **bad);
int soft_qp_post_recv(struct ibv_qp *qp, struct ibv_recv_wr *wr, struct ibv_recv_wr **bad);
/* wr.c: the calls between wr_start and wr_complete */
void soft_qp_fill_wr(struct ibv_qp_ex *qp);
/* Drops the requests of the batch except the first `keep`. */
void soft_qp_drop(struct soft_qp *qp, unsigned keep);

/* ---- sysfs.c ---- */

/* Creates the tree for all NICs, once, and puts its path into SYSFS_PATH. Returns 0 or a negative errno, logged. */
int soft_sysfs_make(void);
/* Writes the counters of all contexts to their files. Takes no context's lock. */
void soft_sysfs_update(void);
/* Keeps the counts of a closed context in its device's files. */
void soft_sysfs_keep(const struct soft_context *c);
const char *soft_sysfs_path(void);
/* A device's name, derived from its PCI address as by the kernel. */
void soft_nic_name(const struct soft_nic *nic, char *out, size_t bytes);

/* ---- device.c ---- */

struct soft_device {
	struct ibv_device ibv;
	int index;
	const struct soft_nic *nic;
	union ibv_gid gid;
};

struct soft_context {
	struct soft_context *next; /* next context of the process */
	struct soft_device *device;
	pthread_mutex_t lock;
	bool inherited;	  /* inherited by a fork: an unused copy of the parent's */
	bool closed;	  /* closed with queues still in use: no more progress */
	atomic_bool dead; /* set by soft_port_die */
	struct soft_port port;
	struct soft_peer *peers;
	struct soft_route *routes;
	struct soft_qp *qps;
	int qp_count, cq_count;
	struct soft_mr **mrs;
	uint32_t mr_room, mr_next;
	struct soft_ah_slot ahs[SOFT_AHS];
	struct soft_op **ops; /* indexed by the low bits of their id */
	uint32_t op_room, op_free;
	uint64_t op_serial;
	struct soft_ops sending, resting, waiting;
	int64_t watched_us;
	uint64_t posted;
	int64_t request_ns, tx_ns;	/* in virtual time: end of the busy period */
	struct soft_calendar *calendar; /* reception times, in virtual time; NULL before the first */
	atomic_uint_fast64_t counts[SOFT_COUNTERS];
	struct verbs_context verbs;
};

static inline struct soft_context *soft_context_of(struct ibv_context *context)
{
	return soft_owner(context, struct soft_context, verbs.context);
}

static inline void soft_count(struct soft_context *c, enum soft_counter what, uint64_t n)
{
	atomic_fetch_add_explicit(&c->counts[what], n, memory_order_relaxed);
}

/* For sysfs.c: calls f for each opened device of this process, under the list's lock. */
void soft_contexts_each(void (*f)(struct soft_context *c));

#endif

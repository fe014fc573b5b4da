/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A randomised mixed load on a plugin, driven as NCCL's proxy drives it. Several processes; in each several
 * communicators, and in each communicator a service thread (listen, connect, accept, register, close) and a progress
 * thread (isend, irecv, test). A run is a sequence of rounds. In each round every communicator connects each of its
 * processes with each other one over several lanes both ways, moves messages, and closes all comms again.
 *
 * Both ends of a connection derive the messages from the seed (plan.c), so the receiver verifies every byte, every
 * size and the bytes behind. The order of calls within a process has its own seeded sequence; the scheduling of threads
 * remains the machine's.
 *
 *   plan.c      the content of a round, derived from the seed
 *   arena.c     the memory of one comm
 *   shared.c    memory shared by all processes: handles, barriers, counts, the first failure
 *   comm.c      one end of a connection: starts and tests operations, verifies
 *   visit.c     an additional connection during traffic
 *   world.c     a communicator: its two threads
 *   main.c      the command line, the processes, the verdict
 */
#ifndef WEFT_TESTS_STRESS_H
#define WEFT_TESTS_STRESS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "guarded.h"
#include "weft/nccl_net_v12.h"

enum { PROCS_MAX = 4, WORLDS_MAX = 4, LANES_MAX = 8, GROUP_MAX = 8, WINDOW = 16 };
enum { COMMS_MAX = 2 * (PROCS_MAX - 1) * LANES_MAX, GUARD = 64, MEG = 1 << 20 };

/* The command line. */
struct settings {
	const char *plugin;
	int64_t seed, procs, worlds, lanes, seconds, rounds, largest, abrupt_percent, group_percent, ports, stall_s;
};

extern struct settings settings;
extern const struct weft_nccl_net_v12 *net;
extern int me; /* number of this process */

/* ---- plan.c ---- */

uint64_t mix(uint64_t a, uint64_t b);

/* The next number of a sequence, below n; 0 if n is 0. */
uint64_t below(uint64_t *sequence, uint64_t n);

enum style { PLAIN, GROUPS, TAGS };

/* One connection in one round: equal at both ends. */
struct plan {
	uint64_t key;
	int ops; /* a sender's sends to one grouped receive count as one */
	enum style style;
	int style_from;		  /* the first operation in that style; those before are plain */
	bool abrupt;		  /* closed at both ends without regard to the other, with operations outstanding */
	int send_stop, recv_stop; /* each end of an abrupt connection starts that many operations */
};

struct op_plan {
	int n;					  /* messages */
	size_t bytes[GROUP_MAX], room[GROUP_MAX]; /* of a message; of its receive */
	int tags[GROUP_MAX];
};

void plan_connection(struct plan *p, uint64_t key);
void plan_op(const struct plan *p, int op, struct op_plan *out);
uint64_t plan_content(const struct plan *p, int op, int place);

void content_fill(unsigned char *data, size_t bytes, uint64_t key);

/* Offset of the first wrong byte, or `bytes`. */
size_t content_verify(const unsigned char *data, size_t bytes, uint64_t key);

/* ---- arena.c: space is taken and given back in the same order ---- */

struct arena {
	struct guarded memory;
	uint64_t from, to; /* positions of the space in use; they only grow while there is any */
};

/* Largest space that an operation can take. */
size_t arena_op_bytes(void);
void arena_open(struct arena *a);

/* False: no space now. *out_end is the position for arena_give. */
bool arena_take(struct arena *a, size_t bytes, unsigned char **out, uint64_t *out_end);
void arena_give(struct arena *a, uint64_t end);
uint64_t arena_hash(const struct arena *a);

/* ---- shared.c ---- */

struct mailbox {
	_Atomic int64_t turn; /* the handle is of that turn */
	unsigned char handle[WEFT_NCCL_HANDLE_BYTES] __attribute__((aligned(8)));
};

struct shared {
	atomic_bool failed;		   /* a process has failed: all end */
	atomic_bool stalled;		   /* nothing has moved for a long time: all report where they are and end */
	atomic_int last_round[WORLDS_MAX]; /* 0: not decided yet */
	atomic_int arrived[WORLDS_MAX], generation[WORLDS_MAX]; /* barriers */
	atomic_long rounds, comms, messages, groups, bytes, abrupt, abrupt_errors, visits;
	struct mailbox mail[WORLDS_MAX][PROCS_MAX][PROCS_MAX]
			   [LANES_MAX + 1]; /* listener, connector; last lane: visits */
};

extern struct shared *shared;

void shared_open(void);

/* Prints one line and ends this process as failed. */
void fail(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

/* Ends this process quietly once another one has failed; otherwise lets other threads run. */
void relax(void);

/* Waits for the same world in all processes. */
void barrier(int world);

/* ---- comm.c ---- */

struct op {
	struct op_plan plan;
	unsigned char *at[GROUP_MAX];
	void *requests[GROUP_MAX]; /* a receive has one */
	unsigned sent;		   /* bits of the places sent so far */
	uint64_t end;		   /* in the arena */
	bool started, over;
};

struct world;

struct comm {
	struct world *world;
	int peer, lane;
	bool sends;
	struct plan plan;
	uint64_t sequence; /* of this end's own choices */
	void *listen, *comm, *mhandle;
	unsigned char handle[WEFT_NCCL_HANDLE_BYTES] __attribute__((aligned(8)));
	bool have_handle;
	struct arena arena;
	uint64_t left_behind; /* hash of the memory after close */
	struct op ops[WINDOW];
	int begun, done;
	bool broken; /* an abrupt comm met an error */
	double moved_at;
};

/* Moves the comm on by at most one start and one test. */
void comm_step(struct comm *c);
bool comm_over(const struct comm *c);

/* Has an abrupt comm, which may wait for a peer that does nothing any more, stood still for a while? */
bool comm_abandoned(const struct comm *c);

/* One poll of connect or accept, then the registration. True once it is there. */
bool comm_connect(struct comm *c, int64_t turn);
void comm_close(struct comm *c);
void comm_report(const struct comm *c);

/* ---- visit.c ---- */

/* Connects to the next process and from the previous one, moves some messages and closes. */
void visit(struct world *w, int number);

/* ---- world.c ---- */

struct world {
	int number;
	void *context;	   /* the plugin's, of this communicator */
	uint64_t key;	   /* of the round */
	uint64_t sequence; /* of the service thread's choices */
	int round;
	struct comm comms[COMMS_MAX];
	int count;
	atomic_bool ended;
};

/* The service thread; its argument is a world. */
void *world_run(void *world);

void check_call(weft_nccl_result r, const char *call);

#endif

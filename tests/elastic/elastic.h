/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An elastic job on a plugin: in each round a rank of a ring is killed in the middle of its transfers; the others get an
 * error, close everything, and form a smaller ring in the same processes; then a new process takes the dead one's place.
 * What the oldest processes use (memory, descriptors, threads, registrations) must not grow with the rounds.
 *
 * The parent loads no plugin. It starts the processes, gives each ring its order, passes handles on, and judges.
 *
 *   main.c     the command line, the rounds, the verdict
 *   group.c    the parent's side: processes, and what is said to and heard from them
 *   worker.c   a process: one thread for commands, and one for each ring in turn, as with NCCL's communicators
 *   ring.c     the ring of a process: connect, move and verify, close
 *   usage.c    what a process uses, and whether it has grown
 *   heap.c     what the plugin itself has allocated
 */
#ifndef WEFT_TESTS_ELASTIC_H
#define WEFT_TESTS_ELASTIC_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "weft/nccl_net_v12.h"

/* Lanes are connections to the next member of a ring; each has DEPTH messages in flight. */
enum { PROCS_MAX = 8, LANES = 2, DEPTH = 4, SLOT_BYTES = 1 << 20 };

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1 /* the sanitizer has a malloc of its own, which keeps freed memory */
#else
#define SANITIZED 0
#endif

/* ---- heap.c ---- */

/* Counts from now on what code between these addresses allocates. Before any thread is started. */
void heap_watch(const void *begin, const void *end);

/* Bytes that it has not freed. */
long heap_held(void);

/* ---- usage.c ---- */

enum usage_kind { USED_FDS, USED_THREADS, USED_REGISTRATIONS, USED_MAPPINGS, USED_HEAP, USED_RESIDENT, USAGE_KINDS };

struct usage {
	long of[USAGE_KINDS];
};

/* Before the first ring: the plugin's table of functions shows which code is the plugin's. */
void usage_prepare(const void *table);
void usage_measure(struct usage *out);

/*
 * Has the usage grown with the rounds? Compares the least of the last third with the most of the first third, both behind
 * the warm-up. Prints a line for each kind; `who` names the process. False if a kind has grown.
 */
bool usage_steady(const struct usage *rounds, int n, const char *who);

/* ---- what parent and processes say to each other ---- */

enum say {
	/* from the parent */
	SAY_RING,    /* begin a ring: listen */
	SAY_HANDLES, /* connect to the next member by these */
	SAY_CLOSE,   /* close everything of the ring */
	SAY_DIE,     /* between two calls of the plugin */
	SAY_MEASURE,
	SAY_END,
	/* from a process */
	SAY_LISTENING, /* with handles for the previous member */
	SAY_MOVING,    /* some messages of each lane have come and gone */
	SAY_DONE,      /* all messages of the ring are there and right */
	SAY_ERROR,     /* a call has failed as calls may: with its text and the plugin's warning */
	SAY_CLOSED,
	SAY_MEASURED,
	SAY_BROKEN, /* a call has done what it may not do */
};

/* One member's part of a ring. */
struct ring_plan {
	int number; /* of the ring, in the whole run */
	int position, members;
	uint64_t key;  /* of the content; equal for all members */
	int64_t count; /* messages of each lane; 0: no end */
};

struct message {
	enum say say;
	int ring; /* its number */
	struct ring_plan plan;
	unsigned char handles[LANES][WEFT_NCCL_HANDLE_BYTES] __attribute__((aligned(8)));
	struct usage usage;
	char text[1000];
};

/* ---- ring.c ---- */

struct ring {
	struct ring_plan plan;
	unsigned char handles[LANES][WEFT_NCCL_HANDLE_BYTES] __attribute__((aligned(8)));
	atomic_bool have_handles, stop, die;
};

/* The thread of a ring; its argument is the ring. It says how it goes, and after `stop` closes everything. */
void *ring_run(void *ring);

/* ---- worker.c ---- */

/* The plugin's table. */
extern const struct weft_nccl_net_v12 *net;

/* Runs the process's end of the socket until it is told to end. */
void worker_run(int socket, const char *plugin) __attribute__((noreturn));

/* Says something about a ring to the parent. */
void worker_say(enum say say, int ring, const char *text);
void worker_say_handles(int ring, unsigned char (*handles)[WEFT_NCCL_HANDLE_BYTES]);

/* Says SAY_BROKEN and ends the process. */
void worker_broken(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

/* The plugin's last warning, or "". */
void worker_last_warning(char *out, size_t bytes);
void worker_logger(weft_nccl_log_level level, unsigned long flags, const char *file, int line, const char *format, ...)
	__attribute__((format(printf, 5, 6)));

/* ---- group.c ---- */

struct member {
	pid_t pid;
	int socket;
	bool moving, done, closed;
	char error[1000]; /* of the ring in progress; "" if there is none */
	struct message heard;
};

/* The processes, by their place; a place outlives its process. */
struct group {
	struct member members[PROCS_MAX + 1]; /* the last is the next process, which has no place yet */
	int n;
	int rings;
	uint64_t key;
	const char *plugin;
	int limit_s;
	bool between_calls; /* where a process is killed */
};

/* All of these end the program, after a line that says why, if a process does what it must not, or nothing in time. */
void group_start(struct group *g, int place);

/* Kills the process of a place; the next one, which group_start has started at PROCS_MAX, takes the place. */
void group_kill(struct group *g, int place);
void group_replace(struct group *g, int place);
void group_end(struct group *g);
void group_fail(struct group *g, const char *format, ...) __attribute__((format(printf, 2, 3), noreturn));

/* Begins a ring of these places, in this order, and connects it. */
void group_ring(struct group *g, const int *order, int n, int64_t count);

/* Waits until `what` holds for these places. */
void group_await(struct group *g, const int *places, int n, bool (*what)(const struct member *m), const char *text);
void group_close(struct group *g, const int *places, int n);
void group_measure(struct group *g, int place, struct usage *out);

bool member_moves(const struct member *m);
bool member_done(const struct member *m);
bool member_failed(const struct member *m);

#endif

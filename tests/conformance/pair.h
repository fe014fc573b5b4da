/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The processes of one conformance case.
 *
 * Every case runs in fresh processes, two as a rule (A and B, sometimes C), forked by a parent that
 * never loads a plugin. They are connected with each other by socket pairs for handles and
 * barriers, and with the parent by a shared page that always tells where each of them is and what
 * went wrong. The parent watches the clock: a case that outlives its limit has hung, and fails.
 *
 * This file knows processes, not plugins: what drives a plugin is in drive.h.
 */
#ifndef WEFT_CONFORMANCE_PAIR_H
#define WEFT_CONFORMANCE_PAIR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "plugin.h"

#define PAIR_MAX 3 /* processes in one case */

enum { A = 0, B = 1, C = 2 };

enum suite_flag {
	SUITE_WEFT = 1,     /* tests a promise only Weft makes */
	SUITE_UNLOADED = 2, /* the case loads the plugin itself */
	SUITE_LONG = 4,     /* runs only with --soak */
	SUITE_ONCE = 8,     /* the provider underneath makes no difference */
};

struct side;

struct suite_case {
	const char *name; /* "group/what": what --only and --skip match */
	void (*run)(struct side *s);
	int nprocs;      /* 0 means 2 */
	unsigned flags;  /* enum suite_flag */
	const char *env; /* "NAME=value" set in every process of the case, or NULL */
};

/* Where the cases' buffers are: see gpu.h. */
enum suite_memory { SUITE_HOST, SUITE_CUDA, SUITE_DMABUF, SUITE_CUDA_A, SUITE_CUDA_B };

/* What the command line says. */
struct suite_options {
	const char *plugin_path;
	int abi;       /* of the plugin's interface; 0: its newest */
	uint64_t seed;
	int timeout_s; /* per case */
	int dev;       /* device all cases use unless they use each */
	int soak;      /* 0: quick set; n: long cases too, and n times the messages */
	enum suite_memory memory;
	bool strict;   /* hold every plugin to what only Weft promises */
	bool verbose;  /* show what the processes print even when the case passes */
};

/* One process of a running case, as the case sees it. */
struct side {
	int rank; /* A, B or C */
	int nprocs;
	pid_t pids[PAIR_MAX];
	int fds[PAIR_MAX]; /* to the other processes; own place unused */
	const struct suite_options *opt;
	int dev;
	uint64_t seed; /* the same in all processes of the case */
	struct bench_plugin plugin;
	const struct weft_nccl_net_v8 *net;
	bool is_weft; /* or held to the same promises */
};

/* How a case ended. */
enum pair_outcome { PAIR_PASSED, PAIR_FAILED, PAIR_SKIPPED };

struct pair_run;

/*
 * Starts the processes of a case. NULL when that is not possible (message on stderr).
 * The result belongs to the caller, who polls it until it is over and then frees it.
 */
struct pair_run *pair_start(const struct suite_case *c, const struct suite_options *opt);

/* True once every process of the case is gone. Kills those that hang. Never blocks for long. */
bool pair_over(struct pair_run *r);

/* The outcome of a case that is over. out_why is the reason of a skip; it lives as long as r. */
enum pair_outcome pair_outcome(const struct pair_run *r, const char **out_why);

/* Prints as TAP diagnostics ("# ...") how each process of a case that is over ended, and its
 * output. */
void pair_explain(const struct pair_run *r);

void pair_free(struct pair_run *r);

/* ---- Inside the processes of a case. All of these end the process when something is wrong. ----
 */

/* Says where this process is; shown when the case fails or hangs. */
void side_step(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Ends the process, and so the case, as failed unless ok. Any thread. */
void check(bool ok, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/*
 * Opens the plugin (bench_plugin_open) and fills in what depends on it. Done before the case runs
 * unless it has SUITE_UNLOADED.
 */
void side_load(struct side *s);

/* Ends the process and skips the case. Every process of the case must come to the same decision. */
void side_skip(const char *fmt, ...) __attribute__((format(printf, 1, 2), noreturn));

/* Called with the process hung, from a signal handler: prints to stderr what it waits for. */
void side_on_hang(void (*show)(void));

/* Sends and receives exactly len_bytes (at most 32 KiB) to or from another process. Receive blocks.
 */
void side_send(struct side *s, int to, const void *data, size_t len_bytes);
void side_recv(struct side *s, int from, void *data, size_t len_bytes);

/* True when something can be received from that process. Never blocks. */
bool side_pending(struct side *s, int from);

/*
 * Waits in the kernel, without any call into the plugin, until the other process is here too: what
 * is done must not need more progress from this side.
 */
void side_barrier(struct side *s, int with);

/* Kills another process with SIGKILL; its end is then no failure of the case. Returns once it is
 * dead. */
void side_kill(struct side *s, int victim);

/* Blocks for ever: what a process does that is to be killed. */
void side_await_death(void) __attribute__((noreturn));

/* After the plugin is loaded: skips the case unless the plugin is held to Weft's promises. */
void side_weft_only(struct side *s);

/* The other process of a case with two. */
static inline int side_peer(const struct side *s)
{
	return 1 - s->rank;
}

uint64_t now_ms(void);
void sleep_ms(unsigned ms);

/* The next number of a sequence that depends on nothing but its start. */
uint64_t rng_next(uint64_t *state);

/* A number in [0, n). */
static inline uint64_t rng_below(uint64_t *state, uint64_t n)
{
	return rng_next(state) % n;
}

#endif

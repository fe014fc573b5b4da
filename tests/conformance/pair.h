/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The processes of one conformance case.
 *
 * Every case runs in fresh processes, usually two (A and B, sometimes C), forked by a parent that never loads a plugin.
 * Socket pairs connect them with each other for handles and barriers; a page shared with the parent holds the current
 * step and the failure of each. The parent watches the clock: a case that exceeds its limit has hung, and fails.
 *
 * This file is about processes; drive.h is about plugins.
 */
#ifndef WEFT_CONFORMANCE_PAIR_H
#define WEFT_CONFORMANCE_PAIR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "plugin.h"

#define PAIR_MAX 3 /* largest number of processes in a case */

enum { A = 0, B = 1, C = 2 };

enum suite_flag {
	SUITE_WEFT = 1,	    /* tests a promise made only by Weft */
	SUITE_UNLOADED = 2, /* the case loads the plugin itself */
	SUITE_LONG = 4,	    /* runs only with --soak */
	SUITE_ONCE = 8,	    /* independent of the provider underneath */
};

struct side;

struct suite_case {
	const char *name; /* "group/what": matched by --only and --skip */
	void (*run)(struct side *s);
	int nprocs;	 /* 0 means 2 */
	unsigned flags;	 /* enum suite_flag */
	const char *env; /* "NAME=value" set in every process of the case, or NULL */
};

/* Location of the cases' buffers: see gpu.h. */
enum suite_memory { SUITE_HOST, SUITE_CUDA, SUITE_DMABUF, SUITE_CUDA_A, SUITE_CUDA_B };

/* Options of the command line. */
struct suite_options {
	const char *plugin_path;
	int abi; /* version of the plugin's interface; 0: its newest */
	uint64_t seed;
	int timeout_s; /* limit per case */
	int dev;       /* device for all cases except those that use each device */
	int soak;      /* 0: quick set; n: long cases too, and n times the messages */
	enum suite_memory memory;
	bool strict;  /* holds every plugin to Weft's promises */
	bool verbose; /* shows the processes' output even when the case passes */
};

/* One process of a running case, as seen by the case. */
struct side {
	int rank; /* A, B or C */
	int nprocs;
	pid_t pids[PAIR_MAX];
	int fds[PAIR_MAX]; /* sockets to the other processes; own entry unused */
	const struct suite_options *opt;
	int dev;
	uint64_t seed; /* the same in all processes of the case */
	struct bench_plugin plugin;
	const struct weft_nccl_net_v8 *net;
	bool is_weft; /* the plugin is Weft, or held to the same promises */
};

/* The outcome of a case. */
enum pair_outcome { PAIR_PASSED, PAIR_FAILED, PAIR_SKIPPED };

struct pair_run;

/*
 * Starts the processes of a case. NULL on failure (message on stderr). The caller owns the result, polls it until it is
 * over and then frees it.
 */
struct pair_run *pair_start(const struct suite_case *c, const struct suite_options *opt);

/* True once every process of the case has ended. Kills hung ones. Never blocks for long. */
bool pair_over(struct pair_run *r);

/* The outcome of a finished case. out_why is the reason of a skip; it lives as long as r. */
enum pair_outcome pair_outcome(const struct pair_run *r, const char **out_why);

/* Prints as TAP diagnostics ("# ...") the end and the output of each process of a finished case. */
void pair_explain(const struct pair_run *r);

void pair_free(struct pair_run *r);

/* ---- Inside the processes of a case. On any error, all of these end the process. ---- */

/* Sets the current step of this process, shown if the case fails or hangs. */
void side_step(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Unless ok, ends the process and fails the case. Any thread. */
void check(bool ok, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/*
 * Opens the plugin (bench_plugin_open) and sets the fields that depend on it. Called before the case runs unless it has
 * SUITE_UNLOADED.
 */
void side_load(struct side *s);

/* Ends the process and skips the case. Every process of the case must make the same decision. */
void side_skip(const char *fmt, ...) __attribute__((format(printf, 1, 2), noreturn));

/*
 * Sets the function that prints the process's pending work to stderr; a signal handler calls it if the process hangs.
 */
void side_on_hang(void (*show)(void));

/* Sends or receives exactly len_bytes (at most 32 KiB) to or from another process. Receive blocks. */
void side_send(struct side *s, int to, const void *data, size_t len_bytes);
void side_recv(struct side *s, int from, void *data, size_t len_bytes);

/* True if data from that process is available. Never blocks. */
bool side_pending(struct side *s, int from);

/*
 * Waits in the kernel, without any call into the plugin, until the other process is here too: completed operations must
 * not need more progress from this side.
 */
void side_barrier(struct side *s, int with);

/* Kills another process with SIGKILL; its end does not fail the case. Returns once it is dead. */
void side_kill(struct side *s, int victim);

/* Blocks forever: for a process that is to be killed. */
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

/* The next number of a sequence that is determined by its start. */
uint64_t rng_next(uint64_t *state);

/* A number in [0, n). */
static inline uint64_t rng_below(uint64_t *state, uint64_t n)
{
	return rng_next(state) % n;
}

#endif

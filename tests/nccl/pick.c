/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Choice of a net interface version by each release of NCCL, re-implemented: NCCL asks the plugin's library for the
 * newest symbol that it knows, then for older ones, and takes the first one found (src/plugin/net.cc;
 * src/misc/nccl_net.cc or src/net.cc in older releases). The chosen table is then started and used as by that release's
 * core. loader.t does the same with the available releases of real NCCL.
 *
 *	pick PLUGIN NEWEST     NEWEST: the newest version that PLUGIN must have
 */
#include <dlfcn.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "exchange.h"
#include "table.h"

/* The versions known to each release. The last row is a future release. */
static const struct {
	const char *name;
	int oldest, newest;
} releases[] = {
	{"2.20.3 to 2.23.4", 5, 8},  {"2.24.3 to 2.25.1", 5, 9},  {"2.26.2 to 2.27.7", 6, 10},
	{"2.28.3 to 2.29.7", 6, 11}, {"2.30.3 and later", 6, 12}, {"to come", 8, 14},
};

typedef void (*logger_fn)(int level, unsigned long flags, const char *file, int line, const char *fmt, ...);
typedef int (*init_v8)(logger_fn);
typedef int (*init_v10)(logger_fn, void *profiler);
typedef int (*init_v11)(void **ctx, uint64_t comm_id, void *config, logger_fn, void *profiler);
typedef int (*finalize_v11)(void *ctx);

enum { INIT = 1, IRECV_CONSUMED = 18, FINALIZE = 20 }; /* indexes into a table of 8-byte entries */

static const int may_be_null[] = {8 /* regMrDmaBuf */, 17 /* getDeviceMr */, IRECV_CONSUMED, 19 /* makeVDevice */,
				  21 /* setNetAttr */};

static int tests, failed;

__attribute__((format(printf, 5, 6))) static void on_warn(int level, unsigned long flags, const char *file, int line,
							  const char *fmt, ...)
{
	va_list ap;

	(void)flags;
	if (level != 2)
		return;
	printf("# %s:%d: ", file, line);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	printf("\n");
}

static void report(int good, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void report(int good, const char *fmt, ...)
{
	va_list ap;

	failed += !good;
	printf("%sok %d - ", good ? "" : "not ", ++tests);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	printf("\n");
}

static void *symbol(void *dl, const char *what, int version)
{
	char name[40];

	snprintf(name, sizeof(name), "%s_v%d", what, version);
	return dlsym(dl, name);
}

/* Returns the version, 0 if there is none. */
static int pick(void *dl, int oldest, int newest, const void **out_table)
{
	int v;

	for (v = newest; v >= oldest; v--)
		if ((*out_table = symbol(dl, "ncclNetPlugin", v)))
			return v;
	return 0;
}

/* The first missing entry that NCCL would call unconditionally, or -1. */
static int hole(const struct net_table *t)
{
	int n = t->version == 8 ? 19 : t->version <= 10 ? 20 : 22;
	size_t i;
	int e;

	for (e = 0; e < n; e++) {
		for (i = 0; i < sizeof(may_be_null) / sizeof(may_be_null[0]) && may_be_null[i] != e; i++)
			;
		if (i == sizeof(may_be_null) / sizeof(may_be_null[0]) && !((void *const *)t->entries)[e])
			return e;
	}
	return -1;
}

static int start(const struct net_table *t, void **out_ctx)
{
	int config = -1; /* the traffic class, the only member */
	void *entry = ((void *const *)t->entries)[INIT];

	*out_ctx = NULL;
	if (t->version <= 9)
		return ((init_v8)entry)(on_warn);
	if (t->version == 10)
		return ((init_v10)entry)(on_warn, NULL);
	return ((init_v11)entry)(out_ctx, 0x1234, &config, on_warn, NULL);
}

/* Two communicators in sequence: each is started, used, ended. */
static int use(const struct net_table *t)
{
	int messages = 0, round;
	void *ctx;

	for (round = 1; round <= 2; round++) {
		if (start(t, &ctx) || exchange_run(t, t->version, (unsigned int)round, &messages) || !messages)
			return -1;
		if (t->version >= 11 && ((finalize_v11)((void *const *)t->entries)[FINALIZE])(ctx))
			return -1;
	}
	return 0;
}

static void try_release(void *dl, size_t i, int best, unsigned *used)
{
	int expected = releases[i].newest < best ? releases[i].newest : best;
	const void *entries = NULL;
	struct net_table t = {.version = pick(dl, releases[i].oldest, releases[i].newest, &entries)};
	int missing;

	t.entries = entries;
	report(t.version == expected, "NCCL %s, which knows v%d to v%d, picks v%d", releases[i].name,
	       releases[i].oldest, releases[i].newest, t.version);
	if (!t.version || *used & 1u << t.version)
		return;
	*used |= 1u << t.version;
	missing = hole(&t);
	if (missing >= 0)
		printf("# entry %d of v%d is NULL\n", missing, t.version);
	report(missing < 0, "v%d has every entry that is called unasked", t.version);
	report(missing < 0 && !use(&t), "v%d carries messages of two communicators", t.version);
}

int main(int argc, char **argv)
{
	void *dl = argc == 3 ? dlopen(argv[1], RTLD_NOW | RTLD_LOCAL) : NULL;
	unsigned used = 0;
	size_t i;
	int v;

	if (!dl) {
		fprintf(stderr, "%s\n", argc == 3 ? dlerror() : "usage: pick PLUGIN NEWEST");
		return 2;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	for (i = 0; i < sizeof(releases) / sizeof(releases[0]); i++)
		try_release(dl, i, atoi(argv[2]), &used);
	for (v = 5; v <= 14 && !symbol(dl, "ncclCollNetPlugin", v); v++)
		;
	report(v > 14, "no collectives in the network are offered");
	printf("1..%d\n", tests);
	return failed != 0;
}

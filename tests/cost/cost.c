/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a message costs beyond libfabric: in steady state the plugin's own code allocates nothing, logs nothing
 * and makes no system call. All functions that it calls in other libraries are counted by name, and only a
 * few that do none of that are allowed. Prints TAP.
 */
#include <dlfcn.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "imports.h"
#include "weft/nccl_net_v8.h"

#define PLUGIN "src/.libs/libnccl-net-weft.so"
#define COSTLY "tests/bench/.libs/faulty_plugin.so" /* passes all on, and allocates, logs, calls the kernel */
#define DEPTH  4
#define MOST   (1 << 20)
#define ROUNDS 1500

enum { RIGHT, WRONG, CANNOT, SKIPPED = 77 }; /* a child's exit status */

/* No allocation, no system call (the locks are not contended, the clock is the kernel's page), no log. */
/* clang-format off */
static const char *const harmless[] = {
	"memcpy", "memset", "memmove", "memcmp", "strlen", "clock_gettime",
	"pthread_mutex_lock", "pthread_mutex_unlock", "pthread_rwlock_rdlock", "pthread_rwlock_unlock",
};
/* clang-format on */

static long now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static const struct weft_nccl_net_v8 *net;
static struct import *imports;
static int import_count;
static unsigned long log_lines;

__attribute__((format(printf, 5, 6))) static void logger(weft_nccl_log_level level, unsigned long flags,
							 const char *file, int line, const char *fmt, ...)
{
	(void)level;
	(void)flags;
	(void)file;
	(void)line;
	(void)fmt;
	log_lines++;
}

/* Both ends, in one process and on one thread. */
static void *sender, *receiver, *send_mh, *recv_mh;
static unsigned char *from, *to;

static bool open_pair(void)
{
	unsigned char handle[WEFT_NCCL_HANDLE_BYTES] __attribute__((aligned(8))) = {0};
	void *listener;

	if (net->listen(0, handle, &listener))
		return false;
	while (!sender || !receiver) {
		if (!sender && net->connect(0, handle, &sender, NULL))
			return false;
		if (!receiver && net->accept(listener, &receiver, NULL))
			return false;
	}
	from = malloc(DEPTH * MOST);
	to = malloc(DEPTH * MOST);
	return from && to && !net->reg_mr(sender, from, DEPTH * MOST, WEFT_NCCL_PTR_HOST, &send_mh) &&
	       !net->reg_mr(receiver, to, DEPTH * MOST, WEFT_NCCL_PTR_HOST, &recv_mh);
}

static bool finish(void *req, int *done)
{
	int size;

	return *done || !net->test(req, done, &size);
}

/* DEPTH messages, their receives posted before them or after. */
static bool window(int bytes, bool receive_first)
{
	void *s[DEPTH] = {NULL}, *r[DEPTH] = {NULL};
	int i, n = 0, room = MOST, tag = 0, sent[DEPTH] = {0}, got[DEPTH] = {0}, turn;

	while (n < 2 * DEPTH) {
		for (turn = 0; turn < 2; turn++)
			for (i = 0; i < DEPTH; i++) {
				void *buf = to + i * MOST;
				bool failed;

				if (turn == receive_first)
					failed = !s[i] && net->isend(sender, from + i * MOST, bytes, 0, send_mh, &s[i]);
				else
					failed = !r[i] && net->irecv(receiver, 1, &buf, &room, &tag, &recv_mh, &r[i]);
				if (failed)
					return false;
				if (!(turn == receive_first ? s[i] : r[i]))
					break; /* the next must not overtake it */
			}
		for (n = i = 0; i < DEPTH; i++) {
			if ((s[i] && !finish(s[i], &sent[i])) || (r[i] && !finish(r[i], &got[i])))
				return false;
			n += sent[i] + got[i];
		}
	}
	return true;
}

static bool is_harmless(const char *name)
{
	size_t i;

	for (i = 0; i < sizeof(harmless) / sizeof(harmless[0]); i++)
		if (!strcmp(name, harmless[i]))
			return true;
	return false;
}

/*
 * A request that waits looks around now and then, at most once in 100 ms a channel: at its peer's lifeline, which is one
 * receive that finds nothing, and once for all channels at the thread's wait for a core and at the links of up to four
 * NICs.
 */
static bool is_a_look(const struct import *import, long took_ms)
{
	/* clang-format off */
	static const struct {
		const char *name;
		unsigned each;
	} looks[] = {
		{"recv", 2}, {"__errno_location", 2}, {"open", 5}, {"read", 5}, {"close", 9}, {"syscall", 1},
		{"socket", 4}, {"ioctl", 4}, {"strrchr", 8}, {"snprintf", 4}, {"__snprintf_chk", 4}, {"strchr", 4},
		{"strcmp", 8},
	};
	/* clang-format on */
	size_t i;

	for (i = 0; i < sizeof(looks) / sizeof(looks[0]); i++)
		if (!strcmp(import->name, looks[i].name))
			return import->calls <= looks[i].each * (1 + (unsigned long)took_ms / 100);
	return false;
}

static void note_harm(char *why, size_t room, long took_ms)
{
	size_t used = 0;
	int i;

	*why = 0;
	for (i = 0; i < import_count && used < room; i++)
		if (imports[i].calls && !is_harmless(imports[i].name) && !is_a_look(&imports[i], took_ms))
			used += (size_t)snprintf(why + used, room - used, " %s %lu times", imports[i].name,
						 (unsigned long)imports[i].calls);
	if (log_lines && used < room)
		snprintf(why + used, room - used, " the logger %lu times", log_lines);
}

static bool is_counted(void)
{
	int i;

	for (i = 0; i < import_count; i++)
		if (imports[i].calls)
			return true;
	return false;
}

static bool windows(int bytes, bool receive_first)
{
	int i;

	for (i = 0; i < ROUNDS; i++)
		if (!window(bytes, receive_first))
			return false;
	return true;
}

/* What ROUNDS windows of messages cost in steady state, in words: "" is nothing. 0, or an exit status. */
static int measure(const char *plugin, int bytes, bool receive_first, char *why, size_t room)
{
	long since;
	void *dl;
	int i;

	dl = dlopen(plugin, RTLD_NOW);
	net = dl ? dlsym(dl, "ncclNetPlugin_v8") : NULL;
	if (!net) {
		printf("# %s\n", dlerror());
		return CANNOT;
	}
	import_count = imports_watch(dl, &imports);
	if (import_count < 0)
		return SKIPPED;
	if (net->init(logger) || !open_pair() || !is_counted()) {
		printf("# no connection, or calls are not counted\n");
		return CANNOT;
	}
	if (!windows(bytes, receive_first))
		return CANNOT;
	for (i = 0; i < import_count; i++)
		imports[i].calls = 0;
	log_lines = 0;
	since = now_ms();
	if (!windows(bytes, receive_first))
		return CANNOT;
	note_harm(why, room, now_ms() - since);
	if (*why)
		printf("# in %d messages:%s\n", ROUNDS * DEPTH, why);
	return 0;
}

struct row {
	const char *protocol, *rails, *eager;
	int bytes;
	bool receive_first;
};

/* In a process of its own: the plugin reads its settings once. */
static int in_child(const struct row *row, const char *plugin, bool (*right)(const char *why))
{
	char why[400] = "";
	int ws, status;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (!pid) {
		setenv("WEFT_PROVIDER", "tcp", 1);
		setenv("WEFT_PROTOCOL", row->protocol, 1);
		setenv("WEFT_TEST_RAILS", row->rails, 1);
		setenv("WEFT_EAGER", row->eager, 1);
		setenv("FAULTY_INNER", PLUGIN, 1);
		setenv("FAULTY_HOW", "costly", 1);
		alarm(120);
		status = measure(plugin, row->bytes, row->receive_first, why, sizeof(why));
		exit(status ? status : right(why) ? RIGHT : WRONG);
	}
	return pid > 0 && waitpid(pid, &ws, 0) == pid && WIFEXITED(ws) ? WEXITSTATUS(ws) : CANNOT;
}

static bool is_nothing(const char *why)
{
	return !*why;
}

/* An allocation and its end for each receive; a line and a system call for each send. */
static bool is_all(const char *why)
{
	char each[60];

	snprintf(each, sizeof(each), " getppid %d times", ROUNDS * DEPTH);
	if (!strstr(why, each) || !strstr(why, " calloc ") || !strstr(why, " free "))
		return false;
	snprintf(each, sizeof(each), " the logger %d times", ROUNDS * DEPTH);
	return strstr(why, each);
}

int main(void)
{
	static const struct row rows[] = {
		{"rma", "1", "adaptive", 8, true},   {"rma", "1", "off", 4096, true},
		{"rma", "1", "on", 4096, false},     {"rma", "1", "adaptive", 65536, true},
		{"rma", "4", "adaptive", 8, true},   {"rma", "4", "adaptive", MOST, true},
		{"tagged", "1", "off", 8, true},     {"tagged", "1", "off", 65536, true},
		{"tagged", "4", "off", 4096, false},
	};
	static const char skip[] = " # SKIP this machine's code is not known";
	size_t i, n = sizeof(rows) / sizeof(rows[0]);
	int status, bad;

	status = in_child(&rows[0], COSTLY, is_all);
	bad = status != RIGHT && status != SKIPPED;
	printf("%s 1 - a plugin that allocates, logs and calls the kernel is found out%s\n", bad ? "not ok" : "ok",
	       status == SKIPPED ? skip : "");
	for (i = 0; i < n; i++) {
		bool ok;

		status = in_child(&rows[i], PLUGIN, is_nothing);
		ok = status == RIGHT || status == SKIPPED;
		bad += !ok;
		printf("%s %zu - %s, %s rails, eager %s, %d bytes: nothing but libfabric per message%s\n",
		       ok ? "ok" : "not ok", i + 2, rows[i].protocol, rows[i].rails, rows[i].eager, rows[i].bytes,
		       status == SKIPPED ? skip : "");
	}
	printf("1..%zu\n", n + 1);
	return bad != 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* The processes' half of pair.h: communication with the other processes, failures, hangs. */
#include "side.h"

#include "gpu.h"

#include <errno.h>
#include <execinfo.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static struct side_status *statuses; /* of all processes of the case */
static struct side_status *own;
static void (*hang_show)(void);

uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

void sleep_ms(unsigned ms)
{
	struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};

	while (nanosleep(&t, &t) && errno == EINTR)
		;
}

/* splitmix64 */
uint64_t rng_next(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15ull;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
	return z ^ (z >> 31);
}

void side_step(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(own->where, sizeof(own->where), fmt, ap);
	va_end(ap);
}

/* If two threads fail at once, the first one's text stays. */
__attribute__((format(printf, 2, 0))) static void decide(enum side_verdict verdict, const char *fmt, va_list ap)
{
	char text[sizeof(own->text)];
	int running = SIDE_RUNNING;

	vsnprintf(text, sizeof(text), fmt, ap);
	if (atomic_compare_exchange_strong(&own->verdict, &running, verdict))
		memcpy(own->text, text, sizeof(text));
}

void check(bool ok, const char *fmt, ...)
{
	va_list ap;

	if (ok)
		return;
	va_start(ap, fmt);
	decide(SIDE_FAILED, fmt, ap);
	va_end(ap);
	_exit(1);
}

void side_skip(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	decide(SIDE_SKIPPED, fmt, ap);
	va_end(ap);
	_exit(0);
}

void side_on_hang(void (*show)(void))
{
	hang_show = show;
}

/* Not signal-safe, but this process has hung and is about to be killed. */
static void on_hang(int sig)
{
	void *frames[40];

	(void)sig;
	if (hang_show)
		hang_show();
	backtrace_symbols_fd(frames, backtrace(frames, 40), STDERR_FILENO);
}

void side_send(struct side *s, int to, const void *data, size_t len_bytes)
{
	ssize_t n = send(s->fds[to], data, len_bytes, MSG_NOSIGNAL);

	check(n == (ssize_t)len_bytes, "the other process (%c) is gone: %s", 'A' + to, strerror(errno));
}

void side_recv(struct side *s, int from, void *data, size_t len_bytes)
{
	ssize_t n;

	do {
		n = recv(s->fds[from], data, len_bytes, 0);
	} while (n < 0 && errno == EINTR);
	check(n == (ssize_t)len_bytes, "the other process (%c) is gone", 'A' + from);
}

bool side_pending(struct side *s, int from)
{
	struct pollfd p = {.fd = s->fds[from], .events = POLLIN};

	return poll(&p, 1, 0) > 0;
}

void side_barrier(struct side *s, int with)
{
	char c = 'b';

	side_send(s, with, &c, 1);
	side_recv(s, with, &c, 1);
	check(c == 'b', "the test itself is wrong: a barrier met something else");
}

void side_kill(struct side *s, int victim)
{
	struct pollfd p = {.fd = s->fds[victim], .events = 0};

	atomic_store(&statuses[victim].doomed, 1);
	check(!kill(s->pids[victim], SIGKILL), "cannot kill %c: %s", 'A' + victim, strerror(errno));
	/* Its socket hangs up once the kernel has closed all its files, the plugin's included. */
	while (!(p.revents & POLLHUP))
		poll(&p, 1, -1);
}

void side_await_death(void)
{
	for (;;)
		pause();
}

void side_load(struct side *s)
{
	enum suite_memory memory = s->opt->memory;

	/* GPU memory on one side only. */
	if (memory == SUITE_CUDA_A || memory == SUITE_CUDA_B)
		memory = s->rank == (memory == SUITE_CUDA_B) ? SUITE_CUDA : SUITE_HOST;
	gpu_load(memory);
	side_step("loading the plugin");
	check(!bench_plugin_open(&s->plugin, s->opt->plugin_path, s->opt->abi), "the plugin cannot be used");
	s->net = s->plugin.net;
	s->is_weft = s->opt->strict || (s->net->name && !strcmp(s->net->name, "weft"));
	check(s->dev < s->plugin.ndev, "there is no device %d: the plugin has %d", s->dev, s->plugin.ndev);
}

void side_weft_only(struct side *s)
{
	if (!s->is_weft)
		side_skip("only Weft promises this (--strict asks all the same)");
}

void side_main(struct side *s, const struct suite_case *c, struct side_status *all)
{
	statuses = all;
	own = &all[s->rank];
	signal(SIGUSR1, on_hang);
	if (c->env)
		putenv((char *)c->env);
	if (!(c->flags & SUITE_UNLOADED))
		side_load(s);
	if (c->flags & SUITE_WEFT)
		side_weft_only(s);
	side_step("running");
	c->run(s);
	atomic_store(&own->verdict, SIDE_PASSED);
	side_step("at the end of the process");
	bench_plugin_close(&s->plugin);
	/* not _exit: the plugin's destructors and a sanitizer's last checks belong to the case */
	exit(0);
}

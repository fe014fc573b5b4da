/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random decisions, and their log. The k-th decision of a kind depends on the seed and k alone, so that a run repeats
 * as far as its timing does.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "fault.h"
#include "seeded.h"

static atomic_uint_fast64_t counts[COUNT_KINDS];
static atomic_uint_fast64_t rolls[DICE_KINDS];
static atomic_uint_fast64_t tx_completions;

static const char *const names[COUNT_KINDS] = {
	[COUNT_POSTS] = "posts",
	[COUNT_CALLS] = "calls",
	[COUNT_FAILED] = "failed",
	[COUNT_EAGAIN] = "eagain",
	[COUNT_COMPLETIONS] = "completions",
	[COUNT_REORDERED] = "reordered",
	[COUNT_DELAYED] = "delayed",
	[COUNT_TRUNCATED] = "truncated",
	[COUNT_DUPLICATED] = "duplicated",
	[COUNT_ERRORS] = "errors",
	[COUNT_LIMITED] = "limited",
	[COUNT_DEAD] = "dead",
	[COUNT_SWALLOWED] = "swallowed",
	[COUNT_UNREGISTERED] = "unregistered",
	[COUNT_OVERRUN] = "overrun",
};

/* Time until which each NIC's direction is busy. */
static struct {
	pthread_mutex_t lock;
	int64_t free_us;
} wires[FAULT_NICS_MAX][2];

void fault_count(enum fault_count what)
{
	atomic_fetch_add_explicit(&counts[what], 1, memory_order_relaxed);
}

uint64_t fault_roll(enum fault_dice dice, uint64_t below)
{
	uint64_t k = atomic_fetch_add_explicit(&rolls[dice], 1, memory_order_relaxed) + 1;
	uint64_t stream = seeded_mix(fault_setup.seed * DICE_KINDS + dice + 1);

	return seeded_roll(stream, k, below);
}

bool fault_percent(enum fault_dice dice, unsigned percent)
{
	return percent && fault_roll(dice, 100) < percent;
}

int fault_fail(enum fault_call call)
{
	if (!(fault_setup.fail_calls & 1u << call))
		return 0;
	if (atomic_fetch_add(&counts[COUNT_CALLS], 1) + 1 != fault_setup.fail_nth)
		return 0;
	fault_count(COUNT_FAILED);
	return -fault_setup.fail_errno;
}

bool fault_error_now(void)
{
	return fault_setup.error_nth && atomic_fetch_add(&tx_completions, 1) + 1 == fault_setup.error_nth;
}

int64_t fault_now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

int64_t fault_pass(int nic, bool incoming, size_t len)
{
	uint64_t rate = fault_setup.nics[nic].rate;
	int64_t now, through;

	if (!rate)
		return 0;
	now = fault_now_us();
	pthread_mutex_lock(&wires[nic][incoming].lock);
	through = wires[nic][incoming].free_us > now ? wires[nic][incoming].free_us : now;
	through += (int64_t)((double)len * 1e6 / (double)rate);
	wires[nic][incoming].free_us = through;
	pthread_mutex_unlock(&wires[nic][incoming].lock);
	return through;
}

/* A single write, so that lines of several processes do not mix. */
void fault_log(void)
{
	static atomic_bool done;
	char line[1024];
	size_t used;
	int i, fd = STDERR_FILENO;

	if (!fault_setup.log || atomic_exchange(&done, true))
		return;
	used = (size_t)snprintf(line, sizeof(line), "fault: pid=%d seed=%llu", (int)getpid(),
				(unsigned long long)fault_setup.seed);
	for (i = 0; i < COUNT_KINDS; i++)
		used += (size_t)snprintf(line + used, sizeof(line) - used, " %s=%llu", names[i],
					 (unsigned long long)atomic_load(&counts[i]));
	line[used++] = '\n';
	if (strcmp(fault_setup.log, "1"))
		fd = open(fault_setup.log, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666);
	if (fd < 0 || write(fd, line, used) != (ssize_t)used)
		fprintf(stderr, "fault: cannot write to %s\n", fault_setup.log);
	if (fd > STDERR_FILENO)
		close(fd);
}

/* A child process counts its own faults only. */
static void forget(void)
{
	int i;

	for (i = 0; i < COUNT_KINDS; i++)
		atomic_store(&counts[i], 0);
}

void fault_dice_init(void)
{
	int i;

	for (i = 0; i < FAULT_NICS_MAX; i++) {
		pthread_mutex_init(&wires[i][0].lock, NULL);
		pthread_mutex_init(&wires[i][1].lock, NULL);
	}
	pthread_atfork(NULL, NULL, forget);
}

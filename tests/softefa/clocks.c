/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The clock of this process in virtual time, among the clocks of the others.
 *
 * A clock advances by polls: a poll without a result takes LOOK_NS. No packet takes less than LATENCY_NS, so a process
 * can be that far ahead of the slowest other without missing a packet. At that limit its polls take no time until the
 * other has caught up. So the clocks, in one file of the common directory, advance together, and the real speed of a
 * process does not matter (a conservative simulation, in textbook terms).
 *
 * A sleeping process is not waited for. When it wakes, its clock is set to those of the others. A process that is awake
 * but does not call the device may be waiting for a write by reading its memory: see soft_time_tick.
 */
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "softefa.h"

#define SEATS	    256
#define SLEEPS_NS   (5 * 1000 * 1000)  /* a process this far behind, in real time, and asleep is away ... */
#define PATIENCE_NS (10000000000ll)    /* ... and so is one that has not polled for this long */
#define MEMORY_NS   (10 * 1000 * 1000) /* a program working for this long without a call is reading its memory */

struct seat {
	_Alignas(64) atomic_int thread; /* thread of the last poll; 0: free */
	atomic_bool away;
	atomic_int_fast64_t ns;
};

static struct seat alone, *seats, *own = &alone;
static atomic_int_fast64_t limit_ns; /* limit set by the other clocks when last read */
static atomic_int_fast64_t held_ns;  /* real time since when the limit holds us; 0: it does not */
static atomic_int_fast64_t awake_ns; /* real time at which a process that holds us was last seen awake */
static atomic_uint calls;	     /* the program's calls of the device so far */
static pthread_mutex_t join_lock = PTHREAD_MUTEX_INITIALIZER;

/* The state of a thread, as in /proc/N/stat; 0: there is no such thread. */
static char state_of(int thread)
{
	char path[32], text[128] = "", *end;
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/stat", thread);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	end = n > 0 ? strrchr(text, ')') : NULL;
	return end && end[1] ? end[2] : 0;
}

static struct seat *claim(void)
{
	struct seat *s;
	int none;

	for (s = seats; s < seats + SEATS; s++) {
		none = atomic_load(&s->thread);
		if (none && !state_of(none))
			atomic_compare_exchange_strong(&s->thread, &none, 0);
		none = 0;
		if (atomic_compare_exchange_strong(&s->thread, &none, (int)syscall(SYS_gettid)))
			return s;
	}
	return NULL;
}

void soft_clock_join(void)
{
	char path[120];
	int fd = -1;

	pthread_mutex_lock(&join_lock);
	if (soft_setup.timed && own == &alone) {
		snprintf(path, sizeof(path), "%s/clocks", soft_setup.dir);
		fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	}
	if (fd >= 0 && !ftruncate(fd, SEATS * sizeof(*seats))) {
		void *at = mmap(NULL, SEATS * sizeof(*seats), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		struct seat *s;

		seats = at == MAP_FAILED ? NULL : at;
		s = seats ? claim() : NULL;
		if (s) {
			s->away = true; /* until its first action, which sets its clock to those of the others */
			s->ns = alone.ns;
			own = s;
		}
	}
	if (soft_setup.timed && own == &alone)
		soft_log("this process's clock runs alone: no room in %s/clocks", soft_setup.dir);
	pthread_mutex_unlock(&join_lock);
	if (fd >= 0)
		close(fd);
}

__attribute__((destructor)) static void leave(void)
{
	if (own != &alone)
		own->thread = 0;
}

void soft_clock_forked(void)
{
	pthread_mutex_init(&join_lock, NULL);
	own = &alone;
}

int64_t soft_time_now(void)
{
	return atomic_load_explicit(&own->ns, memory_order_relaxed);
}

void soft_time_reach(int64_t stamp)
{
	int_fast64_t now = soft_time_now();

	while (now < stamp && !atomic_compare_exchange_weak(&own->ns, &now, stamp))
		;
}

static bool counts(const struct seat *s)
{
	return s != own && s->thread && !s->away;
}

void soft_clock_here(void)
{
	struct seat *s;

	if (!own->away)
		return;
	for (s = seats; s < seats + SEATS; s++)
		if (counts(s))
			soft_time_reach(s->ns);
	own->away = false;
}

static void sit(void)
{
	static _Thread_local int thread;

	if (!thread)
		thread = (int)syscall(SYS_gettid);
	if (own->thread != thread)
		own->thread = thread;
	soft_clock_here();
}

/* The limit set by the other clocks. */
static int64_t limit(void)
{
	int64_t ahead = soft_setup.latency_ns > soft_setup.look_ns ? soft_setup.latency_ns : soft_setup.look_ns;
	int64_t least = soft_time_now(); /* and no further, since a process may come back */
	struct seat *s;

	for (s = seats; own != &alone && s < seats + SEATS; s++)
		if (counts(s) && s->ns < least)
			least = s->ns;
	return least + ahead;
}

static bool asleep(const struct seat *s)
{
	char state = state_of(s->thread);

	return !state || strchr("SDTZ", state);
}

/* Another process is behind: marks it as away if it should not be waited for. */
static void held_up(int64_t next)
{
	int64_t now = soft_time_real_ns();
	struct seat *s;

	if (!held_ns)
		held_ns = awake_ns = now;
	for (s = seats; s < seats + SEATS; s++) {
		if (!counts(s) || s->ns + soft_setup.latency_ns >= next)
			continue;
		if (!asleep(s))
			awake_ns = now;
		if (now - awake_ns > SLEEPS_NS || now - held_ns > PATIENCE_NS)
			s->away = true;
	}
	sched_yield();
}

bool soft_clock_held(void)
{
	return held_ns;
}

static int64_t cpu_ns(clockid_t whose)
{
	struct timespec t;

	clock_gettime(whose, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* CPU time used by the program: without the calling thread, which works for the device. */
static int64_t work_ns(void)
{
	return cpu_ns(CLOCK_PROCESS_CPUTIME_ID) - cpu_ns(CLOCK_THREAD_CPUTIME_ID);
}

void soft_time_called(void)
{
	atomic_fetch_add_explicit(&calls, 1, memory_order_relaxed);
}

void soft_time_tick(int64_t early)
{
	static int64_t worked;
	static unsigned seen;
	unsigned now = atomic_load_explicit(&calls, memory_order_relaxed);
	int64_t work = work_ns(), most;

	if (!worked || now != seen) {
		worked = work;
		seen = now;
	} else if (work - worked >= MEMORY_NS) {
		most = limit();
		soft_time_reach(early < most ? early : most);
		worked = work;
	}
}

void soft_time_looks(void)
{
	int64_t next = soft_time_now() + soft_setup.look_ns;

	if (!soft_setup.timed)
		return;
	soft_time_called();
	sit();
	if (own != &alone && next > limit_ns)
		limit_ns = limit();
	if (own != &alone && next > limit_ns) {
		held_up(next);
		return;
	}
	held_ns = 0;
	soft_time_reach(next);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The clock of this process in virtual time, among those of the others.
 *
 * What moves it is looking: a poll that finds nothing takes LOOK_NS. No packet takes less than LATENCY_NS, so a process
 * may be that far ahead of the slowest other and miss nothing, and no further: then its looks take no time until the
 * other has come along. So the clocks, in one file of the common directory, run together, and the real speed of a
 * process does not matter (a conservative simulation, as textbooks call it).
 *
 * One that sleeps is not waited for. When it is back, its clock is set to the others'. One that is awake and does not
 * look may wait for a write, of which its memory tells: see soft_time_tick.
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
#define SLEEPS_NS   (5 * 1000 * 1000)	 /* one that is behind for so long, in real time, and asleep, is away ... */
#define PATIENCE_NS (10000000000ll)	 /* ... and so is one that does not look for so long */
#define MEMORY_NS   (1000 * 1000)	 /* one that works for so long and does not look at a queue looks at its memory */

struct seat {
	_Alignas(64) atomic_int thread; /* of the last look; 0: free */
	atomic_bool away;
	atomic_int_fast64_t ns;
};

static struct seat alone, *seats, *own = &alone;
static atomic_int_fast64_t limit_ns; /* so far the others let us go when we last saw */
static atomic_int_fast64_t held_ns;  /* since when they do not, in real time; 0: they do */
static atomic_int_fast64_t awake_ns; /* when one that holds us was last seen awake, in real time */
static atomic_uint looks; /* ever */
static pthread_mutex_t join_lock = PTHREAD_MUTEX_INITIALIZER;

/* The state of a thread, as in /proc/N/stat; 0: there is none. */
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
			s->away = true; /* until it does something, when it takes the others' time */
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

/* How far the others let us go. */
static int64_t limit(void)
{
	int64_t ahead = soft_setup.latency_ns > soft_setup.look_ns ? soft_setup.latency_ns : soft_setup.look_ns;
	int64_t least = soft_time_now(); /* and not further, since one may come back */
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

/* Somebody is behind. Is it one that is not to be waited for? */
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

/* What this process has had of the processors. */
static int64_t work_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

void soft_time_tick(int64_t early)
{
	static int64_t worked;
	static unsigned seen;
	unsigned now = atomic_load_explicit(&looks, memory_order_relaxed);
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
	atomic_fetch_add_explicit(&looks, 1, memory_order_relaxed);
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

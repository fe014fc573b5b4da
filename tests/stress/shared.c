/* SPDX-License-Identifier: Apache-2.0 */
/* Memory shared by all processes. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "stress.h"

enum { SOMEBODY_ELSE = 3, THIS_PROCESS = 1 };

struct shared *shared;

void shared_open(void)
{
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared != MAP_FAILED)
		return;
	perror("stress: shared memory");
	exit(THIS_PROCESS);
}

void fail(const char *format, ...)
{
	char line[512];
	va_list args;

	va_start(args, format);
	vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	fprintf(stderr, "FAIL [process %d, pid %d] %s\n", me, (int)getpid(), line);
	atomic_store(&shared->failed, true);
	if (getenv("STRESS_ABORT"))
		abort();
	_exit(THIS_PROCESS);
}

void relax(void)
{
	if (atomic_load_explicit(&shared->failed, memory_order_relaxed))
		_exit(SOMEBODY_ELSE);
	usleep(50);
}

void barrier(int world)
{
	int generation = atomic_load(&shared->generation[world]);

	if (atomic_fetch_add(&shared->arrived[world], 1) == settings.procs - 1) {
		atomic_store(&shared->arrived[world], 0);
		atomic_fetch_add(&shared->generation[world], 1);
		return;
	}
	while (atomic_load(&shared->generation[world]) == generation)
		relax();
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Process-wide settings made before libfabric starts; see prepare.h. */
#include "fabric/prepare.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/resource.h>
#include <sys/utsname.h>

/*
 * Soft limit of descriptors: tcp needs one for each connection, and each peer process needs one. A higher limit, such
 * as a hard limit of a billion, would slow down child programs that close every possible descriptor.
 */
#define DESCRIPTORS 65536

/* libibverbs' query and its answer if the kernel copies registered memory at fork. */
#define FORK_QUERY	  "ibv_is_fork_initialized"
#define IBV_FORK_UNNEEDED 2

static pthread_once_t once = PTHREAD_ONCE_INIT;
static char fork_text[256];

static void raise_descriptors(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) || limit.rlim_cur >= DESCRIPTORS || limit.rlim_cur >= limit.rlim_max)
		return;
	limit.rlim_cur = limit.rlim_max < DESCRIPTORS ? limit.rlim_max : DESCRIPTORS;
	setrlimit(RLIMIT_NOFILE, &limit); /* if refused, the old limit stays; fab_exhausted reports exhaustion */
}

/* Fallback if libibverbs lacks the query: Linux has copied registered memory at fork since 5.13. */
static bool kernel_is_new(void)
{
	unsigned major = 0, minor = 0;
	struct utsname u;

	return !uname(&u) && sscanf(u.release, "%u.%u", &major, &minor) == 2 &&
	       (major > 5 || (major == 5 && minor >= 13));
}

static bool copies_at_fork(void)
{
	int (*ask)(void) = (int (*)(void))(uintptr_t)dlsym(RTLD_DEFAULT, FORK_QUERY);

	return ask ? ask() == IBV_FORK_UNNEEDED : kernel_is_new();
}

static bool is_on(const char *name)
{
	const char *value = getenv(name);

	return value && (!strcasecmp(value, "1") || !strcasecmp(value, "on") || !strcasecmp(value, "true") ||
			 !strcasecmp(value, "yes"));
}

/*
 * Without FI_EFA_FORK_SAFE or kernel support, libfabric's efa aborts the process at the first fork, and data loaders
 * fork. efa reads the variable when it starts; libfabric 1.17 to 2.x refuse it in combination with huge pages.
 */
static void allow_fork(void)
{
	if (getenv("FI_EFA_FORK_SAFE") || getenv("RDMAV_FORK_SAFE") || getenv("IBV_FORK_SAFE")) {
		snprintf(fork_text, sizeof(fork_text),
			 "fork over efa is as FI_EFA_FORK_SAFE, RDMAV_FORK_SAFE and IBV_FORK_SAFE set it");
	} else if (copies_at_fork()) {
		snprintf(fork_text, sizeof(fork_text), "fork over efa is safe: the kernel copies registered memory");
	} else if (is_on("FI_EFA_USE_HUGE_PAGE")) {
		snprintf(
			fork_text, sizeof(fork_text),
			"fork over efa ends the process: the kernel is not known to copy registered memory, and FI_EFA_USE_HUGE_PAGE "
			"forbids FI_EFA_FORK_SAFE");
	} else {
		setenv("FI_EFA_FORK_SAFE", "1", 0);
		snprintf(
			fork_text, sizeof(fork_text),
			"FI_EFA_FORK_SAFE=1: %s that the kernel copies registered memory at fork, so efa does without huge pages",
			dlsym(RTLD_DEFAULT, FORK_QUERY) ? "libibverbs does not report"
							: "Linux before 5.13 does not promise");
	}
}

static void prepare(void)
{
	raise_descriptors();
	allow_fork();
}

void fab_prepare(void)
{
	pthread_once(&once, prepare);
}

const char *fab_fork_text(void)
{
	fab_prepare();
	return fork_text;
}

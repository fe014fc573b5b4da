/* SPDX-License-Identifier: Apache-2.0 */
/* This process's identity. */
#include "peer/ident.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

static struct peer_ident self;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void fill(void)
{
	struct timespec now;

	if (getrandom(self.uuid, sizeof(self.uuid), GRND_NONBLOCK) != sizeof(self.uuid)) {
		/* early boot: pid, time and an address still tell processes of one job apart */
		clock_gettime(CLOCK_REALTIME, &now);
		snprintf((char *)self.uuid, sizeof(self.uuid), "%x%lx", (unsigned)getpid(),
			 (unsigned long)(now.tv_nsec ^ now.tv_sec << 20));
	}
	self.pid = (uint32_t)getpid();
	if (gethostname(self.host, sizeof(self.host) - 1))
		snprintf(self.host, sizeof(self.host), "unknown");
}

static void register_fill(void)
{
	fill();
	pthread_atfork(NULL, NULL, fill);
}

const struct peer_ident *peer_self(void)
{
	pthread_once(&once, register_fill);
	return &self;
}

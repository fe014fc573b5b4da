/* SPDX-License-Identifier: Apache-2.0 */
/* This process's identity. */
#include "peer/ident.h"

#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/random.h"

static struct peer_ident self;
static pthread_once_t once = PTHREAD_ONCE_INIT;

/* The kernel's name may be one byte too long for self.host, so it is read into a larger buffer and cut. */
static void fill_host(void)
{
	char name[HOST_NAME_MAX + 1] = "";

	if (gethostname(name, sizeof(name)) || !name[0])
		strcpy(name, "unknown");
	snprintf(self.host, sizeof(self.host), "%.*s", PEER_HOST_BYTES - 1, name);
}

static void ident_fill(void)
{
	random_fill(self.uuid, sizeof(self.uuid));
	self.pid = (uint32_t)getpid();
	fill_host();
}

static void register_fill(void)
{
	ident_fill();
	pthread_atfork(NULL, NULL, ident_fill);
}

const struct peer_ident *peer_self(void)
{
	pthread_once(&once, register_fill);
	return &self;
}

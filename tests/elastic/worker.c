/* SPDX-License-Identifier: Apache-2.0 */
/* A process of the job: its first thread follows the parent's commands, and starts a thread for each ring. */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "elastic.h"
#include "plugin.h"

const struct weft_nccl_net_v12 *net;

static int parent = -1;
static struct ring ring;
static pthread_t thread;
static pthread_mutex_t warning_lock = PTHREAD_MUTEX_INITIALIZER;
static char warning[600];

static void say(const struct message *m)
{
	/* The parent is gone: there is nobody to tell. */
	if (send(parent, m, sizeof(*m), MSG_NOSIGNAL) != sizeof(*m))
		_exit(3);
}

void worker_say(enum say what, int number, const char *text)
{
	struct message m = {.say = what, .ring = number};

	snprintf(m.text, sizeof(m.text), "%s", text);
	say(&m);
}

void worker_say_handles(int number, unsigned char (*handles)[WEFT_NCCL_HANDLE_BYTES])
{
	struct message m = {.say = SAY_LISTENING, .ring = number};

	memcpy(m.handles, handles, sizeof(m.handles));
	say(&m);
}

void worker_broken(const char *format, ...)
{
	struct message m = {.say = SAY_BROKEN, .ring = ring.plan.number};
	va_list args;

	va_start(args, format);
	vsnprintf(m.text, sizeof(m.text), format, args);
	va_end(args);
	say(&m);
	_exit(3);
}

void worker_last_warning(char *out, size_t bytes)
{
	pthread_mutex_lock(&warning_lock);
	snprintf(out, bytes, "%s", warning);
	pthread_mutex_unlock(&warning_lock);
}

void worker_logger(weft_nccl_log_level level, unsigned long flags, const char *file, int line, const char *format, ...)
{
	const char *debug = getenv("NCCL_DEBUG");
	bool warns = level == WEFT_NCCL_LOG_WARN;
	char text[600];
	va_list args;

	(void)flags, (void)file, (void)line;
	if (!warns && !(debug && !strcasecmp(debug, "INFO")))
		return;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	fprintf(stderr, "# [%d] %s\n", (int)getpid(), text);
	if (!warns)
		return;
	pthread_mutex_lock(&warning_lock);
	memcpy(warning, text, sizeof(warning));
	pthread_mutex_unlock(&warning_lock);
}

static void begin_ring(const struct ring_plan *plan)
{
	ring.plan = *plan;
	atomic_store(&ring.have_handles, false);
	atomic_store(&ring.stop, false);
	pthread_mutex_lock(&warning_lock);
	warning[0] = '\0';
	pthread_mutex_unlock(&warning_lock);
	if (pthread_create(&thread, NULL, ring_run, &ring))
		worker_broken("no thread");
}

static void measure(void)
{
	struct message m = {.say = SAY_MEASURED};

	usage_measure(&m.usage);
	say(&m);
}

static void follow(const struct message *m)
{
	switch (m->say) {
	case SAY_RING: begin_ring(&m->plan); break;
	case SAY_HANDLES:
		memcpy(ring.handles, m->handles, sizeof(ring.handles));
		atomic_store(&ring.have_handles, true);
		break;
	case SAY_CLOSE:
		atomic_store(&ring.stop, true);
		pthread_join(thread, NULL);
		worker_say(SAY_CLOSED, ring.plan.number, "");
		break;
	case SAY_DIE: atomic_store(&ring.die, true); break;
	case SAY_MEASURE: measure(); break;
	case SAY_END: exit(0); /* with the destructors of plugin and provider */
	default: worker_broken("an unknown command");
	}
}

void worker_run(int socket, const char *path)
{
	struct bench_plugin plugin;
	struct message m;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	parent = socket;
	if (bench_plugin_load(&plugin, path, 12))
		worker_broken("the plugin can't be loaded");
	net = plugin.native;
	usage_prepare(net);
	while (recv(parent, &m, sizeof(m), 0) == sizeof(m))
		follow(&m);
	_exit(3);
}

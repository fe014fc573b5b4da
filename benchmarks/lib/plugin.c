/* SPDX-License-Identifier: Apache-2.0 */
#include "plugin.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static pthread_mutex_t warn_lock = PTHREAD_MUTEX_INITIALIZER;
static char last_warn[1024];

static int show_info(void)
{
	const char *v = getenv("NCCL_DEBUG");

	return v && (!strcasecmp(v, "INFO") || !strcasecmp(v, "TRACE"));
}

__attribute__((format(printf, 5, 6))) static void bench_logger(weft_nccl_log_level level, unsigned long flags,
							       const char *file, int line, const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	(void)flags;
	(void)file;
	(void)line;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (level == WEFT_NCCL_LOG_WARN) {
		pthread_mutex_lock(&warn_lock);
		snprintf(last_warn, sizeof(last_warn), "%s", text);
		pthread_mutex_unlock(&warn_lock);
		fprintf(stderr, "WARN %s\n", text);
	} else if (level == WEFT_NCCL_LOG_INFO && show_info()) {
		fprintf(stderr, "INFO %s\n", text);
	}
}

int bench_plugin_load(struct bench_plugin *p, const char *path, int abi)
{
	memset(p, 0, sizeof(*p));
	p->dl = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	if (!p->dl) {
		fprintf(stderr, "cannot load plugin: %s\n", dlerror());
		return -1;
	}
	p->abi = abi ? abi : plugin_abi_newest(p->dl);
	if (!p->abi) {
		fprintf(stderr, "%s: no symbol ncclNetPlugin_v%d to ncclNetPlugin_v%d: not a NCCL net plugin\n", path,
			PLUGIN_ABI_MIN, PLUGIN_ABI_MAX);
		return -1;
	}
	p->net = plugin_abi_table(p->dl, p->abi);
	p->native = plugin_abi_native(p->dl, p->abi);
	if (p->net)
		return 0;
	fprintf(stderr, "%s: no symbol ncclNetPlugin_v%d: not a v%d NCCL net plugin\n", path, abi, abi);
	return -1;
}

int bench_plugin_open(struct bench_plugin *p, const char *path, int abi)
{
	weft_nccl_result r;

	if (bench_plugin_load(p, path, abi))
		return -1;
	r = p->net->init(bench_logger);
	if (r) {
		fprintf(stderr, "%s: init failed: %s\n", path, bench_result_text(r));
		return -1;
	}
	r = p->net->devices(&p->ndev);
	if (r)
		fprintf(stderr, "%s: plugin %s cannot list its devices: %s\n", path, p->net->name,
			bench_result_text(r));
	else if (p->ndev <= 0)
		fprintf(stderr, "%s: plugin %s has no usable device; NCCL_DEBUG=INFO shows why\n", path, p->net->name);
	if (r || p->ndev <= 0)
		return -1;
	return 0;
}

void bench_plugin_close(struct bench_plugin *p)
{
	if (p->dl) {
		plugin_abi_end();
		dlclose(p->dl);
	}
	memset(p, 0, sizeof(*p));
}

const char *bench_result_text(weft_nccl_result r)
{
	static const char *const text[] = {
		"success",	    "unhandled CUDA error", "system error", "internal error",
		"invalid argument", "invalid usage",	    "remote error", "in progress",
	};
	size_t i = (size_t)r;

	return i < sizeof(text) / sizeof(text[0]) ? text[i] : "unknown result code";
}

const char *bench_last_warn(void)
{
	static _Thread_local char copy[sizeof(last_warn)];

	pthread_mutex_lock(&warn_lock);
	memcpy(copy, last_warn, sizeof(copy));
	pthread_mutex_unlock(&warn_lock);
	return copy;
}

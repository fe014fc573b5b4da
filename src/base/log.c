/* SPDX-License-Identifier: Apache-2.0 */
/* The log sink. The host of Weft decides the format of a line. */
#include "base/log.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>

static _Atomic(log_sink) current_sink;
static atomic_int stderr_level;

void log_set_sink(log_sink sink)
{
	atomic_store(&current_sink, sink);
}

void log_set_stderr(enum log_level level)
{
	atomic_store(&stderr_level, (int)level);
}

void log_must_see(const char *fmt, ...)
{
	log_sink sink = atomic_load(&current_sink);
	char text[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (sink)
		sink(LOG_LEVEL_WARN, __FILE__, __LINE__, text);
	fprintf(stderr, "weft: %s\n", text);
}

void log_line(enum log_level level, const char *file, int line, const char *fmt, ...)
{
	log_sink sink = atomic_load(&current_sink);
	int to_stderr = (int)level <= atomic_load(&stderr_level);
	char text[1024];
	va_list ap;

	if (!sink && !to_stderr)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (sink)
		sink(level, file, line, text);
	if (to_stderr)
		fprintf(stderr, "weft: %s\n", text);
}

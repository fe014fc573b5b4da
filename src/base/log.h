/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Log lines: one sink for the whole process, set by whoever hosts Weft (the NCCL bridge, a tool).
 * The first function that knows a failure's cause logs it once with log_warn; callers pass the error
 * code on in silence, because NCCL keeps only the last WARN for its user.
 * Not for the fast path: nothing here is called per message.
 */
#ifndef WEFT_BASE_LOG_H
#define WEFT_BASE_LOG_H

enum log_level { LOG_LEVEL_OFF, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

/* Gets one finished line without newline. Any thread; must not call back into Weft. */
typedef void (*log_sink)(enum log_level level, const char *file, int line, const char *text);

/* NULL drops every line, which is also the state before the first call. */
void log_set_sink(log_sink sink);

/* Besides the sink, lines up to `level` go to stderr as "weft: ...". Off by default. */
void log_set_stderr(enum log_level level);

/*
 * A warning that must reach the user: to the sink and, because NCCL hides plugin warnings by default,
 * exactly once to stderr.
 */
void log_must_see(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

void log_line(enum log_level level, const char *file, int line, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

#define log_warn(...)  log_line(LOG_LEVEL_WARN, __FILE__, __LINE__, __VA_ARGS__)
#define log_info(...)  log_line(LOG_LEVEL_INFO, __FILE__, __LINE__, __VA_ARGS__)
#define log_debug(...) log_line(LOG_LEVEL_DEBUG, __FILE__, __LINE__, __VA_ARGS__)

#endif

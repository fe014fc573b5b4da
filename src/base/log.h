/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Log lines: one sink for the whole process, set by the host of Weft (the NCCL bridge, a tool).
 * The first function that knows a failure's cause logs it once with log_warn. Callers return the error
 * code without logging, because NCCL keeps only the last WARN for its user.
 * Not for the fast path: no call per message.
 */
#ifndef WEFT_BASE_LOG_H
#define WEFT_BASE_LOG_H

enum log_level { LOG_LEVEL_OFF, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

/* Receives one complete line without newline, on any thread. Must not call Weft. The text is valid only inside. */
typedef void (*log_sink)(enum log_level level, const char *file, int line, const char *text);

/* Sets the sink. NULL, the initial state, drops every line. Any thread. */
void log_set_sink(log_sink sink);

/* Also writes lines up to `level` to stderr as "weft: ...". Off by default. Any thread. */
void log_set_stderr(enum log_level level);

/*
 * Logs a warning that must reach the user: to the sink and, because NCCL hides plugin warnings by default,
 * exactly once to stderr.
 */
void log_must_see(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

void log_line(enum log_level level, const char *file, int line, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

#define log_warn(...)  log_line(LOG_LEVEL_WARN, __FILE__, __LINE__, __VA_ARGS__)
#define log_info(...)  log_line(LOG_LEVEL_INFO, __FILE__, __LINE__, __VA_ARGS__)
#define log_debug(...) log_line(LOG_LEVEL_DEBUG, __FILE__, __LINE__, __VA_ARGS__)

#endif

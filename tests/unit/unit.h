/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What every unit test starts from: cmocka with its prerequisites, log lines caught for inspection,
 * and a deadline for loops that must end. Not for anything that opens a device; see net.h.
 */
#ifndef TESTS_UNIT_UNIT_H
#define TESTS_UNIT_UNIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* Far beyond what any step takes, even on a busy machine under a sanitizer: only a hang gets here.
 */
#define UNIT_PATIENCE_US 60000000

/* Catches log lines from now on and forgets earlier ones. */
void unit_log_catch(void);

/* Did a line of this level that contains `part` arrive since unit_log_catch? */
bool unit_log_has(int level, const char *part);

/* How many lines of this level arrived since unit_log_catch. */
int unit_log_count(int level);

/* The last line of this level, or "". Valid until the next call. */
const char *unit_log_last(int level);

/* Fails the test when `since_us` is UNIT_PATIENCE_US ago. Only on the test's own thread. */
void unit_not_late(int64_t since_us, const char *what);

/*
 * Sends stderr into a file until unit_stderr_end, which returns what was written there. One at a
 * time; the text is valid until the next capture.
 */
void unit_stderr_begin(void);
const char *unit_stderr_end(void);

/* How many times `part` stands in `text`. */
int unit_occurrences(const char *text, const char *part);

/* A repeatable sequence of numbers. *state is the seed at first. */
uint32_t unit_random(uint64_t *state);

/*
 * Leaks that are other libraries' own, for AddressSanitizer: "leak:libfabric.so\n". Once in a
 * program. Without whole stacks it could not tell whose they are.
 */
#define UNIT_FOREIGN_LEAKS(list)                                                                   \
	__attribute__((visibility("default"))) const char *__lsan_default_suppressions(void);      \
	const char *__lsan_default_suppressions(void)                                              \
	{                                                                                          \
		return list;                                                                       \
	}                                                                                          \
	__attribute__((visibility("default"))) const char *__asan_default_options(void);           \
	const char *__asan_default_options(void)                                                   \
	{                                                                                          \
		return "fast_unwind_on_malloc=0";                                                  \
	}                                                                                          \
	__attribute__((visibility("default"))) const char *__lsan_default_options(void);           \
	const char *__lsan_default_options(void)                                                   \
	{                                                                                          \
		return "print_suppressions=0";                                                     \
	}                                                                                          \
	struct unit_foreign_leaks /* takes the semicolon */

/* Runs the group with TAP output. */
#define unit_run(name, tests)                                                                      \
	(cmocka_set_message_output(CM_OUTPUT_TAP),                                                 \
	 cmocka_run_group_tests_name(name, tests, NULL, NULL))

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The base of every unit test: cmocka with its prerequisites, captured log lines, and a deadline for loops that must
 * end. Tests that open a device use net.h.
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

/* Far longer than any step, even on a busy machine under a sanitizer: only a hang takes this long. */
#define UNIT_PATIENCE_US 60000000

/* Captures log lines from now on and drops earlier ones. */
void unit_log_catch(void);

/* True if a line of this level containing `part` has arrived since unit_log_catch. */
bool unit_log_has(int level, const char *part);

/* Number of lines of this level since unit_log_catch. */
int unit_log_count(int level);

/* The last line of this level, or "". Valid until the next call. */
const char *unit_log_last(int level);

/* Fails the test if `since_us` is more than UNIT_PATIENCE_US ago. For the test's own thread only. */
void unit_not_late(int64_t since_us, const char *what);

/*
 * Redirects stderr to a file until unit_stderr_end, which returns its contents. One capture at a time; the text is
 * valid until the next capture.
 */
void unit_stderr_begin(void);
const char *unit_stderr_end(void);

/* Entries of /proc/self/fd: the descriptors of this process, and a constant number more. */
int unit_descriptors(void);

/* Number of occurrences of `part` in `text`. */
int unit_occurrences(const char *text, const char *part);

/* A repeatable sequence of numbers. *state is the seed at first. */
uint32_t unit_random(uint64_t *state);

/*
 * Leaks of other libraries, for AddressSanitizer, as lines of the form leak:libfabric.so. Once in a program. Only whole
 * stacks let it identify the library.
 */
#define UNIT_FOREIGN_LEAKS(list)                                                                                       \
	__attribute__((visibility("default"))) const char *__lsan_default_suppressions(void);                          \
	const char *__lsan_default_suppressions(void)                                                                  \
	{                                                                                                              \
		return list;                                                                                           \
	}                                                                                                              \
	__attribute__((visibility("default"))) const char *__asan_default_options(void);                               \
	const char *__asan_default_options(void)                                                                       \
	{                                                                                                              \
		return "fast_unwind_on_malloc=0";                                                                      \
	}                                                                                                              \
	__attribute__((visibility("default"))) const char *__lsan_default_options(void);                               \
	const char *__lsan_default_options(void)                                                                       \
	{                                                                                                              \
		return "print_suppressions=0";                                                                         \
	}                                                                                                              \
	struct unit_foreign_leaks /* takes the semicolon */

/* Runs the group with TAP output. */
#define unit_run(name, tests)                                                                                          \
	(cmocka_set_message_output(CM_OUTPUT_TAP), cmocka_run_group_tests_name(name, tests, NULL, NULL))

#endif

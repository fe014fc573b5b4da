/* SPDX-License-Identifier: Apache-2.0 */
/* base: destinations of log lines. */
#include "unit/unit.h"

#include <string.h>

#include "base/log.h"

static int prepare(void **state)
{
	(void)state;
	log_set_sink(NULL);
	log_set_stderr(LOG_LEVEL_OFF);
	return 0;
}

static void drops_lines_without_a_sink(void **state)
{
	const char *text;

	(void)state;
	unit_stderr_begin();
	log_warn("nobody %s this", "hears");
	log_info("nor this");
	text = unit_stderr_end();
	assert_string_equal(text, "");
}

static void hands_lines_to_the_sink(void **state)
{
	(void)state;
	unit_log_catch();
	unit_stderr_begin();
	log_warn("a %s of %d", "warning", 42);
	log_info("an information");
	log_debug("a detail");
	assert_string_equal(unit_stderr_end(), "");
	assert_string_equal(unit_log_last(LOG_LEVEL_WARN), "a warning of 42");
	assert_string_equal(unit_log_last(LOG_LEVEL_INFO), "an information");
	assert_string_equal(unit_log_last(LOG_LEVEL_DEBUG), "a detail");
	assert_int_equal(unit_log_count(LOG_LEVEL_WARN), 1);
	log_set_sink(NULL);
	log_warn("after the end");
	assert_int_equal(unit_log_count(LOG_LEVEL_WARN), 1);
}

static const char *seen_file;
static int seen_line;

static void look_at_place(enum log_level level, const char *file, int line, const char *text)
{
	(void)level;
	(void)text;
	seen_file = file;
	seen_line = line;
}

static void names_the_place(void **state)
{
	(void)state;
	log_set_sink(look_at_place);
	log_warn("here");
	assert_int_equal(seen_line, __LINE__ - 1);
	assert_string_equal(strrchr(seen_file, '/') ? strrchr(seen_file, '/') + 1 : seen_file, "log.c");
}

static void copies_up_to_a_level_to_stderr(void **state)
{
	static const char *const all[] = {"", "weft: w\n", "weft: w\nweft: i\n", "weft: w\nweft: i\nweft: d\n"};
	int level, with_sink;

	(void)state;
	for (with_sink = 0; with_sink < 2; with_sink++)
		for (level = LOG_LEVEL_OFF; level <= LOG_LEVEL_DEBUG; level++) {
			if (with_sink)
				unit_log_catch();
			log_set_stderr((enum log_level)level);
			unit_stderr_begin();
			log_warn("w");
			log_info("i");
			log_debug("d");
			assert_string_equal(unit_stderr_end(), all[level]);
			if (with_sink)
				assert_int_equal(unit_log_count(LOG_LEVEL_DEBUG), 1);
		}
}

static void must_see_is_seen_once(void **state)
{
	int level, with_sink;

	(void)state;
	for (with_sink = 0; with_sink < 2; with_sink++)
		for (level = LOG_LEVEL_OFF; level <= LOG_LEVEL_DEBUG; level++) {
			if (with_sink)
				unit_log_catch();
			log_set_stderr((enum log_level)level);
			unit_stderr_begin();
			log_must_see("number %d", 7);
			assert_string_equal(unit_stderr_end(), "weft: number 7\n");
			if (with_sink) {
				assert_int_equal(unit_log_count(LOG_LEVEL_WARN), 1);
				assert_string_equal(unit_log_last(LOG_LEVEL_WARN), "number 7");
			}
		}
}

static void bounds_long_lines(void **state)
{
	static char longer[5000];

	(void)state;
	memset(longer, 'x', sizeof(longer) - 1);
	unit_log_catch();
	log_warn("%s", longer);
	assert_int_equal(strlen(unit_log_last(LOG_LEVEL_WARN)), 1023);
	assert_int_equal(strncmp(unit_log_last(LOG_LEVEL_WARN), longer, 1023), 0);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(drops_lines_without_a_sink, prepare, prepare),
		cmocka_unit_test_setup_teardown(hands_lines_to_the_sink, prepare, prepare),
		cmocka_unit_test_setup_teardown(names_the_place, prepare, prepare),
		cmocka_unit_test_setup_teardown(copies_up_to_a_level_to_stderr, prepare, prepare),
		cmocka_unit_test_setup_teardown(must_see_is_seen_once, prepare, prepare),
		cmocka_unit_test_setup_teardown(bounds_long_lines, prepare, prepare),
	};

	return unit_run("log", tests);
}

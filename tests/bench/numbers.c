/* SPDX-License-Identifier: Apache-2.0 */
/* The benchmarks' command lines: sizes, integers, and tables of options. */
#include "unit/unit.h"

#include <errno.h>
#include <string.h>

#include "options.h"
#include "size_text.h"

static void sizes_that_are_read(void **state)
{
	static const struct {
		const char *text;
		int64_t bytes;
	} rows[] = {
		{"0", 0},
		{"8", 8},
		{"010", 10},
		{"64K", 65536},
		{"64k", 65536},
		{"1.5M", 1572864},
		{"1.25k", 1280},
		{"0.5G", 536870912},
		{"3 M", 3145728},
		{"3\tm", 3145728},
		{"8MB", 8388608},
		{"8MiB", 8388608},
		{"2g", 2147483648},
		{"9223372036854775807", INT64_MAX},
		{"0.0009765625K", 0}, /* only nine digits after the point count; this has ten */
	};
	int64_t v;

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		v = -1;
		if (size_parse(rows[i].text, &v) || v != rows[i].bytes)
			fail_msg("\"%s\" was read as %lld", rows[i].text, (long long)v);
	}
}

static void sizes_that_are_refused(void **state)
{
	static const char *const rows[] = {
		"",
		" ",
		"K",
		"-1",
		"-1K",
		"+1",
		"1T",
		"8 MX",
		"8KK",
		"1.5",
		"1.",
		".5K",
		"1.K",
		"inf",
		"nan",
		"0x10",
		"1e3",
		"1,5K",
		"8MBs",
		"8 M ",
		"9223372036854775808",
		"9000000000G",
	};
	int64_t v = -1;

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++)
		if (size_parse(rows[i], &v) != -EINVAL || v != -1)
			fail_msg("\"%s\" was taken as %lld", rows[i], (long long)v);
}

static void integers(void **state)
{
	static const char *const bad[] = {
		"", "-", "+", "x", "1x", "0x1", "1.0", " 1", "1 ", "--1", "9223372036854775808"};
	int64_t v = 7;

	(void)state;
	assert_int_equal(int_parse("010", &v), 0);
	assert_int_equal(v, 10);
	assert_int_equal(int_parse("-3", &v), 0);
	assert_int_equal(v, -3);
	for (size_t i = 0; i < COUNT(bad); i++)
		assert_int_equal(int_parse(bad[i], &v), -EINVAL);
	assert_int_equal(v, -3);
}

static void sizes_are_printed_as_they_are_read(void **state)
{
	static const int64_t rows[] = {0, 1, 1000, 1024, 1536, 65536, 1 << 20, 3 << 20, 5ll << 30, 1ll << 40};
	char buf[32];
	int64_t v;

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		assert_int_equal(size_parse(size_print(rows[i], buf, sizeof(buf)), &v), 0);
		assert_int_equal(v, rows[i]);
	}
	assert_string_equal(size_print(65536, buf, sizeof(buf)), "64K");
}

/* A small table, and the results of the last parse. */
static int64_t number, size;
static const char *text;
static bool flag;

static int parse(const char *const *args, int n)
{
	const struct option_row rows[] = {
		{'n', "number", "N", OPTION_INT, &number, 1, 9, "a number"},
		{'s', "size", "SIZE", OPTION_SIZE, &size, 1, 4096, "a size"},
		{0, "text", "TEXT", OPTION_TEXT, &text, 0, 0, "a text"},
		{0, "sometimes", NULL, OPTION_FLAG, &flag, 0, 0, "a flag"},
	};
	char *argv[8] = {(char *)(uintptr_t) "dir/prog"};

	number = size = -1;
	text = NULL;
	flag = false;
	for (int i = 0; i < n; i++)
		argv[i + 1] = (char *)(uintptr_t)args[i];
	return options_parse(n + 1, argv, "What it does.\n", rows, COUNT(rows));
}

#define PARSE(...)                                                                                                     \
	parse((const char *const[]){__VA_ARGS__}, sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *))

static void options_that_are_taken(void **state)
{
	(void)state;
	assert_int_equal(PARSE("-n3", "--size", "2K", "--text=x y", "--sometimes"), 0);
	assert_int_equal(number, 3);
	assert_int_equal(size, 2048);
	assert_string_equal(text, "x y");
	assert_true(flag);
	assert_int_equal(PARSE("--num", "1", "-n", "2"), 0);
	assert_int_equal(number, 2);
	assert_false(flag);
}

static void refused(int result, const char *part)
{
	const char *said = unit_stderr_end(), *prog = options_program();

	assert_int_equal(result, -1);
	if (!strstr(said, part) || strncmp(said, prog, strlen(prog)) || said[strlen(prog)] != ':')
		fail_msg("\"%s\" does not say \"%s\"", said, part);
	assert_int_equal(unit_occurrences(said, "\n"), 1);
}

#define REFUSED(part, ...) (unit_stderr_begin(), refused(PARSE(__VA_ARGS__), part))

static void options_that_are_refused(void **state)
{
	(void)state;
	REFUSED("unknown or ambiguous option --nope", "--nope");
	REFUSED("unknown or ambiguous option -q", "-q");
	REFUSED("unknown or ambiguous option --s", "--s=1");
	REFUSED("-n needs an argument", "-n");
	REFUSED("--size needs an argument", "--size");
	REFUSED("takes no argument", "--sometimes=1");
	REFUSED("'abc' is not a whole decimal number", "-n", "abc");
	REFUSED("'3x' is not a whole decimal number", "-n3x");
	REFUSED("10 is not within 1 to 9", "-n", "10");
	REFUSED("0 is not within", "--size", "0");
	REFUSED("'1T' is not a size", "--size", "1T");
	REFUSED("unexpected argument 'stray'", "-n", "1", "stray");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sizes_that_are_read),
		cmocka_unit_test(sizes_that_are_refused),
		cmocka_unit_test(integers),
		cmocka_unit_test(sizes_are_printed_as_they_are_read),
		cmocka_unit_test(options_that_are_taken),
		cmocka_unit_test(options_that_are_refused),
	};

	return unit_run("bench/numbers", tests);
}

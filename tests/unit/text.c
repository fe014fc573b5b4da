/* SPDX-License-Identifier: Apache-2.0 */
/* base: texts of numbers, sizes, times, switches and lists. */
#include "unit/unit.h"

#include <errno.h>
#include <string.h>

#include "base/text.h"

struct reading {
	const char *text;
	int64_t value;
};

#define BAD INT64_MIN /* as the expected value: must be refused */

static void check(int (*read)(const char *, int64_t *), const struct reading *rows, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++) {
		int64_t v = 0;
		int ret = read(rows[i].text, &v);

		if (rows[i].value == BAD && ret != -EINVAL)
			fail_msg("\"%s\" was taken as %lld", rows[i].text, (long long)v);
		if (rows[i].value != BAD && (ret || v != rows[i].value))
			fail_msg("\"%s\" gave %d and %lld", rows[i].text, ret, (long long)v);
	}
}

static void reads_integers(void **state)
{
	static const struct reading rows[] = {
		{"0", 0},
		{"7", 7},
		{"007", 7},
		{"-1", -1},
		{"-0", 0},
		{"9223372036854775807", INT64_MAX},
		{"-9223372036854775807", -INT64_MAX},
		{"9223372036854775808", BAD},
		{"99999999999999999999", BAD},
		{"18446744073709551617", BAD},
		{"", BAD},
		{"-", BAD},
		{"--1", BAD},
		{"+1", BAD},
		{" 1", BAD},
		{"1 ", BAD},
		{"1k", BAD},
		{"1.5", BAD},
		{"0x10", BAD},
		{"1e3", BAD},
		{"nan", BAD},
	};

	(void)state;
	check(text_to_int, rows, COUNT(rows));
}

static void reads_bytes(void **state)
{
	static const struct reading rows[] = {
		{"0", 0},
		{"1500", 1500},
		{"1k", 1024},
		{"64K", 65536},
		{"3m", 3 << 20},
		{"2G", 2ll << 30},
		{"0G", 0},
		{"8589934591G", 8589934591ll << 30},
		{"8589934592G", BAD},
		{"9223372036854775807", INT64_MAX},
		{"9223372036854775807K", BAD},
		{"-1", BAD},
		{"-1K", BAD},
		{"K", BAD},
		{"", BAD},
		{"1KB", BAD},
		{"1 K", BAD},
		{"1K ", BAD},
		{"1T", BAD},
		{"1.5M", BAD},
	};

	(void)state;
	check(text_to_bytes, rows, COUNT(rows));
}

static void reads_times(void **state)
{
	static const struct reading rows[] = {
		{"0", 0},
		{"2", 2000000},
		{"2s", 2000000},
		{"2S", 2000000},
		{"150ms", 150000},
		{"150MS", 150000},
		{"10m", 600000000},
		{"24h", 86400000000ll},
		{"30us", 30},
		{"0h", 0},
		{"9223372036854775807us", INT64_MAX},
		{"9223372036854775807", BAD},
		{"9223372036854775807s", BAD},
		{"2562047789h", BAD},
		{"-1s", BAD},
		{"s", BAD},
		{"", BAD},
		{"1d", BAD},
		{"1 s", BAD},
		{"1sec", BAD},
		{"0.5s", BAD},
	};

	(void)state;
	check(text_to_us, rows, COUNT(rows));
}

static void reads_switches(void **state)
{
	static const struct reading rows[] = {
		{"0", 0},     {"1", 1},	   {"no", 0},	{"yes", 1},   {"off", 0},     {"ON", 1},
		{"False", 0}, {"TRUE", 1}, {"2", BAD},	{"", BAD},    {" 1", BAD},    {"1 ", BAD},
		{"y", BAD},   {"01", BAD}, {"-1", BAD}, {"on,", BAD}, {"truee", BAD},
	};

	(void)state;
	check(text_to_bool, rows, COUNT(rows));
}

static void writes_the_shortest_form(void **state)
{
	char buf[32];

	(void)state;
	assert_string_equal(text_from_bytes(0, buf, sizeof(buf)), "0");
	assert_string_equal(text_from_bytes(1500, buf, sizeof(buf)), "1500");
	assert_string_equal(text_from_bytes(1024, buf, sizeof(buf)), "1K");
	assert_string_equal(text_from_bytes(65536, buf, sizeof(buf)), "64K");
	assert_string_equal(text_from_bytes(65537, buf, sizeof(buf)), "65537");
	assert_string_equal(text_from_bytes(1 << 20, buf, sizeof(buf)), "1M");
	assert_string_equal(text_from_bytes(3ll << 30, buf, sizeof(buf)), "3G");
	assert_string_equal(text_from_us(0, buf, sizeof(buf)), "0");
	assert_string_equal(text_from_us(1, buf, sizeof(buf)), "1us");
	assert_string_equal(text_from_us(150000, buf, sizeof(buf)), "150ms");
	assert_string_equal(text_from_us(2000000, buf, sizeof(buf)), "2s");
	assert_string_equal(text_from_us(90000000, buf, sizeof(buf)), "90s");
	assert_string_equal(text_from_us(600000000, buf, sizeof(buf)), "10m");
	assert_string_equal(text_duration(0, buf, sizeof(buf)), "0 ms");
	assert_string_equal(text_duration(999999, buf, sizeof(buf)), "999 ms");
	assert_string_equal(text_duration(1000000, buf, sizeof(buf)), "1 s");
	assert_string_equal(text_duration(600000000, buf, sizeof(buf)), "600 s");
	assert_string_equal(text_from_us(3600000000, buf, sizeof(buf)), "1h");
}

static void reads_back_what_it_wrote(void **state)
{
	uint64_t seed = 1;
	char buf[32];
	int64_t v;
	int i;

	(void)state;
	for (i = 0; i < 20000; i++) {
		int64_t number = (int64_t)(((uint64_t)unit_random(&seed) << 32 | unit_random(&seed)) >>
					   (1 + unit_random(&seed) % 63));

		text_from_bytes(number, buf, sizeof(buf));
		if (text_to_bytes(buf, &v) || v != number)
			fail_msg("%lld bytes became %s", (long long)number, buf);
		text_from_us(number, buf, sizeof(buf));
		if (text_to_us(buf, &v) || v != number)
			fail_msg("%lld us became %s", (long long)number, buf);
	}
}

static void measures_distance(void **state)
{
	static const struct {
		const char *a, *b;
		int distance;
	} rows[] = {
		{"", "", 0},
		{"abc", "abc", 0},
		{"abc", "ABC", 0},
		{"", "abc", 3},
		{"abc", "", 3},
		{"abc", "ab", 1},
		{"abc", "abcd", 1},
		{"abc", "axc", 1},
		{"abc", "acb", 1}, /* two adjacent characters swapped */
		{"WEFT_PROVDER", "WEFT_PROVIDER", 1},
		{"WEFT_PROVIDRE", "WEFT_PROVIDER", 1},
		{"kitten", "sitting", 3},
		{"abc", "xyz", 3},
	};
	char longer[200];
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(rows); i++) {
		assert_int_equal(text_distance(rows[i].a, rows[i].b), rows[i].distance);
		assert_int_equal(text_distance(rows[i].b, rows[i].a), rows[i].distance);
	}
	memset(longer, 'a', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = 0;
	assert_int_equal(text_distance(longer, longer), 0);
	assert_int_equal(text_distance(longer, ""), 64); /* the comparison stops at this length */
}

static void knows_list_members(void **state)
{
	static const struct {
		const char *list, *name;
		bool member;
	} rows[] = {
		{"", "eth0", false},
		{"eth0", "eth0", true},
		{"eth0", "eth1", false},
		{"eth0", "eth01", false},
		{"eth0,eth1", "eth1", true},
		{"eth0,eth1", "eth0", true},
		{"eth*", "eth12", true},
		{"eth?", "eth12", false},
		{"eth[01]", "eth1", true},
		{"eth[01]", "eth2", false},
		{"rdmap*,eth0", "rdmap0s6-rdm", true},
		{"*", "anything", true},
		{"^eth0", "eth0", false},
		{"^eth0", "eth1", true},
		{"^eth*,lo", "lo", false},
		{"^eth*,lo", "ib0", true},
		{"^", "eth0", true},
		{"^*", "eth0", false},
		{",", "eth0", false},
		{",,eth0,", "eth0", true},
		{"eth0,^eth1", "eth2", false}, /* ^ counts only at the beginning */
		{"ETH0", "eth0", false},
	};
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(rows); i++)
		if (text_in_list(rows[i].list, rows[i].name) != rows[i].member)
			fail_msg("%s in \"%s\"", rows[i].name, rows[i].list);
}

static void appends_what_fits(void **state)
{
	char buf[8] = "";

	(void)state;
	text_append(buf, sizeof(buf), "%s%d", "ab", 1);
	assert_string_equal(buf, "ab1");
	text_append(buf, sizeof(buf), "%s", "cdefgh");
	assert_string_equal(buf, "ab1cdef");
	text_append(buf, sizeof(buf), "x");
	assert_string_equal(buf, "ab1cdef");
}

static void takes_lists_apart(void **state)
{
	const char *list = "a, b c ,,d ,";
	char item[4];

	(void)state;
	assert_true(text_next_item(&list, item, sizeof(item)));
	assert_string_equal(item, "a");
	assert_true(text_next_item(&list, item, sizeof(item)));
	assert_string_equal(item, "b c");
	assert_true(text_next_item(&list, item, sizeof(item)));
	assert_string_equal(item, "");
	assert_true(text_next_item(&list, item, sizeof(item)));
	assert_string_equal(item, "d");
	assert_false(text_next_item(&list, item, sizeof(item)));
	list = "longer,x";
	assert_true(text_next_item(&list, item, sizeof(item)));
	assert_string_equal(item, "lon");
	assert_true(text_next_item(&list, item, sizeof(item)));
	assert_string_equal(item, "x");
	list = "";
	assert_false(text_next_item(&list, item, sizeof(item)));
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_integers),
		cmocka_unit_test(reads_bytes),
		cmocka_unit_test(reads_times),
		cmocka_unit_test(reads_switches),
		cmocka_unit_test(writes_the_shortest_form),
		cmocka_unit_test(reads_back_what_it_wrote),
		cmocka_unit_test(measures_distance),
		cmocka_unit_test(knows_list_members),
		cmocka_unit_test(takes_lists_apart),
		cmocka_unit_test(appends_what_fits),
	};

	return unit_run("text", tests);
}

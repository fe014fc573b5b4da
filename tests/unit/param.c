/* SPDX-License-Identifier: Apache-2.0 */
/* base: the parameter engine, on a table of the test's own. */
#include "unit/unit.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/param.h"

struct values {
	char text[PARAM_TEXT_BYTES];
	int64_t number, toggle, bytes, time_us, choice, count;
};

#define AT(f) offsetof(struct values, f)

static const struct param table[] = {
	{.name = "UT_TEXT", .type = PARAM_TEXT, .offset = AT(text), .value = "auto"},
	{.name = "UT_NUMBER", .type = PARAM_INT, .offset = AT(number), .value = "5", .min = "-2", .max = "10"},
	{.name = "UT_TOGGLE", .type = PARAM_BOOL, .offset = AT(toggle), .value = "1"},
	{.name = "UT_BYTES", .type = PARAM_BYTES, .offset = AT(bytes), .value = "64K", .min = "4K", .max = "1G"},
	{.name = "UT_TIME", .type = PARAM_TIME, .offset = AT(time_us), .value = "10m", .min = "0", .max = "24h"},
	{.name = "UT_CHOICE",
	 .type = PARAM_CHOICE,
	 .offset = AT(choice),
	 .value = "medium",
	 .choices = {"small", "medium", "large"}},
	{.name = "UT_COUNT",
	 .type = PARAM_INT,
	 .offset = AT(count),
	 .value = "auto",
	 .word = "auto",
	 .min = "1",
	 .max = "16"},
};

static enum param_origin origins[COUNT(table)];
static struct values values;
static char why[512];

static int load(void)
{
	memset(&values, 0x5a, sizeof(values));
	memset(why, 0, sizeof(why));
	return param_load(table, COUNT(table), &values, origins, why, sizeof(why));
}

static int clear_environment(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(table); i++)
		unsetenv(table[i].name);
	return 0;
}

static void takes_defaults(void **state)
{
	size_t i;

	(void)state;
	setenv("UT_TIME", "", 1); /* an empty value counts as unset */
	assert_int_equal(load(), 0);
	assert_string_equal(values.text, "auto");
	assert_int_equal(values.number, 5);
	assert_int_equal(values.toggle, 1);
	assert_int_equal(values.bytes, 65536);
	assert_int_equal(values.time_us, 600000000);
	assert_int_equal(values.choice, 1);
	for (i = 0; i < COUNT(table); i++)
		assert_int_equal(origins[i], PARAM_FROM_DEFAULT);
	for (i = strlen("auto"); i < sizeof(values.text); i++)
		assert_int_equal(values.text[i], 0);
}

static void takes_the_environment(void **state)
{
	size_t i;

	(void)state;
	setenv("UT_TEXT", "x", 1);
	setenv("UT_NUMBER", "-2", 1);
	setenv("UT_TOGGLE", "Off", 1);
	setenv("UT_BYTES", "1g", 1);
	setenv("UT_TIME", "90", 1);
	setenv("UT_CHOICE", "LARGE", 1);
	setenv("UT_COUNT", "Auto", 1);
	assert_int_equal(load(), 0);
	assert_string_equal(values.text, "x");
	assert_int_equal(values.number, -2);
	assert_int_equal(values.toggle, 0);
	assert_int_equal(values.bytes, 1 << 30);
	assert_int_equal(values.time_us, 90000000);
	assert_int_equal(values.choice, 2);
	assert_int_equal(values.count, 0);
	for (i = 0; i < COUNT(table); i++)
		assert_int_equal(origins[i], PARAM_FROM_ENVIRONMENT);
}

/* Every bad value is refused and fully reported, and the default applies. */
static void refuses_bad_values(void **state)
{
	static const struct {
		const char *name, *value, *accepted;
	} rows[] = {
		{"UT_NUMBER", "11", "a whole number from -2 to 10"},
		{"UT_COUNT", "0", "auto or a whole number from 1 to 16"},
		{"UT_COUNT", "17", "auto or a whole number from 1 to 16"},
		{"UT_NUMBER", "-3", "a whole number from -2 to 10"},
		{"UT_NUMBER", "many", "a whole number from -2 to 10"},
		{"UT_NUMBER", "99999999999999999999", "a whole number from -2 to 10"},
		{"UT_NUMBER", "5 ", "a whole number from -2 to 10"},
		{"UT_TOGGLE", "2", "0 or 1"},
		{"UT_TOGGLE", "maybe", "0 or 1"},
		{"UT_BYTES", "4095", "from 4K to 1G"},
		{"UT_BYTES", "1025M", "from 4K to 1G"},
		{"UT_BYTES", "-4K", "from 4K to 1G"},
		{"UT_TIME", "25h", "from 0 to 24h"},
		{"UT_TIME", "1d", "from 0 to 24h"},
		{"UT_CHOICE", "huge", "small, medium, large"},
		{"UT_CHOICE", "smal", "small, medium, large"},
	};
	char defaults[sizeof(values)];
	size_t i;

	(void)state;
	assert_int_equal(load(), 0);
	memcpy(defaults, &values, sizeof(values));
	for (i = 0; i < COUNT(rows); i++) {
		setenv(rows[i].name, rows[i].value, 1);
		assert_int_equal(load(), -EINVAL);
		unsetenv(rows[i].name);
		assert_non_null(strstr(why, rows[i].name));
		assert_non_null(strstr(why, rows[i].value));
		if (!strstr(why, rows[i].accepted))
			fail_msg("\"%s\" does not say \"%s\"", why, rows[i].accepted);
		assert_non_null(strstr(why, "default"));
		assert_memory_equal(&values, defaults, sizeof(values));
		assert_int_equal(origins[1], PARAM_FROM_DEFAULT);
	}
}

static void takes_the_bounds_themselves(void **state)
{
	(void)state;
	setenv("UT_NUMBER", "10", 1);
	setenv("UT_BYTES", "4K", 1);
	setenv("UT_TIME", "24h", 1);
	assert_int_equal(load(), 0);
	assert_int_equal(values.number, 10);
	assert_int_equal(values.bytes, 4096);
	assert_int_equal(values.time_us, 86400000000);
	setenv("UT_TIME", "0", 1);
	assert_int_equal(load(), 0);
	assert_int_equal(values.time_us, 0);
}

static void tells_the_first_mistake_and_reads_on(void **state)
{
	(void)state;
	setenv("UT_NUMBER", "x", 1);
	setenv("UT_BYTES", "y", 1);
	setenv("UT_CHOICE", "small", 1);
	assert_int_equal(load(), -EINVAL);
	assert_non_null(strstr(why, "UT_NUMBER=x"));
	assert_null(strstr(why, "UT_BYTES"));
	assert_int_equal(values.choice, 0);
	assert_int_equal(origins[5], PARAM_FROM_ENVIRONMENT);
	assert_int_equal(origins[1], PARAM_FROM_DEFAULT);
}

static void bounds_texts(void **state)
{
	char longer[PARAM_TEXT_BYTES + 1];

	(void)state;
	memset(longer, 'x', sizeof(longer));
	longer[PARAM_TEXT_BYTES - 1] = 0; /* the longest value that fits */
	setenv("UT_TEXT", longer, 1);
	assert_int_equal(load(), 0);
	assert_string_equal(values.text, longer);
	longer[PARAM_TEXT_BYTES - 1] = 'x';
	longer[PARAM_TEXT_BYTES] = 0;
	setenv("UT_TEXT", longer, 1);
	assert_int_equal(load(), -EINVAL);
	assert_string_equal(values.text, "auto");
	assert_non_null(strstr(why, "UT_TEXT"));
}

/* With a value of any length, the message keeps its last part: the accepted values. */
static void tells_long_values_completely(void **state)
{
	static char longer[4096];

	(void)state;
	memset(longer, '9', sizeof(longer) - 1);
	setenv("UT_NUMBER", longer, 1);
	assert_int_equal(load(), -EINVAL);
	assert_non_null(strstr(why, "UT_NUMBER=9999"));
	assert_non_null(strstr(why, "a whole number from -2 to 10"));
	unsetenv("UT_NUMBER");
	setenv("UT_TEXT", longer, 1);
	assert_int_equal(load(), -EINVAL);
	assert_non_null(strstr(why, "UT_TEXT=9999"));
	assert_non_null(strstr(why, "255")); /* length is the only reason to refuse a text */
}

/* param_load reads the output of param_value_text back as the same value. */
static void writes_values_that_load(void **state)
{
	static const char *const texts[COUNT(table)] = {"hello, world", "-1", "0", "5000", "150ms", "large", "auto"};
	struct values before;
	char buf[PARAM_TEXT_BYTES];
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(table); i++)
		setenv(table[i].name, texts[i], 1);
	assert_int_equal(load(), 0);
	before = values;
	for (i = 0; i < COUNT(table); i++) {
		assert_ptr_equal(param_value_text(&table[i], &before, buf, sizeof(buf)), buf);
		assert_string_equal(buf, texts[i]);
		setenv(table[i].name, buf, 1);
	}
	assert_int_equal(load(), 0);
	assert_memory_equal(&values, &before, sizeof(values));
}

static void says_what_it_accepts(void **state)
{
	char buf[256];

	(void)state;
	assert_non_null(strstr(param_accepts(&table[0], buf, sizeof(buf)), "text"));
	assert_string_equal(param_accepts(&table[1], buf, sizeof(buf)), "a whole number from -2 to 10");
	assert_string_equal(param_accepts(&table[2], buf, sizeof(buf)), "0 or 1");
	assert_non_null(strstr(param_accepts(&table[3], buf, sizeof(buf)), "bytes"));
	assert_non_null(strstr(param_accepts(&table[4], buf, sizeof(buf)), "time"));
	assert_string_equal(param_accepts(&table[5], buf, sizeof(buf)), "small, medium, large");
	assert_string_equal(param_accepts(&table[6], buf, sizeof(buf)), "auto or a whole number from 1 to 16");
	param_accepts(&table[5], buf, 4); /* a buffer too small: the text is cut, not overrun */
	assert_string_equal(buf, "sma");
}

struct unknown {
	int count;
	char name[128];
	char nearest[128];
};

static void note_unknown(void *arg, const char *name, const char *nearest)
{
	struct unknown *u = arg;

	u->count++;
	snprintf(u->name, sizeof(u->name), "%s", name);
	snprintf(u->nearest, sizeof(u->nearest), "%s", nearest ? nearest : "(none)");
}

static struct unknown look(const char *name)
{
	struct unknown u = {0};

	setenv(name, "1", 1);
	param_unknown("UT_", table, COUNT(table), note_unknown, &u);
	unsetenv(name);
	return u;
}

static void finds_misspelt_names(void **state)
{
	static const char *const rows[][2] = {
		{"UT_NUBMER", "UT_NUMBER"}, {"UT_NUMBERS", "UT_NUMBER"}, {"UT_number", "UT_NUMBER"},
		{"UT_TIM", "UT_TIME"},	    {"UT_CHOISE", "UT_CHOICE"},	 {"UT_SOMETHING_ELSE_ALTOGETHER", "(none)"},
	};
	struct unknown u = {0};
	size_t i;

	(void)state;
	setenv("UT_NUMBER", "1", 1);  /* known: never reported */
	setenv("XUT_NUBMER", "1", 1); /* not a WEFT_ variable */
	param_unknown("UT_", table, COUNT(table), note_unknown, &u);
	assert_int_equal(u.count, 0);
	for (i = 0; i < COUNT(rows); i++) {
		u = look(rows[i][0]);
		assert_int_equal(u.count, 1);
		assert_string_equal(u.name, rows[i][0]);
		assert_string_equal(u.nearest, rows[i][1]);
	}
	unsetenv("XUT_NUBMER");
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, clear_environment, clear_environment)
	static const struct CMUnitTest tests[] = {
		TEST(takes_defaults),
		TEST(takes_the_environment),
		TEST(refuses_bad_values),
		TEST(takes_the_bounds_themselves),
		TEST(tells_the_first_mistake_and_reads_on),
		TEST(bounds_texts),
		TEST(tells_long_values_completely),
		TEST(writes_values_that_load),
		TEST(says_what_it_accepts),
		TEST(finds_misspelt_names),
	};

	return unit_run("param", tests);
}
